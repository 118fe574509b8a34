"""A table of batch requests, checked before anything is computed."""

import dataclasses
import hashlib
import json

import pytest

from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data.conditions import Conditions
from prodgen.data.image_paths import ImagePaths
from prodgen.editing import batch_requests
from tests.shared_cases import make_case

EMPTY_ROW = dict.fromkeys(batch_requests.COLUMNS, "")
MUG = {"photo": "mug.png"}
RECOLOUR = MUG | {"edit": "recolour", "colour": "teal"}


@pytest.fixture
def conditions(store):
    return Conditions.from_store(store)


def write_table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "requests.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_row_is_read_with_its_line_and_defaults(tmp_path, conditions):
    text = "category,attributes,count\ndisc,colour=red; radius=4,2\n\n,,\n"
    path = write_table(tmp_path, text, "utf-8-sig")
    ((line, row),) = batch_requests.read_requests(path).rows
    request = batch_requests.parse_request(line, row, conditions, ImagePaths(tmp_path))
    assert (request.line, request.name, request.count, request.seed) == (2, "line00002", 2, 0)
    assert request.attributes == (("colour", "red"), ("radius", "4"))
    assert request.keep == ("category",) and request.strength == batch_requests.STRENGTH
    assert request.file_names() == ["line00002_000.png", "line00002_001.png"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"category": "triangle"}, "disc, square"),
        ({"attributes": "colour=mauve"}, "blue, red"),
        ({"attributes": "colour"}, "not name=value"),
        ({"attributes": "colour=red;colour=blue"}, "colour has two values, 'red' and 'blue'"),
        ({"attributes": "colour=red;color=blue"}, "named twice, in two spellings"),
        ({"seed": "one"}, "seed 'one' is not a number"),
        ({"count": "0"}, "count 0 is not from 1"),
        ({"size": "9999"}, "size 9999 is not from 16 to 4096"),
        ({"edit": "polish"}, "known: vary, views, recolour, background"),
        ({"edit": "vary"}, "names no photo"),
        ({"photo": "mug.png"}, "names no edit"),
        ({"photo": "a.png", "edit": "vary"}, "does not exist"),
        ({"photo": "../a.png", "edit": "vary"}, "outside the table's folder"),
        ({"photo": "a\0.png", "edit": "vary"}, "does not exist"),
        ({"photo": "a" * 300 + ".png", "edit": "vary"}, "does not exist"),
        ({"background": "wood.png"}, "background 'wood.png' does not exist"),
        ({"background": "../wood.png"}, "background '../wood.png' lies outside"),
        ({"colour": "teal"}, "colour has no effect in a row without an edit"),
        (RECOLOUR | {"colour": ""}, "needs a colour"),
        (RECOLOUR | {"count": "2"}, "count 2: edit recolour makes one image"),
        (RECOLOUR | {"method": "both"}, "'both' is not known; known: classical, generated"),
        (RECOLOUR | {"category": "disc"}, "category has no effect with edit recolour"),
        (RECOLOUR | {"edit": "background"}, "colour has no effect with edit background"),
        (RECOLOUR | {"edit": "vary", "colour": "", "method": "generated"}, "method has no effect"),
        (MUG | {"edit": "background", "count": "3"}, "count 3: edit background makes one"),
        (MUG | {"edit": "views", "strength": "0.5"}, "strength has no effect with edit views"),
        ({"name": "../a"}, "which no file name on Windows may have|begins with a dot"),
        ({"keep": "smell"}, "shape, colour, category"),
    ],
)
def test_a_wrong_row_is_an_error_that_says_what_is_wrong(conditions, tmp_path, row, message):
    (tmp_path / "mug.png").write_bytes(b"")
    with pytest.raises(UsageError, match=message):
        batch_requests.parse_request(2, EMPTY_ROW | row, conditions, ImagePaths(tmp_path))


