"""A folder of images: its classes, ignored and refused files, and changes of its key."""

import os
import pickle
import unicodedata
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from prodgen.core import formats
from prodgen.core.errors import MissingInput, RejectedItem, UsageError
from prodgen.data import folder, folder_tree, prepare
from prodgen.data.layout import Layout
from tests.shared_cases import make_case

MAX_PIXELS = 10_000_000


def read_items(path):
    source = folder.Folder(path, MAX_PIXELS)
    return {item.name: item for item in source.stream(0, len(source))}


def test_flat_folder_has_no_classes(fill, tmp_path):
    source = folder.Folder(fill(tmp_path / "shop", 3), MAX_PIXELS)
    assert len(source) == 3 and source.classes() == () and source.schema() == ()


def test_the_first_folder_level_is_the_class(fill, tmp_path):
    root = tmp_path / "shop"
    fill(root / "shoes" / "red" / "old", 2)
    fill(root / "bags", 1)
    fill(root, 1, start=9)
    items_by_name = read_items(root)
    assert folder.Folder(root, MAX_PIXELS).classes() == ("bags", "shoes")
    assert items_by_name["shoes/red/old/0000.png"].category == "shoes"
    assert items_by_name["bags/0000.png"].category == "bags"
    assert items_by_name["0009.png"].category is None
    assert list(items_by_name) == sorted(items_by_name)
    assert folder.Folder(root, MAX_PIXELS).notes == ("1 image without a category: 0009.png",)


def test_a_single_outer_folder_is_skipped(fill, tmp_path):
    fill(tmp_path / "archive" / "products" / "shoes", 1)
    fill(tmp_path / "archive" / "products" / "bags", 1)
    (tmp_path / "archive" / "LICENSE.txt").write_text("free")
    items_by_name = read_items(tmp_path / "archive")
    assert items_by_name["products/shoes/0000.png"].category == "shoes"
    assert isinstance(items_by_name["LICENSE.txt"].image, RejectedItem)
    fill(tmp_path / "only" / "images", 2)
    assert folder.Folder(tmp_path / "only", MAX_PIXELS).classes() == ()


def test_split_folders_are_official_splits(fill, tmp_path):
    for split in ("train", "test"):
        fill(tmp_path / "set" / split / "shoes", 1)
        fill(tmp_path / "set" / split / "bags", 1)
    items_by_name = read_items(tmp_path / "set")
    assert folder.Folder(tmp_path / "set", MAX_PIXELS).classes() == ("bags", "shoes")
    assert items_by_name["test/shoes/0000.png"].split == "test"
    assert items_by_name["train/bags/0000.png"].split == "train"
    assert items_by_name["train/bags/0000.png"].category == "bags"


def test_files_that_are_no_images_decide_nothing_and_are_named(fill, tmp_path):
    root = tmp_path / "shop"
    for category, split, count in (("hats", "train", 3), ("hats", "test", 2), ("bags", "train", 1)):
        fill(root / split / category, count)
    (root / "LICENSE").write_text("free")
    (root / "preview.jpg").write_text("<html>")
    (root / "docs").mkdir()
    (root / "docs" / "index").write_text("x")
    fill(root / "extra", 1)
    (root / "train" / "hats" / "renamed.txt").write_bytes(
        (root / "extra" / "0000.png").read_bytes()
    )
    source = folder.Folder(root, MAX_PIXELS)
    items = {item.name: item for item in source.stream(0, len(source))}
    assert items["test/hats/0001.png"].split == "test" and source.classes() == ("bags", "hats")
    assert items["train/hats/renamed.txt"].image.shape == (24, 24, 3)
    reasons = {name: str(item.image) for name, item in items.items()
               if isinstance(item.image, RejectedItem)}  # fmt: skip
    assert set(reasons) == {"LICENSE", "preview.jpg", "docs/index", "extra/0000.png"}
    assert "outside the splits" in reasons["extra/0000.png"]
    assert source.notes == (
        "1 image left out, outside the splits: in no folder train or test: extra/ (1)",
    )


