"""The style and the texts that the figures of a study have in common.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart, and lines differ
in their dashes, too. Texts of the study are drawn as they are, without mathematical notation.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from prodgen.experiments.metric_names import is_higher_better
from prodgen.experiments.study import Cell
from prodgen.experiments.study_text import label_metric, shorten
from prodgen.report.plots import GRID, INK

BLUE, ORANGE, SOFT_INK = "#0072b2", "#d55e00", "#94a3b8"
LINE_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#000000", "#56b4e9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MAX_LINES = len(LINE_COLOURS)  # of one plot
MAX_OVERLAID_BANDS = 4  # of one plot; more cells have a plot each
MAX_NAME_LENGTH = 44  # characters of a cell's name beside a plot
MAX_LEVEL_LENGTH = 20
DPI = 110
FIGURE_WIDTH = 9.5  # inches: with DPI, as wide as the page
STYLE = {
    "text.parse_math": False, "text.usetex": False, "font.family": "DejaVu Sans", "font.size": 9,
    "axes.edgecolor": GRID, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False,
    "legend.fontsize": 8, "xtick.labelsize": 8, "ytick.labelsize": 8, "xtick.major.size": 0,
    "ytick.major.size": 0, "axes.formatter.useoffset": False, "path.simplify": True,
}  # fmt: skip


@contextlib.contextmanager
def draw_figure(
    height: float, layout: str | None = "constrained"
) -> Iterator[tuple[Figure, io.BytesIO]]:
    """An empty figure of `height` inches; its PNG is in the buffer afterwards."""
    with matplotlib.rc_context(STYLE):
        figure, buffer = Figure(figsize=(FIGURE_WIDTH, height), layout=layout), io.BytesIO()
        yield figure, buffer
        figure.savefig(buffer, dpi=DPI, format="rgba")
    # A palette makes the file two to four times smaller, at no visible loss.
    size = tuple(int(inches * DPI) for inches in (FIGURE_WIDTH, height))
    image = Image.frombytes("RGBA", size, buffer.getvalue()).convert("RGB")
    buffer.seek(0)
    buffer.truncate()
    image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)


def list_levels(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """{axis: its levels in the order of the cells}."""
    names = list(cells[0].levels) if cells else []
    return {name: list(dict.fromkeys(cell.levels[name] for cell in cells)) for name in names}


def widen(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    margin = 0.04 * (high - low) or 0.04 * abs(low) or 1.0
    return low - margin, high + margin


def keep_finite(values) -> np.ndarray:
    array = np.array(list(values), np.float64)
    return array[np.isfinite(array)]


def choose_line_style(i: int) -> dict:
    return {"color": LINE_COLOURS[i], "linestyle": DASHES[i]}


def label_axis(metric: str, width: int = 46) -> str:
    """The metric and its unit, on as many lines of `width` characters as needed."""
    return "\n".join(textwrap.wrap(shorten(label_metric(metric), 100), width))


def label_direction(metric: str) -> str:
    return "higher is better →" if is_higher_better(metric) else "← lower is better"
