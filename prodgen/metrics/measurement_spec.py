"""What a number stands on, so that only like is compared with like.

A Frechet distance depends on who looks, on how pictures are resized, on how many there are and
which: the same generator gets 5 or 50. Every number therefore carries a `Passport`, and `gain`
refuses to compare two whose passports differ. Beside the number stands its floor: what real
pictures get against real pictures under the same passport.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from prodgen.core.errors import UsageError
from prodgen.metrics.features import ExtractorIdentity


@dataclasses.dataclass(frozen=True)
class MeasurementSpec:
    """What a number was measured with and on.

    metric: its name. extractor: who looked, None where nobody did. data: the digest of the real
    pictures' store, or of a folder; split: which of them; real and fake: how many on either side;
    seed: of everything drawn. options: what else the metric was given, such as ("k", 5).
    """

    metric: str
    extractor: ExtractorIdentity | None
    data: str
    split: str
    real: int
    fake: int
    seed: int
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> MeasurementSpec:
        """What `dataclasses.asdict` wrote, read back."""
        who, options = record["extractor"], record["options"]
        return cls(**{
            **record,
            "extractor": ExtractorIdentity(**who) if who else None,
            "options": tuple((name, value) for name, value in options),
        })  # fmt: skip

    def differing_fields(self, other: MeasurementSpec) -> dict[str, tuple[Any, Any]]:
        """The fields that differ, with both values."""
        pairs = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A measured value, its 95 % interval (nan: not known), its floor and its passport.

    real_baseline: the value of real pictures under the same passport, nan where it has none, with
    its own interval real_baseline_low, real_baseline_high. subject: what was measured, such as
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
        who = self.measurement_spec.extractor
        return who is None or not who.sha256 or who.sha256 not in self.trained_with


def describe_differences(one: MeasurementSpec, other: MeasurementSpec) -> str:
    """What differs, in words; "" where nothing does."""
    return "; ".join(f"{name}: {a} and {b}" for name, (a, b) in one.differing_fields(other).items())


def difference(one: Measurement, other: Measurement) -> float:
    """one's value minus other's. UsageError where their passports differ, or where one is no rank.

    Whether more is better is the metric's to say.
    """
    if said := describe_differences(one.measurement_spec, other.measurement_spec):
        raise UsageError(
            f"two numbers of different passports do not compare ({said})",
            "measure both with the same extractor, pictures, counts and seed",
        )
    for number in (one, other):
        if not number.is_rankable:
            raise UsageError(
                f"{number.subject} was trained with {number.measurement_spec.extractor}, which "
                "says nothing about how it ranks",
                "measure it with another extractor",
            )
    return one.value - other.value
