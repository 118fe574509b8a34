"""Figures of a study as PNG: intervals by cell, interactions of axes, and the Pareto front.

Every function returns the content of a PNG file, or None where there is nothing to draw.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import LineCollection

from prodgen.experiments.comparison import Comparison
from prodgen.experiments.figure_style import (
    BLUE,
    MAX_LEVEL_LENGTH,
    MAX_NAME_LENGTH,
    ORANGE,
    SOFT_INK,
    draw_figure,
    keep_finite,
    label_axis,
    label_direction,
    list_levels,
    widen,
)
from prodgen.experiments.metric_names import is_higher_better
from prodgen.experiments.statistics import pareto_front
from prodgen.experiments.study import Cell
from prodgen.experiments.study_tables import digits_of, short_names
from prodgen.experiments.study_text import choose_time_unit, format_number, shorten
from prodgen.report.plots import GRID


def plot_intervals(comparison: Comparison, cells: Sequence[Cell]) -> bytes | None:
    """A row a cell: its mean with the 95 % interval, and one dot a training seed."""
    dots = {c.index: keep_finite(comparison.cells[c.index].values.values()) for c in cells}
    everything = np.concatenate(list(dots.values()) or [np.zeros(0)])
    if not everything.size:
        return None
    limits = _interval_limits(comparison, everything)
    names = short_names(cells, MAX_NAME_LENGTH)
    with draw_figure(1.3 + 0.3 * max(2, len(cells))) as (figure, buffer):
        axis = figure.add_subplot()
        points, lines, means, colours = [], [], [], []
        for row, cell in enumerate(cells):
            summary, values = comparison.cells[cell.index], dots[cell.index]
            mean = summary.mean
            # Dots of equal values are moved apart, in the order of the seeds.
            offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0.0]
            points += [
                (value, row + offset) for value, offset in zip(values, offsets, strict=False)
            ]
            if not math.isfinite(mean.value):
                text = f"{summary.num_diverged} diverged" if summary.num_diverged else "no value"
                axis.annotate(text, (0.01, row), xycoords=("axes fraction", "data"),
                              va="center", fontsize=8)  # fmt: skip
                continue
            low, high = (end if math.isfinite(end) else mean.value for end in (mean.low, mean.high))
            lines.append([(low, row), (high, row)])
            means.append((mean.value, row))
            colours.append(ORANGE if cell.index == comparison.verdict.best else BLUE)
        axis.scatter(*zip(*points, strict=True), s=13, color=SOFT_INK, lw=0)
        if means:
            axis.add_collection(
                LineCollection(lines, colors=colours, lw=2.2, zorder=1), autolim=False
            )
            axis.scatter(*zip(*means, strict=True), s=42, c=colours, edgecolors="white", zorder=3)
        axis.set_yticks(range(len(cells)), [names[c.index] for c in cells])
        axis.set_ylim(len(cells) - 0.5, -0.5)
        axis.set_xlim(*limits)
        label = label_axis(comparison.metric, 80)
        axis.set_xlabel(f"{label}, {label_direction(comparison.metric)}")
        axis.grid(axis="y", visible=False)
        # Entries of the legend, without data.
        has_best = comparison.verdict.best is not None
        for name, style in (
            ("mean and 95 % interval", {"color": BLUE, "marker": "o", "lw": 2.2}),
            *([("best mean", {"color": ORANGE, "marker": "o", "lw": 2.2})] if has_best else []),
            ("one training seed", {"color": SOFT_INK, "marker": "o", "lw": 0, "ms": 3.5}),
        ):
            axis.plot([], [], label=name, **style)
        figure.legend(loc="outside upper left", ncols=3)
    return buffer.getvalue()


def plot_interactions(comparison: Comparison, cells: Sequence[Cell]) -> bytes | None:
    """A heat map for each pair of axes: the mean over seeds and over the levels of other axes."""
    levels = list_levels(cells)
    pairs = list(itertools.combinations([a for a in levels if len(levels[a]) > 1], 2))
    means = {c.index: comparison.cells[c.index].mean.value for c in cells}
    if not pairs or not any(map(math.isfinite, means.values())):
        return None
    tables = [_average_by_levels(cells, means, levels, pair) for pair in pairs]
    finite = keep_finite(np.concatenate([table.ravel() for table in tables]))
    limits, digits = (finite.min(), finite.max()), digits_of(comparison)
    columns = 1 if len(pairs) == 1 else 2
    rows = -(-len(pairs) // columns)
    tallest = max(len(table) for table in tables)
    with draw_figure(rows * (1.2 + min(0.4 * tallest, 6.0))) as (figure, buffer):
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(pairs) :]:
            axis.remove()
        for axis, pair, table in zip(axes, pairs, tables, strict=False):
            image = _draw_heat_map(axis, table, limits, digits, 6.3 / columns / table.shape[1])
            for name, set_label, set_ticks in (
                (pair[0], axis.set_ylabel, axis.set_yticks),
                (pair[1], axis.set_xlabel, axis.set_xticks),
            ):
                set_label(shorten(name, MAX_LEVEL_LENGTH + 10))
                texts = [shorten(level, MAX_LEVEL_LENGTH) for level in levels[name]]
                set_ticks(range(len(texts)), texts)
            longest = max(len(shorten(level, MAX_LEVEL_LENGTH)) for level in levels[pair[1]])
            if longest * len(levels[pair[1]]) * columns > 80:
                axis.tick_params(axis="x", rotation=35)
                for text in axis.get_xticklabels():
                    text.set(ha="right", rotation_mode="anchor")
        bar = figure.colorbar(image, ax=list(axes[: len(pairs)]), fraction=0.05, pad=0.02)
        bar.set_label(label_axis(comparison.metric, 14 * rows + 16))
        bar.outline.set_visible(False)
    return buffer.getvalue()


def plot_pareto(
    comparison: Comparison, cells: Sequence[Cell], costs: Mapping[int, float]
) -> bytes | None:
    """The metric's mean against the device time of a run; cells of the Pareto front have names."""
    summaries = comparison.cells
    visible_cells = [
        c for c in cells
        if math.isfinite(summaries[c.index].mean.value) and costs.get(c.index, 0.0) > 0
    ]  # fmt: skip
    if len(visible_cells) < 2:
        return None
    unit, hours = choose_time_unit(costs[c.index] for c in visible_cells)
    x = np.array([costs[c.index] / hours for c in visible_cells])
    intervals = [summaries[c.index].mean for c in visible_cells]
    y = np.array([interval.value for interval in intervals])
    is_on_front = pareto_front(x, y, is_higher_better(comparison.metric))
    is_better_above = is_higher_better(comparison.metric)
    is_on_front = pareto_front(x, y, is_better_above)
    front = [i for i in np.lexsort((y, x)) if is_on_front[i]]
    names = short_names(cells, 34)
    with draw_figure(max(4.2, 0.7 + 0.19 * len(front))) as (figure, buffer):
        axis = figure.add_subplot()
        axis.step(x[front], y[front], where="post", color=BLUE, lw=1, alpha=0.6)
        for i, interval in enumerate(intervals):
            if math.isfinite(interval.low) and math.isfinite(interval.high):
                colour = BLUE if is_on_front[i] else SOFT_INK
                axis.plot(
                    [x[i]] * 2, [interval.low, interval.high], color=colour, lw=1.4, alpha=0.5
                )
        for number, i in enumerate(front, 1):
            label = f"{number}  {names[visible_cells[i].index]}"
            axis.plot(x[i], y[i], "o", color=BLUE, ms=6, mec="white", lw=0, label=label)
            # The front rises where more is better, so numbers lie to both sides of it in turn.
            side = 1 if number % 2 else -1
            offset = (-6 * side, (5 if is_better_above else -5) * side)
            axis.annotate(str(number), (x[i], y[i]), offset, textcoords="offset points",
                          ha="center", va="center", fontsize=8, fontweight="bold")  # fmt: skip
        axis.scatter(x[~is_on_front], y[~is_on_front], s=24, color=SOFT_INK, label="other cells")
        if x.max() > 10 * x.min():
            axis.set_xscale("log")
        axis.margins(0.08)
        axis.set_ylim(*widen(_interval_limits(comparison, y)))
        axis.set_xlabel(f"cost of one run ({unit} of device time)")
        axis.set_ylabel(f"{label_axis(comparison.metric)}\n{label_direction(comparison.metric)}")
        figure.legend(loc="outside right upper", title="Pareto front", alignment="left")
    return buffer.getvalue()


