"""A history is read row by row: what is wrong is named by its line, the rest is used."""

import numpy as np
import pytest
from PIL import Image

from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data import history

EVENTS = {"viewed": 0.3, "bought": 1.0, "returned": -1.0}
NAMES = {"mug-1": 0, "hat-2": 1, "vase-3": 2}


@pytest.fixture
def read(tmp_path):
    def read(text, person=""):
        (tmp_path / "history.csv").write_text(text)
        return history.read(tmp_path / "history.csv", EVENTS, NAMES, person)

    return read


def test_names_ids_words_and_numbers(read):
    found = read("product,event,weight\nmug-1,bought,\n1,Viewed,\nvase-3,bought,-0.5\n")
    assert [(x.line, x.id, x.weight) for x in found.interactions] == [
        (2, 0, 1.0), (3, 1, 0.3), (4, 2, -0.5),
    ]  # fmt: skip
    assert not found.refusals and not found.unused_columns


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("mug-9,,bought,", "no product 'mug-9'; did you mean mug-1?"),
        ("7,,bought,", "no product '7'"),
        ("mug-1,,stolen,", "event 'stolen' is none of viewed, bought, returned"),
        ("mug-1,,,", "no weight and no event"),
        ("mug-1,,,much", "weight 'much' is not a number"),
        ("mug-1,,,nan", "weight nan is not within 100 of 0"),
        ("mug-1,,,1e9", "weight 1e9 is not within 100 of 0"),
        (",,bought,", "neither a product nor a picture"),
        (",gone.png,bought,", "picture 'gone.png': missing"),
        (",../../etc/passwd,bought,", "outside: the path leaves the table's folder"),
        ("mug-1,,bought,1,2,3", "bad row: 6 cells under 4 column names"),
    ],
)
def test_a_bad_row_is_named_and_skipped(read, row, reason):
    found = read(f"product,picture,event,weight\nhat-2,,bought,\n{row}\n")
    assert [x.name for x in found.interactions] == ["hat-2"]
    (line,) = found.refusals
    assert line.startswith("line 3: ") and reason in line
    with pytest.raises(BadData, match="no row that can be used: line 2"):
        read(f"product,picture,event,weight\n{row}\n")


def test_a_picture_lies_beside_the_table(read, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "mine.png")
    (one,) = read("picture,event\nmine.png,bought\n").interactions
    assert one.id == -1 and one.file.endswith("mine.png") and one.weight == 1.0


def test_the_weightiest_of_a_product_counts_and_of_equals_the_last(read):
    found = read("product,event\nmug-1,viewed\nmug-1,bought\nmug-1,returned\nmug-1,viewed\n")
    assert [(x.line, x.weight) for x in found.interactions] == [(4, -1.0)]


def test_columns_that_say_nothing_are_listed(read):
    assert read("product,event,shop,day\nmug-1,bought,Rome,1\n").unused_columns == ("shop", "day")
    with pytest.raises(UsageError, match="neither a column product nor picture; it has id, event"):
        read("id,event\nmug-1,bought\n")
    with pytest.raises(UsageError, match="neither a column weight nor event"):
        read("product,stars\nmug-1,5\n")


def test_a_person_is_chosen(read):
    text = "person,product,event\nann,mug-1,bought\nbob,hat-2,bought\nan,vase-3,bought\n"
    assert [x.name for x in read(text, "bob").interactions] == ["hat-2"]
    assert [x.name for x in read(text, "an").interactions] == ["vase-3"]
    with pytest.raises(UsageError, match="several people"):
        read(text)
    with pytest.raises(UsageError, match="'eve' is not in the history"):
        read(text, "eve")
    with pytest.raises(UsageError, match="no column person"):
        read("product,event\nmug-1,bought\n", "ann")


def test_no_table(tmp_path):
    with pytest.raises(MissingInput, match="is not a file"):
        history.read(tmp_path / "none.csv", EVENTS, NAMES, "")