def test_how_a_folder_was_read_is_described(fill, tmp_path):
    for name, count in (("train/hats", 3), ("train/bags", 2), ("test/hats", 1), ("extra", 1)):
        fill(tmp_path / "shop" / name, count)
    (tmp_path / "shop" / "LICENSE").write_text("free")
    (tmp_path / "shop" / "bad.png").write_text("<html>")
    description = folder.Folder(tmp_path / "shop", MAX_PIXELS).describe()
    assert description.title == "How the folder was read"
    reason = "not a picture: no JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF or HEIC file"
    assert description.sentences == (
        "shop/ holds 7 images in 4 folders.",
        "Official splits: train/ is train (5 images), test/ is test (1 image).",
        "Validation images are chosen from those of train.",
        "2 categories: bags, hats.",
        "1 image left out (outside the splits: in no folder train or test): extra/ (1).",
        f"1 file refused ({reason}): bad.png.",
        f"1 file left out ({reason}): LICENSE.",
    )
    assert description.tree == (
        "shop/  7 images, 2 other files",
        "  extra/  1 image, left out",
        "  test/  1 image, split test",
        "    hats/  1 image, category",
        "  train/  5 images, split train",
        "    bags/  2 images, category",
        "    hats/  3 images, category",
    )


def test_the_tree_of_many_folders_is_bounded():
    paths = [(f"a{i}", f"b{j}") for i in range(40) for j in range(40)]
    tree = folder_tree.render_tree("shop", Layout(), paths, [])
    assert tree[0] == "shop/  1,600 images" and tree[-1] == "  ... and 28 more folders"
    deep_paths = [("train" if i % 2 else "test", *p) for i, p in enumerate(paths)]
    assert len(folder_tree.render_tree("shop", Layout(split_level=2), deep_paths, [])) == 60


def test_categories_that_are_equal_in_nfc_are_one(fill, tmp_path):
    for start, form in enumerate(("NFC", "NFD")):
        fill(tmp_path / "shop" / unicodedata.normalize(form, "Röcke"), 2, start=2 * start)
    for name in ("Hats", "hats"):
        fill(tmp_path / "shop" / name, 1)
    source = folder.Folder(tmp_path / "shop", MAX_PIXELS)
    assert source.classes() == ("Hats", "R\u00f6cke", "hats")
    categories = [item.category for item in source.stream(0, len(source))]
    assert categories.count("R\u00f6cke") == 4
    assert any("two Unicode forms are one category: R\u00f6cke" in text
               for text in source.describe().sentences)  # fmt: skip
    assert any("Hats, hats differ by case" in note for note in source.notes)


