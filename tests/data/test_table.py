"""Product tables as shops export them: delimiters, kinds of columns, bad rows, refused paths."""

import json
from pathlib import Path

import pytest

from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.data import table
from tests.shared_cases import make_case

MAX_PIXELS = 10_000_000
REAL = Path(__file__).parents[2].parent / "shared" / "data"


def open_table(path, text, **columns):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return table.Table(path, MAX_PIXELS, **columns)


def read_items(source):
    return {item.name: item for item in source.stream(0, len(source))}


@pytest.fixture
def shop(fill, tmp_path):
    """A folder with images/0000.png to 0019.png."""
    fill(tmp_path / "images", 20)
    return tmp_path


def rows(count, make):
    return "".join(make(number) + "\n" for number in range(count))


def test_kinds_of_columns_are_inferred(shop):
    text = "image,category,material,height (cm),hue (deg),new,stock,sku,note,empty,row\n" + rows(
        20,
        lambda n: (
            f"images/{n:04d}.png,{'shoe' if n % 2 else 'bag'},{'wood' if n < 9 else 'felt'},"
            f"{n * 1.5},{n * 18},{'True' if n % 3 else 'false'},{n % 4},{1000 + n},text {n},,{n}"
        ),
    )
    source = open_table(shop / "a.csv", text.replace("text 1,", "text 1 " + "x" * 70 + ","))
    kinds = {one.name: (one.kind, one.values, one.unit) for one in source.schema()}
    assert kinds["material"] == ("categorical", ("felt", "wood"), "")
    assert kinds["height (cm)"] == ("number", (), "cm")
    assert kinds["hue (deg)"] == ("angle", (), "deg")
    assert kinds["new"] == ("categorical", ("false", "true"), "")
    assert kinds["stock"] == ("categorical", ("0", "1", "2", "3"), "")
    assert source.classes() == ("bag", "shoe")
    for name in ("sku", "empty", "row"):
        assert name not in kinds and any(repr(name) in note for note in source.notes)
    item = read_items(source)["images/0003.png"]
    assert item.category == "shoe"
    assert item.attributes["height (cm)"] == 4.5 and item.attributes["new"] == "false"


def test_free_text_and_many_values_are_ignored(fill, tmp_path):
    fill(tmp_path, 3)
    text = "path,story,description\n" + rows(80, lambda n: f"{n % 3:04d}.png,story {n},shoe {n}")
    source = open_table(tmp_path / "a.csv", text)
    assert source.schema() == () and "80 different values" in source.notes[0]
    assert next(source.stream(0, 1)).caption == "shoe 0"


def test_missing_values_are_none(shop):
    text = (
        "image;category;weight\n0000.png;;nan\n0001.png;bag;2,5\n0002.png;bag\n0003.png;N/A;3,5\n"
    )
    items_by_name = read_items(open_table(shop / "a.csv", "\ufeff" + text))
    assert [item.category for item in items_by_name.values()] == [None, "bag", "bag", None]
    assert [item.attributes["weight"] for item in items_by_name.values()] == [None, 2.5, None, 3.5]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_quotes_and_line_breaks_are_read(shop, delimiter):
    text = delimiter.join(["file", "label", "title"]) + "\r\n"
    text += delimiter.join(["0000.png", "bag", '"a, b; c|d\r\nsecond ""line"""']) + "\r\n"
    items_by_name = read_items(open_table(shop / "a.csv", text))
    assert items_by_name["0000.png"].caption == 'a, b; c|d\r\nsecond "line"'
    assert items_by_name["0000.png"].category == "bag"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_common_encodings_are_read(shop, encoding):
    text = "file,category\n0000.png,Stühle\n"
    assert open_table(shop / "a.csv", text.encode(encoding)).classes() == ("Stühle",)


def test_paths_out_of_the_folder_are_refused(shop, tmp_path_factory):
    outside = tmp_path_factory.mktemp("secret") / "x.png"
    outside.write_bytes((shop / "images" / "0000.png").read_bytes())
    (shop / "link.png").symlink_to(outside)
    reasons = {
        f"../{outside.parent.name}/x.png": "outside", str(outside): "outside",
        "link.png": "outside", "http://shop/x.png": "missing: a web address",
        "nowhere.png": "missing: no such file", "nul\0.png": "",
    }  # fmt: skip
    items_by_name = read_items(
        open_table(shop / "a.csv", "path\n0000.png\n" + "\n".join(reasons) + "\n,\n")
    )
    for name, reason in reasons.items():
        if reason:
            assert str(items_by_name[name].image).startswith(reason), name
    assert not isinstance(items_by_name["0000.png"].image, RejectedItem)


