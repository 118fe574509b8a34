"""Variations: where they come from, what they keep, how far they are from each other."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from prodgen.core.types import Spec
from prodgen.editing import inversion_calibration, variations
from tests.tiny import Squares, make_disc_photo

SPEC = Spec(16, 3, ("disc", "square"), Squares().schema())


def make_conditions(n: int, label: int, value: float):
    return {
        "label": np.full(n, label, np.int32),
        "attributes": np.full((n, SPEC.num_columns), value, np.float32),
        "known": np.full((n, SPEC.num_columns), bool(value)),
    }


def test_strength_leads_from_the_product_to_the_prior():
    z, indices = np.float32([2.0, -1, 0, 1]), np.arange(4000)
    same = variations.perturb_latent(z, 0.0, 3, indices)
    np.testing.assert_allclose(same, np.tile(z, (4000, 1)))
    half = variations.perturb_latent(z, 0.6, 3, indices)
    np.testing.assert_allclose(half.mean(0), 0.8 * z, atol=0.05)
    np.testing.assert_allclose(half.std(0), 0.6, atol=0.03)
    fresh = variations.perturb_latent(z, 1.0, 3, indices)
    np.testing.assert_allclose([fresh.mean(), fresh.std()], [0, 1], atol=0.03)
    np.testing.assert_array_equal(variations.perturb_latent(z, 0.6, 3, indices[5:9]), half[5:9])


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_free_conditions_are_resampled_with_probability_strength(strength):
    conditions = variations.resample_conditions(
        make_conditions(1, 0, 1.0), make_conditions(4000, 1, 2.0), ("colour",), strength, 0, SPEC
    )
    assert (conditions["attributes"][:, :2] == 1).all()  # the colour's columns
    np.testing.assert_allclose((conditions["attributes"][:, 2] == 2).mean(), strength, atol=0.03)
    np.testing.assert_allclose((conditions["label"] == 1).mean(), strength, atol=0.03)
    angle = conditions["attributes"][:, 3:] == 2
    assert (angle[:, 0] == angle[:, 1]).all()  # an angle changes as a whole


def test_a_category_and_a_shape_to_keep_are_not_resampled():
    conditions = variations.resample_conditions(
        make_conditions(1, 0, 1.0), make_conditions(50, 1, 2.0), ("category", "shape"), 1.0, 0, SPEC
    )
    assert (conditions["label"] == 0).all() and (conditions["attributes"][:, 2:] == 1).all()
    assert (conditions["attributes"][:, :2] == 2).all()


def test_near_duplicates_are_passed_over():
    features = np.array([[0.0], [0.05], [1.0], [1.02], [2.0], [3.0]])
    is_usable = np.array([True, True, True, True, False, True])
    for n, min_distance, picks in ((3, 0.5, [0, 2, 5]), (2, 0.5, [0, 2]), (9, 0, [0, 1, 2, 3, 5])):
        np.testing.assert_array_equal(
            variations.pick_distinct(features, is_usable, n, min_distance), picks
        )


def test_filling_up_prefers_rows_that_keep_the_request_and_never_takes_refused_ones():
    keeps_request, is_allowed = np.array([True, False, True, True]), np.ones(4, bool)
    choice = np.array([2])
    fill_up = variations.fill_up
    np.testing.assert_array_equal(fill_up(choice, keeps_request, 3, is_allowed), [2, 0, 3])
    np.testing.assert_array_equal(fill_up(choice, keeps_request, 4, is_allowed), [2, 0, 3, 1])
    is_allowed[0] = False
    np.testing.assert_array_equal(fill_up(choice, keeps_request, 4, is_allowed), [2, 3, 1])


def test_mask_iou_equals_the_hand_computed_value():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert variations.mask_iou(a, b) == 1
    a[:2], b[1:3] = True, True
    assert variations.mask_iou(a, b) == pytest.approx(4 / 12)


@pytest.mark.parametrize(("label", "expected"), [(0, [True, False, False]), (-1, [False] * 3)])
def test_a_category_that_is_not_recognised_is_not_kept(label, expected):
    """Neither that of the photo nor that of a variation: both may be of something else."""
    images = np.full((3, 16, 16, 3), 255, np.uint8)
    inverter = SimpleNamespace(
        reads_categories=True, read_conditions=lambda x: {"label": np.array([0, 1, -1])}
    )
    keeps = variations._keeps_request(inverter, images[0], images, ["category"], label)
    np.testing.assert_array_equal(keeps, expected)
    inverter.reads_categories = False  # a run without categories has none to lose
    assert variations._keeps_request(inverter, images[0], images, ["category"], label).all()


def test_a_smear_in_the_place_of_a_product_is_a_misfit():
    photo = make_disc_photo(64, 64, (190, 40, 40))
    smear = np.broadcast_to(photo.mean(axis=(0, 1)), photo.shape).astype(np.uint8)
    inversion = SimpleNamespace(
        images=np.stack([photo, photo]),
        reconstruction=np.stack([photo, smear]),
        psnr=np.array([60.0, 11.0]),
    )
    fit, misfit = inversion_calibration.describe_misfits(inversion)
    assert fit == "" and "does not give this photo back (PSNR 11.0 dB" in misfit


def test_a_photo_that_is_given_back_worse_than_held_out_images_is_a_misfit():
    photos = np.stack([make_disc_photo(64, 64, (190, 40, 40))] * 2)
    inversion = SimpleNamespace(
        images=photos, reconstruction=photos, psnr=np.full(2, 30.0),
        perceptual_distance=np.array([0.05, 0.5]),
    )  # fmt: skip
    calibration = inversion_calibration.InversionCalibration(
        np.linspace(0.01, 0.1, 64), np.zeros((8, 4))
    )
    fit, misfit = inversion_calibration.describe_misfits(inversion, calibration)
    assert fit == "" and "own held-out images back better than this photo (p 0.02)" in misfit
    assert inversion_calibration.describe_misfits(inversion) == ["", ""]


def test_a_reconstruction_without_a_quarter_of_the_edges_is_a_smear():
    assert inversion_calibration.resembles_photo(21.0, 0.26, 5.0)
    assert not inversion_calibration.resembles_photo(21.0, 0.24, 5.0)


def test_the_measures_of_a_photo_out_of_distribution_are_plain_values(monkeypatch):
    """They go into manifest.json, which takes no NumPy booleans."""
    calibration = inversion_calibration.InversionCalibration(
        np.linspace(0.01, 0.1, 64), np.random.default_rng(0).normal(size=(8, 4))
    )
    monkeypatch.setattr(inversion_calibration, "load_or_measure", lambda inverter: calibration)
    photo = make_disc_photo(64, 64, (190, 40, 40))[None]
    inversion = SimpleNamespace(
        images=photo, reconstruction=photo, psnr=np.array([40.0]), initial_psnr=np.array([39.0]),
        perceptual_distance=np.array([0.5]),
    )  # fmt: skip
    inverter = SimpleNamespace(extract_features=lambda images: np.ones((len(images), 4)))
    rows = inversion_calibration.measure_inversions(inverter, inversion)
    values = json.loads(json.dumps(rows))[0]
    assert values["in_distribution"] is False and values["resembles_photo"] is True