def test_files_that_are_no_table_are_errors(tmp_path):
    with pytest.raises(MissingInput, match="does not exist"):
        batch_requests.read_requests(tmp_path / "nothing.csv")
    with pytest.raises(UsageError, match="is a folder"):
        batch_requests.read_requests(tmp_path)
    (tmp_path / "one.json").write_text('{"rows": [\n {"category": "mug"},\n {"seed": 1}\n]}')
    with pytest.raises(BadData, match="one JSON object over several lines"):
        batch_requests.read_requests(tmp_path / "one.json")
    with pytest.raises(UsageError, match="column 'kategory' is not known"):
        batch_requests.read_requests(write_table(tmp_path, "kategory\nmug\n"))
    with pytest.raises(BadData, match="the file is empty"):
        batch_requests.read_requests(write_table(tmp_path, ""))
    with pytest.raises(BadData, match="no rows"):
        batch_requests.read_requests(write_table(tmp_path, "category\n\n"))


def test_a_key_depends_on_the_row_and_the_run_and_not_on_the_line(conditions, tmp_path):
    row, paths = EMPTY_ROW | {"name": "a", "category": "disc"}, ImagePaths(tmp_path)
    keys = {
        batch_requests.parse_request(line, row | change, conditions, paths).key(origin)
        for line, change, origin in (
            (2, {}, "run"), (9, {}, "run"), (2, {"seed": "1"}, "run"), (2, {}, "other"),
            (2, {"background": "teal"}, "run"),
        )
    }  # fmt: skip
    assert len(keys) == 4


def test_keys_equal_those_in_existing_folders(conditions, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"")
    rows = (
        {"name": "reds", "category": "disc"},
        {"name": "mine", "category": "disc", "photo": "photo.png", "attributes": "colour=red",
         "seed": "2", "count": "3", "size": "64", "background": "#f2f2f2", "edit": "vary",
         "strength": "0.6", "keep": "category shape"},
    )  # fmt: skip
    keys = [
        batch_requests.parse_request(7, EMPTY_ROW | row, conditions, ImagePaths(tmp_path)).key(
            "ab 60"
        )
        for row in rows
    ]
    assert keys == ["5e0b98ae6b8c6ad8", "34b6bcf5b7aaca35"]


def test_every_column_of_an_edit_is_part_of_its_key(conditions, tmp_path):
    (tmp_path / "mug.png").write_bytes(b"")
    changes = ({}, {"colour": "red"}, {"method": "generated"}, {"size": "64"})
    row = EMPTY_ROW | RECOLOUR | {"name": "a"}
    keys = {
        batch_requests.parse_request(2, row | change, conditions, ImagePaths(tmp_path)).key("run")
        for change in changes
    }
    assert len(keys) == len(changes)


def test_input_hashes_are_those_of_a_requests_files(conditions, tmp_path):
    (tmp_path / "mug.png").write_bytes(b"")
    (tmp_path / "wood.png").write_bytes(b"wood")
    row = EMPTY_ROW | MUG | {"edit": "background", "background": "wood.png"}
    request = batch_requests.parse_request(2, row, conditions, ImagePaths(tmp_path))
    assert request.input_hashes(tmp_path) == {
        "mug.png": hashlib.sha256(b"").hexdigest(), "wood.png": hashlib.sha256(b"wood").hexdigest()
    }  # fmt: skip
    row = EMPTY_ROW | {"background": "#f2f2f2"}
    request = batch_requests.parse_request(2, row, conditions, ImagePaths(tmp_path))
    assert request.input_hashes(tmp_path) == {}


def test_an_unconditional_run_has_no_categories(store, tmp_path):
    hidden = Conditions.from_store(store).to_unconditional()
    row = EMPTY_ROW | {"category": "disc"}
    with pytest.raises(UsageError, match="there are none"):
        batch_requests.parse_request(2, row, hidden, ImagePaths(tmp_path))


