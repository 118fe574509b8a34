"""The resolutions and widths of a network's stages."""

from __future__ import annotations


def stage_resolutions(largest: int) -> tuple[int, ...]:
    """Sides in pixels, from the largest stage down, halved until a side is at most 7."""
    return (largest,) if largest <= 7 else (largest, *stage_resolutions(largest // 2))


def stage_widths(width: int, max_width: int, stages: int) -> tuple[int, ...]:
    """Channels of each stage, from the largest resolution down: doubled up to `max_width`."""
    return tuple(min(width * 2**stage, max_width) for stage in range(stages))
