"""Any table is read as text: encodings, delimiters, lines above the names, broken rows by line."""

import pytest

from prodgen.core.errors import BadData
from prodgen.data import table_reader


@pytest.fixture
def read(tmp_path):
    def read(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return table_reader.read_table(path)

    return read


def cells_of(table):
    return [row.cells for row in table.rows]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings_are_recognised_and_a_guess_is_noted(read, encoding):
    table = read("image,category\na.png,Röcke\n".encode(encoding))
    assert table.header == ("image", "category")
    assert cells_of(table) == [{"image": "a.png", "category": "Röcke"}]
    is_guess = encoding in ("utf-16-le", "utf-16-be", "cp1252")
    assert len(table.notes) == is_guess
    if encoding == "cp1252":
        assert "Windows-1252 (Latin-1), as in 'Röcke'" in table.notes[0]


def test_lines_of_two_encodings_are_each_read_in_their_own(read):
    table = read("a,b\nH\u00fcte,1\n".encode("cp1252") + "R\u00f6cke,2\n".encode())
    assert [row["a"] for row in cells_of(table)] == ["Hüte", "Röcke"]
    assert "1 of its lines are not in UTF-8" in table.notes[0]


@pytest.mark.parametrize(
    ("text", "header", "first_row"),
    [
        ("sep=;\na;b\n1,5;2\n", ("a", "b"), {"a": "1,5", "b": "2"}),
        ("a;b\n1,5;2,5\n3,5;4\n", ("a", "b"), {"a": "1,5", "b": "2,5"}),
        ("May 2026;;\n\n A ; B;c\n1;2;3\n4;5;6\n", ("A", "B", "c"), {"A": "1", "B": "2", "c": "3"}),
        ("Export of May\na,b\n1,2\n", ("a", "b"), {"a": "1", "b": "2"}),
        ("a\tb\n1, 2\t3\n", ("a", "b"), {"a": "1, 2", "b": "3"}),
        ("only\nx.png\n", ("only",), {"only": "x.png"}),
        ("a,b,,a\n1,2,3,4\n", ("a", "b"), {"a": "1", "b": "2"}),
    ],
)  # fmt: skip
def test_delimiters_titles_and_column_names_are_found(read, text, header, first_row):
    table = read(text)
    assert table.header == header and cells_of(table)[0] == first_row


def test_broken_rows_are_reported_by_line_and_cost_no_other(read):
    table = read(
        'a,b,c\n1,2,3\n1,2\n1,2,3,4\n"open,2,3\n12" wide,2,3\n"12" wide",2,3\n'
        '"two\nlines",2,3\na,b,c\n7,8,9\n'
    )
    assert [(row.line, row.problem[:40]) for row in table.rows if row.problem] == [
        (4, "bad row: 4 cells under 3 column names; q"),
        (5, "bad row: a quote is not closed, or is no"),
    ]
    assert [(row.line, row.cells["a"]) for row in table.rows if not row.problem] == [
        (2, "1"), (3, "1"), (6, '12" wide'), (7, '12 wide"'), (8, "two\nlines"), (11, "7"),
    ]  # fmt: skip
    assert table.rows[1].cells["c"] == ""
    assert table.notes == (
        "line 3: fewer cells than columns; the missing ones count as empty",
        "line 10: the column names again; not used",
    )


def test_a_cell_is_decoded_composed_and_stripped():
    assert table_reader.read_cell(" T&reg;-Shirt&nbsp;&amp; Hu\u0308te ") == "T®-Shirt\u00a0& Hüte"
    assert table_reader.read_cell("a&copy b") == "a&copy b"
    for missing in ("", " - ", "N/A", "#REF!", "nan", None, [], ["a", "b"], {"a": 1}, ["-"]):
        assert table_reader.read_cell(missing) is None


def test_a_list_of_one_item_is_its_item():
    assert (
        table_reader.read_cell([["c&amp;0"]]) == "c&0" and table_reader.read_cell([True]) == "true"
    )
    cells = (["a"], [], {}, "a", ["a", "b"], {"a": 1})
    assert list(map(table_reader.has_several_values, cells)) == [False] * 4 + [True] * 2


def test_a_table_without_rows_is_bad_data(read):
    for text in ("a,b\n", "\n\n", "\0\0", "[]"):
        with pytest.raises(BadData, match="has no rows"):
            read(text, "t.json" if text == "[]" else "t.csv")
