"""The posterior is the closed form, and says what the history says."""

import json

import numpy as np
import pytest

from prodgen.data.conditions import Conditions
from prodgen.editing import preference
from prodgen.editing.preference import Space
from tests.tiny import spec_of


@pytest.fixture
def space(store):
    return Space(Conditions.from_store(store), look=3)


def products(store, chosen):
    """The rows of the store for which `chosen(label, colour is red)`, as conditions."""
    red = store.attributes[:, 1] == 1
    ids = np.flatnonzero([chosen(label, r) for label, r in zip(store.label, red, strict=True)])
    return {"label": store.label[ids], "attributes": store.attributes[ids],
            "known": store.known[ids]}  # fmt: skip


def leaning(found, attribute, value):
    return next(x for x in found if (x.attribute, x.value) == (attribute, value))


def test_one_product_by_hand():
    """f = (1, 2), y = 1, s2 = 0.5: m = f / (s2 + f.f), and C = I - f f^T / (s2 + f.f)."""
    found = preference.learn(np.array([[1.0, 2.0]]), np.array([1.0]), noise=0.5)
    np.testing.assert_allclose(found.mean, np.array([1, 2]) / 5.5)
    np.testing.assert_allclose(found.covariance, np.eye(2) - np.array([[1, 2], [2, 4]]) / 5.5)
    mean, deviation = found.utility(np.array([[1.0, 2.0], [2.0, -1.0]]))
    np.testing.assert_allclose(mean, [5 / 5.5, 0], atol=1e-12)
    np.testing.assert_allclose(deviation, np.sqrt([5 - 25 / 5.5, 5]))


def test_many_products_agree_with_the_gaussian_process():
    """The same model as a process over products: k (k + s2 I)^-1 y (Rasmussen & Williams 2.25)."""
    dice = np.random.default_rng(0)
    rows, others = dice.standard_normal((7, 20)), dice.standard_normal((4, 20))
    weights = dice.standard_normal(7)
    gain = others @ rows.T @ np.linalg.inv(rows @ rows.T + 0.3 * np.eye(7))
    mean, deviation = preference.learn(rows, weights, noise=0.3).utility(others)
    np.testing.assert_allclose(mean, gain @ weights)
    variance = np.sum(others**2, axis=1) - np.einsum("nk,nk->n", gain, others @ rows.T)
    np.testing.assert_allclose(deviation, np.sqrt(variance))


def test_without_a_history_there_is_the_prior():
    found = preference.learn(np.zeros((0, 5)), np.zeros(0))
    assert found.seen == 0 and not found.mean.any()
    np.testing.assert_array_equal(found.covariance, np.eye(5))


def test_an_average_product_has_the_prior_variance_of_one(store, space):
    conditions = Conditions.from_store(store)
    told = space.rows(conditions)  # a look adds its own variance, of mean square length 1
    assert np.square(told).sum(1).mean() + space.scale[-1] ** 2 == pytest.approx(1.0)
    np.testing.assert_allclose(told[:, :4].mean(axis=0), 0, atol=1e-6)  # about the average
    nothing = {"label": np.array([-1]), "attributes": np.zeros((1, 5)), "known": np.zeros((1, 5))}
    assert not space.rows(nothing).any()


def test_who_buys_red_leans_to_red_and_who_sends_it_back_away(store, space):
    rows = space.rows(products(store, lambda label, red: red))[:12]
    liked = preference.leanings(preference.learn(rows, np.ones(12)), space)
    red, blue = leaning(liked, "colour", "red"), leaning(liked, "colour", "blue")
    assert red.strength > 0.2 and red.sure > 0.95 and blue.strength < 0
    assert liked[0].attribute == "colour"  # the surest comes first
    back = preference.leanings(preference.learn(rows, -np.ones(12)), space)
    assert leaning(back, "colour", "red").strength == pytest.approx(-red.strength)


def test_one_interaction_moves_little_and_twenty_much(store, space):
    rows = space.rows(products(store, lambda label, red: label == 1))[:20]
    moved = []
    for count in (1, 5, 20):
        learnt = preference.learn(rows[:count], np.ones(count))
        found = leaning(preference.leanings(learnt, space), "category", "square")
        moved.append((found.strength, found.std))
    strengths, deviations = np.array(moved).T
    assert strengths[0] < 0.5 * strengths[2] and (np.diff(strengths) > 0).all()
    assert (np.diff(deviations) < 0).all()


def test_numbers_and_angles_are_put_into_words(store, space):
    conditions = products(store, lambda label, red: True)
    small = np.argsort(conditions["attributes"][:, 2], kind="stable")[:15]
    rows = space.rows({name: value[small] for name, value in conditions.items()})
    found = preference.leanings(preference.learn(rows, np.ones(15)), space)
    assert {x.attribute for x in found} == {"category", "colour", "radius", "turn"}
    radius = next(x for x in found if x.attribute == "radius")
    assert radius.value == "low" and radius.strength > 0
    turns = {x.value for x in found if x.attribute == "turn"}
    assert "about 90 degrees" in turns and len(turns) == 8
    assert "radius low: +" in str(radius) and json.dumps(str(radius))


def test_a_draw_is_the_posterior_and_no_exploration_its_mean():
    dice = np.random.default_rng(0)
    found = preference.learn(dice.standard_normal((3, 4)), np.ones(3))
    draws = found.draw(20_000, 1.0, dice)
    np.testing.assert_allclose(draws.mean(0), found.mean, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), found.covariance, atol=0.03)
    still = found.draw(5, 0.0, dice)
    np.testing.assert_array_equal(still, np.repeat(found.mean[None], 5, axis=0))


def test_a_space_of_looks_alone():
    spec = spec_of(conditional=False)
    nothing = Conditions(spec, np.full(4, -1), np.zeros((4, 5)), np.zeros((4, 5), bool))
    space = Space(nothing, look=3)
    rows = space.rows(nothing, np.eye(4, 3))
    np.testing.assert_allclose(rows, np.eye(4, 3))
    assert preference.leanings(preference.learn(rows, np.ones(4)), space) == []
