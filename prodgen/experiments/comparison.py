"""The cells of a study compared by one metric, with a verdict in words.

A cell is better than another only where Student's t test says so after Holm's correction, the
sign-flip test does not contradict it, and at least MIN_SEEDS seeds take part. The family of the
correction is all pairs of cells by one metric. The comparisons with the best cell alone would be
too few: among 12 equal cells, that family calls some difference clear in 12 % of studies of 5
seeds, because the best cell is chosen by the same values.

A run with a value that is not finite has diverged. Its cell has no mean, because a mean of the
other runs would flatter it: the cell is not ranked, and the verdict says how many runs diverged.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prodgen.core.errors import UsageError
from prodgen.experiments import statistics
from prodgen.experiments.metric_names import is_frechet, is_higher_better
from prodgen.experiments.results import Observation
from prodgen.experiments.statistics import Difference, Interval, VarianceComponents
from prodgen.experiments.study import Cell

MIN_SEEDS = 5  # that a verdict needs
ALPHA = 0.05  # of the family of one metric
Z_95 = 1.959964  # standard deviations to either side that hold 95 % of a normal distribution
MIN_FRECHET_GAP = 0.013  # share of the larger distance; retraining alone moves it by as much
MAX_CELLS_BY_NAME = 4  # in one sentence, and remarks on the runs of cells
SAMPLING_SEED_FIELD = "seed"  # of a measurement spec: the only one in which values may differ
VALIDATION = "val/"  # metrics while training: their random draws follow from the training seed


@dataclasses.dataclass(frozen=True)
class CellSummary:
    """One metric of a cell.

    values: of the finite runs, {seed: mean over its sampling seeds}; n: their number;
    num_diverged: runs with a value that is not finite. With one of these, mean, iqm and std are
    nan. mean: with Student's interval; iqm: interquartile mean with the bootstrap's; std: between
    training seeds. components: variances of one value.
    """

    values: Mapping[int, float]
    mean: Interval
    iqm: Interval
    std: float
    n: int
    components: VarianceComponents
    num_diverged: int = 0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a comparison says. best: index of the cell with the best mean, None without two means.

    is_conclusive: whether that cell is better than each other one that has a mean.
    """

    text: str
    is_conclusive: bool
    best: int | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All cells by one metric. The keys of the mappings are indexes of cells.

    differences: each other cell's value minus that of the best, in the metric's unit; their
    `probability` is that of being better than the best, whichever direction is better. p_holm: the
    p-values of their t tests after Holm's correction over all pairs of cells, nan without a test.
    """

    metric: str
    cells: Mapping[int, CellSummary]
    differences: Mapping[int, Difference]
    p_holm: Mapping[int, float]
    verdict: Verdict


def compare_cells(
    cells: Sequence[Cell], observations: Sequence[Observation], metric: str
) -> Comparison:
    """Every cell's mean, and its difference to the cell with the best mean.

    UsageError where the metric has no direction, or where its measurement specs differ in another
    field than the sampling seed.
    """
    sign = 1 if is_higher_better(metric) else -1
    by_cell = {
        cell.index: [o for o in observations if o.cell == cell.index and metric in o.metrics]
        for cell in cells
    }
    check_specs(cells, by_cell, metric)
    # Beside runs with the metric, one without it never had a finite value.
    for cell in cells:
        if by_cell[cell.index]:
            by_cell[cell.index] = [o for o in observations if o.cell == cell.index]
    summaries = {index: summarise_cell(rows, metric) for index, rows in by_cell.items()}
    order = [index for index, summary in summaries.items() if math.isfinite(summary.mean.value)]
    order.sort(key=lambda index: -sign * summaries[index].mean.value)  # best first; stable
    differences = {}
    for index in order[1:]:
        difference = statistics.paired_difference(
            summaries[order[0]].values, summaries[index].values
        )
        if sign < 0:
            chance = difference.probability
            chance = Interval(1 - chance.value, 1 - chance.high, 1 - chance.low)
            difference = dataclasses.replace(difference, probability=chance)
        differences[index] = difference
    # The family: all pairs, of which those with the best are reported.
    pairs = list(itertools.combinations(order, 2))
    p_values = [
        statistics.compare_means(summaries[one].values, summaries[other].values)[3]
        for one, other in pairs
    ]
    adjusted_p = dict(zip(pairs, statistics.adjust_holm(p_values).tolist(), strict=True))
    p_holm = {index: adjusted_p[order[0], index] for index in differences}
    # A name with commas in parentheses, so that it reads as one.
    names = {cell.index: f"({cell.name})" if "," in cell.name else cell.name for cell in cells}
    verdict = _reach_verdict(names, summaries, differences, p_holm, metric)
    return Comparison(metric, summaries, differences, p_holm, verdict)


def check_specs(
    cells: Sequence[Cell], by_cell: Mapping[int, Sequence[Observation]], metric: str
) -> None:
    """UsageError that names the first field in which two measurement specs differ."""
    first: tuple[str, dict[str, str]] | None = None
    for cell in cells:
        for row in by_cell[cell.index]:
            owner, fields = f"{cell.name}, seed {row.seed}", _flatten(row.specs.get(metric, {}))
            first = first or (owner, fields)
            for name in sorted(set(fields) | set(first[1])):
                one, other = first[1].get(name, "nothing"), fields.get(name, "nothing")
                if one != other:
                    raise UsageError(
                        f"{metric} was not measured alike: {name} is {one} in the run of "
                        f"{first[0]} and {other} in that of {owner}",
                        "evaluate all runs of the study with the same settings and the same data, "
                        "or compare these cells by another metric",
                    )


def summarise_cell(rows: Sequence[Observation], metric: str) -> CellSummary:
    """One metric of a cell's observations; see CellSummary."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append(float(row.metrics.get(metric, math.nan)))
    finite = {seed: row for seed, row in sorted(by_seed.items()) if np.isfinite(row).all()}
    values = {seed: float(np.mean(row)) for seed, row in finite.items()}
    num_diverged = len(by_seed) - len(values)
    if num_diverged or not values:
        absent = Interval(math.nan, math.nan, math.nan)
        components = VarianceComponents(math.nan, math.nan, math.nan)
        return CellSummary(values, absent, absent, math.nan, len(values), components, num_diverged)
    means = np.array(list(values.values()))
    std = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
    if metric.startswith(VALIDATION):
        components = VarianceComponents(std**2, math.nan, math.nan)
    else:
        # From the width of its own 95 % interval, as that of a normal distribution.
        limits = np.array([row.intervals[metric] for row in rows if metric in row.intervals])
        half_widths = np.diff(limits, axis=-1) / 2 if len(limits) else limits
        evaluation = float(np.mean((half_widths / Z_95) ** 2)) if len(limits) else None
        components = statistics.variance_components(list(finite.values()), evaluation)
    iqm = statistics.bootstrap_interval([means], statistics.interquartile_mean)
    return CellSummary(values, statistics.mean_interval(means), iqm, std, len(means), components)


