"""From a source to a store: pixels, splits, standardised numbers, and interrupted builds."""

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import BadData, RejectedItem, StorageError
from prodgen.core.types import Attribute
from prodgen.data import chunks, fit, folder, prepare
from prodgen.data.source import Item
from prodgen.data.store import Store

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data"


@dataclasses.dataclass
class ListSource:
    """A source of a list of items."""

    items: list
    names: tuple = ()
    attributes: tuple = ()
    parallel: bool = True
    is_composited: bool = False

    def __len__(self):
        return len(self.items)

    def classes(self):
        return self.names

    def schema(self):
        return self.attributes

    def content(self):
        total = hashlib.sha256()
        for item in self.items:
            total.update(repr((item.name, item.category, item.split, item.attributes)).encode())
            total.update(b"" if isinstance(item.image, RejectedItem) else item.image.tobytes())
        return {"listed": total.hexdigest()}

    def stream(self, start, stop):
        yield from self.items[start:stop]


def make_source(images, **fields):
    return ListSource([Item(f"p{n:05d}", image) for n, image in enumerate(images)], **fields)


def make_noise(count, side=16, seed=0):
    return list(np.random.default_rng(seed).integers(0, 255, (count, side, side, 3), np.uint8))


def read_files(path):
    return {file.name: file.read_bytes() for file in sorted(Path(path).iterdir())}


# --- whole stores ----------------------------------------------------------------------------


def test_a_store_holds_each_image_fitted(data, draw, tmp_path):
    images = [draw(n, side=20 + n) for n in range(30)]
    source = make_source(images)
    source.items[7] = Item("bad", RejectedItem("broken: for the test"))
    store = prepare.open_or_prepare(data, source=source)
    assert store.size == 29 and store.counts["refused"] == 1
    expected_images = [fit.fit_image(image, 16).pixels for n, image in enumerate(images) if n != 7]
    np.testing.assert_array_equal(store.fetch(np.arange(29))["image"], expected_images)
    assert store.names([6, 7]) == ["p00006", "p00008"]
    assert sum(store.counts[name] for name in ("train", "validation", "test")) == 29
    assert min(len(store.ids(name)) for name in ("train", "validation", "test")) >= 1
    np.testing.assert_array_equal(store.background, (255, 255, 255))
    store.copy_report(tmp_path)
    assert "broken: for the test" in (tmp_path / "data_report.html").read_text()
    assert prepare.open_or_prepare(data, source=source).path == store.path


def test_exact_copies_share_a_split(data):
    images = make_noise(60)
    store = prepare.open_or_prepare(data, source=make_source(images + images[:30]))
    np.testing.assert_array_equal(store.split[60:], store.split[:30])
    np.testing.assert_array_equal(store.hash[60:], store.hash[:30])


def test_left_out_images_are_not_stored(data):
    images = make_noise(30)
    items = [Item(f"a{n}", image, split="train") for n, image in enumerate(images[:24])]
    items += [Item(f"b{n}", image, split="test") for n, image in enumerate(images[20:])]
    store = prepare.open_or_prepare(data, source=ListSource(items))
    assert store.counts["test"] == 10 and store.counts["left_out"] == 4
    assert store.size == 30
    assert not {"a20", "a21", "a22", "a23"} & set(store.names(np.arange(30)))
    np.testing.assert_array_equal(store.fetch(store.ids("test"))["image"], images[20:])


def test_the_number_of_channels_follows_the_images_or_the_config(data):
    grey_images = [image[..., :1] for image in make_noise(12)]
    assert prepare.open_or_prepare(data, source=make_source(grey_images)).spec.channels == 1
    mixed_store = prepare.open_or_prepare(
        data, source=make_source(grey_images + make_noise(1, seed=5))
    )
    assert mixed_store.spec.channels == 3
    np.testing.assert_array_equal(mixed_store.fetch([3])["image"][0], grey_images[3].repeat(3, 2))
    data.channels = 1
    colour_images = make_noise(12, seed=5)
    grey_store = prepare.open_or_prepare(data, source=make_source(colour_images))
    np.testing.assert_array_equal(
        grey_store.fetch([3])["image"][0], fit.set_channels(colour_images[3], 1)
    )
    data.channels = 3
    assert prepare.open_or_prepare(data, source=make_source(grey_images)).fetch([0])[
        "image"
    ].shape == (
        1,
        16,
        16,
        3,
    )


def test_masks_only_where_there_is_alpha(data):
    assert prepare.open_or_prepare(data, source=make_source(make_noise(12))).masks([0]) is None
    transparent_image = np.zeros((16, 16, 4), np.uint8)
    store = prepare.open_or_prepare(data, source=make_source([*make_noise(12), transparent_image]))
    assert store.masks([12, 0])[0].max() == 0 and store.masks([12, 0])[1].min() == 255


