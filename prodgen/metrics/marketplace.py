"""A marketplace's gate: does an image pass as a listing's main image, and if not, why not?

A profile (marketplace_rules.py) is a set of thresholds. A verdict names each reason by a key, with
the measured value and the threshold; a file that cannot be read has a verdict too.
"""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np

from prodgen.core import decode, formats
from prodgen.core.errors import RejectedItem
from prodgen.metrics import close_up, product
from prodgen.metrics.marketplace_rules import PROFILES, Profile
from prodgen.metrics.product import Measures

MAX_PIXELS = 40_000_000  # measuring takes about 60 bytes a pixel
MIN_SIDE = 16  # pixels


@dataclasses.dataclass(frozen=True)
class Verdict:
    """reasons: why an image fails, each "key: measured value, required value"; empty: it passes.

    Keys: background, fill, size, square, upscaled, blurred, transparent, off_centre, no_product,
    format, file_size, unreadable. notes: in the same form, what the profile advises only, and
    `recommended_size`. measures: None where the file is unreadable. is_close_up: it is no main
    image, and position, share and background are no faults of it.
    """

    reasons: tuple[str, ...]
    measures: Measures | None
    notes: tuple[str, ...] = ()
    is_close_up: bool = False

    @property
    def passes(self) -> bool:
        """Whether it can be a listing's main image."""
        return not self.reasons and not self.is_close_up

    @property
    def name(self) -> str:
        """pass, fail or close_up."""
        return "close_up" if self.is_close_up else "fail" if self.reasons else "pass"

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(reason.partition(":")[0] for reason in self.reasons)


def check(image: str | os.PathLike[str] | np.ndarray, profile: str | Profile) -> Verdict:
    """The verdict on a file, or on an image uint8 [H, W, 1 | 3 | 4].

    An unknown profile, or an array of another shape or type, is a ValueError. Of an array, the
    rules about the file are not checked: `check_file_rules`.
    """
    rules = resolve_profile(profile)
    file_reasons = ()
    if not isinstance(image, np.ndarray):
        try:
            path, image = image, read_image(image)
            file_reasons = check_file_rules(path, rules)
        except RejectedItem as error:
            return unreadable_verdict(error)
    pixels, alpha = composite_alpha(image, rules)
    measures = product.measure(pixels, alpha)
    reasons, notes = _size_reasons(measures, rules)
    if alpha is not None:
        reasons.append(f"transparent: {np.mean(alpha < 255):.1%} of the pixels, none may be")
    is_close_up = alpha is None and close_up.is_close_up(pixels, measures)
    if is_close_up:
        notes.append("close_up: the product goes on beyond the frame; use it as a further image")
    elif measures.blank:
        reasons.append("no_product: nothing differs from the background")
    else:
        reasons += _background_reasons(measures, rules) + _position_reasons(measures, rules)
    if not measures.blank:
        reasons += _detail_reasons(measures, rules)
    reasons += file_reasons
    advice = [reason for reason in reasons if reason.partition(":")[0] in rules.advice]
    reasons = tuple(reason for reason in reasons if reason not in advice)
    return Verdict(reasons, measures, (*advice, *notes), is_close_up)


def check_file_rules(path: str | os.PathLike[str], profile: str | Profile) -> tuple[str, ...]:
    """The reasons that a file's format and its size on disk give; RejectedItem as `read_image`."""
    rules, reasons = resolve_profile(profile), []
    name = formats.identify_format(decode.read_regular(path, formats.HEAD_BYTES))
    if rules.formats and name not in rules.formats:
        reasons.append(f"format: {name}, must be {', '.join(rules.formats)}")
    num_bytes = os.path.getsize(path)
    if num_bytes > rules.max_bytes:
        limit = f"at most {rules.max_bytes / 1e6:.0f} MB"
        reasons.append(f"file_size: {num_bytes / 1e6:.1f} MB, {limit}")
    return tuple(reasons)


def _size_reasons(m: Measures, rules: Profile) -> tuple[list[str], list[str]]:
    """At most one reason of size and one of shape, and a note where more pixels are recommended."""
    (height, width), reasons, notes = m.size, [], []
    size, longest = f"{width} x {height} px", max(m.size)
    if longest < rules.min_side:
        reasons.append(f"size: {size}, the longest side at least {rules.min_side}")
    elif min(m.size) < rules.min_short_side:
        reasons.append(f"size: {size}, the shortest side at least {rules.min_short_side}")
    elif longest > rules.max_side or width * height > rules.max_pixels:
        limit = min(rules.max_side, math.isqrt(int(min(rules.max_pixels, 1e12))))
        reasons.append(f"size: {size}, at most {limit} px a side")
    elif longest < rules.recommended_side:
        notes.append(f"recommended_size: {size}, better {rules.recommended_side} or more")
    # A small image that is not square has one reason, unless the shape is advice only.
    if rules.square and height != width and (not reasons or "square" in rules.advice):
        key = "square" if "square" in rules.advice else "size"
        reasons.append(f"{key}: {size}, must be square")
    return reasons, notes


def resolve_profile(profile: str | Profile) -> Profile:
    """The profile of a name; ValueError for an unknown one."""
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


def composite_alpha(image: np.ndarray, rules: Profile) -> tuple[np.ndarray, np.ndarray | None]:
    """The image uint8 [H, W, 1 | 3] over the required background; its alpha unless all opaque."""
    if image.ndim != 3 or image.shape[-1] != 4 or image.dtype != np.uint8:
        return image, None
    colour, alpha = image[..., :3], image[..., 3]
    if alpha.min() == 255:
        return np.ascontiguousarray(colour), None
    share = alpha[..., None] / np.float32(255)
    background = np.float32(rules.background or (255, 255, 255))
    return np.uint8(np.rint(colour * share + background * (1 - share))), alpha
