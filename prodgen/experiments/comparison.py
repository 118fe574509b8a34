"""Stand-in of the comparison of cells, until the real one is merged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from prodgen.experiments import statistics
from prodgen.experiments.results import Observation
from prodgen.experiments.statistics import Difference, Interval, VarianceComponents, mean_interval
from prodgen.experiments.study import Cell


@dataclasses.dataclass(frozen=True)
class Verdict:
    text: str
    is_conclusive: bool
    best: int | None


@dataclasses.dataclass(frozen=True)
class CellSummary:
    values: Mapping[int, float]
    mean: Interval
    iqm: Interval
    std: float
    n: int
    components: VarianceComponents
    num_diverged: int = 0


@dataclasses.dataclass(frozen=True)
class Comparison:
    metric: str
    cells: Mapping[int, CellSummary]
    differences: Mapping[int, Difference]
    p_holm: Mapping[int, float]
    verdict: Verdict


def is_higher_better(metric: str) -> bool:
    return metric.rpartition("/")[2] not in {"frechet", "kernel", "nll", "kl", "lpips", "loss"}


def compare_cells(cells: Sequence[Cell], observations: Sequence[Observation], metric: str):
    summaries = {}
    for cell in cells:
        values: dict[int, list[float]] = {}
        for o in observations:
            if o.cell == cell.index and math.isfinite(o.metrics.get(metric, math.nan)):
                values.setdefault(o.seed, []).append(o.metrics[metric])
        means = {seed: float(np.mean(row)) for seed, row in values.items()}
        v = list(means.values())
        iqm = float(statistics.interquartile_mean(v))
        std = float(np.std(v, ddof=1)) if len(v) > 1 else math.nan
        interval = mean_interval(v)
        summaries[cell.index] = CellSummary(
            means, interval, Interval(iqm, interval.low, interval.high), std, len(v),
            VarianceComponents(std**2, math.nan, math.nan),
        )  # fmt: skip
    sign = 1 if is_higher_better(metric) else -1
    known = [i for i, s in summaries.items() if s.n]
    best = max(known, key=lambda i: sign * summaries[i].mean.value, default=None)
    differences, p_holm = {}, {}
    for i in known:
        if i != best:
            d = statistics.paired_difference(summaries[best].values, summaries[i].values)
            differences[i], p_holm[i] = d, min(1.0, d.p * (len(known) - 1))
    text = "inconclusive: the gap of 0.12 is inside the spread of seeds (95 % interval -0.1 to 0.3)"
    return Comparison(metric, summaries, differences, p_holm, Verdict(text, False, best))
