"""The home network: trained once for a data set, kept with its hash, worth its features."""

import types

import numpy as np
import pytest

from prodgen.evaluation import classifier
from prodgen.steps import gan, vae
from tests.tiny import tiny
from tests.tiny_gan import tiny_gan


def nothing(text):
    pass


def test_it_learns_the_categories_and_is_kept(store):
    data = tiny().data
    params, record = classifier.load_or_train(store, data, nothing)
    assert record["accuracy"] >= 0.8  # discs and squares, ten of them held back
    assert record["data"] == store.digest() and record["seed"] == 0
    said = []
    again, same = classifier.load_or_train(store, data, said.append)
    assert same == record and not said  # loaded, not trained
    for a, b in zip(_leaves(params), _leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def brief(monkeypatch):
    """A few steps of training: enough to tell networks apart."""
    monkeypatch.setattr(classifier, "MIN_STEPS", 5)
    monkeypatch.setattr(classifier, "MAX_STEPS", 5)
    monkeypatch.setattr(classifier, "TRAINING_VERSION", "brief")


def test_a_damaged_one_is_trained_anew_and_comes_out_the_same(store, brief):
    _, record = classifier.load_or_train(store, tiny().data, nothing)
    (path,) = store.path.parent.glob(f"classifierbrief-{store.digest()}-0.msgpack")
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    said = []
    _, after = classifier.load_or_train(store, tiny().data, said.append)
    assert after == record and "damaged" in said[0]


def test_another_seed_is_another_network(store, brief):
    here, there = (
        classifier.load_or_train(store, tiny().data, nothing, seed)[1] for seed in (0, 1)
    )
    assert here["sha256"] != there["sha256"]


def test_only_families_that_ask_for_it_get_it(store):
    assert classifier.load_frozen_networks(vae, tiny(), store, nothing) == ({}, {})
    found, records = classifier.load_frozen_networks(gan, tiny_gan(), store, nothing)
    assert set(found) == set(records) == {"classifier"}


def test_a_run_keeps_its_own_and_goes_on_with_it(store, tmp_path, brief):
    params, record = classifier.load_frozen_networks(gan, tiny_gan(), store, nothing, tmp_path)
    (cached,) = store.path.parent.glob(f"classifierbrief-{store.digest()}-0.msgpack")
    content = cached.read_bytes()
    cached.unlink()  # the cache is safe to delete
    said = []
    again, same = classifier.load_frozen_networks(gan, tiny_gan(), store, said.append, tmp_path)
    assert same == record and not said
    for a, b in zip(_leaves(params), _leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    cached.write_bytes(content)


def test_unknown_labels_and_attributes_count_nothing():
    from tests.tiny import spec_of

    spec = spec_of()
    outputs = np.random.default_rng(0).normal(size=(3, len(spec.classes) + spec.num_columns))
    outputs = outputs.astype(np.float32)
    batch = {
        "label": np.int32([-1, 0, 1]),
        "attributes": np.zeros((3, spec.num_columns), np.float32),
        "known": np.zeros((3, spec.num_columns), bool),
    }
    found = np.asarray(classifier.loss(outputs, batch, spec))
    entropy = np.log(np.exp(outputs[:, :2]).sum(1)) - outputs[np.arange(3), [0, 0, 1]]
    np.testing.assert_allclose(found, [0, entropy[1], entropy[2]], rtol=1e-5)
    batch["known"][0] = True  # of an unlabelled picture the attributes count, a fifth as much
    assert np.asarray(classifier.loss(outputs, batch, spec))[0] > 0


def test_data_without_labels_borrow_the_catalogues(store, monkeypatch):
    """What is asked of the catalogue: the same shape of pictures."""
    asked = []

    def prepared(data, say):
        asked.append((data.source, data.resolution, data.channels))
        return store

    monkeypatch.setattr(classifier.prepare, "open_or_prepare", prepared)
    bare = types.SimpleNamespace(spec=store.spec.__class__(16, 3, ("only one",)))
    _, record = classifier.load_or_train(bare, tiny().data, nothing)
    assert asked == [("catalogue", 16, 3)] and record["data"] == store.digest()


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)
