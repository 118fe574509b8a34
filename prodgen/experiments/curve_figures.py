"""Figures of a study over a budget, as PNG: curves of sample efficiency, and of tuning.

Every function returns the content of a PNG file, or None where there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator

from prodgen.experiments.comparison import Comparison
from prodgen.experiments.figure_style import (
    BLUE,
    MAX_LINES,
    MAX_NAME_LENGTH,
    MAX_OVERLAID_BANDS,
    choose_line_style,
    draw_figure,
    keep_finite,
    label_axis,
    label_direction,
    list_levels,
    widen,
)
from prodgen.experiments.metric_names import is_higher_better
from prodgen.experiments.results import Observation
from prodgen.experiments.statistics import curve_band, tuning_curve
from prodgen.experiments.study import Cell
from prodgen.experiments.study_tables import short_names
from prodgen.experiments.study_text import choose_time_unit, shorten

X_LABEL = "training images seen"


def plot_curves(
    cells: Sequence[Cell], observations: Sequence[Observation], metric: str
) -> bytes | None:
    """Sample efficiency: the metric's mean over seeds, and its 95 % band, against the number of
    training images seen. More than MAX_OVERLAID_BANDS cells have a plot each."""
    bands = _curve_bands(cells, observations, metric)
    if not bands:
        return None
    visible_cells = [cell for cell in cells if cell.index in bands]
    is_overlaid = len(visible_cells) <= MAX_OVERLAID_BANDS
    columns = 1 if is_overlaid else min(4, -(-len(visible_cells) // 2))
    rows = 1 if is_overlaid else -(-len(visible_cells) // columns)
    limits = _curve_limits(bands)
    if len(visible_cells) <= MAX_OVERLAID_BANDS:
        with draw_figure(3.9) as (figure, buffer):
            axis = figure.add_subplot()
            _draw_overlaid(axis, visible_cells, bands)
            _set_limits(axis, bands, limits, 7)
            axis.set_xlabel(X_LABEL)
            axis.set_ylabel(f"{label_axis(metric)}\n{label_direction(metric)}")
            figure.legend(loc="outside upper left", ncols=2)
        return buffer.getvalue()

    columns = min(4, -(-len(visible_cells) // 2))
    rows = -(-len(visible_cells) // columns)
    height = 0.75 + 1.5 * rows
    with draw_figure(height, layout=None) as (figure, buffer):
        # Many plots of one size need no search for a layout, which would take seconds.
        figure.subplots_adjust(0.11, 0.55 / height, 0.985, 1 - 0.25 / height, 0.06, 0.28)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        _draw_apart(axes, columns, visible_cells, bands)
        for axis in axes[: len(visible_cells)]:
            _set_limits(axis, bands, limits, 4)
        figure.supxlabel(X_LABEL, fontsize=9, y=0.1 / height, va="bottom")
        label = f"{label_axis(metric)}\n{label_direction(metric)}"
        figure.supylabel(label, fontsize=9, x=0.008, ha="left")
    return buffer.getvalue()


def _set_limits(axis, bands: Mapping[int, tuple], limits: tuple[float, float], ticks: int) -> None:
    last_x = max(band[0][-1] for band in bands.values()) or 1.0
    axis.set_ylim(*limits)
    axis.set_xlim(0, 1.02 * last_x)
    # Many plots have equal ticks, so they are set once. The last x would touch the next plot.
    locator = MaxNLocator(ticks)
    axis.set_xticks([x for x in locator.tick_values(0, last_x) if 0 <= x <= 0.95 * last_x])
    axis.set_yticks([y for y in locator.tick_values(*limits) if limits[0] <= y <= limits[1]])
    axis.xaxis.set_major_formatter(FuncFormatter(_format_count))


def _draw_overlaid(axis, visible_cells: Sequence[Cell], bands: Mapping[int, tuple]) -> None:
    names = short_names(visible_cells, MAX_NAME_LENGTH)
    for i, cell in enumerate(visible_cells):
        style, (x, mean, low, high) = choose_line_style(i), bands[cell.index]
        axis.fill_between(x, low, high, color=style["color"], alpha=0.14, lw=0)
        marker = "o" if len(x) == 1 else None
        axis.plot(x, mean, lw=1.7, marker=marker, label=names[cell.index], **style)


def _draw_apart(
    axes, columns: int, visible_cells: Sequence[Cell], bands: Mapping[int, tuple]
) -> None:
    """A plot for each cell, on the grey curves of all cells."""
    for axis in axes[len(visible_cells) :]:
        axis.remove()
    names = short_names(visible_cells, 26 if columns > 3 else 34)
    everything = [np.column_stack(band[:2]) for band in bands.values()]
    for i, (axis, cell) in enumerate(zip(axes, visible_cells, strict=False)):
        x, mean, low, high = bands[cell.index]
        axis.add_collection(LineCollection(everything, colors="#cbd5e1", lw=0.7), autolim=False)
        axis.fill_between(x, low, high, color=BLUE, alpha=0.2, lw=0)
        axis.plot(x, mean, lw=1.7, color=BLUE, marker="o" if len(x) == 1 else None)
        axis.set_title(names[cell.index], fontsize=7.5)
        is_lowest, is_first = i + columns >= len(visible_cells), i % columns == 0
        axis.tick_params(labelsize=7, labelbottom=is_lowest, labelleft=is_first)


def plot_tuning(
    comparison: Comparison, cells: Sequence[Cell], costs: Mapping[int, float]
) -> bytes | None:
    """The expected best of n runs against the device time of n runs, for the levels of each axis.

    The runs of a level are those of all its cells (Dodge et al., 2019). At one x all levels have
    the same budget. An axis with many levels shows those whose last value is best.
    """
    levels = list_levels(cells) or {"": [""]}
    names = [name for name in levels if len(levels[name]) > 1] or list(levels)[:1]
    is_better_above = is_higher_better(comparison.metric)
    panels, num_omitted = [], {}
    for name in names:
        lines = [_tuning_line(comparison, cells, costs, name, level) for level in levels[name]]
        lines = [line for line in lines if line]
        # An axis with many levels has lines of those that end best, in the axis's order.
        ends = sorted((line[2][-1] for line in lines), reverse=is_better_above)[:MAX_LINES]
        num_omitted[name] = len(lines) - MAX_LINES
        lines = [line for line in lines if line[2][-1] in ends][:MAX_LINES]
        panels += [(name, lines)] if any(len(line[1]) > 1 for line in lines) else []
    if not panels:
        return None
    unit, hours = choose_time_unit(line[1][-1] for _, lines in panels for line in lines)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with draw_figure(3.1 * rows + 0.4) as (figure, buffer):
        axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axis in axes[len(panels) :]:
            axis.remove()
        for axis, (name, lines) in zip(axes, panels, strict=False):
            for i, (level, budgets, best) in enumerate(lines):
                marker = "o" if len(best) <= 20 else None
                axis.plot(budgets / hours, best, lw=1.6, marker=marker, ms=3,
                          label=shorten(level, 30), **choose_line_style(i))  # fmt: skip
            suffix = (
                f" (without the worst {num_omitted[name]} levels)" if num_omitted[name] > 0 else ""
            )
            axis.set_title(shorten(name, 30) + suffix)
            if name:
                axis.legend(loc="lower right" if is_better_above else "upper right")
            axis.set_xlim(0, None)
        figure.supxlabel(f"tuning budget ({unit} of device time, all runs together)", fontsize=9)
        label = f"expected best of n runs:\n{label_axis(comparison.metric)}"
        figure.supylabel(label, fontsize=9)
    return buffer.getvalue()


def _tuning_line(
    comparison: Comparison, cells: Sequence[Cell], costs: Mapping[int, float], name: str, level: str
) -> tuple[str, np.ndarray, np.ndarray] | None:
    """(level, device hours of n = 1, 2, ... runs, expected best of n runs) of a level of an axis.

    None without a value or a cost. A run that diverged is worse than any other.
    """
    values: list[float] = []
    hours: list[float] = []
    for cell in cells:
        summary, cost = comparison.cells[cell.index], costs.get(cell.index, math.nan)
        if (not name or cell.levels[name] == level) and math.isfinite(cost):
            values += [*summary.values.values(), *[math.nan] * summary.num_diverged]
            hours += [cost] * (summary.n + summary.num_diverged)
    if not keep_finite(values).size:
        return None
    return level, *tuning_curve(values, hours, is_higher_better(comparison.metric))


def _curve_bands(cells, observations: Sequence[Observation], metric: str) -> dict[int, tuple]:
    """{index of a cell: (x, mean, low, high)} of the cells with curves; finite points only."""
    curves: dict[int, dict[int, list]] = {}
    for o in observations:
        points = [point for point in o.curves.get(metric, ()) if all(map(math.isfinite, point))]
        if points:
            curves.setdefault(o.cell, {})[o.index] = points
    bands = {}
    for cell in cells:
        if cell.index in curves:
            band = curve_band(list(curves[cell.index].values()))
            if len(band[0]):
                bands[cell.index] = band
    return bands


def _curve_limits(bands: Mapping[int, tuple]) -> tuple[float, float]:
    """The range of the means and bands after the first tenth of training, widened."""
    last_x = max(band[0][-1] for band in bands.values())
    parts = [part[band[0] >= last_x / 10] for band in bands.values() for part in band[1:]]
    values = keep_finite(np.concatenate(parts))
    means = keep_finite(np.concatenate([band[1] for band in bands.values()]))
    return widen((values.min(), values.max()) if values.size else (means.min(), means.max()))


def _format_count(number: float, _position: int) -> str:
    """1500 -> "1.5k", 2e6 -> "2M"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
