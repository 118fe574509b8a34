"""Handbag, shoe, hat and T-shirt."""

from __future__ import annotations

from prodgen.data.kind import Kind, Shape, standing
from prodgen.data.render import Body
from prodgen.data.sdf import (
    Curve,
    Points,
    blend_intersect,
    blend_union,
    box,
    cut,
    cylinder,
    ellipsoid,
    intersect,
    length,
    mirror,
    move,
    path,
    prism,
    rectangle,
    revolve,
    rod,
    sphere,
    torus,
    turn,
    union,
)


def handbag(v: Shape, variant: int) -> Body:
    w, h, d = v.width / 2, v.height, v.depth / 2
    wide = Curve([(0, w), (h * 0.5, w * (1 - 0.4 * v.taper)), (h, w * (1 - v.taper))])
    deep = Curve([(0, d), (h * 0.6, d * 0.8), (h, d * (0.35, 0.6, 0.6)[variant])])
    span, rise = v.span * wide(h) if False else v.span * w * (1 - v.taper), v.handle

    def bag(p: Points):
        x, y, z = p
        if variant == 2:
            r = h * 0.55
            return prism(length(x / 1.0, y - r) - r, z, d * 0.7, 0.08)
        flanks = blend_intersect(wide.under(abs(x), y), deep.under(abs(z), y), 0.12)
        return blend_intersect(flanks, abs(y - h / 2) - h / 2, 0.08)

    def parts(p: Points):
        x, y, z = p
        body = bag(p)
        top = h * (1, 1, 0.9)[variant]
        ring = rectangle(x, y - top + 0.1, (span, rise + 0.1), min(span, rise) * 0.95)
        if variant == 1:
            offset = abs(z) - 0.5 * d
            grip = intersect(length(ring, offset) - 0.035, top - 0.32 * h - y)
            flap = intersect(body - 0.014, abs(y - h * 0.12) - h * 0.12)
        else:
            grip = intersect(length(ring, z) - 0.04, top - 0.1 - y)
            low = top - v.flap * h
            front = length(x * 0.55, y - low - 0.6 * h) - 0.6 * h
            flap = intersect(body - 0.022, front, -d * 0.3 - z, low - y)
        studs = sphere(move(mirror(p, "x"), span, top - (0.0, 0.28, 0.0)[variant] * h, 0), 0.05)
        low = top - v.flap * h
        clasp = box(move(p, y=low + 0.05, z=d * 0.8), (0.075, 0.06, 0.3 * d), 0.02)
        return {
            "main": body,
            "grip": grip,
            "flap": flap,
            "clasp": clasp if variant != 1 else studs,
        }

    x = max(w, h * 0.56) if variant == 2 else w
    return standing(parts, x + 0.02, h * (1, 1, 1.1)[variant] + rise + 0.06, d + 0.03, 0.85)


def shoe(v: Shape, variant: int) -> Body:
    half, wide, sole = v.length / 2, v.width / 2, v.sole
    collar = (v.collar, v.collar * 1.4, v.collar * 2.0)[variant]
    toe = v.toe + sole
    plan_at = ((0.3 - half, 0, 0), (0.28 * half, 0, 0.03), (half - 0.24, 0, 0))
    plan_radii = (0.78 * wide, wide, 0.2 + 0.1 * v.toe)
    entry = 0.05 * half + v.instep * half  # where the tongue begins
    top = Curve(
        [
            (-half, collar), (-0.45 * half, collar * 0.97), (0.02 * half, collar * (0.93, 0.97, 1.0)[variant]),
            (entry + 0.1 * half, 0.55 * collar + 0.5 * toe * 0.9) if variant == 0 else (entry, 0.5 * collar + 0.5 * toe),
            (0.62 * half, toe), (0.9 * half, toe * 0.85), (half, toe * 0.55),
        ]
    )  # fmt: skip

    def parts(p: Points):
        x, y, z = p
        plan = path((x, y * 0.0, z), plan_at, plan_radii)
        lean = 0.12 * y
        upper = blend_intersect(plan + 0.02 + lean, top.under(y, x), 0.28)
        upper = intersect(upper, 0.5 * sole - y)
        mouth = ellipsoid(move(p, -0.42 * half, collar + 0.02), (0.36 * half, 0.24, 0.55 * wide))
        tread = prism(plan - 0.02, y - sole / 2, sole / 2, 0.03)
        trims = {}
        if variant == 2:
            tread = cut(tread, box(move(p, 0.05, 0, 0), (0.22, sole * 0.55, 1)))
            trims["laces"] = intersect(
                upper - 0.012, length(x + 0.35 * half, (y - collar) * 0.7) - 0.22 * half
            )
        else:
            rows = []
            for k in range(4):
                place = (0.08 + 0.13 * k) * half + 0.25 * v.instep * half
                at = float(top(np32(place))) - 0.045
                rows.append(rod(p, (place, at, -0.11), (place, at, 0.11), 0.035))
            trims["laces"] = union(*rows)
        slant = abs(x + 0.35 * y - 0.02 * half) - 0.08
        stripe = intersect(upper - 0.014, slant, y - 0.72 * top(x), abs(y - 0.5) - 0.5)
        if variant == 2:
            stripe = torus(move(p, -0.42 * half, collar * 0.99), 0.0, 0.01)
        cap = intersect(upper - 0.012, 0.66 * half - x)
        return {
            "main": cut(upper, mouth - 0.02),
            "inside": cut(intersect(upper + 0.02, 0.6 * collar - y), mouth),
            "sole": tread,
            **trims,
            "stripe": stripe,
            "cap": cap,
        }

    return Body(parts, (-half - 0.1, 0, -wide - 0.06), (half + 0.12, collar + 0.03, wide + 0.06), 0.75)


