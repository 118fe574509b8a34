"""Watch, headphones, sunglasses and camera."""

from __future__ import annotations

import numpy as np

from prodgen.catalogue.kind import ALL_MATERIALS, Kind, Shape
from prodgen.catalogue.render import Body
from prodgen.catalogue.sdf import (
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
    rotate,
    sine_cosine,
    sphere,
    subtract,
    translate,
    tube,
    union,
)


def swap_yz(p: Points) -> Points:
    """Coordinates for a solid whose y axis points along z, towards the camera."""
    return p[0], p[2], p[1]


def clock_hand(p: Points, degrees: float, length: float, radius: float) -> Field:
    """A hand of a clock in the xy plane, clockwise from the top."""
    s, c = sine_cosine(degrees)
    return capsule(p, (-0.12 * s, -0.12 * c, 0), (length * s, length * c, 0), radius)


def build_watch(v: Shape, variant: int) -> Body:
    """A watch on its closed strap: 0 with a round case, 1 with a square case, 2 a chronograph."""
    r, thick, strap = v.case, v.thickness / 2, v.strap
    tall, deep, tilt = v.loop, v.loop * 0.72, -14.0
    middle = tall + 0.06
    corner = (0.999 * r, 0.3 * r, 0.999 * r)[variant]

    far = r - v.bezel

    def outline(x, y, shrink):
        return rectangle(x, y, (r - shrink, r - shrink), max(corner - shrink, 0.05))

    def parts(p: Points):
        q = rotate(translate(p, y=middle), "x", tilt)
        # The strap is a loop, narrower at the back.
        band = rectangle(q[1], q[2], (tall, deep), 0.9 * deep)
        narrow = strap * (1 - v.taper * 0.5) + strap * v.taper * 0.25 * (q[2] * (1 / deep) + 1)
        band = intersect(abs(band) - 0.045, abs(q[0]) - narrow) * 0.95
        face = translate(q, z=deep + 0.02)
        case = extrude(outline(face[0], face[1], 0.0), face[2], thick, 0.04)
        return {"main": band, "case": case}

    def details(p: Points):
        face = translate(rotate(translate(p, y=middle), "x", tilt), z=deep + 0.02)
        top = translate(face, z=thick)
        # The bezel, the crown, and the knobs of a chronograph.
        glass = outline(top[0], top[1], v.bezel)
        bezel = length(glass, top[2]) - v.bezel * 0.6
        crown = cylinder((face[1], face[0] - r - 0.04, face[2]), v.crown, 0.06, 0.02)
        if variant == 2:
            knob = (abs(face[1]) - 0.45 * r, face[0] - 0.93 * r, face[2])
            crown = union(crown, cylinder(knob, v.crown * 0.7, 0.06, 0.02))
        # The dial with four marks and two hands.
        dial = extrude(glass, top[2], 0.025)
        top = translate(top, z=0.035)
        along = (np.maximum(abs(top[0]), abs(top[1])), np.minimum(abs(top[0]), abs(top[1])), top[2])
        marks = box(translate(along, 0.82 * far), (0.09 * far + 0.02, 0.024, 0.02))
        hands = union(
            clock_hand(top, v.hour, 0.48 * far, 0.034), clock_hand(top, v.minute, 0.74 * far, 0.024)
        )
        extra = {}
        if variant == 2:
            ring = length(abs(top[0]) - 0.42 * far, top[1] + 0.12 * far) - 0.22 * far
            extra["counter"] = intersect(ring, abs(top[2]) - 0.01)
        return {"rim": union(bezel, crown), "dial": dial, "hands": union(marks, hands), **extra}

    low, high = (-r - 0.02, 0, -deep - 0.3), (r + 0.12, 2 * tall + 0.16, deep + 0.45)
    return Body(parts, low, high, 0.85, details)


