"""The measurement spec of a number, so that only comparable numbers are compared.

A Frechet distance depends on the extractor, on how images are resized, on their number and on which
they are: the same generator gets 5 or 50. Every number therefore carries a `MeasurementSpec`, and
`difference` refuses to compare two whose specs differ. Beside the number is its real baseline, the
value of real images against real images under the same spec.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from prodgen.core.errors import UsageError
from prodgen.metrics.features import ExtractorIdentity

FITTINGS = {  # a method of data.fit -> how it makes an image square
    "pad": "longer side resized to {side} px with antialiasing, padded to a square with the median "
    "colour of the border",
    "crop": "cropped to the central square, resized to {side} px with antialiasing",
    "stretch": "stretched to a square of {side} px with antialiasing",
}
AS_GREY = "both sides as grey (ITU-R 601 luma)"


@dataclasses.dataclass(frozen=True)
class MeasurementSpec:
    """What a number was measured with and on.

    metric: its name. extractor: of the features, None without any. data: the digest of the real
    images' store, or of a folder; split: of these images; real and fake: the images in either set;
    seed: of all random draws. options: of the metric, such as ("k", 5). fitting: the rule that gave
    images the size, shape and colour of the real ones (`describe_fitting`); "" where they had them.
    """

    metric: str
    extractor: ExtractorIdentity | None
    data: str
    split: str
    real: int
    fake: int
    seed: int
    options: tuple[tuple[str, Any], ...] = ()
    fitting: str = ""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> MeasurementSpec:
        """The spec that `dataclasses.asdict` turned into this record."""
        extractor = record["extractor"]
        fields = {
            "extractor": ExtractorIdentity(**extractor) if extractor else None,
            "options": tuple((name, value) for name, value in record["options"]),
        }
        return cls(**{**record, **fields})


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A value, its 95 % interval (nan: unknown), its real baseline and its measurement spec.

    real_baseline: the value of real images under the same spec, nan where there is none, with its
    own interval real_baseline_low, real_baseline_high. subject: what was measured, such as
    "runs/gan-1a2b3c4d at step 5000". trained_with: the sha256 of extractors that the subject's
    training used. caution: what a reader must know, "" where nothing.
    """

    value: float
    measurement_spec: MeasurementSpec
    low: float = math.nan
    high: float = math.nan
    real_baseline: float = math.nan
    subject: str = ""
    trained_with: tuple[str, ...] = ()
    caution: str = ""
    real_baseline_low: float = math.nan
    real_baseline_high: float = math.nan

    @property
    def is_rankable(self) -> bool:
        """Whether it may rank its subject: not by an extractor that its training has used."""
        extractor = self.measurement_spec.extractor
        if extractor is None or not extractor.sha256:
            return True
        return extractor.sha256 not in self.trained_with


def describe_fitting(method: str, side: int, is_resized: bool, is_grey: bool) -> str:
    """The rule by which images became comparable with real ones, for `MeasurementSpec.fitting`.

    method: of data.fit. side: pixels a side of the real images. "" where nothing was changed.
    """
    rules = [FITTINGS[method].format(side=side)] if is_resized else []
    return "; ".join(rules + [AS_GREY] if is_grey else rules)


def describe_differences(one: MeasurementSpec, other: MeasurementSpec) -> str:
    """The fields that differ, in words; "" where none does."""
    names = [field.name for field in dataclasses.fields(one)]
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in names]
    return "; ".join(f"{name}: {a} and {b}" for name, a, b in pairs if a != b)


def difference(one: Measurement, other: Measurement) -> float:
    """one's value minus other's; the metric defines whether more is better.

    UsageError where their specs differ, or where one is not rankable.
    """
    if words := describe_differences(one.measurement_spec, other.measurement_spec):
        raise UsageError(
            f"two numbers of different measurement specs do not compare ({words})",
            "measure both with the same extractor, images, counts and seed",
        )
    for measurement in (one, other):
        if not measurement.is_rankable:
            raise UsageError(
                f"{measurement.subject} was trained with {measurement.measurement_spec.extractor}, "
                "which therefore cannot rank it",
                "measure it with another extractor",
            )
    return one.value - other.value
