"""Attributes to columns and back."""

import json

import numpy as np
import pytest

from prodgen.core.types import Attribute, Spec

COLOUR = Attribute("colour", "categorical", ("red", "blue"))
HEIGHT = Attribute("height", "number", unit="cm", mean=10.0, std=4.0)
TURN = Attribute("turn", "angle", unit="degrees")


@pytest.mark.parametrize(
    ("attribute", "value", "columns"),
    [(COLOUR, "blue", [0, 1]), (HEIGHT, 16.0, [1.5]), (TURN, 90.0, [1, 0]), (TURN, 180.0, [0, -1])],
)
def test_encode_by_hand_and_decode_back(attribute, value, columns):
    encoded_columns = attribute.encode(value)
    np.testing.assert_allclose(encoded_columns, columns, atol=1e-6)
    assert encoded_columns.dtype == np.float32 and len(encoded_columns) == attribute.num_columns
    back = attribute.decode(encoded_columns)
    assert back == value if isinstance(value, str) else back == pytest.approx(value, abs=1e-4)


def test_an_unknown_category_is_an_error():
    with pytest.raises(ValueError):
        COLOUR.encode("green")


def test_slices_and_json():
    spec = Spec(16, 3, ("a",), (COLOUR, HEIGHT, TURN))
    assert spec.num_columns == 5
    assert spec.column_slices() == {
        "colour": slice(0, 2),
        "height": slice(2, 3),
        "turn": slice(3, 5),
    }
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