def _reach_verdict(
    names: Mapping[int, str],
    summaries: Mapping[int, CellSummary],
    differences: Mapping[int, Difference],
    p_holm: Mapping[int, float],
    metric: str,
) -> Verdict:
    """The verdict in words. The differences are in the order of the means, without the best."""
    counts = {i: summary.n for i, summary in summaries.items() if math.isfinite(summary.mean.value)}
    caveats = _list_caveats(names, summaries)
    if not differences:
        count = f"only {names[next(iter(counts))]} has a mean" if counts else "no cell has a mean"
        return Verdict("; ".join([f"inconclusive: {count}, two are needed", *caveats]), False, None)
    (best,) = set(counts) - set(differences)
    doubts = {
        index: _find_doubt(
            f"{names[best]} and {names[index]}", (summaries[best], summaries[index]), difference,
            p_holm[index], metric,
        )
        for index, difference in differences.items()
    }  # fmt: skip
    rivals = [index for index, doubt in doubts.items() if doubt]
    worse = [names[index] for index, doubt in doubts.items() if not doubt]
    fewest = min(counts, key=counts.get)
    if counts[fewest] < MIN_SEEDS:
        owner = "" if len(set(counts.values())) == 1 else f" of {names[fewest]}"
        number = _count(counts[fewest], "seed")
        sentences = [f"inconclusive: {number}{owner}, at least {MIN_SEEDS} are needed"]
    elif rivals:
        sentences = [f"inconclusive: {doubts[rivals[0]]}"]
        if rivals[1:]:
            number = _count(len(rivals) - 1, "further cell")
            sentences.append(f"{number} cannot be told from {names[best]} either")
        if worse and counts[best] == max(counts.values()):
            others = (
                ", ".join(worse) if len(worse) <= MAX_CELLS_BY_NAME else f"{len(worse)} other cells"
            )
            sentences.append(f"{names[best]} is better than {others}")
    elif counts[best] < max(counts.values()):
        sentences = [f"inconclusive: {names[best]} has the best mean, but not all of its runs"]
    else:
        nearest = next(iter(differences))
        gap, limits = _describe_gap(differences[nearest], metric)
        others = f"each of the {len(worse)} other cells; the nearest is " if worse[1:] else ""
        sentences = [
            f"{names[best]} is better than {others}{names[nearest]}, by {gap:.3g} ({limits}, "
            f"{counts[best]} seeds, Holm-adjusted p = {p_holm[nearest]:.2g})"
        ]
    is_conclusive = not sentences[0].startswith("inconclusive")
    return Verdict("; ".join([*sentences, *caveats]), is_conclusive, best)


