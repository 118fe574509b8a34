"""Mug, bottle, vase and teapot: solids of revolution with handles and other parts."""

from __future__ import annotations

from prodgen.catalogue.kind import ALL_MATERIALS, Kind, Shape, centred_body
from prodgen.catalogue.render import Body
from prodgen.catalogue.sdf import (
    Curve,
    Points,
    capsule,
    cylinder,
    intersect,
    length,
    rectangle,
    revolve,
    section_radius,
    smooth_intersect,
    smooth_union,
    sphere,
    subtract,
    torus,
    translate,
    tube,
    union,
)


def build_mug(v: Shape, variant: int) -> Body:
    """A mug: 0 with a round handle, 1 with a square handle. The handle is at +x."""
    h, r, wall = v.height, v.radius, v.wall
    profile = Curve(
        [(0, r * (0.92 - v.taper)), (0.08, r * (1 - v.taper)), (h / 2, r * (1 + v.bulge)), (h, r)]
    )
    size, tube_radius = v.handle * h, v.handle_thickness
    at = profile.maximum - 0.3 * size if variant == 0 else profile.maximum - 0.25 * size
    corner = 0.999 * size if variant == 0 else 0.3 * size

    def parts(p: Points):
        x, y, z = p
        side = profile.signed_distance(length(x, z), y)
        outer = smooth_intersect(side, abs(y - h / 2) - h / 2, 0.04)
        hollow = intersect(side + wall, 1.5 * wall - y)
        # The handle is a ring without the part inside the mug.
        ring = rectangle(x - at, y - h * 0.52, (size, size), corner)
        grip = subtract(length(ring, z * 0.75) - tube_radius, side + 0.4 * wall)
        return {
            "main": union(subtract(outer, hollow - 0.5 * wall), grip),
            "lining": subtract(outer + 0.35 * wall, hollow),
        }

    reach = at + size + tube_radius
    return Body(parts, (-profile.maximum, 0, -profile.maximum), (reach, h, profile.maximum))


def build_bottle(v: Shape, variant: int) -> Body:
    """A bottle: 0 with a screw cap, 1 with a pump, 2 with a cork stopper."""
    r, neck, flat = v.radius, v.neck, 1.0 + v.flatness
    top, shoulder = v.height, v.height * v.shoulder
    profile = Curve(
        [
            (0, 0.9 * r),
            (0.05, r),
            (shoulder, r),
            (shoulder + 0.75 * (r - neck), 0.72 * neck + 0.3 * r),
            (shoulder + 1.5 * (r - neck), neck),
            (max(top, shoulder + 1.5 * (r - neck) + 0.1), neck),
        ]
    )
    end = profile.stop
    cap = (0.20, 0.10, 0.16)[variant]
    middle, tall = shoulder * 0.5, shoulder * v.label / 2

    def parts(p: Points):
        x, y, z = p
        side = profile.signed_distance(section_radius(x, z * flat, v.squareness), y)
        glass = smooth_intersect(side, abs(y - end / 2) - end / 2, 0.05) * (1 / flat)
        label = intersect(side - 0.012, abs(y - middle) - tall, abs(x) - 0.78 * r, -z) * (1 / flat)
        lid = cylinder(
            translate(p, y=end + cap / 2 - 0.02), neck * (1.25, 1.35, 0.85)[variant], cap / 2, 0.02
        )
        if variant == 1:
            lid = union(
                lid,
                capsule(p, (0, end, 0), (0, end + 0.30, 0), 0.035),
                capsule(p, (0, end + 0.30, 0), (0, end + 0.27, 0.42), 0.065, 0.045),
            )
        return {"main": glass, "cap": lid, "label": label}

    height = end + (cap, 0.37, cap)[variant]
    return Body(parts, (-r, 0, -r / flat), (r, height, max(r / flat, 0.47 * (variant == 1))), 0.85)


def build_vase(v: Shape, variant: int) -> Body:
    """A vase: 0 with two handles, 1 with a square body, 2 with a flat oval body."""
    h, belly, neck = v.height, v.belly, v.neck
    profile = Curve([(0, v.foot), (h * v.belly_height, belly), (h * 0.84, neck), (h, neck + v.lip)])
    wall, flat = 0.05, (1.0, 1.0, 1.75)[variant]
    squareness = (0.0, 1.0, 0.0)[variant]
    size = 0.15 * h

    def parts(p: Points):
        x, y, z = p
        side = profile.signed_distance(section_radius(x, z * flat, squareness), y)
        outer = smooth_intersect(side, abs(y - h / 2) - h / 2, 0.05)
        hollow = intersect(side + wall, 0.6 * h - y)
        body = subtract(outer, hollow - 0.5 * wall) * (1 / flat)
        if variant == 0:
            ring = rectangle(abs(x) - neck - 0.06, y - 0.76 * h, (size, 1.15 * size), 0.9 * size)
            body = union(body, subtract(length(ring, z) - 0.055, side + 0.4 * wall))
        band = intersect(side - 0.008, abs(y - v.band * h) - v.band_width * h) * (1 / flat)
        return {
            "main": body,
            "lining": subtract(outer + 0.35 * wall, hollow) * (1 / flat),
            "band": band,
        }

    wide = profile.maximum
    x = max(wide, neck + 0.12 + size) if variant == 0 else wide
    return centred_body(parts, x, h, wide / flat, 0.85)