def test_tables_of_spreadsheets_and_pandas_are_read_as_they_are(tmp_path, conditions):
    (tmp_path / "Mug.PNG").write_bytes(b"x")
    text = (
        "Requests of May;;;;;\n Name ;Category;PHOTO;Edit;Strength;Count;Seed\n"
        'discs;disc;;;;2.0;3.0\nlike;;mug.png;vary;0,5;1;\nlong;disc;;;;1;1;x;y\n'
    )  # fmt: skip
    (tmp_path / "requests.csv").write_bytes(text.encode("utf-16"))
    table = batch_requests.read_requests(tmp_path / "requests.csv")
    assert [line for line, _ in table.rows] == [3, 4]
    ((line, problem),) = table.problems
    assert line == 5 and problem.startswith("bad row: 9 cells under 7 column names; quote cells")
    assert table.notes == ("line 1 above the column names is not used",)
    paths = ImagePaths(tmp_path)
    discs, like = (batch_requests.parse_request(n, row, conditions, paths) for n, row in table.rows)
    assert (discs.name, discs.count, discs.seed) == ("discs", 2, 3)
    assert (like.photo, like.strength, like.count) == ("Mug.PNG", 0.5, 1)


def write_json(tmp_path, *cells):
    (tmp_path / "requests.jsonl").write_text("\n".join(json.dumps(row) for row in cells))
    return tmp_path / "requests.jsonl"


def test_lists_and_objects_of_json_are_taken_where_they_mean_one_thing(tmp_path):
    path = write_json(
        tmp_path,
        {"photo": ["a.png"], "background": "teal"},
        {"photo": {"src": "a.png"}, "background": "wood.png"},
        {"category": ["disc"], "attributes": {"colour": "red", "radius": 4, "x": None}, "seed": []},
        {"attributes": ["colour=red", {"a;b": "c, d"}], "keep": ["shape", "colour"]},
    )
    table = batch_requests.read_requests(path)
    rows = [{name: cell for name, cell in row.items() if cell} for _, row in table.rows]
    assert rows == [
        {"photo": "a.png", "background": "teal"}, {"photo": "a.png", "background": "wood.png"},
        {"category": "disc", "attributes": '"colour"="red";"radius"="4"'},
        {"attributes": 'colour=red;"a;b"="c, d"', "keep": "shape colour"},
    ]  # fmt: skip
    assert [batch_requests.list_files(row) for _, row in table.rows[:2]] == [
        ["a.png"], ["a.png", "wood.png"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"photo": ["a.png", "b.png"]}, "photo has 2 files; write a row for each"),
        ({"photo": {"title": "a"}}, "photo is a JSON value without a path"),
        ({"category": ["a", "b"]}, "category has 2 values; write a row for each"),
        ({"seed": {"value": 3}}, "seed is a JSON object; write a text"),
        ({"attributes": {"colour": ["a", "b"]}}, "attributes: colour has 2 values"),
    ],
)
def test_other_lists_and_objects_are_problems_of_their_row(tmp_path, cells, problem):
    ((line, reason),) = batch_requests.read_requests(write_json(tmp_path, cells)).problems
    assert line == 1 and reason.startswith(problem)


@pytest.mark.parametrize(
    ("cell", "category"),
    [("NA", "NA"), ("null", "null"), ("-", "-"), ("R&amp;D", "R&amp;D"), ("A &amp; B", "A & B"),
     ("cafe\u0301", "caf\u00e9"), ("sp ", "sp "), ("sp", "sp"), ("n/a", "")],
)  # fmt: skip
def test_a_category_of_the_run_is_itself_before_it_is_a_missing_value(tmp_path, cell, category):
    categories = ("NA", "null", "-", "R&amp;D", "A & B", "caf\u00e9", "sp", "sp ")
    path = write_json(tmp_path, {"category": cell, "name": "NA"}, {"category": "--", "name": "-"})
    ((_, row),) = batch_requests.read_requests(path, categories).rows
    assert (row["category"], row["name"]) == (category, "NA")