def test_numbers_are_standardised_on_the_training_split(data):
    schema = (
        Attribute("height", "number"), Attribute("same", "number"), Attribute("hue", "angle"),
        Attribute("material", "categorical", ("felt", "wood")),
    )  # fmt: skip
    source = make_source(make_noise(50), attributes=schema, names=("bag", "shoe"))
    for n, item in enumerate(source.items):
        item.category = None if n == 4 else ("bag", "shoe")[n % 2]
        item.attributes = {"height": n * 2.0, "same": 7.0, "hue": 90.0, "material": "wood"}
    source.items[3].attributes = {"height": None, "material": "glass", "same": "much"}
    store = prepare.open_or_prepare(data, source=source)
    height, same, *_ = store.spec.attributes
    train = store.ids("train")
    rows = store.fetch(train[train != 3])
    np.testing.assert_allclose(rows["attributes"][:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(rows["attributes"][:, 0].std(), 1, atol=1e-5)
    assert (same.mean, same.std) == (7.0, 1.0)
    assert height.decode(store.fetch([10])["attributes"][0, :1]) == pytest.approx(20.0, abs=1e-4)
    np.testing.assert_allclose(store.fetch([0])["attributes"][0, 1:], [0, 1, 0, 0, 1], atol=1e-6)
    missing = store.fetch([3])
    assert not missing["known"].any() and not missing["attributes"].any()
    assert store.fetch([4, 5])["label"].tolist() == [-1, 1]


def test_too_few_images_are_bad_data_with_counts_and_reasons(data):
    with pytest.raises(BadData, match="0 usable images of 0"):
        prepare.open_or_prepare(data, source=make_source([]))
    bad = [
        Item("x.png", RejectedItem("truncated: early")),
        Item("y.png", RejectedItem("broken: late")),
    ]
    with pytest.raises(BadData, match="0 usable images of 2.*1 truncated.*'x.png': truncated"):
        prepare.open_or_prepare(data, source=ListSource(bad))
    with pytest.raises(BadData, match="1 usable images of 1, at least 2"):
        prepare.open_or_prepare(data, source=make_source(make_noise(1)))
    assert prepare.open_or_prepare(data, source=make_source(make_noise(2))).counts["train"] == 2


def test_the_key_depends_on_options_and_content(data):
    source = make_source(make_noise(12))
    keys = {prepare.compute_key(source, data)}
    for name, value in (("resolution", 32), ("fit", "crop"), ("test", 0.2), ("channels", 1)):
        changed_data = data.copy_and_resolve_references()
        changed_data[name] = value
        keys.add(prepare.compute_key(source, changed_data))
    keys.add(prepare.compute_key(make_source(make_noise(13)), data))
    assert len(keys) == 6
    data.workers, data.cache_dir = 2, "/elsewhere"
    assert prepare.compute_key(source, data) in keys


def test_a_cache_that_cannot_be_written_is_a_storage_error(data, tmp_path):
    (tmp_path / "file").touch()
    data.cache_dir = str(tmp_path / "file")
    with pytest.raises(StorageError, match="config.data.cache_dir|cannot be prepared"):
        prepare.open_or_prepare(data, source=make_source(make_noise(12)))


def test_progress_is_reported(data):
    lines = []
    prepare.open_or_prepare(data, lines.append, make_source(make_noise(12)))
    assert any("12/12 images" in text for text in lines)


# --- splits by product -----------------------------------------------------------------------


def make_product_source(draw, products=30, views=3, names=()):
    """Products of several views; the last product's first view nearly repeats the first one's."""
    items = []
    for number in range(products):
        for view in range(views):
            image = draw(views * number + view)
            if (number, view) == (products - 1, 0):
                image = (draw(0).astype(int) - 2).clip(0, 255).astype(np.uint8)
            items.append(Item(f"{number}/{view}.jpg", image, group=f"sku{number}"))
    return ListSource(items, names)


def test_a_table_is_split_by_product_and_the_catalogue_by_image(data, draw):
    source = make_product_source(draw)
    by_image = prepare.open_or_prepare(data, source=source)
    assert data.source == "catalogue" and "split_by" not in by_image.meta
    data.source = "table"
    by_product = prepare.open_or_prepare(data, source=source)
    assert by_product.meta["split_by"] == "product" and by_product.key != by_image.key
    split = by_product.split.reshape(30, 3)
    assert (split == split[:, :1]).all() and split[0, 0] == split[29, 0]
    assert (np.bincount(by_product.split, minlength=3) >= 6).all()
    assert not (by_image.split.reshape(30, 3) == by_image.split.reshape(30, 3)[:, :1]).all()
    # The older behaviour gives the older store, byte for byte.
    data.split_by = "image"
    assert prepare.compute_key(source, data) == by_image.key
    again = prepare.open_or_prepare(data, source=source)
    assert read_files(again.path)["table.npz"] == read_files(by_image.path)["table.npz"]
    assert again.meta == by_image.meta


def test_official_splits_are_not_changed_by_products(data, draw):
    source = make_product_source(draw)
    for row, item in enumerate(source.items):
        item.split = "test" if row % 3 == 2 and row < 30 else "train"
    data.source = "table"
    store = prepare.open_or_prepare(data, source=source)
    assert "split_by" not in store.meta
    assert store.ids("test").tolist() == list(range(2, 30, 3))
    rest = np.delete(store.split, store.ids("test"))
    # Validation is drawn from the official training images, by product.
    assert (rest == 1).sum() in (6, 8, 9)
    assert (store.split[30:].reshape(20, 3) == store.split[30:].reshape(20, 3)[:, :1]).all()


# --- processes -------------------------------------------------------------------------------


def make_folder(fill, tmp_path, count=150):
    root = fill(tmp_path / "shop" / "shoes", count)
    fill(tmp_path / "shop" / "bags", 20, start=count)
    (root / "bad.jpg").write_text("<html>")
    return folder.Folder(tmp_path / "shop", 10**7)


def test_the_number_of_workers_changes_no_byte(data, fill, tmp_path):
    source = make_folder(fill, tmp_path)
    alone = prepare.open_or_prepare(data, source=source)
    data.workers, data.cache_dir = 2, str(tmp_path / "other")
    pair = prepare.open_or_prepare(data, source=source)
    assert read_files(alone.path) == read_files(pair.path)
    assert alone.spec.classes == ("bags", "shoes") and alone.counts["refused"] == 1


class KillingSource(ListSource):
    """Kills the worker process that decodes item 70, as a fault in a decoder would."""

    parent_pid = 0

    def stream(self, start, stop):
        for number in range(start, stop):
            if number == 70 and os.getpid() != self.parent_pid:
                os.kill(os.getpid(), signal.SIGKILL)
            yield self.items[number]


def test_an_image_that_kills_its_process_is_refused(data, monkeypatch):
    data.workers = 2
    source = KillingSource(make_source(make_noise(80)).items)
    source.parent_pid = os.getpid()
    monkeypatch.setattr(chunks, "plan", lambda count, path: [
        chunks.Job(0, 66, path / "chunk-0.npz"), chunks.Job(66, 72, path / "chunk-1.npz"),
        chunks.Job(72, 80, path / "chunk-2.npz"),
    ])  # fmt: skip
    store = prepare.open_or_prepare(data, source=source)
    assert store.size == 79 and store.counts["refused"] == 1
    assert "the decoder crashed" in (store.path / "data_report.json").read_text()


BUILD = """
    import sys, time
    sys.path.insert(0, {root!r})
    from configs import base
    from prodgen.core import decode
    from prodgen.data import prepare
    slow = decode.decode_file
    def decode_slowly(*arguments):
        time.sleep({pause})
        return slow(*arguments)
    decode.decode_file = decode_slowly
    data = base.get_config().data
    data.source, data.path, data.cache_dir = "folder", {path!r}, {cache!r}
    data.resolution, data.workers = 16, 1
    prepare.open_or_prepare(data, lambda text: print(text, flush=True))
"""


def start(path, cache, pause):
    script = BUILD.format(root=str(ROOT), path=str(path), cache=str(cache), pause=pause)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_build_continues_to_the_same_bytes(data, fill, tmp_path):
    source = make_folder(fill, tmp_path)
    data.source, data.path = "folder", str(tmp_path / "shop")
    expected_store = prepare.open_or_prepare(data)
    cache = tmp_path / "killed"
    process = start(data.path, cache, 0.004)
    while not list(cache.glob("*.building/chunk-*-000001.npz")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not list(cache.glob("folder-*/meta.json"))
    data.cache_dir = str(cache)
    chunk = next(cache.glob("*.building/chunk-*-000000.npz"))
    before = chunk.stat().st_mtime_ns
    next(chunk.parent.glob("chunk-*-000001.npz")).write_bytes(b"truncated")
    written_starts = []
    write_chunk = chunks._write
    chunks._write = lambda job, *rest: (written_starts.append(job.start), write_chunk(job, *rest))
    try:
        store = prepare.open_or_prepare(data)
    finally:
        chunks._write = write_chunk
    assert 0 not in written_starts and 64 in written_starts and before
    assert len(source) == 171 and read_files(store.path) == read_files(expected_store.path)
    assert not list(cache.glob("*.building"))


def test_two_processes_build_a_store_only_once(data, fill, tmp_path):
    make_folder(fill, tmp_path)
    cache = tmp_path / "shared"
    processes = [start(tmp_path / "shop", cache, 0.004) for _ in range(2)]
    lines = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("171/171 images" in text for text in lines) == 1
    assert len(list(cache.glob("folder-*"))) == 1


# --- real images -----------------------------------------------------------------------------


@pytest.mark.slow
def test_real_images(data):
    path = REAL / "clothing-white" / "products.csv"
    if not path.exists():
        pytest.skip("the real images are not available")
    data.source, data.path, data.resolution, data.workers = "table", str(path), 64, 0
    store = prepare.open_or_prepare(data)
    assert store.size == 5067 and store.counts["refused"] == 0
    np.testing.assert_array_equal(store.background, (255, 255, 255))
    assert 0.85 < store.known[:, 0].mean() < 1
    image = Image.open(path.parent / store.names([17])[0]).resize((64, 64), Image.LANCZOS)
    assert np.abs(store.fetch([17])["image"][0].astype(int) - np.asarray(image)).max() <= 8
    assert Store.open(store.path).verify(full=True) is None
