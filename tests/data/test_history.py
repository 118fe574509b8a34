"""A history is read row by row: a bad row is refused by its line, the others are used."""

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


def test_products_are_names_or_ids_and_weights_are_events_or_numbers(read):
    result = read("product,event,weight\nmug-1,bought,\n1,Viewed,\nvase-3,,-0.5\n")
    assert [(x.line, x.id, x.weight) for x in result.interactions] == [
        (2, 0, 1.0), (3, 1, 0.3), (4, 2, -0.5),
    ]  # fmt: skip
    assert not result.refusals and not result.unused_columns


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("mug-9,,bought,", "no product 'mug-9'; did you mean mug-1?"),
        ("7,,bought,", "no product '7'"),
        ("mug-1,,stolen,", "event 'stolen' is none of viewed, bought, returned"),
        ("mug-1,,,", "no weight and no event"),
        ("mug-1,,,much", "weight 'much' is not a number"),
        ("mug-1,,,nan", "no weight and no event"),
        ("mug-1,,,1e9", "weight 1e9 is not within 100 of 0"),
        (",,bought,", "neither a product nor a picture"),
        (",gone.png,bought,", "picture 'gone.png': missing"),
        (",../../etc/passwd,bought,", "outside: the path leaves the table's folder"),
        ("mug-1,,returned,1", "weight 1 contradicts event 'returned', which is negative"),
        ("mug-1,hat-2,bought,", "names the product 'mug-1' and the picture 'hat-2'"),
        ("mug-1,,bought,1,2,3", "bad row: 6 cells under 4 column names"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(read, row, reason):
    result = read(f"product,picture,event,weight\nhat-2,,bought,\n{row}\n")
    assert [x.name for x in result.interactions] == ["hat-2"]
    (line,) = result.refusals
    assert line.startswith("line 3: ") and reason in line
    with pytest.raises(BadData, match="no row that can be used: line 2"):
        read(f"product,picture,event,weight\n{row}\n")


def test_a_picture_is_a_file_beside_the_table(read, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "mine.png")
    (interaction,) = read("picture,event\nmine.png,bought\n").interactions
    assert (
        interaction.id == -1 and interaction.file.endswith("mine.png") and interaction.weight == 1.0
    )


def test_a_picture_is_never_that_of_another_row(read, tmp_path):
    (tmp_path / "1001").mkdir()
    (tmp_path / "1001" / "main.png").write_bytes(b"x")
    rows = "".join(f"https://x.com/{n}/main.png,bought\n" for n in (1002, 1001))
    result = read(f"picture,event\n{rows}")
    assert [x.line for x in result.interactions] == [3]
    assert result.refusals[0].startswith("line 2: picture 'https://x.com/1002/main.png': missing")


def test_the_largest_weight_of_a_product_counts_and_of_equal_ones_the_last(read):
    result = read("product,event\nmug-1,viewed\nmug-1,bought\nmug-1,returned\nmug-1,viewed\n")
    assert [(x.line, x.weight) for x in result.interactions] == [(4, -1.0)]


def test_unused_columns_are_listed_and_missing_ones_refused(read):
    assert read("product,event,shop,day\nmug-1,bought,Rome,1\n").unused_columns == ("shop", "day")
    with pytest.raises(UsageError, match="neither a column product nor picture; it has id, event"):
        read("id,event\nmug-1,bought\n")
    with pytest.raises(UsageError, match="neither a column weight nor event"):
        read("product,stars\nmug-1,5\n")
    with pytest.raises(UsageError, match="several columns product: Product, product"):
        read("Product,product,event\nmug-1,hat-2,bought\n")


def test_only_the_rows_of_the_person_are_used(read):
    text = "person,product,event\nann,mug-1,bought\nbob,hat-2,bought\nan,vase-3,bought\n"
    assert [x.name for x in read(text, "bob").interactions] == ["hat-2"]
    assert [x.name for x in read(text, "an").interactions] == ["vase-3"]
    with pytest.raises(UsageError, match="several people"):
        read(text)
    with pytest.raises(UsageError, match="'eve' is not in the history"):
        read(text, "eve")
    with pytest.raises(UsageError, match="no column person"):
        read("product,event\nmug-1,bought\n", "ann")


def test_rows_without_a_person_are_left_out_and_names_that_are_alike_are_noted(read):
    rows = "ann,mug-1,bought\n,hat-2,bought\nAnn,vase-3,bought\nNA,hat-2,bought\n"
    text = f"person,product,event\n{rows}"
    with pytest.raises(UsageError, match="several people") as error:
        read(text)
    assert error.value.next_step == "choose one with --person: ann, Ann, NA"
    result = read(text, "ann")
    assert [x.name for x in result.interactions] == ["mug-1"]
    assert result.refusals == ("line 3: it names no person",)
    assert result.notes == ("rows of Ann are not used: only those of ann are",)
    assert [x.name for x in read(text, "NA").interactions] == ["hat-2"]
    one_person = read("person,product,event\nann,mug-1,bought\n-,hat-2,bought\n")
    assert [x.line for x in one_person.interactions] == [2] and one_person.refusals
    assert len(read("person,product,event\n,mug-1,bought\n,hat-2,bought\n").interactions) == 2


def test_cells_of_json(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(
        '{"product": ["mug-1"], "weight": 2}\n{"product": {"id": 1}, "weight": 1}\n'
        '{"product": 1, "weight": 1}\n'
    )
    result = history.read(path, EVENTS, NAMES, "")
    assert [(x.id, x.weight) for x in result.interactions] == [(0, 2.0), (1, 1.0)]
    assert result.refusals == ("line 2: product is a JSON object; write a text",)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(MissingInput, match="is not a file"):
        history.read(tmp_path / "none.csv", EVENTS, NAMES, "")
