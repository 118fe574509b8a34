"""Pictures for a person: by taste, diverse, the same for the same seed."""

import jax
import numpy as np
import pytest

import prodgen
from prodgen.editing import personal
from prodgen.editing.personal import Personaliser, mean_distance, picked
from prodgen.evaluation import classifier as home
from prodgen.models import classifier
from tests.tiny import tiny, trained_vae, write_run


@pytest.fixture(scope="module")
def maker(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    config = tiny(optim__lr=1e-2, train__num_steps=60)
    write_run(path, store, config, trained_vae(store, config, 60), 60)
    model = prodgen.load(path)
    model.store = lambda: store  # the squares have no config to be prepared from
    net = classifier.build(store.spec)  # untrained: random features are features too
    params = net.init(jax.random.key(0), classifier.dummy_image(store.spec))["params"]
    home.keep(path, jax.device_get(params), {"sha256": ""})
    return Personaliser(model.inverter, lambda text: None)


@pytest.fixture(scope="module")
def reds(maker, store):
    """Features of twelve red products."""
    ids = np.flatnonzero(store.attributes[:, 1] == 1)[:12]
    batch = store.fetch(ids)
    return maker.rows(batch["image"], batch)


def red_share(found):
    return float(np.mean(found.made.conditions["attributes"][:, 1]))


def test_no_history_gives_what_anybody_gets(maker, reds):
    found = maker(reds[:0], np.zeros(0), 12, exploration=1.0)
    np.testing.assert_array_equal(found.made.pictures, maker.model.sample(12, maker.seed))
    assert not found.utility.any() and found.taste.seen == 0


def test_more_pictures_than_the_pool_holds(maker, reds):
    found = maker(reds[:0], np.zeros(0), personal.POOL + 40)
    plain = maker.model.sample(personal.POOL + 40, maker.seed)
    np.testing.assert_array_equal(found.made.pictures, plain)


def test_red_is_bought_and_sent_back(maker, reds):
    usual = np.mean(maker.plain.conditions["attributes"][:, 1])
    liked = maker(reds, np.ones(12), 24, exploration=0.0, floor=0.0)
    back = maker(reds, -np.ones(12), 24, exploration=0.0, floor=0.0)
    assert red_share(liked) > usual + 0.25 and red_share(back) < usual - 0.25
    assert liked.utility.mean() > 0.2 and back.utility.mean() > 0.2  # what is not red is liked


def test_the_same_seed_gives_the_same_pictures(maker, reds):
    one, two = (maker(reds, np.ones(12), 8) for _ in range(2))
    np.testing.assert_array_equal(one.made.pictures, two.made.pictures)
    np.testing.assert_array_equal(one.made.z, two.made.z)
    other = Personaliser(maker.inverter, lambda text: None, 5)(reds, np.ones(12), 8)
    assert (other.made.z != one.made.z).any()


def test_diversity_keeps_its_floor(maker, reds):
    loose = maker(reds, 3 * np.ones(12), 16, exploration=0.0, floor=0.0)
    for floor in (0.85, 1.0):
        found = maker(reds, 3 * np.ones(12), 16, exploration=0.0, floor=floor)
        assert found.diversity >= floor
        assert found.diversity == pytest.approx(mean_distance(found.made.looks) / maker.unit)
    assert loose.diversity < 1.0


def test_picks_are_the_best_that_are_as_far_apart_as_asked():
    looks = np.array([[0.0], [0.01], [0.02], [5.0], [9.0]])
    score = np.repeat(np.array([[3.0, 2.9, 2.8, 1.0, -10.0]]), 3, axis=0)
    np.testing.assert_array_equal(picked(score, looks, 1.0, 0.0), [0, 1, 2])
    far = picked(score, looks, 1.0, 3.0)
    assert set(far) == {0, 1, 3} and mean_distance(looks[far]) >= 3.0
    assert len(set(picked(score, looks, 1.0, 1e9))) == 3  # out of reach: as far as it goes


def test_the_mean_distance_is_that_of_all_pairs():
    rows = np.random.default_rng(0).standard_normal((6, 3))
    gaps = [np.linalg.norm(rows[i] - rows[j]) for i in range(6) for j in range(i)]
    assert mean_distance(rows) == pytest.approx(np.mean(gaps))
    assert mean_distance(rows[:1]) == 0.0
