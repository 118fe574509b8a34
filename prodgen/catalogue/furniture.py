"""Lamp, chair, table and sofa."""

from __future__ import annotations

from prodgen.catalogue.kind import ALL_MATERIALS, NON_METALS, Kind, Shape, centred_body
from prodgen.catalogue.render import Body
from prodgen.catalogue.sdf import (
    Curve,
    Field,
    Points,
    box,
    capsule,
    cylinder,
    extrude,
    intersect,
    length,
    mirror,
    rectangle,
    revolve,
    rotate,
    section_radius,
    sphere,
    subtract,
    translate,
    union,
)


def build_shade_profile(top: float, bottom: float, tall: float) -> Curve:
    return Curve([(-tall, bottom), (-tall / 2, (top + bottom) / 2), (0, top)])


def shade_distances(p: Points, profile: Curve, squareness: float) -> tuple[Field, Field]:
    """A lampshade open at both ends, its top at the origin, and the light inside it."""
    half = -profile.start / 2
    side = profile.signed_distance(section_radius(p[0], p[2], squareness), p[1])
    ends = abs(p[1] + half) - half
    return intersect(abs(side) - 0.018, ends), intersect(side + 0.02, ends + 0.05)


def build_lamp(v: Shape, variant: int) -> Body:
    """A lamp: 0 a desk lamp with a bent arm, 1 with a square shade, 2 on a tripod."""
    return (build_desk_lamp, build_table_lamp, build_tripod_lamp)[variant](v)


def build_desk_lamp(v: Shape) -> Body:
    h, reach, wide = v.height * 0.92, v.reach, v.shade * 0.78
    elbow, head = (-0.75 * reach, h * 0.58, 0), (0.55 * reach, h, 0)
    profile = Curve([(-0.9 * v.shade_height, wide), (-0.3 * v.shade_height, 0.7 * wide), (0, 0.14)])

    def parts(p: Points):
        q = rotate(translate(p, *head), "z", 28)
        side = profile.signed_distance(length(q[0], q[2]), q[1])
        ends = abs(q[1] + 0.45 * v.shade_height) - 0.45 * v.shade_height
        return {
            "main": union(
                subtract(intersect(side, ends), intersect(side + 0.035, q[1] + 0.08)),
                cylinder(translate(p, y=0.045), v.base, 0.045, 0.03),
            ),
            "stem": union(
                capsule(p, (0, 0.08, 0), elbow, v.stem),
                capsule(p, elbow, head, v.stem),
                sphere(translate(p, *elbow), v.stem * 1.9),
                sphere(translate(q, y=0.02), 0.12),
            ),
            "light": sphere(translate(q, y=-0.55 * v.shade_height), 0.42 * wide),
        }

    far = 0.55 * reach + 0.45 * v.shade_height + wide
    left = max(v.base, 0.75 * reach + 2 * v.stem)
    deep = max(v.base, wide)
    return Body(parts, (-left, 0, -deep), (max(far, v.base), h + 0.14, deep))


def build_table_lamp(v: Shape) -> Body:
    h, tall = v.height, v.shade_height * 1.15
    foot = h - 0.82 * tall
    profile = Curve(
        [(0, v.base * 0.8), (0.06, v.base * 0.8), (0.3 * foot, 0.14 + 0.25 * v.reach), (foot, 0.05)]
    )

    cone = build_shade_profile(v.shade * v.taper, v.shade, tall)

    def parts(p: Points):
        cover, inside = shade_distances(translate(p, y=h), cone, 1.0)
        return {
            "main": cover,
            "stem": union(
                revolve(p, profile, 0.8, 0.03), capsule(p, (0, 0.1, 0), (0, h - 0.1, 0), 0.03)
            ),
            "light": inside,
        }

    wide = max(v.shade + 0.03, v.base)
    return centred_body(parts, wide, h, wide)


def build_tripod_lamp(v: Shape) -> Body:
    h, tall, spread = v.height * 1.1, v.shade_height, v.base * 1.25
    hub, wide = h - tall, v.shade * 0.95
    drum = build_shade_profile(wide * (0.6 + 0.4 * v.taper), wide, tall)

    def parts(p: Points):
        cover, inside = shade_distances(translate(p, y=h), drum, 0.0)
        legs = [
            capsule(
                rotate(p, "y", angle),
                (0, hub, 0),
                (0, v.stem, spread + 0.15 * v.reach),
                v.stem * 1.1,
            )
            for angle in (30, 150, 270)
        ]
        return {
            "main": cover,
            "stem": union(*legs, sphere(translate(p, y=hub), 0.09)),
            "light": inside,
        }

    wide = max(v.shade, spread + 0.15 * v.reach + 0.06)
    return centred_body(parts, wide, h, wide)