def test_paths_with_backslashes_and_without_suffix(shop):
    (shop / "bare").write_bytes((shop / "images" / "0000.png").read_bytes())
    items_by_name = read_items(open_table(shop / "a.csv", "path\nimages\\0001.png\nbare\n"))
    assert not any(isinstance(item.image, RejectedItem) for item in items_by_name.values())


def test_only_bad_and_repeated_rows_are_refused(shop):
    text = "path,category\n0000.png,bag\n0000.png,bag\nimages/0000.png,shoe\n0001.png,a,b,c\n"
    source = open_table(shop / "a.csv", text + "\n0002.png,bag\n")
    reasons = [str(item.image) for item in source.stream(0, len(source))
               if isinstance(item.image, RejectedItem)]  # fmt: skip
    assert len(source) == 5
    assert reasons[0] == reasons[1] == "repeated: the image of line 2 again"
    assert reasons[2] == "bad row: 4 cells under 2 column names; quote cells that contain ','"


def test_a_row_never_has_the_image_of_another_row(shop):
    """1002/0000.png is not there, and 1001/0000.png is the image of the second row."""
    (shop / "1001").mkdir()
    (shop / "images" / "0000.png").rename(shop / "1001" / "0000.png")
    rows = "".join(f"https://x.com/{n}/0000.png,{c}\n" for n, c in ((1002, "hat"), (1001, "shoe")))
    source = open_table(shop / "a.csv", "image,category\n" + rows)
    hat, shoe = source.images
    assert hat.refusal == "missing: a web address; download the images first"
    assert (shoe.category, shoe.file) == ("shoe", str(shop / "1001" / "0000.png"))


def test_lists_in_json_are_several_images(shop):
    lines = [
        {"images": ["0000.png", "0001.png"], "category": "bag"},
        {"images": [{"id": 7, "src": "https://x.com/0002.png?v=1"}, {"url": "0003.png"}]},
        {"images": {"id": 7}, "tags": [1]},
        {"images": "0004.png, 0005.png"},
    ]
    source = open_table(shop / "a.jsonl", "\n".join(map(json.dumps, lines)))
    names = [image.file.rsplit("/", 1)[-1] for image in source.images]
    assert names == ["0000.png", "0001.png", "0002.png", "0003.png", "", "0004.png", "0005.png"]
    assert source.images[4].refusal == "missing: no path in the row"
    assert [image.category for image in source.images[:3]] == ["bag", "bag", None]
    # Shopify's API has the main image, and a list of all.
    line = {"image": {"src": "0000.png"}, "images": [{"src": "0000.png"}, {"src": "0001.png"}]}
    source = open_table(shop / "a.jsonl", json.dumps(line))
    assert [image.name for image in source.images] == ["0000.png", "0001.png"]


def test_jsonl_and_json_tables_are_read(shop):
    lines = [
        json.dumps({"image": "0000.png", "category": "bag", "new": True, "price": 2.5}),
        "{broken",
        json.dumps(["list"]),
        json.dumps({"image": "0001.png", "category": None, "price": None, "tags": ["a", "b"]}),
    ]
    source = open_table(shop / "a.jsonl", "\n".join(lines))
    items_by_name = read_items(source)
    assert str(items_by_name["line 2"].image) == "bad row: not JSON"
    assert str(items_by_name["line 3"].image) == "bad row: not a JSON object"
    assert items_by_name["0000.png"].attributes == {"new": "true", "price": 2.5}
    assert items_by_name["0001.png"].attributes == {"new": None, "price": None}
    assert items_by_name["0001.png"].category is None
    (note,) = source.notes
    assert (
        "'tags' is not used: 1 cell holds several values" in note and '["a", "b"] in line 4' in note
    )
    array = "[" + ",".join((lines[0], lines[3])) + "]"
    assert len(open_table(shop / "a.json", array)) == 2


def test_a_split_column_gives_official_splits(shop):
    items_by_name = read_items(
        open_table(shop / "a.csv", "path,split\n0000.png,Train\n0001.png,val\n0002.png,eval\n")
    )
    splits = {name: item.split for name, item in items_by_name.items()}
    assert splits == {"0000.png": "train", "0001.png": "validation", "0002.png": None}
    # A row of another value is left out, and is not trained on.
    refusal = str(items_by_name["0002.png"].image)
    assert refusal == "split: 'eval' is none of train, validation, test"


