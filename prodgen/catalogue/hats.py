"""Three hats: fedora, cap and bucket hat."""

from __future__ import annotations

from prodgen.catalogue.kind import NON_METALS, Kind, Shape, centred_body
from prodgen.catalogue.render import Body
from prodgen.catalogue.sdf import (
    Curve,
    Points,
    box,
    capsule,
    ellipsoid,
    intersect,
    length,
    mirror,
    rectangle,
    revolve,
    smooth_intersect,
    smooth_union,
    sphere,
    translate,
    union,
)


def build_hat(v: Shape, variant: int) -> Body:
    """A hat: 0 a fedora, 1 a cap with a visor, 2 a bucket hat."""
    return (build_fedora, build_cap, build_bucket)[variant](v)


def build_fedora(v: Shape) -> Body:
    r, h, wide = v.radius, v.crown, v.radius + v.brim * 1.25
    crown = Curve([(0, r), (0.5 * h, r * 0.93), (h * 0.86, r * 0.84), (h, r * 0.62)])
    curl = Curve([(0, 0.05), (r, 0.05), (wide * 0.85, 0.05 + 0.5 * v.curl), (wide, 0.05 + v.curl)])

    def parts(p: Points):
        x, y, z = p[0] * 1.08, p[1], p[2] * 0.94
        axis_distance = length(x, z)
        # The crown, from which a crease and two pinches are subtracted.
        dome = smooth_intersect(
            crown.signed_distance(axis_distance, y), abs(y - h / 2) - h / 2, 0.12
        )
        crease = capsule(p, (0, h + 0.1, -r), (0, h + 0.04, r), 0.13 + v.pinch * 0.6)
        pinches = ellipsoid(
            translate(mirror(p, "x"), 0.72 * r, h * 0.95, 0.75 * r), (0.2, 0.34, 0.3)
        )
        dome = -smooth_union(-dome, smooth_union(crease, pinches, 0.1), 0.1)
        brim = intersect(abs(curl.signed_distance(y, axis_distance)) - 0.022, axis_distance - wide)
        band = intersect(
            crown.signed_distance(axis_distance, y) - 0.02, abs(y - 0.05 - v.band / 2) - v.band / 2
        )
        bow = box(translate(p, 0.93 * r, 0.05 + v.band / 2, 0), (0.05, v.band * 0.55, 0.14), 0.02)
        return {"main": smooth_union(dome, brim, 0.04), "band": union(band, bow)}

    return centred_body(parts, wide / 1.05, max(h + 0.02, 0.1 + v.curl), wide / 0.92, 0.8)


def build_cap(v: Shape) -> Body:
    r, h = v.radius, v.crown * 0.85 + 0.1
    reach = r + v.brim * 1.5

    def parts(p: Points):
        x, y, z = p
        dome = intersect(ellipsoid(p, (r, h, r * 1.08)), -y)
        droop = y - 0.06 + v.curl * 1.2 * x * x + 0.12 * (z - r) * v.pinch * 5
        plan = rectangle(x, z - reach / 2 - 0.1, (0.86 * r, reach / 2), 0.6 * r)
        visor = intersect(abs(droop) - 0.028, plan, -y) * 0.85
        badge = intersect(dome - 0.014, length(x, y - 0.55 * h) - v.band * 1.1, -z)
        knob = sphere(translate(p, y=h), 0.055)
        seam = intersect(
            dome - 0.006, union(abs(x) - 0.012, abs(abs(x) * 0.8 - abs(z) * 0.6) - 0.012)
        )
        return {"main": union(dome, knob), "visor": visor, "band": badge, "seam": seam}

    return Body(parts, (-r, 0, -r * 1.08), (r, h + 0.06, reach + 0.15), 0.85)


def build_bucket(v: Shape) -> Body:
    r, h, drop = v.radius, v.crown * 0.75, v.curl + 0.28
    wide = r + v.brim
    crown = Curve(
        [(drop * 0.8, r * 1.02), (drop + h * 0.7, r * (0.88 - 0.5 * v.pinch)), (drop + h, r * 0.76)]
    )
    brim = Curve([(0, wide), (drop * 0.5, (wide + r) * 0.51), (drop, r * 0.98)])

    def parts(p: Points):
        q = (p[0] * 1.07, p[1], p[2] * 0.95)
        side = brim.signed_distance(length(q[0], q[2]), p[1])
        skirt = intersect(abs(side) - 0.025, abs(p[1] - drop / 2) - drop / 2)
        stripe = intersect(
            crown.signed_distance(length(q[0], q[2]), p[1]) - 0.014,
            abs(p[1] - drop - v.band / 2 - 0.04) - v.band / 2,
        )
        patch = box(translate(p, 0.1, drop + 0.22, r * 0.95), (0.1, 0.07, 0.05), 0.01)
        return {"main": union(revolve(q, crown, edge=0.1), skirt), "band": union(stripe, patch)}

    return centred_body(parts, wide / 1.05, drop + h, wide / 0.93 + 0.02, 0.8)


HAT = Kind(
    "hat",
    build_hat,
    ("a wide brim", "a visor", "a sloping brim"),
    NON_METALS,
    {
        "band": ("charcoal", "ivory", "second", "tan"),
        "visor": ("main", "deep", "charcoal"),
        "seam": ("deep",),
    },
    {
        "radius": (0.5, 0.62),
        "crown": (0.6, 0.85),
        "brim": (0.3, 0.5),
        "curl": (0.03, 0.2),
        "band": (0.1, 0.2),
        "pinch": (0.05, 0.2),
    },
    (10.0, 36.0),
)
