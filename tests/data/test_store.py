"""Reading a store: rows in any order, and errors that name damaged files."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from prodgen.core.errors import BadData, MissingInput, StorageError
from prodgen.data import folder, prepare
from prodgen.data import store as stores
from prodgen.data.store import Store


@pytest.fixture
def store(data, fill, tmp_path, monkeypatch):
    """30 images in 5 shards of 7 rows."""
    monkeypatch.setattr(prepare, "SHARD_BYTES", 7 * 16 * 16 * 3 + 5)
    for number, name in enumerate(("bags", "shoes")):
        fill(tmp_path / "shop" / name, 15, start=100 * number)
    return prepare.open_or_prepare(data, source=folder.Folder(tmp_path / "shop", 10**7))


def test_rows_are_fetched_in_any_order_with_repeats(store):
    assert len(list(store.path.glob("images-*.bin"))) == 5 and store.size == 30
    content = b"".join(path.read_bytes() for path in sorted(store.path.glob("images-*.bin")))
    all_images = np.frombuffer(content, np.uint8).reshape(30, 16, 16, 3)
    rng = np.random.default_rng(0)
    for ids in (np.arange(30), rng.integers(0, 30, 100), [29, 0, 0, 7, 6, 29], [13], []):
        rows = store.fetch(ids)
        np.testing.assert_array_equal(rows["image"], all_images[np.asarray(ids, int)])
        np.testing.assert_array_equal(rows["label"], np.asarray(ids, int) // 15)
        np.testing.assert_array_equal(rows["id"], ids)
        assert rows["image"].dtype == np.uint8 and rows["id"].dtype == np.int32
        assert rows["label"].dtype == np.int32 and rows["known"].dtype == bool
        assert rows["attributes"].shape == (len(ids), 0)
        assert rows["attributes"].dtype == np.float32


def test_splits_are_a_partition(store):
    parts = [store.ids(name) for name in ("train", "validation", "test")]
    assert sorted(np.concatenate(parts).tolist()) == list(range(30))
    assert all(part.dtype == np.int32 for part in parts)
    assert [len(part) for part in parts] == [store.counts[name] for name in stores.SPLITS]


def test_hashes_are_of_the_content(store):
    images = store.fetch(np.arange(30))["image"]
    for image, digest in zip(images, store.hash, strict=True):
        assert stores.hash_content(image) == digest.tobytes()


def test_names_and_reports(store, tmp_path):
    assert store.names([15, 0]) == ["shoes/0100.png", "bags/0000.png"]
    assert store.captions([0]) == [""]
    store.copy_report(tmp_path)
    assert json.loads((tmp_path / "data_report.json").read_text())["counts"] == store.counts
    with pytest.raises(StorageError):
        store.copy_report(tmp_path / "nowhere")


def test_ids_out_of_range_are_an_error(store):
    for ids in ([30], [-1]):
        with pytest.raises(IndexError, match="store of 30"):
            store.fetch(ids)


def test_a_pickled_store_opens_again(store):
    again = pickle.loads(pickle.dumps(store))
    assert again.key == store.key and again.spec == store.spec
    store.verify(full=True)


@pytest.mark.parametrize("name", ["images-00002.bin", "table.npz", "items.jsonl"])
@pytest.mark.parametrize("damage", ["shorter", "longer", "absent"])
def test_opening_names_a_damaged_file(store, name, damage):
    path = store.path / name
    content = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(content[:-1] if damage == "shorter" else content + b"\0")
    with pytest.raises(BadData, match=name) as error_info:
        Store.open(store.path)
    assert str(store.path) in error_info.value.next_step


@pytest.mark.parametrize("name", ["images-00002.bin", "table.npz", "items.jsonl", "meta.json"])
def test_a_changed_byte_is_detected(store, name):
    path = store.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadData, match=name):
        Store.open(store.path).verify(full=True)


def test_an_edit_of_the_metadata_is_detected(store):
    path = store.path / "meta.json"
    path.write_text(path.read_text().replace('"refused": 0', '"refused": 1'))
    with pytest.raises(BadData, match="meta.json"):
        Store.open(store.path)


def test_a_shard_truncated_during_a_run_is_an_error_not_a_crash(store):
    path = store.path / "images-00001.bin"
    with open(path, "r+b") as file:
        file.truncate(100)
    store.fetch([0, 29])
    with pytest.raises(StorageError, match="images-00001.bin"):
        store.fetch([0, 8])
    path.unlink()
    with pytest.raises(StorageError, match="images-00001.bin"):
        store.fetch([8])


def test_a_missing_store_is_refused(tmp_path):
    with pytest.raises(MissingInput):
        Store.open(tmp_path)


def test_reading_needs_numpy_alone():
    code = "import sys, prodgen.data.store; print([m for m in ('PIL', 'jax', 'tensorflow') "
    code += "if m in sys.modules])"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


def test_spaced_ids_of_a_split_are_evenly_spaced(store):
    ids = store.ids("train")
    spaced_ids = store.evenly_spaced_ids("train", 5)
    assert len(spaced_ids) == 5 and spaced_ids[0] == ids[0] and spaced_ids[-1] == ids[-1]
    assert np.ptp(np.diff(np.searchsorted(ids, spaced_ids))) <= 1
    np.testing.assert_array_equal(store.evenly_spaced_ids("train", 10**6), ids)