def _find_doubt(
    between: str,
    pair: tuple[CellSummary, CellSummary],
    difference: Difference,
    p: float,
    metric: str,
) -> str:
    """Why the better mean of a pair of cells may be chance; "" where nothing speaks for it.

    between: the names of both. p: of the difference, after Holm's correction.
    """
    gap, limits = _describe_gap(difference, metric)
    size = f"the gap of {gap:.3g} between {between}"
    if difference.is_paired and difference.num_pairs < MIN_SEEDS:
        number = _count(difference.num_pairs, "seed")
        return f"{between} have {number} in common, at least {MIN_SEEDS} are needed"
    if gap == 0:
        return f"{between} have the same mean"
    if gap < 0:
        return f"{between} change places if only the seeds that both have are compared"
    if difference.low == difference.high:
        return f"{size} is the same for all seeds: without a spread nothing can be tested"
    if not difference.p <= ALPHA:
        return f"{size} is inside the spread of seeds ({limits})"
    if p > ALPHA:
        return f"{size} is not clear among all pairs of cells ({limits}, Holm-adjusted p = {p:.2g})"
    # With few pairs no sign-flip test is significant; then it must be as clear as it can be.
    if difference.is_paired and difference.p_exact > max(ALPHA, 2.0 ** (1 - difference.num_pairs)):
        return f"{size} is clear by the t test, but not by the sign-flip test ({limits})"
    distance = max(abs(summary.mean.value) for summary in pair)
    if is_frechet(metric) and gap < MIN_FRECHET_GAP * distance:
        share = f"{100 * MIN_FRECHET_GAP:.1f} % of the distance"
        return f"{size} is under {share}, as little as another training seed changes it ({limits})"
    return ""


def _describe_gap(difference: Difference, metric: str) -> tuple[float, str]:
    """How much better the best is than the other, and the interval of it in words."""
    gap, low, high = difference.mean, difference.low, difference.high
    if is_higher_better(metric):
        gap, low, high = -gap, -high, -low
    return gap, f"95 % interval {low:.3g} to {high:.3g}"


def _list_caveats(names: Mapping[int, str], summaries: Mapping[int, CellSummary]) -> list[str]:
    """What a reader must know of each cell's runs, in words."""
    most, caveats = max((s.n + s.num_diverged for s in summaries.values()), default=0), []
    for index, summary in summaries.items():
        total = summary.n + summary.num_diverged
        if summary.num_diverged:
            caveats.append(
                f"{summary.num_diverged} of {_count(total, 'run')} of {names[index]} diverged, so "
                "that it is not ranked"
            )
        if not total:
            caveats.append(f"{names[index]} has no value")
        elif total < most:
            caveats.append(f"{names[index]} has {total} of {_count(most, 'run')}")
    num_more = len(caveats[MAX_CELLS_BY_NAME:])
    more = [f"{_count(num_more, 'further remark')} on diverged and absent runs"] if num_more else []
    return caveats[:MAX_CELLS_BY_NAME] + more


def _count(number: int, noun: str) -> str:
    """ "1 seed", "3 seeds"."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{dotted name: JSON text} of a measurement spec without its sampling seed."""
    fields: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            fields |= _flatten(value, f"{prefix}{name}.")
        elif prefix or name != SAMPLING_SEED_FIELD:
            fields[prefix + name] = json.dumps(value, default=str)
    return fields
