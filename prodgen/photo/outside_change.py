"""What an edit changed outside its mask: every edit reports it, too much is refused."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.core.errors import BadData

MAX_CHANGE = 1.0  # levels: rounding; more is visible


@dataclasses.dataclass(frozen=True)
class OutsideChange:
    """The largest and the mean change outside a mask, levels of 255; 0 where all is inside."""

    largest: float
    mean: float


def measure_outside_change(
    before: np.ndarray, after: np.ndarray, mask: np.ndarray
) -> OutsideChange:
    """How far two images uint8 [H, W, C] differ where the mask [H, W] is 0 (False).

    A soft mask's edge counts as inside. Shapes that do not fit are a ValueError.
    """
    if before.shape != after.shape or mask.shape != before.shape[:2]:
        raise ValueError(f"{before.shape}, {after.shape} and a mask {mask.shape} do not fit")
    is_outside = mask == 0
    if not is_outside.any():
        return OutsideChange(0.0, 0.0)
    difference = np.abs(before[is_outside].astype(np.int16) - after[is_outside])
    return OutsideChange(float(difference.max()), float(difference.mean()))


def check_outside_change(
    before: np.ndarray, after: np.ndarray, mask: np.ndarray, max_change: float = MAX_CHANGE
) -> OutsideChange:
    """The change outside the mask; BadData where it is more than `max_change` levels anywhere."""
    change = measure_outside_change(before, after, mask)
    if change.largest > max_change:
        raise BadData(
            f"the edit changed pixels outside its mask by up to {change.largest:g} levels "
            f"({change.mean:.2f} on average), at most {max_change:g} is allowed",
            "choose a mask that covers everything that is to change",
        )
    return change
