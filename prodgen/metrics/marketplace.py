"""A marketplace's gate: does an image pass as a listing's main image, and if not, why not?

A profile is a set of thresholds. A verdict names each reason by a key, with the measured value and
the threshold; a file that cannot be read has a verdict too. `repair` changes only what needs no new
content: the product's position, its share of the frame, and a background that is nearly right.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
from PIL import Image, ImageFilter

from prodgen.core import decode
from prodgen.core.errors import RejectedItem
from prodgen.metrics import product
from prodgen.metrics.product import Measures
from prodgen.photo import morphology, silhouette

MAX_PIXELS = 40_000_000  # measuring takes about 60 bytes a pixel
MIN_SIDE = 16  # pixels
MAX_COLOUR_SHIFT = 12.0  # levels: a background farther from the target is not repaired
MAX_REPAIRABLE_STD = 6.0  # levels: in a more uneven background a repair would be visible


@dataclasses.dataclass(frozen=True)
class Profile:
    """A marketplace's rules for a main image.

    background: the required colour, levels; None: any. min_white_share: of the background's pixels
    that are exactly white; max_white_distance: of any of them from white, levels; max_evenness: the
    background's standard deviation, levels. fill: (least, most) share of the frame's side that the
    product's box takes; target_fill: the share that `repair` aims at. max_off_centre: offset of the
    box's centre, a share of the side. min_side and min_native: pixels on the longest side, those of
    the file and those that its detail fills. max_blur: standard deviation of the edges in pixels,
    in an image reduced to `min_side`. square: as high as wide.
    """

    background: tuple[int, int, int] | None
    min_white_share: float
    max_white_distance: float
    max_evenness: float
    fill: tuple[float, float]
    target_fill: float
    max_off_centre: float
    min_side: int
    min_native: int
    max_blur: float
    square: bool


# JPEG's ringing changes some white around the product: a share of 0.8 allows it, but no grey wall.
PROFILES = {
    "white_main": Profile(
        (255, 255, 255), 0.8, 24, 4, (0.85, 1.0), 0.9, 0.10, 1000, 500, 1.0, False
    ),
    "square_catalogue": Profile(
        (255, 255, 255), 0.0, 24, 4, (0.70, 0.95), 0.85, 0.03, 800, 400, 1.0, True
    ),
    "any_even": Profile(None, 0.0, 255, 4, (0.50, 0.95), 0.85, 0.10, 1000, 500, 1.0, False),
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """reasons: why an image fails, each "key: measured value, required value"; empty: it passes.

    Keys: background, fill, size, upscaled, blurred, transparent, off_centre, no_product,
    unreadable. measures: None where the file is unreadable.
    """

    reasons: tuple[str, ...]
    measures: Measures | None

    @property
    def passes(self) -> bool:
        return not self.reasons

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(reason.partition(":")[0] for reason in self.reasons)


@dataclasses.dataclass(frozen=True)
class Repair:
    """image: uint8 [H, W, 1 | 3], the repaired one, or the original one without any change.

    changes: in words; empty: none. refusal: why the image cannot be repaired, else "".
    """

    image: np.ndarray
    changes: tuple[str, ...] = ()
    refusal: str = ""


def check(image: str | os.PathLike[str] | np.ndarray, profile: str | Profile) -> Verdict:
    """The verdict on a file, or on an image uint8 [H, W, 1 | 3 | 4].

    An unknown profile, or an array of another shape or type, is a ValueError.
    """
    rules = _resolve_profile(profile)
    if not isinstance(image, np.ndarray):
        try:
            image = read_image(image)
        except RejectedItem as error:
            return unreadable_verdict(error)
    pixels, alpha = _composite_alpha(image, rules)
    measures = product.measure(pixels, alpha)
    height, width = measures.size
    reasons = []
    if max(height, width) < rules.min_side:
        reasons.append(f"size: {width} x {height} px, the longest side at least {rules.min_side}")
    elif rules.square and height != width:
        reasons.append(f"size: {width} x {height} px, must be square")
    if alpha is not None:
        reasons.append(f"transparent: {np.mean(alpha < 255):.1%} of the pixels, none may be")
    if measures.blank:
        reasons.append("no_product: nothing differs from the background")
    else:
        reasons += _background_reasons(measures, rules)
        reasons += _position_reasons(measures, rules)
        reasons += _detail_reasons(measures, rules)
    return Verdict(tuple(reasons), measures)


def _resolve_profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}, known: {', '.join(PROFILES)}")
    return PROFILES[profile]


def _background_reasons(m: Measures, rules: Profile) -> list[str]:
    """At most one reason: an image off white is not also reported as uneven."""
    if np.isnan(m.white_mean):
        return ["background: none is visible around the product"]
    if m.white_share < rules.min_white_share:
        return [
            f"background: {m.white_share:.1%} of it is exactly white, at least "
            f"{rules.min_white_share:.0%} (on average {m.white_mean:.1f} levels off)"
        ]
    if m.white_worst > rules.max_white_distance:
        return [
            f"background: up to {m.white_worst:.0f} levels off white, at most "
            f"{rules.max_white_distance:g}"
        ]
    if m.evenness > rules.max_evenness:
        return [f"background: varies by {m.evenness:.1f} levels, at most {rules.max_evenness:g}"]
    return []


def _position_reasons(m: Measures, rules: Profile) -> list[str]:
    reasons = []
    low, high = rules.fill
    if not low <= m.fill <= high:
        reasons.append(
            f"fill: the product takes {m.fill:.1%} of the frame, must be {low:.0%} to {high:.0%}"
        )
    if max(map(abs, m.offset)) > rules.max_off_centre:
        right, down = m.offset
        reasons.append(
            f"off_centre: {right:+.1%} right, {down:+.1%} down, at most {rules.max_off_centre:.0%}"
        )
    return reasons


def _detail_reasons(m: Measures, rules: Profile) -> list[str]:
    """At most one reason: an image that was enlarged is also blurred."""
    if m.native < rules.min_native and max(m.size) >= rules.min_native:
        return [
            f"upscaled: the detail of about {m.native:.0f} px on the longest side of "
            f"{max(m.size)}, at least {rules.min_native}"
        ]
    blur = m.blur * min(1, rules.min_side / max(m.size))
    if blur > rules.max_blur:
        return [
            f"blurred: edges spread by {blur:.1f} px at {rules.min_side} px, at most "
            f"{rules.max_blur}"
        ]
    return []


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """The upright image in a file, uint8 [H, W, C], C of 1, 3 or 4 (RGBA), in sRGB.

    `RejectedItem`, as by `decode_file`, where it has more than MAX_PIXELS; also where it is
    animated or too small.
    """
    image = decode.decode_file(path, MAX_PIXELS, single_frame=True)
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise RejectedItem(f"too small: {width} x {height} px, at least {MIN_SIDE} a side")
    return image


def unreadable_verdict(error: RejectedItem) -> Verdict:
    """The verdict on a file for which `read_image` raised the error."""
    return Verdict((f"unreadable: {str(error).removeprefix('unreadable: ')}",), None)


def _composite_alpha(image: np.ndarray, rules: Profile) -> tuple[np.ndarray, np.ndarray | None]:
    """The image uint8 [H, W, 1 | 3] over the required background; its alpha unless all opaque."""
    if image.ndim != 3 or image.shape[-1] != 4 or image.dtype != np.uint8:
        return image, None
    colour, alpha = image[..., :3], image[..., 3]
    if alpha.min() == 255:
        return np.ascontiguousarray(colour), None
    share = alpha[..., None] / np.float32(255)
    background = np.float32(rules.background or (255, 255, 255))
    return np.uint8(np.rint(colour * share + background * (1 - share))), alpha


def repair(image: np.ndarray, profile: str | Profile) -> Repair:
    """An image uint8 [H, W, 1 | 3 | 4] re-centred and re-padded according to the profile.

    The product's pixels are moved, never resampled, so an image that is too small stays too small.
    Where fill, centring or shape fail, the product goes to the middle of a square. The square's
    side gives it `target_fill`, or less, down to the least fill, where this reaches `min_side`.

    A background within MAX_COLOUR_SHIFT levels of the required colour is replaced by exactly that
    colour where it fails, or where it would differ from the new canvas. Dust goes too, and the
    product's soft edge fades. Without a required colour it is the measured one. Enclosed holes stay
    as they are. No repair without a product, with one that the frame cuts off, or of a background
    that is uneven or of another colour.
    """
    rules = _resolve_profile(profile)
    pixels, alpha = _composite_alpha(image, rules)
    verdict = check(image, rules)
    m = verdict.measures
    refusal = _find_refusal(m, rules, alpha)
    if refusal:
        return Repair(image, refusal=refusal)
    background = _target_background(m, rules)
    changes = [f"transparency: composed on {background}"] if alpha is not None else []
    is_moved = bool({"fill", "off_centre"} & set(verdict.keys)) or (
        rules.square and m.size[0] != m.size[1]
    )
    # A correct background keeps its faint shadows. Another one would be visible on a new canvas.
    is_off_colour = any(a != b for a, b in zip(m.background, background, strict=True))
    if alpha is None and ("background" in verdict.keys or (is_moved and is_off_colour)):
        filled_image = _fill_background(pixels, background)
        changed_share = float((filled_image != pixels).any(axis=-1).mean())
        pixels = filled_image
        if changed_share:
            changes.append(f"background: {changed_share:.1%} of the pixels set to {background}")
    if is_moved:
        pixels, descriptions = _centre_product(pixels, m, rules, background)
        changes += descriptions
    return Repair(pixels if changes else image, tuple(changes))


def _find_refusal(m: Measures, rules: Profile, alpha: np.ndarray | None) -> str:
    """Why an image with these measures cannot be repaired; "" where it can."""
    if m.blank:
        return "no product was found"
    top, left, bottom, right = m.box
    if min(top, left) == 0 or bottom == m.size[0] or right == m.size[1]:
        return "the frame cuts the product off"
    if alpha is not None:
        return ""
    if not m.evenness <= MAX_REPAIRABLE_STD:
        return f"the background varies by {m.evenness:.1f} levels, at most {MAX_REPAIRABLE_STD:g}"
    target = _target_background(m, rules)
    shift = max(abs(a - b) for a, b in zip(m.background, target, strict=True))
    if shift > MAX_COLOUR_SHIFT:
        return (
            f"the background is {shift:.0f} levels from the required colour, at most "
            f"{MAX_COLOUR_SHIFT:g}"
        )
    return ""


def _target_background(m: Measures, rules: Profile) -> tuple[int, ...]:
    """The colour around the product, one level a channel of the measured image."""
    colour = rules.background or tuple(round(level) for level in m.background)
    return colour[: len(m.background)]


def _fill_background(pixels: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """The background replaced by one colour, beyond a soft edge that fades to it."""
    region = silhouette.find_silhouette(pixels)
    margin = max(2, product.clearance(region.mask.shape)) // 2
    dilated_mask = Image.fromarray(morphology.dilate(region.mask, margin).astype(np.uint8) * 255)
    # The mean over a square as wide as the dilated rim: 1 on the product, 0 beyond the rim.
    weight = np.float32(dilated_mask.filter(ImageFilter.BoxBlur(margin))) / 255
    weight = np.where(region.mask, 1, weight)[..., None]
    shift = np.where(region.mask[..., None], 0, np.float32(colour) - region.background)
    out = weight * (pixels + shift) + (1 - weight) * np.float32(colour)
    return np.uint8(np.clip(np.rint(out), 0, 255))


def _centre_product(
    pixels: np.ndarray, m: Measures, rules: Profile, background: tuple[int, ...]
) -> tuple[np.ndarray, list[str]]:
    """The image moved so that the product is in the middle of a square, and the changes' words."""
    top, left, bottom, right = m.box
    longest = max(bottom - top, right - left)
    side = round(longest / rules.target_fill)
    if side < rules.min_side <= int(longest / rules.fill[0]):
        side = rules.min_side
    out = np.empty((side, side, pixels.shape[-1]), np.uint8)
    out[:] = background
    # The part of the image that lies on the square, moved by (down, across).
    height, width = m.size
    down, across = (side - (bottom + top)) // 2, (side - (left + right)) // 2
    rows = slice(max(0, -down), min(height, side - down))
    columns = slice(max(0, -across), min(width, side - across))
    out[rows.start + down : rows.stop + down, columns.start + across : columns.stop + across] = (
        pixels[rows, columns]
    )
    return out, [
        f"re-centred: the product stood {m.offset[0]:+.1%} right, {m.offset[1]:+.1%} down",
        f"re-padded: {width} x {height} px to {side} x {side}, fill {m.fill:.1%} to "
        f"{longest / side:.1%}",
    ]