def test_an_image_in_rows_of_two_splits_is_never_trained_on(shop):
    rows = "0000.png,train\n0000.png,val\n0000.png,test\n0001.png,train\n0001.png,train\n"
    table = open_table(shop / "a.csv", f"path,split\n{rows}")
    items = list(table.stream(0, 5))
    assert [item.split for item in items] == [None, None, "test", "train", None]
    assert str(items[0].image) == "repeated: line 4 holds the image out of training"
    assert str(items[4].image) == "repeated: the image of line 5 again"


def test_wrong_columns_name_the_field_and_the_columns(shop):
    with pytest.raises(UsageError, match="config.data.image_column='imgae'.*mean image.*price"):
        open_table(shop / "a.csv", "image,price\n0000.png,1\n", image="imgae")
    with pytest.raises(UsageError, match="config.data.category_column"):
        open_table(shop / "a.csv", "image,price\n0000.png,1\n", category="kind")
    with pytest.raises(UsageError, match="columns: where, price"):
        open_table(shop / "a.csv", "where,price\nhere,1\n")
    assert len(open_table(shop / "a.csv", "where,price\nhere,1\n", image="where")) == 1


def test_content_depends_on_the_table_and_the_images(shop):
    import os

    text = "path,price\n0000.png,1\n"
    before = open_table(shop / "a.csv", text).content()
    assert open_table(shop / "a.csv", text).content() == before
    assert open_table(shop / "a.csv", text.replace("1\n", "2\n")).content() != before
    os.utime(shop / "images" / "0000.png", (1, 1))
    assert open_table(shop / "a.csv", text).content() != before


def test_wrong_tables_are_refused(data, shop):
    data.path = str(shop / "nowhere.csv")
    with pytest.raises(MissingInput):
        table.from_config(data)
    data.path = str(shop)
    with pytest.raises(UsageError, match="is a folder"):
        table.from_config(data)
    with pytest.raises(BadData, match="the file is empty"):
        open_table(shop / "a.csv", "")
    with pytest.raises(BadData, match="no rows"):
        open_table(shop / "a.csv", "path,category\n")


def test_a_real_table_is_read():
    path = REAL / "clothing-white" / "products.csv"
    if not path.exists():
        pytest.skip("the real images are not available")
    source = table.Table(path, MAX_PIXELS)
    assert len(source) == 5067 and len(source.classes()) == 17
    assert [one.name for one in source.schema()] == ["kids", "colour_r", "colour_g", "colour_b"]
    item = next(source.stream(1, 2))
    assert item.category is None and item.attributes["kids"] is None
    assert item.attributes["colour_r"] == 206 and item.image.shape == (256, 256, 3)


def test_the_case_of_a_table_and_files_in_two_unicode_forms(tmp_path):
    source = table.Table(
        make_case("unicode_names", tmp_path) / "table" / "products.csv", MAX_PIXELS
    )
    assert len(source) == 24 and not any(image.refusal for image in source.images)
    assert source.classes() == ("Hüte", "Röcke", "Überhemd")


def test_the_case_of_numbers_as_spreadsheets_write_them(tmp_path):
    source = table.Table(make_case("numbers", tmp_path) / "products.csv", MAX_PIXELS)
    units = {one.name: (one.kind, one.unit) for one in source.schema()}
    assert units == {
        "weight (kg)": ("number", "kg"), "discount": ("number", "%"), "price": ("number", "EUR"),
    }  # fmt: skip
    fifth = source.images[5].attributes
    assert fifth == {"weight (kg)": 1.21, "discount": 5.0, "price": 24.9}
    (note,) = source.notes  # 1,000 to 4,293 beside decimal commas is a thousand, or one
    assert note.startswith("column 'stock' is not used: 90 values look like numbers, but '")


def test_the_case_of_images_that_are_named_by_number(tmp_path):
    source = table.Table(make_case("ids", tmp_path) / "styles.csv", MAX_PIXELS)
    assert source.classes() == ("Hat", "Pants", "Skirt") and len(source) == 31
    (missing,) = (image for image in source.images if image.refusal)
    assert (missing.name, missing.refusal) == ("99999", "missing: no such file")
    source = table.Table(tmp_path / "ids" / "styles.csv", MAX_PIXELS, image="id")
    assert sum(not image.refusal for image in source.images) == 30
