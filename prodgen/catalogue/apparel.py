"""Handbag, shoe and T-shirt; the hat is in hats.py."""

from __future__ import annotations

import numpy as np

from prodgen.catalogue.hats import HAT
from prodgen.catalogue.kind import ALL_MATERIALS, Kind, Shape, centred_body
from prodgen.catalogue.render import Body
from prodgen.catalogue.sdf import (
    Curve,
    Points,
    box,
    clamp,
    ellipsoid,
    extrude,
    intersect,
    length,
    mirror,
    rectangle,
    rotate,
    sine_cosine,
    smooth_intersect,
    smooth_union,
    sphere,
    subtract,
    translate,
    union,
)


def build_handbag(v: Shape, variant: int) -> Body:
    """A handbag: 0 with a flap and a handle, 1 a tote with two handles, 2 round."""
    w, h, d = v.width / 2, v.height, v.depth / 2
    wide = Curve([(0, w), (h * 0.5, w * (1 - 0.4 * v.taper)), (h, w * (1 - v.taper))])
    deep = Curve([(0, d), (h * 0.6, d * 0.8), (h, d * (0.35, 0.6, 0.6)[variant])])
    span, rise = v.span * w * (1 - v.taper), v.handle

    def bag(p: Points):
        x, y, z = p
        if variant == 2:
            r = h * 0.55
            return extrude(length(x / 1.0, y - r) - r, z, d * 0.7, 0.08)
        flanks = smooth_intersect(
            wide.signed_distance(abs(x), y), deep.signed_distance(abs(z), y), 0.12
        )
        return smooth_intersect(flanks, abs(y - h / 2) - h / 2, 0.08)

    def parts(p: Points):
        x, y, z = p
        body = bag(p)
        top = h * (1, 1, 0.9)[variant]
        # The handle is half a ring above the bag; a tote has one on each face.
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
        studs = sphere(
            translate(mirror(p, "x"), span, top - (0.0, 0.28, 0.0)[variant] * h, 0), 0.05
        )
        low = top - v.flap * h
        clasp = box(translate(p, y=low + 0.05, z=d * 0.8), (0.075, 0.06, 0.3 * d), 0.02)
        return {
            "main": body,
            "grip": grip,
            "flap": flap,
            "clasp": clasp if variant != 1 else studs,
        }

    x = max(w, h * 0.56) if variant == 2 else w
    return centred_body(parts, x + 0.02, h * (1, 1, 1.1)[variant] + rise + 0.06, d + 0.03, 0.85)


