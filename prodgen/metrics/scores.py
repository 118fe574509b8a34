"""All feature distances of generated images to real ones, with real baseline and interval.

The generated images come in several sets, one for each sampling seed. The value is the mean over
the sets, and the interval is Student's. A single set has the intervals that follow from its own
images: those of the kernel distance and of shares. The real baseline is the value of other real
images in place of the generated ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from prodgen.metrics import frechet, interval, kernel, manifold
from prodgen.metrics.measurement_spec import Measurement, MeasurementSpec

NUM_BASELINE_SETS = 3  # sets of real images that a real baseline is the mean of
NUM_NEIGHBOURS = 5  # of precision, recall, density and coverage
LOWER, HIGHER = "lower", "higher"
SHARE_METRICS = ("precision", "recall", "coverage")
BETTER_DIRECTION = {
    "frechet": LOWER, "kernel": LOWER,
    "precision": HIGHER, "recall": HIGHER, "density": HIGHER, "coverage": HIGHER,
}  # fmt: skip

MeasureFn = Callable[[np.ndarray, np.ndarray], dict[str, float]]
MEASURES: tuple[tuple[MeasureFn, tuple], ...] = (
    (lambda real, fake: {"frechet": frechet.feature_distance(real, fake)}, ()),
    (
        # From all rows: subsets would only estimate the same number less exactly.
        lambda real, fake: {"kernel": kernel.distance(real, fake, subsets=1).full},
        (("kernel", "cubic"), ("estimate", "unbiased, all rows")),
    ),
    (
        lambda real, fake: manifold.compute_prdc(real, fake, NUM_NEIGHBOURS),
        (("k", NUM_NEIGHBOURS),),
    ),
)
"""Functions of real and fake features, and the options in their measurement spec."""


def measure_distances(
    real: np.ndarray,
    fakes: Sequence[np.ndarray],
    baseline: np.ndarray,
    spec: MeasurementSpec,
    subject: str = "",
    trained_with: tuple[str, ...] = (),
) -> dict[str, Measurement]:
    """Every number of BETTER_DIRECTION, by name.

    real [N, F]: features of held-out real images; fakes: sets [M, F], all of one size; baseline
    [L, F]: features of other real images in random order, for up to 3 sets of M. Fewer than M make
    the real baseline worse than it is, and the caution says so. The metric, counts and options of
    `spec` are completed here. BadData where a set is too small, ValueError for unequal sets.
    """
    sizes = {len(fake) for fake in fakes}
    if len(sizes) != 1:
        raise ValueError(f"expected sets of one size, not of {sorted(sizes)}")
    (size,) = sizes
    num_sets = max(1, min(NUM_BASELINE_SETS, len(baseline) // size))
    baseline_sets = [baseline[i * size : (i + 1) * size] for i in range(num_sets)]
    measurements: dict[str, Measurement] = {}
    for measure, options in MEASURES:
        values = [measure(real, fake) for fake in fakes]
        baselines = [measure(real, rows) for rows in baseline_sets]
        for name in values[0]:
            mean, low, high = interval.student_interval([value[name] for value in values])
            # The t interval needs several sets; one set has an interval for some metrics only.
            if len(fakes) == 1:
                low, high = _single_set_interval(name, mean, real, fakes[0])
            elif name in SHARE_METRICS:  # a few equal shares have no variance, but are not exact
                all_sets = _single_set_interval(name, mean, real, np.concatenate(fakes))
                low, high = max(min(low, all_sets[0]), 0.0), min(max(high, all_sets[1]), 1.0)
            cautions = []
            words = frechet.sample_size_caution(min(len(real), size), real.shape[1])
            if name == "frechet" and words:
                cautions.append(words)
            if len(baseline) < size:
                cautions.append(
                    f"the real baseline is that of {len(baseline)} images, not of {size}"
                )
            baseline_mean, baseline_low, baseline_high = interval.student_interval(
                [value[name] for value in baselines]
            )
            measurements[name] = Measurement(
                value=mean,
                measurement_spec=dataclasses.replace(
                    spec, metric=name, real=len(real), fake=size, options=spec.options + options
                ),
                low=low,
                high=high,
                real_baseline=baseline_mean,
                subject=subject,
                trained_with=trained_with,
                caution="; ".join(cautions),
                real_baseline_low=baseline_low,
                real_baseline_high=baseline_high,
            )
    return measurements


def _single_set_interval(
    name: str, value: float, real: np.ndarray, fake: np.ndarray
) -> tuple[float, float]:
    """The interval of one set's value: kernel by the jackknife, shares by Wilson, others nan."""
    if name == "kernel":
        estimate = kernel.distance(real, fake, subsets=1)
        return estimate.low, estimate.high
    if name in SHARE_METRICS:
        n = len(fake) if name == "precision" else len(real)
        return interval.wilson_interval(round(value * n), n)
    return math.nan, math.nan
