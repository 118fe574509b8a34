"""Samples for a person: by preference, diverse, the same for the same seed."""

import jax
import numpy as np
import pytest

import prodgen.model
from prodgen.editing import personaliser
from prodgen.editing.personaliser import Personaliser, mean_distance, pick_diverse
from prodgen.evaluation.classifier import save_to_run
from prodgen.models import classifier
from tests.tiny import tiny, trained_vae, write_run


@pytest.fixture(scope="module")
def maker(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    config = tiny(optim__lr=1e-2, train__num_steps=60)
    write_run(path, store, config, trained_vae(store, config, 60), 60)
    model = prodgen.model.load(path)
    model.store = lambda: store  # the squares have no config to be prepared from
    net = classifier.build(store.spec)  # untrained: random features are features too
    params = net.init(jax.random.key(0), classifier.dummy_image(store.spec))["params"]
    save_to_run(path, jax.device_get(params), {"sha256": ""})
    return Personaliser(model.inverter, lambda text: None)


@pytest.fixture(scope="module")
def red_rows(maker, store):
    """Features of twelve red products."""
    ids = np.flatnonzero(store.attributes[:, 1] == 1)[:12]
    batch = store.fetch(ids)
    return maker.rows(batch["image"], batch)


def red_share(result):
    return float(np.mean(result.samples.conditions["attributes"][:, 1]))


def test_no_history_gives_unconditional_samples(maker, red_rows):
    result = maker(red_rows[:0], np.zeros(0), 12, exploration=1.0)
    np.testing.assert_array_equal(result.samples.images, maker.model.sample(12, maker.seed))
    assert not result.utility.any() and result.posterior.num_interactions == 0


def test_more_samples_than_unconditional_candidates_can_be_drawn(maker, red_rows):
    n = personaliser.NUM_UNCONDITIONAL + 40
    result = maker(red_rows[:0], np.zeros(0), n)
    unconditional = maker.model.sample(n, maker.seed)
    np.testing.assert_array_equal(result.samples.images, unconditional)


def test_red_products_bought_give_more_red_and_returned_ones_less(maker, red_rows):
    usual = np.mean(maker.unconditional.conditions["attributes"][:, 1])
    after_purchases = maker(red_rows, np.ones(12), 24, exploration=0.0, min_diversity=0.0)
    after_returns = maker(red_rows, -np.ones(12), 24, exploration=0.0, min_diversity=0.0)
    assert red_share(after_purchases) > usual + 0.25 and red_share(after_returns) < usual - 0.25
    # What is not red is liked by the person who returns red products.
    assert after_purchases.utility.mean() > 0.2 and after_returns.utility.mean() > 0.2


def test_the_same_seed_gives_the_same_samples(maker, red_rows):
    one, two = (maker(red_rows, np.ones(12), 8) for _ in range(2))
    np.testing.assert_array_equal(one.samples.images, two.samples.images)
    np.testing.assert_array_equal(one.samples.z, two.samples.z)
    other = Personaliser(maker.inverter, lambda text: None, 5)(red_rows, np.ones(12), 8)
    assert (other.samples.z != one.samples.z).any()


def test_samples_reach_the_least_diversity(maker, red_rows):
    alike = maker(red_rows, 3 * np.ones(12), 16, exploration=0.0, min_diversity=0.0)
    for least in (0.85, 1.0):
        result = maker(red_rows, 3 * np.ones(12), 16, exploration=0.0, min_diversity=least)
        assert result.diversity >= least
        distance = mean_distance(result.samples.features)
        assert result.diversity == pytest.approx(distance / maker.unit_distance)
    assert alike.diversity < 1.0


def test_picks_are_the_best_that_are_diverse_enough():
    features = np.array([[0.0], [0.01], [0.02], [5.0], [9.0]])
    score = np.repeat(np.array([[3.0, 2.9, 2.8, 1.0, -10.0]]), 3, axis=0)
    np.testing.assert_array_equal(pick_diverse(score, features, 1.0, 0.0), [0, 1, 2])
    diverse = pick_diverse(score, features, 1.0, 3.0)
    assert set(diverse) == {0, 1, 3} and mean_distance(features[diverse]) >= 3.0
    impossible = pick_diverse(score, features, 1.0, 1e9)  # as diverse as the candidates can be
    assert len(set(impossible)) == 3


def test_the_mean_distance_is_that_of_all_pairs():
    rows = np.random.default_rng(0).standard_normal((6, 3))
    distances = [np.linalg.norm(rows[i] - rows[j]) for i in range(6) for j in range(i)]
    assert mean_distance(rows) == pytest.approx(np.mean(distances))
    assert mean_distance(rows[:1]) == 0.0
