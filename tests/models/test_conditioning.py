"""Missing values are zero and flagged."""

import numpy as np

from prodgen.models import conditioning
from tests.tiny import spec_of


def test_the_vector_by_hand():
    spec = spec_of()  # 2 classes; colour (2 columns), radius (1), turn (2)
    batch = {
        "label": np.array([1, -1], np.int32),
        "attributes": np.float32([[0, 1, 2, 3, 4], [9, 9, 9, 9, 9]]),
        "known": np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool),
    }
    result = np.asarray(conditioning.vector(batch, spec))
    assert result.shape == (2, conditioning.vector_size(spec)) == (2, 13)
    np.testing.assert_array_equal(result[0], [0, 1, 1, 0, 1, 2, 0, 0, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(result[1], np.zeros(13))  # what is unknown cannot leak


def test_hiding_makes_an_example_unknown():
    batch = {
        "label": np.array([1, 0], np.int32),
        "attributes": np.ones((2, 5), np.float32),
        "known": np.ones((2, 5), bool),
    }
    hidden_batch = conditioning.hide(batch, np.array([True, False]))
    result = np.asarray(conditioning.vector(hidden_batch, spec_of()))
    assert not result[0].any() and result[1].any()
