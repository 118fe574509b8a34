"""The column of the images is the one whose cells are files, whatever it is called."""

import pytest

from prodgen.core.errors import UsageError
from prodgen.data import columns
from prodgen.data.table_reader import Row, TableText


def find_roles(is_file, **cells):
    rows = [Row(n + 2, {name: make(n) for name, make in cells.items()}) for n in range(30)]
    table = TableText(tuple(cells), tuple(rows), ",", ())
    return columns.find_roles(table, is_file=is_file)


def is_jpeg(path):
    return path.endswith(".jpg")


@pytest.mark.parametrize(
    ("cells", "images"),
    [
        ({"image": lambda n: "yes", "file": "{}.jpg".format}, ("file",)),
        ({"image": lambda n: "yes", "source": "{}.jpg".format}, ("source",)),
        ({"image": "https://x.com/{}".format, "local": "{}.jpg".format}, ("local",)),
        ({"image": "https://x.com/{}".format, "link": "https://y.com/{}".format}, ("image",)),
        ({"image": "{}".format, "colour": lambda n: "red"}, ("image",)),
        ({"url": "{}".format, "id": "{}.jpg".format}, ("id",)),
        ({"base_image": "a".format, "image_2": "b".format}, ("base_image", "image_2")),
        ({"Image": "{}.jpg".format, "image": lambda n: "no"}, ("Image",)),
    ],
)
def test_cells_that_are_files_decide_before_names(cells, images):
    assert find_roles(is_jpeg, **cells).images == images


def test_a_column_without_suffixes_whose_cells_are_files_is_found():
    roles = find_roles(lambda path: path.startswith("15"), id=lambda n: str(15000 + n), a=str)
    assert roles.images == ("id",)


def test_another_column_of_paths_is_named_where_none_has_files():
    with pytest.raises(
        UsageError, match="'image' holds no paths of images, such as 'yes'"
    ) as error:
        find_roles(lambda path: False, image=lambda n: "yes", source="{}.jpg".format)
    assert "config.data.image_column=source" in str(error.value.next_step)


@pytest.mark.parametrize("name", ["Image", "file", "thumbnail", "label"])
def test_a_second_column_of_paths_is_no_attribute(name):
    roles = find_roles(is_jpeg, image="{}.jpg".format, **{name: lambda n: f"t/{n % 5}.jpg"})
    assert roles.images == ("image",) and roles.attributes == () and roles.category is None
    (note,) = roles.notes
    assert f"column '{name}' is not used: it holds paths, and 'image' is the column of" in note
    assert f"config.data.columns=image=image,{name}=image takes both" in note
