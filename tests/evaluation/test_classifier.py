"""The reference classifier: trained once for a data set, kept with its hash."""

import re
import types

import numpy as np
import pytest

from prodgen.evaluation import classifier
from prodgen.steps import gan, vae
from tests.tiny import tiny
from tests.tiny_gan import tiny_gan


def discard(text):
    """No progress."""


def test_training_learns_the_categories_and_keeps_the_weights(store):
    data = tiny().data
    params, record = classifier.load_or_train(store, data, discard)
    assert record["accuracy"] >= 0.8  # discs and squares, ten of them held out
    assert record["data"] == store.digest() and record["seed"] == 0
    messages = []
    again, same = classifier.load_or_train(store, data, messages.append)
    assert same == record and not messages  # loaded, not trained
    for a, b in zip(_leaves(params), _leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def short_training(monkeypatch):
    """A few steps of training: enough for weights that differ."""
    monkeypatch.setattr(classifier, "MIN_STEPS", 5)
    monkeypatch.setattr(classifier, "MAX_STEPS", 5)
    monkeypatch.setattr(classifier, "TRAINING_VERSION", "brief")


def test_a_damaged_file_is_trained_again_to_the_same_weights(store, short_training):
    _, record = classifier.load_or_train(store, tiny().data, discard)
    (path,) = store.path.parent.glob(f"classifierbrief-{store.digest()}-0.msgpack")
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    messages = []
    _, after = classifier.load_or_train(store, tiny().data, messages.append)
    assert after == record and "damaged" in messages[0]
    assert re.match("training the reference classifier, 5 steps, about 0:0", messages[-1])


def test_another_seed_gives_another_classifier(store, short_training):
    here, there = (
        classifier.load_or_train(store, tiny().data, discard, seed)[1] for seed in (0, 1)
    )
    assert here["sha256"] != there["sha256"]


def test_only_families_that_use_the_classifier_load_it(store):
    assert classifier.load_frozen_networks(vae, tiny(), store, discard) == ({}, {})
    networks, records = classifier.load_frozen_networks(gan, tiny_gan(), store, discard)
    assert set(networks) == set(records) == {"classifier"}


def test_a_run_keeps_its_classifier_and_continues_with_it(store, tmp_path, short_training):
    params, record = classifier.load_frozen_networks(gan, tiny_gan(), store, discard, tmp_path)
    (cache_file,) = store.path.parent.glob(f"classifierbrief-{store.digest()}-0.msgpack")
    content = cache_file.read_bytes()
    cache_file.unlink()  # the cache is safe to delete
    messages = []
    again, same = classifier.load_frozen_networks(gan, tiny_gan(), store, messages.append, tmp_path)
    assert same == record and not messages
    for a, b in zip(_leaves(params), _leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    cache_file.write_bytes(content)


def test_unknown_labels_and_attributes_add_no_loss():
    from tests.tiny import spec_of

    spec = spec_of()
    outputs = np.random.default_rng(0).normal(size=(3, len(spec.classes) + spec.num_columns))
    outputs = outputs.astype(np.float32)
    batch = {
        "label": np.int32([-1, 0, 1]),
        "attributes": np.zeros((3, spec.num_columns), np.float32),
        "known": np.zeros((3, spec.num_columns), bool),
    }
    losses = np.asarray(classifier.loss(outputs, batch, spec))
    entropy = np.log(np.exp(outputs[:, :2]).sum(1)) - outputs[np.arange(3), [0, 0, 1]]
    np.testing.assert_allclose(losses, [0, entropy[1], entropy[2]], rtol=1e-5)
    batch["known"][0] = True  # the attributes of an unlabelled image add to the loss
    assert np.asarray(classifier.loss(outputs, batch, spec))[0] > 0


def test_data_without_labels_take_the_catalogues_classifier(store, monkeypatch, tmp_path):
    """The catalogue is prepared with images of the same shape."""
    calls = []

    def open_catalogue(data, say):
        calls.append((data.source, data.resolution, data.channels))
        return store

    monkeypatch.setattr(classifier.prepare, "open_or_prepare", open_catalogue)
    unlabelled_store = types.SimpleNamespace(spec=store.spec.__class__(16, 3, ("only one",)))
    messages = []
    data = tiny(data__cache_dir=str(tmp_path)).data
    _, record = classifier.load_or_train(unlabelled_store, data, messages.append)
    assert re.search("4,096 images are rendered and a network is .*about \\d+:", messages[1])
    assert calls == [("catalogue", 16, 3)] and record["data"] == store.digest()


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)
