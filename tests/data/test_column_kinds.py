"""config.data.columns: names with marks in them, and contradictions."""

import pytest

from prodgen.core.errors import UsageError
from prodgen.data.column_kinds import merge_kinds, parse_kinds

HEADER = ("image", "Image", "size", "size, cm", "a", "a=b", 'the "x"', "price")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("size, cm=number,price=ignore", {"size, cm": "number", "price": "ignore"}),
        ("a=b=number, a=group", {"a=b": "number", "a": "group"}),
        ("\"size, cm\" = angle,'a=b'=number", {"size, cm": "angle", "a=b": "number"}),
        ('"the ""x"""=caption,the "x"', None),
        ("Image=ignore,SIZE=number,", {"Image": "ignore", "size": "number"}),
    ],
)
def test_a_name_may_have_commas_equals_signs_and_quotes(text, kinds):
    if kinds is None:
        with pytest.raises(UsageError, match="'the \"x\"' is not COLUMN=KIND"):
            parse_kinds(text, HEADER)
    else:
        assert parse_kinds(text, HEADER) == kinds


@pytest.mark.parametrize(
    ("text", "fields", "problem"),
    [
        ("price=number,price=ignore", ("", ""), "twice: price=number and price=ignore"),
        ("size, cm=nummer", ("", ""), "'size, cm=nummer' is not COLUMN=KIND"),
        ("size=category,a=category", ("", ""), "'size' and 'a' are category both"),
        ("size=group,a=group", ("", ""), "'size' and 'a' are group both"),
        ("a=category", ("", "size"), "'size' and 'a' are category both"),
        ("price=number", ("price", ""), "image_column=price, but the column is number, too"),
        ("", ("a", "a"), "category_column=a, but the column is image, too"),
    ],
)
def test_contradictions_are_refused_with_both_names(text, fields, problem):
    with pytest.raises(UsageError, match=problem):
        merge_kinds(parse_kinds(text, HEADER), HEADER, *fields)


def test_several_columns_may_hold_images():
    kinds = parse_kinds("image=image,Image=image", HEADER)
    # The column that the config names is the main one.
    assert list(merge_kinds(kinds, HEADER, "Image", "")) == ["Image", "image"]