def test_quotes_and_entities_in_attributes(conditions, tmp_path):
    text = 'colour="red";"turn"=90,radius=5'
    row = EMPTY_ROW | {"attributes": text}
    request = batch_requests.parse_request(2, row, conditions, ImagePaths(tmp_path))
    assert request.attributes == (("colour", "red"), ("turn", "90"), ("radius", "5"))
    with pytest.raises(UsageError, match="colour='R&amp;D': this is not a value"):
        row = EMPTY_ROW | {"attributes": "colour=R&amp;D;turn=90"}
        batch_requests.parse_request(2, row, conditions, ImagePaths(tmp_path))


def test_a_photo_that_could_be_several_files_is_refused_with_their_names(conditions, tmp_path):
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    row = EMPTY_ROW | {"photo": "a", "edit": "vary"}
    with pytest.raises(UsageError, match="photo 'a': it could be a.jpg, a.png; write one of them"):
        batch_requests.parse_request(2, row, conditions, ImagePaths(tmp_path))


def test_cautions_name_numbers_out_of_range_and_rows_of_the_same_images(conditions, tmp_path):
    cells = (
        {"category": "disc"}, {"category": "disc", "count": "3"}, {"category": "disc", "seed": "1"},
        {"category": "square", "attributes": "radius=1000"}, {"category": "disc", "size": "64"},
    )  # fmt: skip
    requests = [
        batch_requests.parse_request(line, EMPTY_ROW | row, conditions, ImagePaths(tmp_path))
        for line, row in enumerate(cells, start=2)
    ]
    far, same = batch_requests.describe_cautions(requests, conditions)
    assert far == "line 5: radius=1000 is outside of the training images' range, 3 to 7"
    assert same.startswith("lines 2, 3 make the same images") and "own seed" in same
    assert not batch_requests.describe_cautions(requests[1:3], conditions)
    conditions.spec = dataclasses.replace(conditions.spec, classes=("disc", "disc "))
    (spaces,) = batch_requests.describe_cautions(requests[:1], conditions)
    assert spaces == "line 2: category 'disc' is taken, not 'disc '"


@pytest.mark.parametrize("name", ["a:b?*", "two\nlines", "con", "Lpt1.png", "end.", "x\\y"])
def test_a_name_that_is_no_file_everywhere_is_refused(conditions, tmp_path, name):
    row = EMPTY_ROW | {"name": name, "category": "disc"}
    with pytest.raises(UsageError, match="^name "):
        batch_requests.parse_request(2, row, conditions, ImagePaths(tmp_path))


def test_the_cases_of_requests(tmp_path, conditions):
    folder = make_case("requests", tmp_path)
    paths = ImagePaths(folder)

    def read(name):
        table = batch_requests.read_requests(folder / name)
        return table, [
            {name: cell.replace("Hat", "disc") for name, cell in row.items()}
            if row["category"]
            else row
            for _, row in table.rows
        ]

    commas, rows = read("commas.csv")
    assert not rows and commas.problems[0][0] == 2
    assert commas.problems[0][1].startswith("bad row: 8 cells under 6 column names; quote cells")
    hats, like = (
        batch_requests.parse_request(2, row, conditions, paths) for row in read("pandas.csv")[1]
    )
    assert (hats.seed, hats.count, like.strength, like.count) == (3, 2, 0.5, 2)
    (request,) = (
        batch_requests.parse_request(2, row, conditions, paths) for row in read("titles.csv")[1]
    )
    assert (request.name, request.category, request.count) == ("hats", "disc", 2)
    names = [row["name"] for row in read("names.csv")[1]]
    assert names == ["shoes é", "a:b?*", "two\nlines", "con"]
    for name in names[1:]:
        with pytest.raises(UsageError, match="^name "):
            batch_requests.parse_request(2, EMPTY_ROW | {"name": name}, conditions, paths)
