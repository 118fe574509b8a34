"""A folder of images: its classes, ignored and refused files, and changes of its key."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import MissingInput, RejectedItem, UsageError
from prodgen.data import folder

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