def build_chair(v: Shape, variant: int) -> Body:
    """A chair: 0 with a slatted back, 1 with a rounded back, 2 with armrests."""
    w, d, seat, back = v.width / 2, v.depth / 2, v.seat_height, v.back_height
    thick, leg, splay = v.seat_thickness / 2, v.leg, v.splay

    def back_parts(q: Points):
        tall = back / 2
        if variant == 0:
            posts = capsule(mirror(q, "x"), (w - leg, 0, 0), (w - leg, back, 0), leg)
            slats = [
                box(translate(q, y=back * place), (w - leg, 0.07 * back, 0.028), 0.025)
                for place in (0.38, 0.64, 0.9)
            ]
            return union(posts, *slats)
        # A panel that is curved around the sitter.
        bent_q = (q[0], q[1], q[2] - 0.22 * q[0] * q[0])
        panel = extrude(
            rectangle(bent_q[0], bent_q[1] - tall, (w, tall), 0.6 * w if variant == 1 else 0.12),
            bent_q[2],
            0.05,
            0.04,
        )
        return panel * 0.93

    def parts(p: Points):
        q = rotate(translate(p, y=seat, z=-d + 0.04), "x", -v.lean)
        legs = capsule(
            mirror(p, "xz"),
            (w - 0.1, seat - thick, d - 0.1),
            (w - 0.1 + splay, leg * 0.7, d - 0.1 + splay),
            leg,
            leg * 0.7,
        )
        # Armrests on posts.
        if variant == 2:
            arm_y = seat + 0.42 * back
            half = mirror(p, "x")
            legs = union(
                legs,
                capsule(half, (w + 0.02, seat, d - 0.12), (w + 0.02, arm_y, d - 0.12), leg * 0.9),
                box(translate(half, w + 0.02, arm_y, 0), (0.06, 0.035, d - 0.04), 0.03),
            )
        cushion = box(translate(p, y=seat), (w, thick, d), min(thick * 0.9, 0.07))
        return {"main": union(cushion, back_parts(q)), "legs": legs}

    wide = max(w + 0.09, w - 0.1 + splay + leg)
    behind = max(d + back * v.lean / 57 + 0.12, d - 0.1 + splay + leg)
    return Body(
        parts, (-wide, 0, -behind), (wide, seat + back + 0.06, max(d, d - 0.1 + splay + leg))
    )


def build_table(v: Shape, variant: int) -> Body:
    """A table: 0 with four legs, 1 on a pedestal, 2 a desk with three drawers."""
    w, d, h = v.width / 2, v.depth / 2, v.height
    thick, leg, splay = v.top / 2, v.leg, v.splay

    def four_legs(p: Points):
        legs = capsule(
            mirror(p, "xz"),
            (w - 0.16, h - 1.6 * thick - leg, d - 0.16),
            (w - 0.16 + splay, leg * 0.75, d - 0.16 + splay),
            leg,
            leg * 0.75,
        )
        top = box(translate(p, y=h - thick), (w, thick, d), thick * 0.6 + v.corner * 0.02)
        apron = box(translate(p, y=h - 2 * thick - 0.06), (w - 0.15, 0.09, d - 0.15), 0.01)
        return {"main": union(top, apron), "legs": legs}

    def pedestal(p: Points):
        outline = rectangle(p[0], p[2], (w, d * 1.2), d * (0.75 + 0.25 * v.corner))
        top = extrude(outline, p[1] - (h - thick), thick, thick * 0.7)
        foot = 0.05 + leg * 0.3
        cross = [
            capsule(rotate(p, "y", angle), (-0.55 * w, foot, 0), (0.55 * w, foot, 0), foot)
            for angle in (40 + 200 * splay, -40 - 200 * splay)
        ]
        column = cylinder(translate(p, y=h / 2), leg * 1.7, h / 2 - thick, 0.01)
        return {"main": top, "legs": union(column, *cross)}

    def desk(p: Points):
        top = box(translate(p, y=h - thick), (w, thick, d), thick * 0.6)
        wide = 0.25 * w + 0.1 * v.corner
        # The chest of drawers on the right, legs on the left.
        block = translate(p, w - wide - 0.05, h * 0.5 - thick, 0)
        chest = box(block, (wide, h * 0.5 - thick, d - 0.06), 0.02)
        half = mirror(p, "z")
        legs = capsule(
            half,
            (0.1 - w, h - 1.6 * thick - leg, d - 0.1),
            (0.1 - w - splay * 0.6, leg * 0.8, d - 0.1),
            leg,
            leg * 0.8,
        )
        front = translate(block, z=d - 0.06)
        step = h * 0.3
        fronts = [
            box(translate(front, y=step * k), (wide - 0.05, step * 0.42, 0.025), 0.01)
            for k in (-1, 0, 1)
        ]
        knobs = [sphere(translate(front, y=step * k, z=0.05), 0.045) for k in (-1, 0, 1)]
        return {"main": union(top, chest), "legs": union(legs, *knobs), "drawer": union(*fronts)}

    deep = d * (1, 1.2, 1)[variant]
    extra = max(splay - 0.16 + leg, 0)
    return centred_body(
        (four_legs, pedestal, desk)[variant],
        w + extra,
        h,
        max(deep + extra, 0.42 * w + 0.13, deep + 0.1),
    )


