"""The results of a study as rows of text, and as Markdown and LaTeX tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from prodgen.experiments.comparison import Comparison
from prodgen.experiments.metric_names import is_higher_better
from prodgen.experiments.results import Observation
from prodgen.experiments.study import Cell
from prodgen.experiments.study_text import (
    ABSENT,
    choose_digits,
    choose_time_unit,
    escape_latex,
    escape_markdown,
    format_interval,
    format_number,
    format_p,
    label_metric,
    shorten,
)

RESULTS_HEADER = (
    "cell",
    "seeds",
    "mean (95 % interval)",
    "interquartile mean (95 % interval)",
    "standard deviation",
    "difference with the best (95 % interval)",
    "p (Holm)",
    "probability of improvement on the best",
    "cost of a run",
)
COMPONENTS_HEADER = ("cell", "training seeds", "sampling seeds", "evaluation")


def short_names(cells: Sequence[Cell], max_length: int) -> dict[int, str]:
    """{index of a cell: a name of at most `max_length` characters that no other cell has}.

    Where a whole name is too long, the levels of all cells are written without their axes, each
    shortened by the same rule; where two cells are alike then, their index comes first.
    """
    names = {cell.index: shorten(cell.name, 1000) for cell in cells}
    if all(len(name) <= max_length for name in names.values()):
        return names
    # Levels keep as many characters as the longest name allows.
    for length in range(max_length, 3, -1):
        for cell in cells:
            levels = [shorten(level, length) for level in cell.levels.values()]
            names[cell.index] = ", ".join(levels) or cell.name
        if all(len(name) <= max_length - 4 for name in names.values()):
            break
    names = {index: shorten(name, max_length - 4) for index, name in names.items()}
    if len(set(names.values())) < len(names):
        names = {index: f"{index}: {name}" for index, name in names.items()}
    return names


def average_costs(observations: Sequence[Observation]) -> dict[int, float]:
    """{index of a cell: device hours of one run, mean over its finished runs with a known cost}."""
    # Sampling seeds of one run have the same training cost, so each run counts once.
    runs = {o.index: o for o in observations}.values()
    hours: dict[int, list[float]] = {}
    for run in runs:
        if math.isfinite(run.device_hours):
            hours.setdefault(run.cell, []).append(run.device_hours)
    return {cell: sum(values) / len(values) for cell, values in hours.items()}


def format_cost(hours: float | None) -> str:
    """Device time in the unit that suits it: "1.4 min"."""
    if hours is None or not math.isfinite(hours):
        return ABSENT
    unit, size = choose_time_unit([hours])
    return f"{hours / size:.3g} {unit}" if hours < 1000 else f"{hours:,.0f} h"


def digits_of(comparison: Comparison) -> int:
    """Digits after the point for the values of a comparison."""
    summaries = list(comparison.cells.values())
    spreads = sorted(s.std for s in summaries if math.isfinite(s.std) and s.std > 0)
    return choose_digits((s.mean.value for s in summaries), spreads[len(spreads) // 2 :][:1])


def results_rows(
    comparison: Comparison, cells: Sequence[Cell], costs: Mapping[int, float]
) -> list[tuple[str, ...]]:
    """One row of RESULTS_HEADER a cell; "-" where a number is not known."""
    digits = digits_of(comparison)
    rows = []
    for cell in cells:
        summary = comparison.cells[cell.index]
        mean, iqm = (
            format_interval(i.value, i.low, i.high, digits) for i in (summary.mean, summary.iqm)
        )
        difference = comparison.differences.get(cell.index)
        if cell.index == comparison.verdict.best:
            gap, p, probability = "best mean", ABSENT, ABSENT
        elif difference is None:
            gap, p, probability = ABSENT, ABSENT, ABSENT
        else:
            gap = format_interval(difference.mean, difference.low, difference.high, digits)
            gap += "" if difference.is_paired else ", unpaired"
            p = format_p(comparison.p_holm.get(cell.index, math.nan))
            chance = difference.probability
            probability = format_interval(chance.value, chance.low, chance.high, 2)
        count = str(summary.n)
        count += f" + {summary.num_diverged} diverged" if summary.num_diverged else ""
        std, cost = format_number(summary.std, digits), format_cost(costs.get(cell.index))
        rows.append((cell.name, count, mean, iqm, std, gap, p, probability, cost))
    return rows


def components_rows(comparison: Comparison, cells: Sequence[Cell]) -> list[tuple[str, ...]]:
    """One row of COMPONENTS_HEADER a cell: standard deviations in the metric's unit, and the share
    of the variance."""
    rows = []
    for cell in cells:
        components = comparison.cells[cell.index].components
        variances = (components.training, components.sampling, components.evaluation)
        total = sum(variance for variance in variances if math.isfinite(variance))
        stds = [math.sqrt(v) if math.isfinite(v) else math.nan for v in variances]
        digits = choose_digits(stds, stds)
        texts = [
            f"{format_number(std, digits)} ({variance / total:.0%})"
            if total and math.isfinite(std)
            else format_number(std, digits)
            for std, variance in zip(stds, variances, strict=True)
        ]
        rows.append((cell.name, *texts))
    return rows


def describe_direction(metric: str) -> str:
    return "higher is better" if is_higher_better(metric) else "lower is better"


def build_markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of GitHub's Markdown; every text is escaped."""
    lines = [header, *rows]
    text = ["| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(header), *text[1:]])


def build_latex_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], caption: str, label: str
) -> str:
    """A table of LaTeX that needs the package booktabs; every text is escaped.

    The first column is aligned left, the others right. Headers are broken at their words. label: of
    the table, letters, digits and colons.
    """
    titles = " & ".join(_stack_words(title) for title in header)
    body = [" & ".join(_escape_number(cell) for cell in row) + r" \\" for row in rows]
    return "\n".join([
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{{re.sub('[^A-Za-z0-9:]', '-', label)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        rf"{titles} \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ])  # fmt: skip


def caption_results(metric: str) -> str:
    return f"{label_metric(metric)}, {describe_direction(metric)}."


def _stack_words(title: str) -> str:
    """A header of several short lines, broken before "(" and after long words."""
    lines = [""]
    for word in escape_latex(title).split():
        is_full = len(lines[-1]) + len(word) > 14 and lines[-1]
        lines = [*lines, word] if is_full else [*lines[:-1], f"{lines[-1]} {word}".strip()]
    inner = r" \\ ".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}c@{{}}}}{inner}\end{{tabular}}" if lines[1:] else inner


def _escape_number(text: str) -> str:
    """A cell of a table: the sign of a negative number is a minus, not a hyphen."""
    latex = escape_latex(text)
    if re.fullmatch(r"[-\d.,() to%<]*|.*, unpaired", text):
        latex = re.sub(r"(^|[( ])-(?=\d)", r"\1$-$", latex)
    return latex
