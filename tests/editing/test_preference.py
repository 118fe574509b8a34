"""The posterior is the closed form, and its preferences follow the history."""

import json

import numpy as np
import pytest

from prodgen.data.conditions import Conditions
from prodgen.editing import preference
from prodgen.editing.preference import FeatureSpace
from tests.tiny import spec_of


@pytest.fixture
def space(store):
    return FeatureSpace(Conditions.from_store(store), num_image_features=3)


def select_products(store, is_selected):
    """The rows of the store for which is_selected(label, colour is red), as conditions."""
    is_red = store.attributes[:, 1] == 1
    pairs = zip(store.label, is_red, strict=True)
    ids = np.flatnonzero([is_selected(label, red) for label, red in pairs])
    return {"label": store.label[ids], "attributes": store.attributes[ids],
            "known": store.known[ids]}  # fmt: skip


def find_preference(preferences, attribute, value):
    return next(x for x in preferences if (x.attribute, x.value) == (attribute, value))


def test_the_posterior_of_one_product_equals_the_hand_computed_one():
    """f = (1, 2), y = 1, s2 = 0.5: m = f / (s2 + f.f), and C = I - f f^T / (s2 + f.f)."""
    posterior = preference.fit_posterior(np.array([[1.0, 2.0]]), np.array([1.0]), noise=0.5)
    np.testing.assert_allclose(posterior.mean, np.array([1, 2]) / 5.5)
    np.testing.assert_allclose(posterior.covariance, np.eye(2) - np.array([[1, 2], [2, 4]]) / 5.5)
    mean, std = posterior.utility(np.array([[1.0, 2.0], [2.0, -1.0]]))
    np.testing.assert_allclose(mean, [5 / 5.5, 0], atol=1e-12)
    np.testing.assert_allclose(std, np.sqrt([5 - 25 / 5.5, 5]))


def test_the_posterior_of_many_products_equals_the_gaussian_process():
    """The same model as a process over products: k (k + s2 I)^-1 y (Rasmussen & Williams 2.25)."""
    rng = np.random.default_rng(0)
    rows, others = rng.standard_normal((7, 20)), rng.standard_normal((4, 20))
    weights = rng.standard_normal(7)
    gain = others @ rows.T @ np.linalg.inv(rows @ rows.T + 0.3 * np.eye(7))
    mean, std = preference.fit_posterior(rows, weights, noise=0.3).utility(others)
    np.testing.assert_allclose(mean, gain @ weights)
    variance = np.sum(others**2, axis=1) - np.einsum("nk,nk->n", gain, others @ rows.T)
    np.testing.assert_allclose(std, np.sqrt(variance))


def test_without_a_history_the_posterior_is_the_prior():
    posterior = preference.fit_posterior(np.zeros((0, 5)), np.zeros(0))
    assert posterior.num_interactions == 0 and not posterior.mean.any()
    np.testing.assert_array_equal(posterior.covariance, np.eye(5))


def test_an_average_product_has_a_prior_variance_of_one(store, space):
    conditions = Conditions.from_store(store)
    rows = space.rows(conditions)  # image features add their own variance, of mean square norm 1
    assert np.square(rows).sum(1).mean() + space.scale[-1] ** 2 == pytest.approx(1.0)
    np.testing.assert_allclose(rows[:, :4].mean(axis=0), 0, atol=1e-6)  # about the average
    unknown = {"label": np.array([-1]), "attributes": np.zeros((1, 5)), "known": np.zeros((1, 5))}
    assert not space.rows(unknown).any()


def test_buying_red_gives_a_preference_for_red_and_returning_it_the_opposite(store, space):
    rows = space.rows(select_products(store, lambda label, red: red))[:12]
    after_purchases = preference.list_preferences(
        preference.fit_posterior(rows, np.ones(12)), space
    )
    red = find_preference(after_purchases, "colour", "red")
    blue = find_preference(after_purchases, "colour", "blue")
    assert red.strength > 0.2 and red.probability > 0.95 and blue.strength < 0
    assert after_purchases[0].attribute == "colour"  # the most probable comes first
    after_returns = preference.list_preferences(preference.fit_posterior(rows, -np.ones(12)), space)
    opposite = find_preference(after_returns, "colour", "red")
    assert opposite.strength == pytest.approx(-red.strength)


def test_one_interaction_moves_little_and_twenty_much(store, space):
    rows = space.rows(select_products(store, lambda label, red: label == 1))[:20]
    squares = []
    for count in (1, 5, 20):
        posterior = preference.fit_posterior(rows[:count], np.ones(count))
        preferences = preference.list_preferences(posterior, space)
        square = find_preference(preferences, "category", "square")
        squares.append((square.strength, square.std))
    strengths, stds = np.array(squares).T
    assert strengths[0] < 0.5 * strengths[2] and (np.diff(strengths) > 0).all()
    assert (np.diff(stds) < 0).all()


def test_numbers_and_angles_are_put_into_words(store, space):
    conditions = select_products(store, lambda label, red: True)
    smallest = np.argsort(conditions["attributes"][:, 2], kind="stable")[:15]
    rows = space.rows({name: value[smallest] for name, value in conditions.items()})
    preferences = preference.list_preferences(preference.fit_posterior(rows, np.ones(15)), space)
    assert {x.attribute for x in preferences} == {"category", "colour", "radius", "turn"}
    radius = next(x for x in preferences if x.attribute == "radius")
    assert radius.value == "low" and radius.strength > 0
    turns = {x.value for x in preferences if x.attribute == "turn"}
    assert "about 90 degrees" in turns and len(turns) == 8
    assert "radius low: +" in str(radius) and json.dumps(str(radius))


def test_samples_follow_the_posterior_and_without_exploration_are_its_mean():
    rng = np.random.default_rng(0)
    posterior = preference.fit_posterior(rng.standard_normal((3, 4)), np.ones(3))
    samples = posterior.sample(20_000, 1.0, rng)
    np.testing.assert_allclose(samples.mean(0), posterior.mean, atol=0.03)
    np.testing.assert_allclose(np.cov(samples.T), posterior.covariance, atol=0.03)
    means = posterior.sample(5, 0.0, rng)
    np.testing.assert_array_equal(means, np.repeat(posterior.mean[None], 5, axis=0))


def test_a_space_without_conditions_holds_image_features_alone():
    spec = spec_of(conditional=False)
    nothing = Conditions(spec, np.full(4, -1), np.zeros((4, 5)), np.zeros((4, 5), bool))
    space = FeatureSpace(nothing, num_image_features=3)
    rows = space.rows(nothing, np.eye(4, 3))
    np.testing.assert_allclose(rows, np.eye(4, 3))
    assert preference.list_preferences(preference.fit_posterior(rows, np.ones(4)), space) == []
