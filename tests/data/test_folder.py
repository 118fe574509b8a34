"""A folder of pictures: what is a class, what is ignored, what is refused, what changes the key."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import MissingInput, Refused, UsageError
from prodgen.data import folder

LIMIT = 10_000_000


def items(path):
    source = folder.Folder(path, LIMIT)
    return {item.name: item for item in source.stream(0, len(source))}


def test_flat_folder_has_no_classes(fill, tmp_path):
    source = folder.Folder(fill(tmp_path / "shop", 3), LIMIT)
    assert len(source) == 3 and source.classes() == () and source.schema() == ()


def test_first_level_is_the_class(fill, tmp_path):
    root = tmp_path / "shop"
    fill(root / "shoes" / "red" / "old", 2)
    fill(root / "bags", 1)
    fill(root, 1, start=9)
    found = items(root)
    assert folder.Folder(root, LIMIT).classes() == ("bags", "shoes")
    assert found["shoes/red/old/0000.png"].category == "shoes"
    assert found["bags/0000.png"].category == "bags"
    assert found["0009.png"].category is None
    assert list(found) == sorted(found)


def test_a_single_wrapping_folder_is_passed_through(fill, tmp_path):
    fill(tmp_path / "archive" / "products" / "shoes", 1)
    fill(tmp_path / "archive" / "products" / "bags", 1)
    (tmp_path / "archive" / "LICENSE.txt").write_text("free")
    found = items(tmp_path / "archive")
    assert found["products/shoes/0000.png"].category == "shoes"
    assert isinstance(found["LICENSE.txt"].image, Refused)
    fill(tmp_path / "only" / "images", 2)
    assert folder.Folder(tmp_path / "only", LIMIT).classes() == ()


def test_split_folders_are_official_splits(fill, tmp_path):
    for split in ("train", "test"):
        fill(tmp_path / "set" / split / "shoes", 1)
        fill(tmp_path / "set" / split / "bags", 1)
    found = items(tmp_path / "set")
    assert folder.Folder(tmp_path / "set", LIMIT).classes() == ("bags", "shoes")
    assert found["test/shoes/0000.png"].split == "test"
    assert found["train/bags/0000.png"].split == "train"
    assert found["train/bags/0000.png"].category == "bags"


def test_clutter_is_ignored_and_strange_things_are_refused(fill, tmp_path):
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
    found = items(root)
    refused = {name for name, item in found.items() if isinstance(item.image, Refused)}
    assert refused == {
        "notes.txt", "folder.png", "fifo.png", "outside.png", "broken.png", "loop.png", "away"
    }  # fmt: skip
    assert "leaves the folder" in str(found["outside.png"].image)
    assert set(found) - refused == {"0000.png", "inside.png"}


def test_names_that_are_not_utf8_survive(draw, tmp_path):
    path = os.fsencode(tmp_path) + b"/sch\xfch.png"
    with open(path, "wb") as file:
        Image.fromarray(draw(0)).save(file, "PNG")
    (item,) = items(tmp_path).values()
    assert os.fsencode(item.name) == b"sch\xfch.png"
    np.testing.assert_array_equal(item.image, draw(0))
    folder.Folder(tmp_path, LIMIT).content()


def test_content_changes_with_any_file(fill, tmp_path):
    root = fill(tmp_path / "shop", 2)
    before = folder.Folder(root, LIMIT).content()
    assert folder.Folder(root, LIMIT).content() == before
    os.utime(root / "0001.png", (1, 1))
    touched = folder.Folder(root, LIMIT).content()
    fill(root, 1, start=7)
    assert len({str(one) for one in (before, touched, folder.Folder(root, LIMIT).content())}) == 3


def test_ranges_and_copies_agree_with_the_whole(fill, tmp_path):
    source = folder.Folder(fill(tmp_path / "shop", 5), LIMIT)
    whole = [item.name for item in source.stream(0, 5)]
    copy = pickle.loads(pickle.dumps(source))
    assert [item.name for item in copy.stream(1, 3)] == whole[1:3]


def test_wrong_paths(data, tmp_path):
    data.path = str(tmp_path / "nowhere")
    with pytest.raises(MissingInput, match="nowhere"):
        folder.from_config(data)
    data.path = str(tmp_path / "products.csv")
    (tmp_path / "products.csv").touch()
    with pytest.raises(UsageError, match="not a folder"):
        folder.from_config(data)