def test_the_store_of_a_folder_without_strays_keeps_its_digest(data, fill, tmp_path):
    """The digest of the same folder as version 0.2.0 computed it: its runs continue."""
    for number, name in enumerate(("train/bags", "train/shoes", "Test/bags", "Test/shoes")):
        fill(tmp_path / "set" / name, 4, start=10 * number)
    (tmp_path / "set" / "notes.txt").write_text("x")
    store = prepare.open_or_prepare(data, source=folder.Folder(tmp_path / "set", MAX_PIXELS))
    assert store.digest() == "0ca1db9d3bf4609e"


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The folder of the inputs that make_cases.py makes for this file."""
    root = tmp_path_factory.mktemp("cases")
    for name in ("layout", "unicode_names", "formats"):
        make_case(name, root)
    return root


def test_the_cases_of_layouts_have_their_splits_and_categories(cases):
    for variant in ("licence", "preview", "class_first"):
        items = read_items(cases / "layout" / variant).values()
        counts = Counter((item.category, item.split) for item in items
                         if not isinstance(item.image, RejectedItem))  # fmt: skip
        assert counts == {
            (category, split): n for category in ("Shoes", "Pants", "Hat")
            for split, n in (("train", 15), ("test", 5))
        }  # fmt: skip
    assert folder.Folder(cases / "layout" / "wrapped", MAX_PIXELS).classes() == (
        "Hat", "Pants", "Shoes"
    )  # fmt: skip
    items = read_items(cases / "unicode_names" / "folder").values()
    assert Counter(item.category for item in items) == {"Röcke": 16, "Hats": 4, "hats": 4}


def test_the_cases_of_formats_are_read_or_named(cases, monkeypatch):
    monkeypatch.setattr(formats, "has_heic", lambda: False)
    items = read_items(cases / "formats")
    whole = items["0_rgb.jpg"].image
    for name in ("5_no_end_marker.jpg", "6_trailing.jpg"):
        np.testing.assert_array_equal(items[name].image, whole)
    for name in ("2_inverted_no_marker.jpg", "3_plain_no_marker.jpg", "8_avif.avif", "10.tif"):
        assert items[name].image.shape == (400, 400, 3), items[name].image
    for name in ("9_phone.HEIC", "9_renamed.jpg"):
        assert "HEIC image, export as JPEG" in str(items[name].image)


def test_system_files_are_ignored_and_other_files_are_refused(fill, tmp_path):
    root = fill(tmp_path / "shop", 1)
    for clutter in (".DS_Store", "Thumbs.db", "._0000.png"):
        (root / clutter).write_text("x")
    fill(root / "__MACOSX", 1)
    fill(tmp_path / "other", 1)
    (root / "notes.txt").write_text("x")
    fill(root / "folder.png", 1)
    os.mkfifo(root / "fifo.png")
    (root / "inside.png").symlink_to(root / "0000.png")
    (root / "outside.png").symlink_to(tmp_path / "other" / "0000.png")
    (root / "broken.png").symlink_to(root / "nowhere.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "away").symlink_to(tmp_path / "other")
    items_by_name = read_items(root)
    refused_names = {
        name for name, item in items_by_name.items() if isinstance(item.image, RejectedItem)
    }
    assert refused_names == {
        "notes.txt", "folder.png", "fifo.png", "outside.png", "broken.png", "loop.png", "away"
    }  # fmt: skip
    assert "leaves the folder" in str(items_by_name["outside.png"].image)
    assert set(items_by_name) - refused_names == {"0000.png", "inside.png"}


def test_names_that_are_not_utf8_are_read(draw, tmp_path):
    path = os.fsencode(tmp_path) + b"/sch\xfch.png"
    with open(path, "wb") as file:
        Image.fromarray(draw(0)).save(file, "PNG")
    (item,) = read_items(tmp_path).values()
    assert os.fsencode(item.name) == b"sch\xfch.png"
    np.testing.assert_array_equal(item.image, draw(0))
    folder.Folder(tmp_path, MAX_PIXELS).content()


def test_content_changes_with_any_file(fill, tmp_path):
    root = fill(tmp_path / "shop", 2)
    before = folder.Folder(root, MAX_PIXELS).content()
    assert folder.Folder(root, MAX_PIXELS).content() == before
    os.utime(root / "0001.png", (1, 1))
    after_touch = folder.Folder(root, MAX_PIXELS).content()
    fill(root, 1, start=7)
    after_addition = folder.Folder(root, MAX_PIXELS).content()
    assert len({str(content) for content in (before, after_touch, after_addition)}) == 3


def test_ranges_of_a_pickled_source_equal_those_of_the_original(fill, tmp_path):
    source = folder.Folder(fill(tmp_path / "shop", 5), MAX_PIXELS)
    names = [item.name for item in source.stream(0, 5)]
    copy = pickle.loads(pickle.dumps(source))
    assert [item.name for item in copy.stream(1, 3)] == names[1:3]


def test_wrong_paths_are_refused(data, tmp_path):
    data.path = str(tmp_path / "nowhere")
    with pytest.raises(MissingInput, match="nowhere"):
        folder.from_config(data)
    data.path = str(tmp_path / "products.csv")
    (tmp_path / "products.csv").touch()
    with pytest.raises(UsageError, match="not a folder"):
        folder.from_config(data)