def build_sofa(v: Shape, variant: int) -> Body:
    """A sofa with two (0), three (1) or one (2) seats."""
    seats = (2, 3, 1)[variant]
    seat_half = v.seat_width / 2
    w, d, feet = seats * seat_half, v.depth / 2, v.feet
    arm, seat, back = v.arm / 2, v.seat_height + v.feet, v.back_height
    total = w + 2 * arm
    arm_top = seat + 0.5 * back * v.arm_height

    def parts(p: Points):
        x, y, z = p
        base = box(
            translate(p, y=(feet + seat - 0.16) / 2), (total, (seat - 0.16 - feet) / 2, d), 0.04
        )
        rest = rotate(translate(p, y=seat + 0.35 * back, z=-d + 0.13), "x", -v.lean)
        rest = box(rest, (w + arm, back * 0.6, 0.13), 0.09)
        sides = translate(mirror(p, "x"), w + arm, (feet + arm_top) / 2, 0.02)
        sides = box(sides, (arm, (arm_top - feet) / 2, d), min(arm * 0.8, 0.12))
        # Cushions and pillows, repeated for each seat.
        # Domain repetition: one cushion, evaluated in the coordinates of the nearest seat.
        along = x
        if seats == 2:
            along = abs(x) - seat_half
        elif seats == 3:
            along = abs(x) - 2 * seat_half * (abs(x) > seat_half)
        cushions = box((along, y - seat + 0.07, z - 0.1), (seat_half - 0.012, 0.1, d - 0.1), 0.06)
        pillows = rotate(
            translate((along, y, z), y=seat + 0.32 * back, z=-d + 0.36), "x", -v.lean - 6
        )
        pillows = box(pillows, (seat_half - 0.03, 0.36 * back, 0.1), 0.09)
        legs = capsule(
            mirror(p, "xz"),
            (total - 0.12, feet + 0.02, d - 0.12),
            (total - 0.1, 0.03, d - 0.1),
            0.045,
            0.03,
        )
        return {
            "main": union(base, rest, sides),
            "cushions": union(cushions, pillows),
            "legs": legs,
        }

    return Body(parts, (-total, 0, -d - 0.25), (total, seat + back + 0.02, d + 0.02))


KINDS = (
    Kind(
        "lamp",
        build_lamp,
        ("a bent arm", "a square shade", "a tripod"),
        NON_METALS,
        {"stem": ("steel", "brass", "oak", "charcoal", "walnut"), "light": ("light",)},
        {
            "height": (1.5, 2.0),
            "shade": (0.42, 0.6),
            "shade_height": (0.5, 0.72),
            "taper": (0.45, 0.9),
            "base": (0.3, 0.45),
            "reach": (0.45, 0.85),
            "stem": (0.028, 0.05),
        },
    ),
    Kind(
        "chair",
        build_chair,
        ("a slatted back", "a rounded back", "armrests"),
        ALL_MATERIALS,
        {"legs": ("oak", "walnut", "steel", "charcoal", "main")},
        {
            "width": (0.8, 1.1),
            "depth": (0.8, 1.0),
            "seat_height": (0.75, 0.95),
            "back_height": (0.75, 1.15),
            "lean": (4, 16),
            "seat_thickness": (0.09, 0.18),
            "leg": (0.04, 0.065),
            "splay": (0.0, 0.13),
        },
    ),
    Kind(
        "table",
        build_table,
        ("four legs", "a pedestal", "three drawers"),
        ALL_MATERIALS,
        {"legs": ("oak", "walnut", "steel", "charcoal", "main"), "drawer": ("pale", "deep", "oak")},
        {
            "width": (1.6, 2.3),
            "depth": (0.85, 1.2),
            "height": (0.8, 1.15),
            "top": (0.07, 0.13),
            "leg": (0.05, 0.085),
            "splay": (0.0, 0.13),
            "corner": (0.0, 1.0),
        },
    ),
    Kind(
        "sofa",
        build_sofa,
        ("two seats", "three seats", "one seat"),
        NON_METALS,
        {"cushions": ("main", "pale", "main"), "legs": ("oak", "walnut", "steel", "charcoal")},
        {
            "seat_width": (0.75, 1.0),
            "depth": (0.95, 1.2),
            "seat_height": (0.32, 0.42),
            "back_height": (0.45, 0.68),
            "arm": (0.16, 0.36),
            "arm_height": (0.45, 1.0),
            "feet": (0.08, 0.2),
            "lean": (4, 14),
        },
    ),
)