def build_headphones(v: Shape, variant: int) -> Body:
    """Headphones: 0 with round cups, 1 with oval cups, 2 with a microphone."""
    w, r, thick = v.width / 2, v.cup, v.cup_thickness / 2
    long = r * (1.0, 1.3, 1.0)[variant]
    rise, band = v.rise, v.band
    top = long + rise

    def parts(p: Points):
        x, y, z = p
        half = mirror(p, "x")
        # The headband, its pad, and the forks that hold the cups.
        arch = rectangle(x, y - long - rise + w * 0.95, (w * 0.98, w * 0.95), w * 0.9)
        arch = abs(arch) - 0.03
        strip = intersect(extrude(arch, z, band, 0.02), long + 0.3 * rise - y)
        pad = intersect(
            extrude(arch - 0.045, z, band + 0.03, 0.04),
            long + rise * (1 - v.pad) - y,
            abs(x) - 0.75 * w,
        )
        fork = tube(
            half,
            ((w * 0.98, long + 0.34 * rise, 0), (w + 0.06, long + 0.1, 0), (w + 0.05, long, 0)),
            (0.04, 0.045, 0.05),
        )
        # The cups with their cushions.
        q = rotate(translate(half, w, long), "z", 7)
        outline = rectangle(q[1], q[2], (long, r), 0.999 * r)
        cup = extrude(outline + 0.03, q[0] - 0.3 * thick, thick, 0.06)
        disc = extrude(outline + 0.38 * r, q[0] - 1.2 * thick, thick * 0.2, 0.02)
        cushion = extrude(outline, q[0] + thick * 1.1, v.cushion, 0.9 * v.cushion)
        cushion = subtract(cushion, extrude(outline + 0.5 * r, q[0] + thick * 2, thick + v.cushion))
        if variant == 2:
            boom = tube(
                p,
                (
                    (-w, long * 0.8, 0.5 * r),
                    (-w - 0.02, 0.55 * long, r + 0.25),
                    (-0.5 * w, 0.4 * long, r + 0.5),
                ),
                (0.03, 0.028, 0.028),
            )
            boom = union(boom, sphere(translate(p, -0.5 * w, 0.4 * long, r + 0.5), 0.085))
            fork = union(fork, boom)
        return {
            "main": union(cup, strip),
            "fork": fork,
            "cushion": union(cushion, pad),
            "disc": disc,
        }

    side = w + 1.5 * thick + 0.15
    front = r + (0.6 if variant == 2 else 0.02)
    return Body(parts, (-side, 0, -r - 0.02), (side, top + 0.12, front), 0.85)


def build_sunglasses(v: Shape, variant: int) -> Body:
    """Sunglasses: 0 with round lenses, 1 with rectangular lenses, 2 with a double bridge."""
    w, h, rim = v.lens_width / 2, v.lens_height / 2, v.rim
    if variant == 0:
        w = h = (v.lens_width + v.lens_height) / 4
    corner = (0.999 * h, 0.2 * h + 0.5 * h * v.corner, 0.6 * h)[variant]
    gap, temple = v.bridge / 2, v.temple
    at, y0 = gap + w + rim, h + rim

    def lens(x, y):
        if variant == 2:  # a drop, wide above and narrow below, leaning outwards
            x = x - 0.12 * (y - h)
            return rectangle(x, y, (w, h), corner) + 0.18 * (h - y) * w
        return rectangle(x, y, (w, h), corner)

    def parts(p: Points):
        q = mirror(p, "x")
        curved_z = q[2] + v.wrap * q[0] * q[0]
        # One rim and lens on each side, with the bridge between.
        x, y = q[0] - at, q[1] - y0
        shape = lens(x, y) * 0.85
        ring = extrude(abs(shape) - rim, curved_z, rim * 0.9, rim * 0.5)
        glass = extrude(shape + 0.2 * rim, curved_z, 0.02)
        bridge = capsule(p, (-gap - rim, y0 + 0.3 * h, 0), (gap + rim, y0 + 0.3 * h, 0), rim * 0.85)
        if variant == 2:
            bridge = union(bridge, capsule(p, (-at, y0 + h, 0), (at, y0 + h, 0), rim * 0.8))
        side = at + w
        back = -v.wrap * side * side
        arm = tube(
            q,
            (
                (side, y0 + 0.45 * h, back),
                (side + 0.04, y0 + 0.45 * h, back - 0.72 * temple),
                (side - 0.02, 0.06, back - temple),
            ),
            (rim, rim * 0.8, rim * 0.9),
        )
        return {"main": union(ring, bridge, arm), "lens": glass}

    side = at + w + 0.05 + rim
    return Body(
        parts, (-side, 0, -v.wrap * side * side - temple - rim), (side, 2 * h + 2 * rim, rim), 0.8
    )


