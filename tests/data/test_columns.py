"""What each column of a table is: found from names and cells, or as the config says."""

import re

import pytest

from prodgen.core.errors import UsageError
from prodgen.data import columns
from prodgen.data.column_kinds import parse_kinds
from prodgen.data.table_reader import Row, TableText


def roles_of(count=24, kinds="", is_file=lambda path: False, **cells):
    """The roles of a table with the given columns, each a function of the row's number."""
    names = {name.replace("__", " "): make for name, make in cells.items()}
    rows = [Row(n + 2, {name: make(n) for name, make in names.items()}) for n in range(count)]
    table = TableText(tuple(names), tuple(rows), ",", ())
    kinds = parse_kinds(kinds, table.header)
    return columns.find_roles(table, kinds=kinds, is_file=is_file)


def kinds_of(roles):
    return {d.name: d.kind for d in roles.descriptions}


def test_numbers_in_any_notation_are_numbers_with_their_unit():
    roles = roles_of(
        90, image=lambda n: f"{n}.png", 
        weight=lambda n: f"{n % 40 / 7 + 0.5:.2f}".replace(".", ","),
        discount=lambda n: f"{n % 50} %", price=lambda n: f"€ {n % 60 + 9},90",
        stock=lambda n: f"{1000 + n * 37:,}", size=lambda n: str(36 + n % 8) + ".0",
    )  # fmt: skip
    assert kinds_of(roles) == {
        "image": "image", "weight": "number", "discount": "number", "price": "number",
        "stock": "ignored", "size": "categorical",
    }  # fmt: skip
    descriptions = {d.name: d for d in roles.descriptions}
    assert (descriptions["discount"].unit, descriptions["price"].unit) == ("%", "EUR")
    assert descriptions["price"].content == "from 9.9 to 68.9"
    # 1,000 to 4,293 beside decimal commas: either a thousand or one.
    assert "look like numbers, but '4,293' can be 4293 or 4.293" in descriptions["stock"].reason
    assert any(note.startswith("column 'stock' is not used") for note in roles.notes)
    (size,) = (column for column in roles.attributes if column.header == "size")
    assert size.attribute.values == tuple(str(36 + n) for n in range(8))  # "36.0" is "36"
    assert size.value({"size": "37.0"}) == "37" and size.value({"size": ""}) is None


def test_the_config_says_what_a_column_is():
    cells = {
        "image": lambda n: f"{n}.png", "stock": lambda n: f"{1000 + n * 37:,}",
        "year": lambda n: str(2000 + n), "style": lambda n: f"s{n // 2}", "note": lambda n: "x",
        "kind": lambda n: "ab"[n % 2],
    }  # fmt: skip
    kinds = "stock=number_point, Year=categorical,style=group,note=ignore,kind=category"
    roles = roles_of(kinds=kinds, **cells)
    assert kinds_of(roles) == {
        "image": "image", "stock": "number", "year": "categorical", "style": "group",
        "note": "ignored", "kind": "category",
    }  # fmt: skip
    assert roles.attributes[0].value({"stock": "1,037"}) == 1037
    assert (
        roles_of(kinds="stock=number_comma", **cells).attributes[0].value({"stock": "1,037"})
        == 1.037
    )
    with pytest.raises(UsageError, match="config.data.columns='yaer' is no column.*mean year"):
        roles_of(kinds="yaer=number", **cells)
    with pytest.raises(UsageError, match="'stock=nummer' is not COLUMN=KIND"):
        roles_of(kinds="stock=nummer", **cells)


@pytest.mark.parametrize(
    ("price", "advice"),
    [
        (lambda n: "ask us" if n % 4 == 0 else f"{n}.5", ["number", "categorical"]),
        (lambda n: f"{n + 1},037", ["number_point", "number_comma", "categorical"]),
        (lambda n: f"2024-01-{n % 28 + 1:02d}", ["categorical"]),
        (lambda n: f"{n} {'kg' if n % 2 else 'g'}", ["categorical"]),
    ],
)
def test_a_column_that_looks_like_numbers_says_which_setting_keeps_it(price, advice):
    cells = {"image": lambda n: f"{n}.png", "price": price}
    (note,) = roles_of(60, **cells).notes
    assert re.findall(r"price=(\w+)", note) == advice
    for kind in advice:
        assert [c.header for c in roles_of(60, kinds=f"price={kind}", **cells).attributes] == [
            "price"
        ]


def test_texts_in_a_column_that_is_called_a_number_are_missing_and_counted():
    roles = roles_of(
        60, kinds="price=number", image=lambda n: f"{n}.png",
        price=lambda n: "ask us" if n % 4 == 0 else f"{n}.5",
    )  # fmt: skip
    (column,) = roles.attributes
    assert column.attribute.kind == "number"
    assert [column.value({"price": text}) for text in ("ask us", "5.5")] == [None, 5.5]
    assert roles.descriptions[1].reason == "15 cells, such as 'ask us', count as missing"