def hat(v: Shape, variant: int) -> Body:
    return (fedora, cap, bucket)[variant](v)


def fedora(v: Shape) -> Body:
    r, h, wide = v.radius, v.crown, v.radius + v.brim * 1.25
    crown = Curve([(0, r), (0.5 * h, r * 0.93), (h * 0.86, r * 0.84), (h, r * 0.62)])
    curl = Curve([(0, 0.05), (r, 0.05), (wide * 0.85, 0.05 + 0.5 * v.curl), (wide, 0.05 + v.curl)])

    def parts(p: Points):
        x, y, z = p[0] * 1.08, p[1], p[2] * 0.94
        round_ = length(x, z)
        dome = blend_intersect(crown.under(round_, y), abs(y - h / 2) - h / 2, 0.12)
        crease = rod(p, (0, h + 0.1, -r), (0, h + 0.04, r), 0.13 + v.pinch * 0.6)
        pinches = ellipsoid(move(mirror(p, "x"), 0.72 * r, h * 0.95, 0.75 * r), (0.2, 0.34, 0.3))
        dome = -blend_union(-dome, blend_union(crease, pinches, 0.1), 0.1)
        brim = intersect(abs(curl.under(y, round_)) - 0.022, round_ - wide)
        band = intersect(crown.under(round_, y) - 0.02, abs(y - 0.05 - v.band / 2) - v.band / 2)
        bow = box(move(p, 0.93 * r, 0.05 + v.band / 2, 0), (0.05, v.band * 0.55, 0.14), 0.02)
        return {"main": blend_union(dome, brim, 0.04), "band": union(band, bow)}

    return standing(parts, wide / 1.05, max(h + 0.02, 0.1 + v.curl), wide / 0.92, 0.8)


def cap(v: Shape) -> Body:
    r, h = v.radius, v.crown * 0.85 + 0.1
    reach = r + v.brim * 1.5

    def parts(p: Points):
        x, y, z = p
        dome = intersect(ellipsoid(p, (r, h, r * 1.08)), -y)
        droop = y - 0.06 + v.curl * 1.2 * x * x + 0.12 * (z - r) * v.pinch * 5
        plan = rectangle(x, z - reach / 2 - 0.1, (0.86 * r, reach / 2 + 0.1 - 0.1), 0.6 * r)
        visor = intersect(abs(droop) - 0.028, plan) * 0.85
        badge = intersect(dome - 0.014, length(x, y - 0.55 * h) - v.band * 1.1, -z)
        knob = sphere(move(p, y=h), 0.055)
        seam = intersect(dome - 0.006, union(abs(x) - 0.012, abs(abs(x) * 0.8 - abs(z) * 0.6) - 0.012))
        return {"main": union(dome, knob), "visor": visor, "band": badge, "seam": seam}

    return Body(parts, (-r, 0, -r * 1.08), (r, h + 0.06, reach + 0.02), 0.85)


def bucket(v: Shape) -> Body:
    r, h, drop = v.radius, v.crown * 0.75, v.curl + 0.28
    wide = r + v.brim
    crown = Curve([(drop * 0.8, r * 1.02), (drop + h * 0.7, r * (0.88 - 0.5 * v.pinch)), (drop + h, r * 0.76)])
    brim = Curve([(0, wide), (drop * 0.5, (wide + r) * 0.51), (drop, r * 0.98)])

    def parts(p: Points):
        q = (p[0] * 1.07, p[1], p[2] * 0.95)
        side = brim.under(length(q[0], q[2]), p[1])
        skirt = intersect(abs(side) - 0.025, abs(p[1] - drop / 2) - drop / 2)
        stripe = intersect(
            crown.under(length(q[0], q[2]), p[1]) - 0.014, abs(p[1] - drop - v.band / 2 - 0.04) - v.band / 2
        )
        patch = box(move(p, 0.1, drop + 0.22, r * 0.95), (0.1, 0.07, 0.05), 0.01)
        return {"main": union(revolve(q, crown, edge=0.1), skirt), "band": union(stripe, patch)}

    return standing(parts, wide / 1.05, drop + h, wide / 0.93 + 0.02, 0.8)


