"""Both feeds deliver the bytes that order and store define, from any batch on, for any host."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from prodgen import trainer
from prodgen.core.errors import BadData, StorageError, UsageError
from prodgen.data import prepare, resident, tfdata
from prodgen.parallel import device_mesh
from tests.tiny import ROOT, batch_of, mesh_of, tiny

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed"
)


def take(batches, n):
    return [{name: np.asarray(value) for name, value in next(batches).items()} for _ in range(n)]


def assert_batches_equal(batches, expected_batches):
    assert len(batches) == len(expected_batches)
    for a, b in zip(batches, expected_batches, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype, name
            np.testing.assert_array_equal(a[name], b[name], name)


@needs_tensorflow
def test_a_store_that_has_changed_ends_tfdata_with_the_name_of_its_file(store, monkeypatch):
    def fail(ids):
        raise StorageError("images-00000.bin is damaged")

    monkeypatch.setattr(store, "fetch", fail)
    batches = tfdata.iterate_batches(store, 5, 16, np.arange(16, dtype=np.int32), 0)
    with pytest.raises(StorageError, match=r"images-00000\.bin is damaged"):
        next(batches)


@needs_tensorflow
@pytest.mark.parametrize("start", [0, 7])
def test_tfdata_and_resident_are_bit_identical_to_the_definition(store, start):
    config = tiny(seed=5)
    expected_batches = [
        batch_of(store, config, t) for t in range(start, start + 9)
    ]  # over an epoch's end
    assert_batches_equal(
        take(tfdata.iterate_batches(store, 5, 16, np.arange(16, dtype=np.int32), start), 9),
        expected_batches,
    )
    for devices in (1, 8):
        mesh = mesh_of(config, devices)
        replicated_sharding, batch_sharding = (
            device_mesh.replicated_sharding(mesh),
            device_mesh.batch_sharding(mesh),
        )
        assert_batches_equal(
            take(
                resident.iterate_batches(store, 5, 16, start, replicated_sharding, batch_sharding),
                9,
            ),
            expected_batches,
        )


@needs_tensorflow
def test_two_hosts_together_get_the_batch_of_one_host(store):
    all_slots = np.arange(16, dtype=np.int32)
    one_host = take(tfdata.iterate_batches(store, 0, 16, all_slots, 3), 3)
    halves = [take(tfdata.iterate_batches(store, 0, 16, all_slots[i::2], 3), 3) for i in range(2)]
    for t in range(3):
        for name in one_host[t]:
            batch = np.empty_like(one_host[t][name])
            batch[0::2], batch[1::2] = halves[0][t][name], halves[1][t][name]
            np.testing.assert_array_equal(batch, one_host[t][name])


def test_a_set_smaller_than_a_batch_is_refused(store):
    mesh = mesh_of(tiny(), 1)
    replicated_sharding, batch_sharding = (
        device_mesh.replicated_sharding(mesh),
        device_mesh.batch_sharding(mesh),
    )
    with pytest.raises(BadData, match="fewer than config.train.batch_size=512"):
        next(tfdata.iterate_batches(store, 0, 512, np.arange(512, dtype=np.int32), 0))
    with pytest.raises(BadData, match="fewer than config.train.batch_size=512"):
        next(resident.iterate_batches(store, 0, 512, 0, replicated_sharding, batch_sharding))


def test_the_resident_feed_uses_at_most_a_quarter_of_the_memory(store, monkeypatch):
    mesh = mesh_of(tiny(), 1)
    size = len(store.ids("train")) * 16 * 16 * 3
    monkeypatch.setattr(resident, "_device_memory", lambda mesh: 4 * size)
    assert resident.fits_in_device_memory(store, mesh)
    monkeypatch.setattr(resident, "_device_memory", lambda mesh: 4 * size - 4)
    assert not resident.fits_in_device_memory(store, mesh)


@pytest.fixture
def without_tensorflow(monkeypatch):
    """TensorFlow cannot be imported, and find_spec does not find it."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@needs_tensorflow
def test_auto_chooses_the_resident_feed_where_the_data_fit(store, monkeypatch):
    mesh = mesh_of(tiny(), 1)
    assert resident.choose_feed("auto", store, mesh) == "resident"
    monkeypatch.setattr(resident, "_device_memory", lambda mesh: 1.0)
    assert resident.choose_feed("auto", store, mesh) == "tfdata"
    assert resident.choose_feed("tfdata", store, mesh) == "tfdata"
    assert resident.choose_feed("resident", store, mesh) == "resident"


def test_only_the_tfdata_feed_needs_tensorflow(store, monkeypatch, without_tensorflow):
    mesh = mesh_of(tiny(), 1)
    assert resident.choose_feed("auto", store, mesh) == "resident"
    with pytest.raises(UsageError, match="config.data.feed=tfdata needs TensorFlow") as error_info:
        resident.choose_feed("tfdata", store, mesh)
    assert "pip install tensorflow" in error_info.value.next_step
    monkeypatch.setattr(resident, "_device_memory", lambda mesh: 1.0)
    assert resident.choose_feed("resident", store, mesh) == "resident"
    with pytest.raises(UsageError, match="more than 25% of a device's memory.* not installed"):
        resident.choose_feed("auto", store, mesh)


def test_training_that_needs_tensorflow_is_refused_at_the_start_without_it(
    store, monkeypatch, tmp_path, without_tensorflow
):
    monkeypatch.setattr(prepare, "open_or_prepare", lambda *_: store)
    monkeypatch.setattr(resident, "_device_memory", lambda mesh: 1.0)
    monkeypatch.setattr(trainer, "Trainer", None)  # which is not reached
    with pytest.raises(UsageError) as error_info:
        trainer.train(tiny(), tmp_path / "run")
    assert error_info.value.code == 2
    assert "pip install" in error_info.value.next_step
    assert "config.data.feed=resident" in error_info.value.next_step


def test_the_resident_feed_and_training_never_import_tensorflow():
    code = "import sys, prodgen.trainer, prodgen.data.resident, prodgen.apps.common.runner; " \
           "import prodgen.apps.grid, prodgen.apps.reconstruct; " \
           "sys.exit(any(m.split('.')[0] == 'tensorflow' for m in sys.modules))"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