def build_teapot(v: Shape, variant: int) -> Body:
    """A teapot: 0 with a side handle, 1 with a hoop handle. The spout is at +x."""
    r, h = v.radius, v.height
    profile = Curve([(0, 0.62 * r), (0.04, 0.68 * r), (h * v.belly, r), (h, v.lid)])
    lid = Curve([(h, 0.92 * v.lid), (h + 0.06, 0.86 * v.lid), (h + 0.15, 0.25 * v.lid)])
    knob_y, reach = h + 0.13 + v.knob, r + v.spout
    spout = ((0.75 * r, 0.32 * h, 0), (r + 0.45 * v.spout, 0.52 * h, 0), (reach, 1.02 * h, 0))
    size = v.handle

    def parts(p: Points):
        x, y, z = p
        pot = smooth_intersect(
            profile.signed_distance(length(x, z), y), abs(y - h / 2) - h / 2, 0.08
        )
        # The spout is a tube with a slanted opening.
        pour = subtract(
            tube(p, spout, (0.16, 0.11, 0.07), 0.06),
            (0.55 * reach + 0.83 * 1.04 * h) - y * 0.83 - x * 0.55,
        )
        pot = smooth_union(pot, pour, 0.08)
        if variant == 0:
            ring = rectangle(x + r + 0.45 * size, y - 0.58 * h, (size, 1.1 * size), 0.85 * size)
            grip = subtract(length(ring, z) - 0.065, pot + 0.05)
        else:
            ring = rectangle(x, y - 0.75 * h, (0.88 * r, h * 0.65 + 1.6 * size), 0.8 * r)
            grip = intersect(length(ring, z) - 0.055, 0.5 * h - y)
        return {
            "main": union(pot, revolve(p, lid, edge=0.03), sphere(translate(p, y=knob_y), v.knob)),
            "grip": grip,
            "rim": torus(translate(p, y=h), v.lid, 0.03),
        }

    left = r + 1.5 * size + 0.07 if variant == 0 else r
    height = max(knob_y + v.knob, 1.1 * h + 0.07)
    if variant == 1:
        height = max(height, 1.4 * h + 1.6 * size + 0.06)
    return Body(parts, (-left, 0, -r), (reach + 0.08, height, r))


KINDS = (
    Kind(
        "mug",
        build_mug,
        ("a round handle", "a square handle"),
        ALL_MATERIALS,
        {"lining": ("ivory", "main", "deep", "ivory")},
        {
            "height": (0.85, 1.3),
            "radius": (0.42, 0.6),
            "taper": (-0.1, 0.18),
            "bulge": (0.0, 0.09),
            "wall": (0.035, 0.06),
            "handle": (0.22, 0.31),
            "handle_thickness": (0.055, 0.085),
        },
    ),
    Kind(
        "bottle",
        build_bottle,
        ("a screw cap", "a pump", "a cork stopper"),
        ALL_MATERIALS,
        {
            "cap": ("charcoal", "brass", "ivory", "steel"),
            "label": ("ivory", "kraft", "pale", "charcoal"),
        },
        {
            "height": (1.75, 2.3),
            "radius": (0.36, 0.52),
            "shoulder": (0.52, 0.7),
            "neck": (0.1, 0.16),
            "squareness": (0.0, 0.9),
            "flatness": (0.0, 0.45),
            "label": (0.35, 0.75),
        },
    ),
    Kind(
        "vase",
        build_vase,
        ("two handles", "a square body", "a flat oval body"),
        ALL_MATERIALS,
        {"lining": ("deep",), "band": ("second", "ivory", "deep", "main", "pale")},
        {
            "height": (1.4, 2.0),
            "belly": (0.45, 0.68),
            "belly_height": (0.3, 0.55),
            "neck": (0.17, 0.34),
            "lip": (0.02, 0.14),
            "foot": (0.2, 0.36),
            "band": (0.25, 0.55),
            "band_width": (0.02, 0.09),
        },
    ),
    Kind(
        "teapot",
        build_teapot,
        ("a side handle", "a hoop handle"),
        ALL_MATERIALS,
        {"grip": ("main", "oak", "charcoal", "main"), "rim": ("main", "deep", "brass")},
        {
            "radius": (0.55, 0.75),
            "height": (0.7, 1.0),
            "belly": (0.35, 0.55),
            "lid": (0.26, 0.4),
            "knob": (0.06, 0.1),
            "spout": (0.3, 0.5),
            "handle": (0.2, 0.3),
        },
    ),
)