def _average_by_levels(cells, means: Mapping[int, float], levels, pair) -> np.ndarray:
    """[levels of the first axis, levels of the second]; nan where no cell has a mean."""
    table = np.full([len(levels[name]) for name in pair], math.nan)
    for i, j in np.ndindex(*table.shape):
        values = keep_finite(
            means[c.index] for c in cells
            if (c.levels[pair[0]], c.levels[pair[1]]) == (levels[pair[0]][i], levels[pair[1]][j])
        )  # fmt: skip
        if values.size:
            table[i, j] = values.mean()
    return table


def _draw_heat_map(
    axis, table: np.ndarray, limits: tuple[float, float], digits: int, column_inches: float
):
    """The colours of a table, and its numbers where they are narrower than their columns."""
    image = axis.imshow(table, cmap="cividis", vmin=limits[0], vmax=limits[1], aspect="auto")
    axis.set_facecolor(GRID)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    # Digits are left out until a number of readable size fits.
    for places in range(digits, -1, -1):
        longest = max(len(format_number(value, places)) for value in table.ravel())
        font_size = min(9.0, 72 * column_inches / (0.7 * longest))
        if font_size >= 6.5:
            break
    else:
        return image
    middle = sum(limits) / 2
    for (i, j), value in np.ndenumerate(table):
        is_dark = math.isfinite(value) and value < middle
        axis.text(j, i, format_number(value, places), ha="center", va="center",
                  fontsize=font_size, color="white" if is_dark else "black")  # fmt: skip
    return image


def _interval_limits(comparison: Comparison, values: np.ndarray) -> tuple[float, float]:
    """The range of values and intervals; an interval reaches at most two ranges beyond the values.

    Two seeds can have an interval so wide that no other row could be read.
    """
    low, high = float(values.min()), float(values.max())
    reach = 2 * (high - low) or math.inf
    means = [summary.mean for summary in comparison.cells.values()]
    lows, highs = keep_finite(m.low for m in means), keep_finite(m.high for m in means)
    low = min([low, *np.maximum(lows, low - reach)])
    high = max([high, *np.minimum(highs, high + reach)])
    return widen((low, high))