def build_camera(v: Shape, variant: int) -> Body:
    """A camera: 0 with a prism hump, 1 with a flat top, 2 with a flash."""
    w, h, d = v.width / 2, v.height, v.depth / 2
    at, r, reach = (v.offset, 0.47 * h, 0), v.lens, v.reach
    plate = h * 0.26
    extra = (v.hump, 0.1, v.hump * 0.9)[variant]
    eye = (  # the finder or the flash: where, and half its size
        ((at[0], h + v.hump * 0.42, d * 0.95), (0.15, v.hump * 0.2, 0.03)),
        ((at[0], h - plate * 0.5, d), (0.17, plate * 0.24, 0.03)),
        ((-0.55 * w, h + 0.5 * v.hump, d * 0.6), (0.18, v.hump * 0.26, 0.03)),
    )[variant]

    def parts(p: Points):
        x, y, z = p
        body = box(translate(p, y=(h - plate) / 2), (w, (h - plate) / 2 + 0.01, d), 0.07)
        top = box(translate(p, y=h - plate / 2), (w, plate / 2, d), 0.06)
        # The hump of the prism, or the flash, on the top plate.
        hump = translate(p, at[0], h, 0)
        if variant == 0:
            slope = rectangle(hump[0] * 0.86, hump[1], (0.34, v.hump), 0.08)
            slope = intersect(slope, (abs(hump[0]) + 0.7 * hump[1] - 0.36 - 0.25 * v.hump) * 0.8)
            top = union(top, extrude(slope, hump[2], d * 0.95, 0.03))
        elif variant == 2:
            top = union(
                top, box(translate(p, -0.55 * w, h, 0), (0.26, v.hump * 0.9, d * 0.6), 0.04)
            )
        grip = box(translate(p, -w + v.grip, h * 0.42, d), (v.grip, h * 0.38, 0.11), 0.08)
        q = swap_yz(translate(p, at[0], at[1], d))
        # The lens barrel, with a recess for the glass.
        barrel = union(
            cylinder(translate(q, y=reach * 0.3), r, reach * 0.3 + 0.02, 0.03),
            cylinder(translate(q, y=reach * 0.6), r * 0.88, reach * 0.4, 0.03),
        )
        barrel = subtract(barrel, cylinder(translate(q, y=reach), r * 0.7, reach * 0.12))
        return {"main": union(body, grip), "top": top, "barrel": barrel}

    def details(p: Points):
        q = swap_yz(translate(p, at[0], at[1], d))
        glass = intersect(sphere(translate(q, y=reach * 0.95 - r), r), length(q[0], q[2]) - 0.7 * r)
        knobs = translate(mirror(p, "x"), 0.7 * w, h + 0.03)
        window = box(translate(p, *eye[0]), eye[1], 0.01)
        return {
            "glass": glass,
            "ring": cylinder(translate(q, y=reach * 0.62), r * 0.9 + 0.012, 0.03),
            "button": union(cylinder(knobs, 0.11, 0.05, 0.02), window),
        }

    high = (w, h + extra + 0.02, d + max(reach + 0.03, 0.12))
    return Body(parts, (-w, 0, -d), high, 0.85, details)


KINDS = (
    Kind(
        "watch",
        build_watch,
        ("a round case", "a square case", "a chronograph dial"),
        ALL_MATERIALS,
        {
            "case": ("steel", "brass", "charcoal_metal", "steel"),
            "rim": ("steel", "brass", "charcoal_metal", "steel"),
            "dial": ("ivory", "charcoal", "deep", "pale"),
            "hands": ("brass", "steel", "steel", "charcoal_metal"),
            "counter": ("steel", "brass"),
        },
        {
            "case": (0.42, 0.56),
            "thickness": (0.14, 0.24),
            "strap": (0.2, 0.3),
            "loop": (0.72, 0.9),
            "taper": (0.0, 0.5),
            "bezel": (0.04, 0.1),
            "crown": (0.05, 0.09),
            "hour": (0.0, 330.0),
            "minute": (0.0, 350.0),
        },
    ),
    Kind(
        "headphones",
        build_headphones,
        ("round cups", "oval cups", "a microphone"),
        ALL_MATERIALS,
        {
            "fork": ("steel", "charcoal", "brass"),
            "cushion": ("charcoal", "deep", "tan", "charcoal"),
            "disc": ("main", "steel", "pale", "deep"),
        },
        {
            "width": (1.25, 1.6),
            "cup": (0.34, 0.45),
            "cup_thickness": (0.2, 0.3),
            "rise": (0.85, 1.15),
            "band": (0.07, 0.15),
            "cushion": (0.08, 0.13),
            "pad": (0.1, 0.35),
        },
    ),
    Kind(
        "sunglasses",
        build_sunglasses,
        ("round lenses", "rectangular lenses", "a double bridge"),
        ALL_MATERIALS,
        {"lens": ("lens", "brown_lens", "lens")},
        {
            "lens_width": (0.85, 1.1),
            "lens_height": (0.6, 0.85),
            "bridge": (0.14, 0.3),
            "rim": (0.045, 0.085),
            "temple": (1.3, 1.7),
            "corner": (0.0, 1.0),
            "wrap": (0.0, 0.1),
        },
        (8.0, 34.0),
    ),
    Kind(
        "camera",
        build_camera,
        ("a prism hump", "a flat top", "a flash"),
        ALL_MATERIALS,
        {
            "top": ("steel", "charcoal", "deep", "steel"),
            "barrel": ("charcoal", "steel", "charcoal"),
            "glass": ("lens",),
            "ring": ("brass", "red", "ivory"),
            "button": ("charcoal", "lens"),
        },
        {
            "width": (1.5, 2.0),
            "height": (0.9, 1.2),
            "depth": (0.4, 0.6),
            "lens": (0.3, 0.42),
            "reach": (0.35, 0.75),
            "hump": (0.2, 0.34),
            "grip": (0.12, 0.22),
            "offset": (-0.1, 0.25),
        },
    ),
)
