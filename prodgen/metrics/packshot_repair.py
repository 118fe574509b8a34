"""Repair of packshots that fail a marketplace's gate: no pixel of a product is resampled.

Only what needs no new content changes: the product's position, its share of the frame, and a
background that is nearly right. No repaired image is smaller than the profile requires.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageFilter

from prodgen.metrics import product
from prodgen.metrics.marketplace import Verdict, check, composite_alpha, resolve_profile
from prodgen.metrics.marketplace_rules import Profile
from prodgen.metrics.product import Measures
from prodgen.photo import morphology, silhouette

MAX_COLOUR_SHIFT = 12.0  # levels: a background farther from the target is not repaired
MAX_REPAIRABLE_STD = 6.0  # levels: in a more uneven background a repair would be visible


@dataclasses.dataclass(frozen=True)
class Repair:
    """image: uint8 [H, W, 1 | 3], the repaired one, or the original one without any change.

    changes: in words; empty: none. refusal: why the image cannot be repaired, else "".
    """

    image: np.ndarray
    changes: tuple[str, ...] = ()
    refusal: str = ""


def repair(image: np.ndarray, profile: str | Profile, verdict: Verdict | None = None) -> Repair:
    """An image uint8 [H, W, 1 | 3 | 4] re-centred and re-padded according to the profile.

    The product's pixels are moved, never resampled. Where fill, centring or shape fail, the product
    goes to the middle of a square. The square's side gives it `target_fill`, or less, down to the
    least fill, where this reaches the size that the profile requires. A repair that would end below
    that size is refused. verdict: of `check` on the image, where it is known.

    A background within MAX_COLOUR_SHIFT levels of the required colour is replaced by exactly that
    colour where it fails, or where it would differ from the new canvas. Dust goes too, and the
    product's soft edge fades. Without a required colour it is the measured one. Enclosed holes stay
    as they are. No repair without a product, with one that the frame cuts off, of a close-up, or of
    a background that is uneven or of another colour.
    """
    rules = resolve_profile(profile)
    pixels, alpha = composite_alpha(image, rules)
    verdict = verdict or check(image, rules)
    m = verdict.measures
    is_moved = bool({"fill", "off_centre"} & set(verdict.keys)) or (
        rules.square and m.size[0] != m.size[1]
    )
    refusal = _find_refusal(verdict, rules, alpha) or _find_size_refusal(m, rules, is_moved)
    if refusal:
        return Repair(image, refusal=refusal)
    background = _target_background(m, rules)
    changes = [f"transparency: composed on {background}"] if alpha is not None else []
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


def _find_refusal(verdict: Verdict, rules: Profile, alpha: np.ndarray | None) -> str:
    """Why an image with this verdict cannot be repaired, whatever its size; "" where it can."""
    m = verdict.measures
    if verdict.is_close_up:
        return "it is a close-up: use it as a further picture"
    if m.blank:
        return "no product was found"
    if any(m.contact):
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


def _find_size_refusal(m: Measures, rules: Profile, is_moved: bool) -> str:
    """Why the repaired image would be smaller than the profile requires; "" where it is not."""
    if not is_moved:
        is_small = max(m.size) < rules.min_side or min(m.size) < rules.min_short_side
        size = f"{m.size[1]} x {m.size[0]} px"
    else:
        side = _square_side(m, rules)
        is_small = side < rules.min_square_side
        size = f"{side} x {side} px, as the product has {_longest_side(m)}"
    if not is_small:
        return ""
    return (
        f"the repaired image would have {size}, below the {rules.min_square_side} px of the "
        "profile; nothing is enlarged, so take or export a larger photo"
    )


def _longest_side(m: Measures) -> int:
    """Of the product's box, pixels."""
    top, left, bottom, right = m.box
    return max(bottom - top, right - left)


def _square_side(m: Measures, rules: Profile) -> int:
    """The side of the square that `repair` makes, pixels."""
    longest = _longest_side(m)
    side, limit = round(longest / rules.target_fill), int(longest / rules.fill[0])
    if side < rules.min_square_side <= limit:
        side = rules.min_square_side
    return side


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
    longest, side = _longest_side(m), _square_side(m, rules)
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
