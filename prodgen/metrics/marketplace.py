"""A marketplace's gate: does a picture pass as a listing's main picture, and if not, why not?

A profile is a row of thresholds. A verdict names every reason by a key, the value measured and
the threshold; what is wrong with a file is a verdict too. `repaired` mends what can be mended
without inventing anything: where the product stands, how much of the frame it fills, and a
background that is nearly right.
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

MAX_PIXELS = 40_000_000  # measuring takes some 60 bytes a pixel
MIN_SIDE = 16
MAX_COLOUR_SHIFT = 12.0  # levels: a background farther from the target is not repaired
MAX_REPAIRABLE_STD = 6.0  # levels: an uneven background would show where it is cut


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a marketplace asks of a main picture.

    background: the colour asked for, levels; None: any. white_share: the least share of
    background pixels that are exactly white; worst: the farthest that any may be from white,
    levels; evenness: the largest deviation of the background, levels. fill: (least, most) share
    of the frame's side that the product's box takes; target: the share that `repaired` aims at.
    off_centre: the largest offset of the box's centre, a share of the side. side and native: the
    least pixels on the longest side, those that the file has and those that its detail fills.
    blur: the largest deviation of the edges in pixels, in a picture brought down to `side`.
    square: as high as wide.
    """

    background: tuple[int, int, int] | None
    white_share: float
    worst: float
    evenness: float
    fill: tuple[float, float]
    target: float
    off_centre: float
    side: int
    native: int
    blur: float
    square: bool


# JPEG's ringing takes some white from around the product: 0.8 passes, a wall of 254 does not.
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
    """reasons: why a picture fails, each "key: what was measured, what is asked"; empty: it passes.

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
    """picture: uint8 [H, W, 1 | 3], the mended one, or the given one where nothing was done.

    changes: what was done, in words; empty: nothing. refused: why nothing could be, else "".
    """

    image: np.ndarray
    changes: tuple[str, ...] = ()
    refusal: str = ""


def check(picture: str | os.PathLike[str] | np.ndarray, profile: str | Profile) -> Verdict:
    """The verdict on a file, or on a picture uint8 [H, W, 1 | 3 | 4].

    An unknown profile, or an array that is no picture, is a ValueError.
    """
    asked = _resolve_profile(profile)
    if not isinstance(picture, np.ndarray):
        try:
            picture = read_image(picture)
        except RejectedItem as refused:
            return unreadable_verdict(refused)
    pixels, alpha = _composite_alpha(picture, asked)
    measures = product.measure(pixels, alpha)
    reasons = _size(measures, asked)
    if alpha is not None:
        reasons.append(f"transparent: {np.mean(alpha < 255):.1%} of the pixels, none may be")
    if measures.blank:
        reasons.append("no_product: nothing stands out from the background")
    else:
        reasons += _background(measures, asked) + _place(measures, asked) + _detail(measures, asked)
    return Verdict(tuple(reasons), measures)


def _resolve_profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}, known: {', '.join(PROFILES)}")
    return PROFILES[profile]


def _size(m: Measures, asked: Profile) -> list[str]:
    height, width = m.size
    if max(m.size) < asked.side:
        return [f"size: {width} x {height} px, the longest side at least {asked.side}"]
    if asked.square and height != width:
        return [f"size: {width} x {height} px, square is asked"]
    return []


def _background(m: Measures, asked: Profile) -> list[str]:
    if np.isnan(m.white_mean):
        return ["background: none to be seen around the product"]
    if m.white_share < asked.white_share:
        return [
            f"background: {m.white_share:.1%} of it is exactly white, at least "
            f"{asked.white_share:.0%} (on average {m.white_mean:.1f} levels off)"
        ]
    if m.white_worst > asked.worst:
        return [f"background: up to {m.white_worst:.0f} levels off white, at most {asked.worst:g}"]
    if m.evenness > asked.evenness:
        return [f"background: varies by {m.evenness:.1f} levels, at most {asked.evenness:g}"]
    return []


def _place(m: Measures, asked: Profile) -> list[str]:
    reasons = []
    least, most = asked.fill
    if not least <= m.fill <= most:
        reasons.append(
            f"fill: the product takes {m.fill:.1%} of the frame, {least:.0%} to {most:.0%} is asked"
        )
    if max(map(abs, m.offset)) > asked.off_centre:
        right, down = m.offset
        reasons.append(
            f"off_centre: {right:+.1%} right, {down:+.1%} down, at most {asked.off_centre:.0%}"
        )
    return reasons


def _detail(m: Measures, asked: Profile) -> list[str]:
    """One cause, one reason: what lacks pixels is blurred as well."""
    if m.native < asked.native and max(m.size) >= asked.native:
        return [
            f"upscaled: the detail of about {m.native:.0f} px on the longest side of "
            f"{max(m.size)}, at least {asked.native}"
        ]
    blur = m.blur * min(1, asked.side / max(m.size))
    if blur > asked.blur:
        return [f"blurred: edges spread by {blur:.1f} px at {asked.side} px, at most {asked.blur}"]
    return []


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """The upright picture in a file, uint8 [H, W, C], C of 1, 3 or 4 (RGBA), in sRGB.

    `RejectedItem`, as by `decode_file`, where it has more than MAX_PIXELS; also animated, or too
    small.
    """
    picture = decode.decode_file(path, MAX_PIXELS, single_frame=True)
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise RejectedItem(f"too small: {width} x {height} px, at least {MIN_SIDE} a side")
    return picture


def unreadable_verdict(refused: RejectedItem) -> Verdict:
    """The verdict on a file that `read` refused."""
    return Verdict((f"unreadable: {str(refused).removeprefix('unreadable: ')}",), None)


def _composite_alpha(picture: np.ndarray, asked: Profile) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture uint8 [H, W, 1 | 3] over the asked background; its alpha unless all opaque."""
    if picture.ndim != 3 or picture.shape[-1] != 4 or picture.dtype != np.uint8:
        return picture, None
    colour, alpha = picture[..., :3], picture[..., 3]
    if alpha.min() == 255:
        return np.ascontiguousarray(colour), None
    share = alpha[..., None] / np.float32(255)
    ground = np.float32(asked.background or (255, 255, 255))
    return np.uint8(np.rint(colour * share + ground * (1 - share))), alpha


