"""What was asked for against what a network says, on outputs made by hand."""

import numpy as np
import pytest

from prodgen.core.types import Attribute, Spec
from prodgen.metrics.condition_accuracy import measure

SPEC = Spec(8, 3, ("mug", "hat"), (
    Attribute("colour", "categorical", ("red", "blue")),
    Attribute("height", "number", unit="cm", mean=10.0, std=2.0),
    Attribute("azimuth", "angle"),
))  # fmt: skip


def rows(*products):
    """Conditions of (label, colour, height, azimuth); None is unknown."""
    label = np.array([-1 if p[0] is None else SPEC.classes.index(p[0]) for p in products], np.int32)
    attributes = np.zeros((len(products), SPEC.num_columns), np.float32)
    is_known = np.zeros((len(products), SPEC.num_columns), bool)
    for row, values in enumerate(products):
        for attribute, value in zip(SPEC.attributes, values[1:], strict=True):
            if value is not None:
                attributes[row, SPEC.column_slices()[attribute.name]] = attribute.encode(value)
                is_known[row, SPEC.column_slices()[attribute.name]] = True
    return {"label": label, "attributes": attributes, "known": is_known}


def outputs(*products):
    """What a network says that is sure of these."""
    predictions = rows(*products)
    return np.concatenate(
        [5.0 * np.eye(2)[predictions["label"]], predictions["attributes"]], axis=1
    )


REAL = rows(("mug", "red", 10, 0), ("hat", "blue", 12, 90))
REAL_OUTPUTS = outputs(("mug", "red", 11, 0), ("hat", "red", 12, 90))


def test_each_condition_by_hand():
    conditions = rows(("mug", "red", 10, 350), ("hat", "red", 14, 90), ("hat", "blue", 14, 180))
    predictions = outputs(("mug", "red", 13, 10), ("mug", "red", 14, 90), ("hat", "red", 13, 0))
    result = measure(SPEC, conditions, predictions, REAL, REAL_OUTPUTS)
    assert result["category"].value == pytest.approx(2 / 3)
    assert result["category"].worst == ("hat", 0.5) and result["category"].real == 1.0
    assert result["colour"].value == pytest.approx(2 / 3) and result["colour"].real == 0.5
    assert result["height"].value == pytest.approx(4 / 3) and result["height"].unit == "cm"
    assert result["height"].real == pytest.approx(0.5)
    # 350 to 10 degrees are 20 apart, not 340
    assert result["azimuth"].value == pytest.approx((20 + 0 + 180) / 3, rel=1e-5)
    assert result["azimuth"].unit == "degrees" and result["azimuth"].count == 3


def test_unknown_conditions_are_left_out():
    conditions = rows(("mug", None, 10, None), (None, None, None, None))
    result = measure(SPEC, conditions, outputs(("mug", "red", 10, 0), ("hat", "red", 9, 0)), REAL,
                      REAL_OUTPUTS)  # fmt: skip
    assert set(result) == {"category", "height"}
    assert result["category"].count == result["height"].count == 1
    nothing = rows((None, None, None, None))
    assert measure(SPEC, nothing, outputs(("mug", "red", 1, 0)), REAL, REAL_OUTPUTS) == {}
