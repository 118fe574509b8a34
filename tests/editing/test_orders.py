"""A table of requests, checked before anything is computed."""

import pytest

from prodgen.data.conditions import Conditions
from prodgen.editing import orders
from prodgen.errors import BadData, MissingInput, UsageError


@pytest.fixture
def conditions(store):
    return Conditions.from_store(store)


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "requests.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_row_is_read_with_its_line_and_defaults(tmp_path, conditions):
    path = table(
        tmp_path, "category,attributes,count\ndisc,colour=red; radius=4,2\n\n,,\n", "utf-8-sig"
    )
    ((line, row),) = orders.read(path)
    order = orders.parsed(line, row, conditions, tmp_path)
    assert (order.line, order.name, order.count, order.seed) == (2, "line00002", 2, 0)
    assert order.attributes == (("colour", "red"), ("radius", "4"))
    assert order.keep == ("category",) and order.strength == orders.STRENGTH
    assert order.files() == ["line00002_000.png", "line00002_001.png"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"category": "triangle"}, "disc, square"),
        ({"attributes": "colour=mauve"}, "blue, red"),
        ({"attributes": "colour"}, "not name=value"),
        ({"seed": "one"}, "seed 'one' is not a number"),
        ({"count": "0"}, "count 0 is not from 1"),
        ({"size": "9999"}, "size 9999 is not from 16 to 4096"),
        ({"edit": "polish"}, "known: vary"),
        ({"edit": "vary"}, "names no photo"),
        ({"photo": "a.png"}, "names no edit"),
        ({"photo": "a.png", "edit": "vary"}, "does not exist"),
        ({"photo": "../a.png", "edit": "vary"}, "outside the table's folder"),
        ({"name": "../a"}, "no name for a file"),
        ({"keep": "smell"}, "shape, colour, category"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(conditions, tmp_path, row, said):
    with pytest.raises(UsageError, match=said):
        orders.parsed(2, dict.fromkeys(orders.COLUMNS, "") | row, conditions, tmp_path)


def test_tables_that_are_none(tmp_path):
    with pytest.raises(MissingInput, match="does not exist"):
        orders.read(tmp_path / "nothing.csv")
    with pytest.raises(UsageError, match="column 'kategory' is not known"):
        orders.read(table(tmp_path, "kategory\nmug\n"))
    with pytest.raises(UsageError, match="no heading"):
        orders.read(table(tmp_path, ""))
    with pytest.raises(BadData, match="no rows"):
        orders.read(table(tmp_path, "category\n\n"))
    (tmp_path / "latin.csv").write_bytes(b"category\nt\xe9\n")
    with pytest.raises(BadData, match="UTF-8"):
        orders.read(tmp_path / "latin.csv")


def test_a_key_follows_from_the_row_and_the_run_and_not_from_the_line(conditions, tmp_path):
    row = dict.fromkeys(orders.COLUMNS, "") | {"name": "a", "category": "disc"}
    keys = {
        orders.parsed(line, row | change, conditions, tmp_path).key(origin)
        for line, change, origin in (
            (2, {}, "run"), (9, {}, "run"), (2, {"seed": "1"}, "run"), (2, {}, "other"),
        )
    }  # fmt: skip
    assert len(keys) == 3


def test_an_unconditional_run_has_no_categories(store, tmp_path):
    hidden = Conditions.from_store(store).hidden()
    with pytest.raises(UsageError, match="there are none"):
        orders.parsed(2, dict.fromkeys(orders.COLUMNS, "") | {"category": "disc"}, hidden, tmp_path)
