"""Names of files: which are valid everywhere, what replaces those that are not, how they print."""

import os

import pytest

from prodgen.core.file_names import (
    casefold_name,
    check_file_name,
    decode_names,
    format_name,
    make_file_name,
)

VALID = ["shoes é", "-n 100%", "--out=x", "100%s %d {0}", "red,blue", "a'b;c", " lead", "console",
         "com", "a.b", "кроссовки", "e\u0301", "COM10", "x" * 200]  # fmt: skip
INVALID = {
    "": "empty",
    "a:b?*": "character :",
    "two\nlines": r"control character \n",
    "con": "device", "COM1": "device", "nul.tar.gz": "device", "Lpt³": "device", "aux .x": "device",
    "trail ": "dot or a space", "trail.": "dot or a space",
    ".hidden": "hidden",
    os.fsdecode(b"sch\xfch"): "not UTF-8",
    "\u202egpj": r"control character \u202e",
    "ü" * 101: "202 bytes",
    "a/b": "character /", "a\\b": "character \\", 'a"b': "character",
}  # fmt: skip


def test_valid_names_stay_as_they_are():
    assert [(name, check_file_name(name), make_file_name(name)) for name in VALID] == [
        (name, "", name) for name in VALID
    ]


@pytest.mark.parametrize("name", INVALID)
def test_invalid_names_have_a_reason_and_a_valid_name_of_their_own(name):
    assert INVALID[name] in check_file_name(name)
    made_name = make_file_name(name)
    assert check_file_name(made_name) == ""
    assert make_file_name(made_name) != made_name  # an input of that name gets another one


def test_names_that_differ_in_what_is_replaced_stay_different():
    texts = ["a:b", "a?b", "a\nb", "a_b", "con", "CON", "ü" * 150, "ü" * 151]
    names = [make_file_name(text) for text in texts]
    assert len({casefold_name(name) for name in names}) == len(texts)
    assert names[0].startswith("a_b~") and names[3] == "a_b" and names[4].startswith("con~")
    assert max(len(name.encode()) for name in names) <= 200
    assert casefold_name("Stra\u00dfe E\u0301") == casefold_name("STRASSE \u00e9")


def test_names_print_on_one_line_and_are_valid_in_json():
    name = os.fsdecode(b"sch\xfch\n\x1b[31m\tx")
    assert format_name(name) == r"sch\xfch\n\x1b[31m\tx"
    assert decode_names({name: [name, ("ü", 1, None)]}) == {
        "sch\\xfch\n\x1b[31m\tx": ["sch\\xfch\n\x1b[31m\tx", ["ü", 1, None]]
    }