def build_shoe(v: Shape, variant: int) -> Body:
    """A shoe: 0 low with laces, 1 a high top, 2 a boot with elastic sides. The toe is at +x."""
    half, wide, sole = v.length / 2, v.width / 2, v.sole
    collar = sole + v.collar * (0.55, 0.95, 1.55)[variant]
    heel, tip = 0.72 * wide - half, half - 0.62 * wide
    waist = heel + 0.42 * (tip - heel)
    width = Curve(
        [(heel, 0.72 * wide), (waist, 0.74 * wide), (0.45 * half, wide), (tip, 0.66 * wide)]
    )
    toe, ankle = sole + v.toe, heel + (0.52 + 0.5 * v.instep) * half
    top = Curve(
        [
            (heel, sole + 0.5),
            (ankle, sole + 0.42 + v.toe * 0.4),
            (0.5 * half, toe),
            (half, toe * 0.86),
        ]
    )

    def plan(x, z):
        along = clamp(x, heel, tip)
        return length(x - along, z) - width(along)

    def parts(p: Points):
        x, y, z = p
        outline = plan(x, z)
        # The upper: a foot and a leg with a slanted rim, open at the mouth.
        foot = smooth_intersect(outline + 0.03 + 0.1 * y, top.signed_distance(y, x), 0.3)
        leg = length(x - clamp(x, heel + 0.02, ankle - 0.45 * wide), z) - 0.64 * wide - 0.03 * y
        rim = y - collar - 0.16 * (x - heel) * (1.0, 0.6, 0.2)[variant]
        upper = smooth_union(foot, smooth_intersect(leg, rim, 0.07), (0.22, 0.3, 0.36)[variant])
        upper = intersect(upper, rim, 0.5 * sole - y)
        mouth = intersect(leg + 0.07, collar - 0.35 - y)
        # The sole, with the heel of a boot, and the trims of the upper.
        tread = extrude(outline - 0.03, y - sole / 2, sole / 2, 0.04)
        if variant == 2:
            tread = subtract(tread, box(translate(p, 0.06 * half), (0.16 * half, sole * 0.5, 1.0)))
            oval = length(x - 0.5 * (heel + ankle) + 0.1, (y - collar) * 0.45) - 0.26 * half
            laces = subtract(intersect(upper - 0.012, oval), mouth - 0.03)  # elastic instead
            stripe = tread  # none: never nearer than the sole
        else:
            beat = x * 7.0 - y * (0.0, 4.0)[variant]
            bands = (abs(beat - np.floor(beat) - 0.5) - 0.2) * 0.14
            reach = intersect(abs(z) - 0.34 * wide, x - 0.5 * half, ankle - 0.4 * wide - x)
            laces = intersect(upper - 0.025, bands, reach)
            slant = abs(x + 0.45 * y - 0.02 * half) - 0.07
            slant = union(slant, abs(x + 0.45 * y - 0.02 * half - 0.26) - 0.07)
            stripe = intersect(upper - 0.014, slant, 0.42 * wide - abs(z), y - sole - 0.42)
        cap = intersect(upper - 0.012, 0.62 * half + 0.5 * z * z - x)
        return {
            "main": subtract(upper, mouth - 0.03),
            "inside": subtract(intersect(upper + 0.02, rim + 0.03), mouth),
            "sole": tread,
            "laces": laces,
            "stripe": stripe,
            "cap": cap,
        }

    high = collar + 0.16 * (ankle - heel) + 0.1
    return Body(parts, (-half - 0.06, 0, -wide - 0.05), (half + 0.08, high, wide + 0.05), 0.75)


def folds(s, depth: float):
    """Soft folds of cloth across a coordinate, one a unit: a smooth periodic bump."""
    t = s - np.floor(s)
    bump = t * (1.0 - t)
    return bump * bump * (16.0 * depth)


