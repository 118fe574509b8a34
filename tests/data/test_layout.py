"""What folders mean: splits first, categories first, wrappers, strays, and what cannot be told."""

import pytest

from prodgen.data.layout import describe_categories, find_layout, find_split


def place_all(counts):
    """{folders: (category, split) or "left out"} and the remarks, for images in each folder."""
    paths = {name: tuple(filter(None, name.split("/"))) for name in counts}
    layout = find_layout([paths[name] for name, n in counts.items() for _ in range(n)])
    places = {name: layout.place(path) for name, path in paths.items()}
    categories = sorted({place.category for place in places.values()} - {None})
    remarks = [*layout.remarks, *describe_categories(categories)]
    return {
        name: "left out" if place.is_outside else (place.category, place.split)
        for name, place in places.items()
    }, remarks


SPLITS_FIRST = {"train/hats": ("hats", "train"), "test/hats": ("hats", "test")}
CLASSES_FIRST = {
    f"{name}/{split}": (name, split) for name in ("hats", "bags") for split in ("train", "test")
}


@pytest.mark.parametrize(
    "expected_places",
    [
        {"train": (None, "train"), "TEST": (None, "test")},
        SPLITS_FIRST | {"": "left out", "extra/hats": "left out", "docs": "left out"},
        SPLITS_FIRST | {"train": (None, "train"), "dev/bags": ("bags", "validation")},
        {"Training_set/hats": ("hats", "train"), "test images/bags": ("bags", "test")},
        {"archive/train/hats": ("hats", "train"), "archive/val": (None, "validation"),
         "archive": "left out", "": "left out"},
        {"train/images/hats": ("hats", "train"), "test/images/hats": ("hats", "test")},
        {"train/images/hats": ("hats", "train"), "train/images/bags": ("bags", "train"),
         "test/hats": ("hats", "test"), "test/bags": ("bags", "test")},
        {"train/train": (None, "train"), "test1/test1": (None, "test")},
        {"train/hats": ("hats", "train"), "train/bags": ("bags", "train"), "": "left out"},
        CLASSES_FIRST,
        CLASSES_FIRST | {"": "left out", "hats": "left out", "caps/valid": ("caps", "validation")},
        {f"images/{name}": place for name, place in CLASSES_FIRST.items()} | {"docs": "left out"},
        {"women/hats/train": ("women", "train"), "women/hats/test": ("women", "test"),
         "men/caps/train": ("men", "train"), "men/caps/test": ("men", "test")},
    ],
)  # fmt: skip
def test_official_splits_win_over_what_lies_beside_them(expected_places):
    counts = {name: 1 if place == "left out" else 5 for name, place in expected_places.items()}
    places, remarks = place_all(counts)
    assert places == expected_places and not remarks


def test_a_category_of_one_split_is_not_skipped_in_another():
    expected_places = {
        "train/data": ("data", "train"), "train/hats": ("hats", "train"),
        "test/data": ("data", "test"),
    }  # fmt: skip
    assert place_all(dict.fromkeys(expected_places, 5))[0] == expected_places


@pytest.mark.parametrize(
    "expected_places",
    [
        {"": (None, None)},
        {"hats/red/old": ("hats", None), "bags": ("bags", None), "": (None, None)},
        {"archive/images/hats": ("hats", None), "archive/images/bags": ("bags", None)},
        {"images/hats": ("hats", None), "images/bags": ("bags", None), "": (None, None)},
        {"images": (None, None), "": (None, None)},
    ],
)
def test_without_splits_the_first_folder_below_a_wrapper_is_the_category(expected_places):
    places, remarks = place_all(dict.fromkeys(expected_places, 5))
    assert places == expected_places and not remarks


@pytest.mark.parametrize(
    "counts, category, remark",
    [
        (
            {"train": 5, "car": 5, "bus": 5},
            "train",
            "the name of a split is a category here: train",
        ),
        ({"Test": 5, "val": 5}, "Test", "no folder train lies beside them"),
        ({"hats/train": 5, "hats/test": 5, "bags": 30}, "hats", "only 10 of 40 images"),
        ({"train/hats": 5, "train/bags": 5}, "hats", "validation and test images are chosen"),
        ({"images/hats": 5, "banners": 5}, "images", "a category is called images"),
        ({"photos": 60, "hats": 4}, "hats", "a category is called photos"),
        ({"hats": 5, "Hats": 5}, "hats", "Hats, hats differ by case or spaces alone"),
    ],
)
def test_what_cannot_be_decided_is_remarked(counts, category, remark):
    places, remarks = place_all(counts)
    assert (category, None) in places.values() and "left out" not in places.values()
    assert any(remark in text for text in remarks)


def test_names_of_splits():
    for name in ("TRAIN", "training", "train_set", "trainset", "Train-Images", "train2", "01_x"):
        assert find_split(name) == (None if name == "01_x" else "train")
    assert find_split("valid") == find_split("dev") == find_split("Validation set") == "validation"
    assert not any(
        map(find_split, ("trainers", "testers", "values", "images", "train station", ""))
    )