def test_a_column_of_products_is_found_by_its_name_and_its_repeats():
    def group(**cells):
        return roles_of(60, image=lambda n: f"{n}.png", **cells).group

    assert group(sku=lambda n: f"a{n}") is None  # one image each
    assert group(sku=lambda n: f"a{n // 3}") == "sku"
    assert group(sku=lambda n: f"a{n // 3}", parent=lambda n: f"p{n // 6}") == "parent"
    assert group(style=lambda n: ["casual", "formal", "sport"][n % 3]) is None  # a category
    assert group(style__id=lambda n: str(n // 15)) == "style id"
    assert group(colour=lambda n: f"c{n // 3}") is None


@pytest.mark.parametrize(
    ("spellings", "num_products", "remark"),
    [
        (["AB-{}", "ab-{}", "AB -{}"], 20, "as 'AB -0' and 'AB-0'; each is one product"),
        (["{}", "{}.0", "{}.00"], 20, "as '0' and '0.0'; each is one product"),
        (["{}", "0{}", "{}"], 40, "'0' and '00' are kept apart, and 19 more such pairs"),
    ],
)
def test_spellings_of_an_identifier_are_one_product(spellings, num_products, remark):
    roles = roles_of(60, image=lambda n: f"{n}.png", sku=lambda n: spellings[n % 3].format(n // 3))
    assert len({roles.read_group({"sku": s.format(n)}) for n in range(20) for s in spellings}) == (
        num_products
    )
    (note,) = roles.notes
    assert remark in note


def test_values_that_are_lists_or_objects_are_read_or_named():
    roles = roles_of(
        40, image=lambda n: f"{n}.png", category=lambda n: ["a"] if n else ["a", "b"],
        tags=lambda n: {"colour": "red"}, price=lambda n: {"EUR": 1} if n == 3 else n + 0.5,
    )  # fmt: skip
    assert roles.read_category({"category": ["a"]}) == "a"
    assert kinds_of(roles) == {
        "image": "image", "category": "category", "tags": "ignored", "price": "number",
    }  # fmt: skip
    category, tags, price = roles.notes
    assert category == (
        "column 'category': 1 cell holds several values or an object, such as "
        '["a", "b"] in line 2; they count as missing'
    )
    assert "'tags' is not used: 40 cells hold" in tags and '{"colour": "red"} in line 2' in tags
    assert (
        "'price': 1 cell holds several values or an object, such as {\"EUR\": 1} in line 5" in price
    )


def test_words_that_are_read_as_missing_are_named():
    roles = roles_of(
        60, image=lambda n: f"{n}.png", category=lambda n: ["NA", "a", "-", "b", "", "none"][n % 6],
        colour=lambda n: ["null", "red", "blue"][n % 3],
    )  # fmt: skip
    (note,) = roles.notes
    assert "'category': 'NA' (10), '-' (10) is read as missing, and these images have no" in note
    assert roles.descriptions[2].reason == "read as missing: 'null' (20)"
    assert roles.read_category({"category": "none"}) == "none"


def test_values_that_may_be_the_same_get_a_remark():
    roles = roles_of(
        60, image=lambda n: f"{n}.png",
        type__of=lambda n: ["T-Shirt", "t shirt", "Hat", "Hats", "Skirt"][n % 5],
        colour=lambda n: "blk" if n == 3 else "black" if n % 2 else "white",
    )  # fmt: skip
    remarks = [note for note in roles.notes if "may be the same" in note]
    assert len(remarks) == 3
    assert "'t shirt' (12) and 'T-Shirt' (12)" in remarks[0]
    assert "'blk' (1) and 'black' (29)" in remarks[2]


def test_codes_with_leading_zeros_are_other_values_than_numbers():
    roles = roles_of(
        image=lambda n: f"{n}.png", code=lambda n: ["007", "7", "7.0", "0", "00", "12"][n % 6]
    )
    (code,) = roles.attributes
    assert code.attribute.values == ("0", "00", "007", "7", "12")
    assert [code.value({"code": text}) for text in ("007", "7.0")] == ["007", "7"]
    assert "column 'code': '007' and '7' are kept apart, and 1 more such pair" in roles.notes[0]
    assert "7 (8)" in roles.descriptions[1].content  # with "7.0"
    # Twelve numbers would be a number, if 7 and 007 were one.
    roles = roles_of(image=lambda n: f"{n}.png", code=lambda n: "007" if n == 13 else str(n % 12))
    assert kinds_of(roles)["code"] == "categorical"