def build_t_shirt(v: Shape, variant: int) -> Body:
    """A T-shirt: 0 with a round neck, 1 with a V-neck, 2 with long sleeves."""
    w, h, d, neck = v.width / 2, v.length, v.depth / 2, v.neck
    wide = Curve(
        [
            (0, w * (1 + v.flare)),
            (0.45 * h, w * (1 - 0.5 * v.flare)),
            (0.76 * h, w),
            (0.86 * h, w * 0.95),
            (0.92 * h, w * 0.75),
            (h, neck * 1.12),
        ]
    )
    deep = Curve([(0, d * 0.9), (0.66 * h, d), (0.86 * h, d * 0.78), (h, d * 0.5)])
    reach = v.sleeve if variant < 2 else 0.5 * h + 0.5 * v.sleeve
    droop = v.droop if variant < 2 else 44 + 0.4 * v.droop
    armhole = v.sleeve_width * (1.0, 1.0, 0.74)[variant]
    shoulder = (0.62 * w, 0.88 * h - 0.75 * armhole)
    end = 0.34 * w + reach

    def parts(p: Points):
        x, y, z = p
        across, through = wide(y), deep(y)
        # The torso: an ellipse at each height, with folds towards the hem.
        torso = (length(x / across, z / through) - 1.0) * through
        torso = torso + folds(x * 2.2 + y * 0.9, v.drape) * clamp(1.1 - y * (1.2 / h), 0.0, 1.0)
        torso = intersect(torso, abs(y - h / 2) - h / 2)
        # The sleeves: tapered tubes from the shoulders.
        q = rotate(translate(mirror(p, "x"), *shoulder), "z", -droop)
        narrow = armhole * (1.0 - (0.12, 0.12, 0.4)[variant] * q[0] * (1 / end))
        sleeve = length(q[1], q[2] * 1.3) - narrow + folds(q[0] * 3.0 + q[1], 0.6 * v.drape)
        arm = extrude(sleeve, q[0] - end / 2, end / 2, 0.02) * 0.8
        shirt = smooth_union(torso, arm, 0.07)
        if variant == 1:
            # The V-shaped neck opening; otherwise it is round.
            notch = (abs(x) * 0.9 + (h - 0.32 - neck - y) * 0.5) * 0.97
            hole = union(
                intersect(notch, -0.1 * d - z),
                ellipsoid(translate(p, y=h, z=0.3 * d), (neck, 0.1, 0.6 * d)),
            )
        else:
            hole = ellipsoid(
                translate(p, y=h + 0.02, z=0.5 * d), (neck, 0.2 + 0.2 * neck, d * 0.82)
            )
        cuff = intersect(arm - 0.008, end - 0.06 - q[0])
        stripe = intersect(shirt - 0.005, abs(y - v.stripe * h) - v.stripe_width)
        return {
            "main": subtract(shirt, hole - 0.02),
            "inside": subtract(torso + 0.015, hole),
            "trim": union(intersect(shirt - 0.01, hole - 0.045, -hole), cuff),
            "stripe": stripe,
        }

    side = max(w * (1 + v.flare), shoulder[0] + end * sine_cosine(droop)[1] + v.sleeve_width) + 0.02
    return centred_body(parts, side, h + 0.02, d + 0.03, 0.75)


KINDS = (
    Kind(
        "handbag",
        build_handbag,
        ("a flap and a top handle", "two tote handles", "a round body"),
        ALL_MATERIALS,
        {
            "grip": ("tan", "charcoal", "main", "deep"),
            "flap": ("deep", "main", "tan", "second"),
            "clasp": ("brass", "steel", "brass"),
        },
        {
            "width": (1.2, 1.7),
            "height": (0.8, 1.15),
            "depth": (0.4, 0.6),
            "taper": (0.0, 0.3),
            "handle": (0.3, 0.6),
            "span": (0.4, 0.7),
            "flap": (0.4, 0.65),
        },
    ),
    Kind(
        "shoe",
        build_shoe,
        ("laces", "a high top", "a tall shaft"),
        ALL_MATERIALS,
        {
            "inside": ("deep", "ivory"),
            "sole": ("ivory", "gum", "ivory", "charcoal"),
            "laces": ("ivory", "charcoal"),
            "stripe": ("ivory", "second", "charcoal"),
            "cap": ("main", "ivory", "deep"),
        },
        {
            "length": (2.0, 2.5),
            "width": (0.72, 0.9),
            "sole": (0.13, 0.26),
            "collar": (0.72, 0.92),
            "toe": (0.2, 0.34),
            "instep": (0.1, 0.4),
        },
    ),
    HAT,
    Kind(
        "T-shirt",
        build_t_shirt,
        ("a round neck", "a V-neck", "long sleeves"),
        ("matte",),
        {
            "inside": ("deep",),
            "trim": ("main", "deep", "ivory", "second"),
            "stripe": ("ivory", "second", "pale", "deep"),
        },
        {
            "width": (1.0, 1.3),
            "length": (1.35, 1.7),
            "depth": (0.4, 0.54),
            "flare": (-0.08, 0.14),
            "sleeve": (0.25, 0.5),
            "sleeve_width": (0.2, 0.27),
            "droop": (26, 46),
            "neck": (0.19, 0.27),
            "stripe": (0.35, 0.66),
            "stripe_width": (0.03, 0.15),
            "drape": (0.005, 0.03),
        },
        (4.0, 24.0),
    ),
)
