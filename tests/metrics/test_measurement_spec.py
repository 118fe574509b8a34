"""Like with like: numbers whose measurement specs differ are not compared."""

import dataclasses
import json

import pytest

from prodgen.core.errors import UsageError
from prodgen.metrics.features import ExtractorIdentity
from prodgen.metrics.measurement_spec import (
    Measurement,
    MeasurementSpec,
    describe_fitting,
    difference,
)

WHO = ExtractorIdentity("classifier", "3", "ab" * 32, "none")
SPEC = MeasurementSpec("frechet", WHO, "d1", "test", 436, 1000, 0, (("k", 5),))


def test_numbers_of_one_measurement_spec_compare():
    assert difference(Measurement(3.0, SPEC), Measurement(5.0, SPEC)) == -2.0


OTHERS = {
    "metric": "kernel", "extractor": dataclasses.replace(WHO, sha256="cd" * 32), "data": "d2",
    "split": "validation", "real": 435, "fake": 999, "seed": 1, "options": (("k", 3),),
    "fitting": describe_fitting("pad", 64, True, False),
}  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(MeasurementSpec)])
def test_any_difference_of_specs_is_rejected_and_named(field):
    other = dataclasses.replace(SPEC, **{field: OTHERS[field]})
    with pytest.raises(UsageError, match=f"{field}: ") as error:
        difference(Measurement(3.0, SPEC), Measurement(5.0, other))
    assert str(OTHERS[field]) in str(error.value)


def test_a_run_is_not_ranked_by_an_extractor_used_in_training():
    trained_measurement = Measurement(3.0, SPEC, subject="runs/vaegan", trained_with=(WHO.sha256,))
    assert not trained_measurement.is_rankable
    with pytest.raises(UsageError, match="runs/vaegan was trained with classifier-3-abababab"):
        difference(trained_measurement, Measurement(5.0, SPEC))
    assert Measurement(3.0, SPEC, trained_with=("cd" * 32,)).is_rankable
    assert Measurement(
        3.0, dataclasses.replace(SPEC, extractor=None), trained_with=("",)
    ).is_rankable


@pytest.mark.parametrize("who", [WHO, None])
def test_a_measurement_spec_survives_json(who):
    spec = dataclasses.replace(SPEC, extractor=who)
    assert MeasurementSpec.from_json(json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