def t_shirt(v: Shape, variant: int) -> Body:
    w, h, d = v.width / 2, v.length, v.depth / 2
    neck = v.neck
    wide = Curve(
        [(0, w * (1 + v.flare)), (0.45 * h, w * (1 - 0.5 * v.flare)), (0.76 * h, w),
         (0.9 * h, w * 0.9), (h, neck * 0.9)]
    )  # fmt: skip
    deep = Curve([(0, d * 0.85), (0.6 * h, d), (0.85 * h, d * 0.8), (h, d * 0.42)])
    reach = v.sleeve if variant < 2 else 1.15 + 0.3 * v.sleeve
    droop = v.droop if variant < 2 else v.droop + 18
    shoulder = (0.62 * w, 0.83 * h)

    def parts(p: Points):
        x, y, z = p
        torso = blend_intersect(wide.under(abs(x), y), deep.under(abs(z), y), 0.2)
        torso = intersect(torso, abs(y - h / 2) - h / 2)
        q = turn(move(mirror(p, "x"), *shoulder), "z", -droop)
        end = 0.38 * w + reach
        narrow = 1.0 - 0.25 * q[0] / end
        arm = prism(length(q[1], q[2] * 1.25) - v.sleeve_width * narrow, q[0] - end / 2, end / 2, 0.02)
        shirt = blend_union(torso, arm * 0.85, 0.07)
        if variant == 1:
            hole = (abs(x) * 0.9 + (h - 0.42 - 1.6 * neck * 0.5 - y) * 0.48) / 1.02
            hole = intersect(hole, -z - 0.08 * d)
            hole = union(hole, ellipsoid(move(p, y=h, z=0), (neck, 0.12, d)))
        else:
            hole = ellipsoid(move(p, y=h + 0.03, z=0.45 * d), (neck, 0.24, d * 0.95))
        cuff = intersect(arm * 0.85 - 0.008, end - 0.06 - q[0])
        stripe = intersect(torso - 0.008, abs(y - v.stripe * h) - v.stripe_width)
        return {
            "main": cut(shirt, hole - 0.02),
            "inside": cut(torso + 0.015, hole),
            "trim": union(intersect(shirt - 0.01, hole - 0.05, -hole), cuff),
            "stripe": stripe,
        }

    side = max(w * (1 + v.flare), 0.62 * w + (0.38 * w + reach) * 0.98 + 0.12)
    return standing(parts, side, h + 0.03, d + 0.02, 0.8)


def np32(value: float):
    import numpy as np

    return np.float32([value])


KINDS = (
    Kind(
        "handbag", handbag, ("a flap and a top handle", "two tote handles", "a round body"),
        ("matte", "glossy", "metal"),
        {"grip": ("tan", "charcoal", "main", "deep"), "flap": ("deep", "main", "tan", "second"),
         "clasp": ("brass", "steel", "brass")},
        {"width": (1.2, 1.7), "height": (0.8, 1.15), "depth": (0.4, 0.6), "taper": (0.0, 0.3),
         "handle": (0.3, 0.6), "span": (0.4, 0.7), "flap": (0.4, 0.65)},
    ),
    Kind(
        "shoe", shoe, ("laces", "a high top", "a tall shaft"), ("matte", "glossy", "metal"),
        {"inside": ("deep", "ivory"), "sole": ("ivory", "gum", "ivory", "charcoal"),
         "laces": ("ivory", "charcoal"), "stripe": ("ivory", "second", "charcoal"),
         "cap": ("main", "ivory", "deep")},
        {"length": (2.0, 2.5), "width": (0.72, 0.9), "sole": (0.13, 0.26), "collar": (0.72, 0.92),
         "toe": (0.28, 0.42), "instep": (0.15, 0.35)},
    ),
    Kind(
        "hat", hat, ("a wide brim", "a visor", "a sloping brim"), ("matte", "glossy"),
        {"band": ("charcoal", "ivory", "second", "tan"), "visor": ("main", "deep", "charcoal"),
         "seam": ("deep",)},
        {"radius": (0.5, 0.62), "crown": (0.6, 0.85), "brim": (0.3, 0.5), "curl": (0.03, 0.2),
         "band": (0.1, 0.2), "pinch": (0.05, 0.2)},
        (10.0, 36.0),
    ),
    Kind(
        "T-shirt", t_shirt, ("a round neck", "a V-neck", "long sleeves"), ("matte", "glossy"),
        {"inside": ("deep",), "trim": ("main", "deep", "ivory", "second"),
         "stripe": ("main", "ivory", "second", "charcoal", "main")},
        {"width": (1.0, 1.3), "length": (1.35, 1.7), "depth": (0.36, 0.5), "flare": (-0.08, 0.14),
         "sleeve": (0.25, 0.5), "sleeve_width": (0.2, 0.27), "droop": (28, 48), "neck": (0.2, 0.3),
         "stripe": (0.35, 0.66), "stripe_width": (0.03, 0.16)},
        (4.0, 24.0),
    ),
)  # fmt: skip