def repair(picture: np.ndarray, profile: str | Profile) -> Repair:
    """A picture uint8 [H, W, 1 | 3 | 4] re-centred and re-padded as the profile asks.

    The product's pixels are moved, never resampled, so no resolution is invented and a picture
    that is too small stays too small. Where fill, centring or shape fail, the product goes to the
    middle of a square whose side makes it fill `target`, or less, down to the least fill, where
    that reaches the side asked for. A background within NEAR levels of the asked colour that fails,
    or that would show against the new canvas, becomes exactly that colour, dust included, fading
    over the product's soft edge; with no colour asked for, it is the measured one. Enclosed holes
    stay as they are. RejectedItem: no product, one that the frame cuts off, a background that is
    uneven or of another colour.
    """
    asked = _resolve_profile(profile)
    pixels, alpha = _composite_alpha(picture, asked)
    verdict = check(picture, asked)
    m = verdict.measures
    refused = _refusal(m, asked, alpha)
    if refused:
        return Repair(picture, refusal=refused)
    ground = _target_background(m, asked)
    changes = [f"transparency: composed on {ground}"] if alpha is not None else []
    lay = {"fill", "off_centre"} & set(verdict.keys) or (asked.square and m.size[0] != m.size[1])
    # A background that is right already keeps its faint shadows; another would show as a patch.
    tinted = any(a != b for a, b in zip(m.background, ground, strict=True))
    if alpha is None and ("background" in verdict.keys or (lay and tinted)):
        cleaned = _clean(pixels, ground)
        changed = float((cleaned != pixels).any(axis=-1).mean())
        pixels = cleaned
        if changed:
            changes.append(f"background: {changed:.1%} of the pixels set to {ground}")
    if lay:
        pixels, said = _laid(pixels, m, asked, ground)
        changes += said
    return Repair(pixels if changes else picture, tuple(changes))


def _refusal(m: Measures, asked: Profile, alpha: np.ndarray | None) -> str:
    if m.blank:
        return "no product was found"
    top, left, bottom, right = m.box
    if min(top, left) == 0 or bottom == m.size[0] or right == m.size[1]:
        return "the frame cuts the product off"
    if alpha is not None:
        return ""
    if not m.evenness <= MAX_REPAIRABLE_STD:
        return f"the background varies by {m.evenness:.1f} levels, at most {MAX_REPAIRABLE_STD:g}"
    off = max(abs(a - b) for a, b in zip(m.background, _target_background(m, asked), strict=True))
    if off > MAX_COLOUR_SHIFT:
        return (
            f"the background is {off:.0f} levels from the asked colour, at most "
            f"{MAX_COLOUR_SHIFT:g}"
        )
    return ""


def _target_background(m: Measures, asked: Profile) -> tuple[int, ...]:
    """The colour around the product, one level a channel of the measured picture."""
    colour = asked.background or tuple(round(level) for level in m.background)
    return colour[: len(m.background)]


def _clean(pixels: np.ndarray, ground: tuple[int, ...]) -> np.ndarray:
    """The background replaced by one colour, beyond a soft edge that fades to it."""
    found = silhouette.find_silhouette(pixels)
    margin = max(2, product.clearance(found.mask.shape)) // 2
    grown = Image.fromarray(morphology.dilate(found.mask, margin).astype(np.uint8) * 255)
    # The mean over a square as wide as the grown rim: 1 on the product, 0 beyond the rim.
    weight = np.float32(grown.filter(ImageFilter.BoxBlur(margin))) / 255
    weight = np.where(found.mask, 1, weight)[..., None]
    shift = np.where(found.mask[..., None], 0, np.float32(ground) - found.background)
    out = weight * (pixels + shift) + (1 - weight) * np.float32(ground)
    return np.uint8(np.clip(np.rint(out), 0, 255))


def _laid(
    pixels: np.ndarray, m: Measures, asked: Profile, ground: tuple[int, ...]
) -> tuple[np.ndarray, list[str]]:
    """The picture moved so that the product is in the middle of a square of the background."""
    top, left, bottom, right = m.box
    longest = max(bottom - top, right - left)
    side = round(longest / asked.target)
    if side < asked.side <= int(longest / asked.fill[0]):
        side = asked.side
    out = np.empty((side, side, pixels.shape[-1]), np.uint8)
    out[:] = ground
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
