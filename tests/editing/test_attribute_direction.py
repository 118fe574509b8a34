"""Attributes moved along the latent, on a run whose reference classifier reads it linearly."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Spec
from prodgen.editing import attribute_direction

HEIGHT = Attribute("height", "number")
COLOUR = Attribute("colour", "categorical", ("red", "green", "blue"))
SPEC = Spec(8, 3, ("mug",), (HEIGHT, COLOUR))
Z = 16


@dataclasses.dataclass(eq=False)
class LinearInverter:
    """An inverter whose images are the latents themselves.

    Its reference classifier reads one logit of the class, the height in the first latent, and
    three times the next three as logits.
    """

    columns: int = 5

    @property
    def classifier_matches(self):
        return self.columns == 5

    @property
    def model(self):
        rng = np.random.default_rng(0)
        return SimpleNamespace(
            spec=SPEC,
            conditions=SimpleNamespace(pick=lambda seed, indices: {}),
            base_latents=lambda indices, seed: rng.standard_normal((len(indices), Z)).astype(
                np.float32
            ),
            decode=lambda z, conditions: z,
        )

    def classify(self, images):
        scale = np.float32([1, 3, 3, 3])
        outputs = np.concatenate([images[:, :1] * 0, images[:, :4] * scale], axis=1)
        return outputs[:, : self.columns]


def move(z, attribute, text, inverter=None):
    z = np.float32([z + [0.0] * (Z - len(z))])
    inverter = inverter or LinearInverter()
    after = attribute_direction.move_attribute(inverter, z, {}, attribute, text)
    assert after.shape == (1, Z) and after.dtype == np.float32
    return after[0]


def test_a_number_moves_to_its_value_and_nothing_else_does():
    after = move([0.5, 0.0, 0.0, 0.0, 1.0], HEIGHT, "2.0")
    np.testing.assert_allclose(after[:5], [2.0, 0.0, 0.0, 0.0, 1.0], atol=0.1)
    same = move([0.5, 0.0, 0.0, 0.0, 1.0], HEIGHT, "0.5")
    np.testing.assert_array_equal(same[:5], [0.5, 0.0, 0.0, 0.0, 1.0])


def test_a_category_becomes_the_most_probable():
    after = move([0.5, 1.0, 0.0, 0.0], COLOUR, "green")
    assert np.argmax(after[1:4]) == 1
    assert abs(after[0] - 0.5) < 0.1  # the height


def test_a_value_out_of_range_stays_within_the_prior():
    after = move([0.5], HEIGHT, "1000")
    assert after[0] > 3.5 and np.linalg.norm(after) <= Z**0.5 + 1e-5


def test_a_reference_classifier_of_other_attributes_is_refused():
    with pytest.raises(UsageError, match="height: this run was trained without it"):
        move([0.5], HEIGHT, "1", LinearInverter(columns=2))
