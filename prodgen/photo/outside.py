"""What an edit changed where it was not asked to: every edit reports it, too much is refused."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.core.errors import BadData

MOST = 1.0  # levels: rounding; what is more, an eye can find


@dataclasses.dataclass(frozen=True)
class Change:
    """The largest and the mean change outside a mask, levels of 255; 0 where all is inside."""

    largest: float
    mean: float


def outside_change(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> Change:
    """How far two pictures uint8 [H, W, C] differ where the mask [H, W] is 0 (False).

    A soft mask's edge counts as inside. Shapes that do not fit are a ValueError.
    """
    if before.shape != after.shape or mask.shape != before.shape[:2]:
        raise ValueError(f"{before.shape}, {after.shape} and a mask {mask.shape} do not fit")
    where = mask == 0
    if not where.any():
        return Change(0.0, 0.0)
    gap = np.abs(before[where].astype(np.int16) - after[where])
    return Change(float(gap.max()), float(gap.mean()))


def held(before: np.ndarray, after: np.ndarray, mask: np.ndarray, most: float = MOST) -> Change:
    """The change outside the mask; BadData where it is more than `most` levels anywhere."""
    change = outside_change(before, after, mask)
    if change.largest > most:
        raise BadData(
            f"the edit changed pixels outside its mask by up to {change.largest:g} levels "
            f"({change.mean:.2f} on average), at most {most:g} may be",
            "choose a mask that takes in all that is to change",
        )
    return change
