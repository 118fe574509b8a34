"""How near generated pictures come to real ones: every number of features, with floor and interval.

The generated pictures come in several sets, one a sampling seed: the value is the mean over the
sets, the interval that of a mean of so few (Student). One set alone has the intervals that its own
pictures give: the kernel distance's and those of shares. The floor is what real pictures that were
not generated get in their place.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from prodgen.metrics import frechet, interval, kernel, manifold
from prodgen.metrics.measurement_spec import Measurement, MeasurementSpec

NUM_BASELINE_SETS = 3  # sets of real pictures that a floor is the mean of
NUM_NEIGHBOURS = 5  # neighbours of precision, recall, density and coverage
LOWER, HIGHER = "lower", "higher"
SHARE_METRICS = ("precision", "recall", "coverage")
BETTER_DIRECTION = {
    "frechet": LOWER, "kernel": LOWER,
    "precision": HIGHER, "recall": HIGHER, "density": HIGHER, "coverage": HIGHER,
}  # fmt: skip


def measure_distances(
    real: np.ndarray,
    fakes: Sequence[np.ndarray],
    floor: np.ndarray,
    passport: MeasurementSpec,
    subject: str = "",
    trained_with: tuple[str, ...] = (),
) -> dict[str, Measurement]:
    """Every number of BETTER, by name.

    real [N, F]: features of the real pictures that are held back; fakes: sets [M, F], all of one
    size; floor [L, F]: features of other real pictures in random order, which make up to 3 sets of
    M as well (fewer than M make the floor worse than it is, and the caution says so). `passport` is
    filled in: its metric and counts are set here, and its options added to. BadData where a set is
    too small, ValueError for unequal sets.
    """
    sizes = {len(fake) for fake in fakes}
    if len(sizes) != 1:
        raise ValueError(f"expected sets of one size, not of {sorted(sizes)}")
    (size,) = sizes
    parts = max(1, min(NUM_BASELINE_SETS, len(floor) // size))
    found: dict[str, Measurement] = {}
    for measure, options in MEASURES:
        values = [measure(real, fake) for fake in fakes]
        floors = [measure(real, floor[i * size : (i + 1) * size]) for i in range(parts)]
        for name in values[0]:
            mean, low, high = interval.student_interval([value[name] for value in values])
            if len(fakes) == 1:
                low, high = _alone(name, mean, real, fakes[0])
            elif (
                name in SHARE_METRICS
            ):  # few equal shares have no spread, but are not known exactly
                least, most = _alone(name, mean, real, np.concatenate(fakes))
                low, high = max(min(low, least), 0.0), min(max(high, most), 1.0)
            floor_mean, *floor_ends = interval.student_interval([value[name] for value in floors])
            found[name] = Measurement(
                mean,
                dataclasses.replace(
                    passport, metric=name, real=len(real), fake=size,
                    options=passport.options + options,
                ),
                low, high, floor_mean, subject, trained_with,
                _caution(name, len(real), size, len(floor), real.shape[1]), *floor_ends,
            )  # fmt: skip
    return found


def _alone(name: str, value: float, real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """The interval of one set's value: kernel by the jackknife, shares by Wilson, nan of others."""
    if name == "kernel":
        found = kernel.distance(real, fake, subsets=1)
        return found.low, found.high
    if name in SHARE_METRICS:
        n = len(fake) if name == "precision" else len(real)
        return interval.wilson_interval(round(value * n), n)
    return math.nan, math.nan


def _caution(name: str, real: int, fake: int, floor: int, features: int) -> str:
    said = []
    if name == "frechet" and (words := frechet.sample_size_caution(min(real, fake), features)):
        said.append(words)
    if floor < fake:
        said.append(f"the floor is that of {floor} pictures, not of {fake}")
    return "; ".join(said)


def _frechet(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    return {"frechet": frechet.feature_distance(real, fake)}


def _kernel(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """The estimate from all rows; subsets would only estimate it again."""
    return {"kernel": kernel.distance(real, fake, subsets=1).full}


def _manifold(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    return manifold.compute_prdc(real, fake, NUM_NEIGHBOURS)


Measure = Callable[[np.ndarray, np.ndarray], dict[str, float]]
MEASURES: tuple[tuple[Measure, tuple], ...] = (
    (_frechet, ()),
    (_kernel, (("kernel", "cubic"), ("estimate", "unbiased, all rows"))),
    (_manifold, (("k", NUM_NEIGHBOURS),)),
)
