"""Lists of pairs: quotes keep commas together, and a name has one value."""

import pytest

from prodgen.core.pairs import format_pair, parse_pairs


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("colour=red, azimuth = 30,", [("colour", "red"), ("azimuth", "30")]),
        ('colour="red, white",a=1', [("colour", "red, white"), ("a", "1")]),
        ('"size, cm"=30', [("size, cm", "30")]),
        ('screen=12" wide,a="say ""hi"""', [("screen", '12" wide'), ("a", 'say "hi"')]),
        ("a=1,a=1", [("a", "1")]),
        (format_pair('a,"b', "c,=d"), [('a,"b', "c,=d")]),
        (" ", []),
    ],
)
def test_quotes_enclose_what_has_a_comma(text, pairs):
    assert list(parse_pairs(text)) == pairs


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour=red,colour=blue", "colour has two values, 'red' and 'blue'"),
        ("colour=red, white", "'white' is not name=value"),
        ('a=""', "is not name=value"),
        ("=3", "'=3' is not name=value"),
    ],
)
def test_what_is_no_list_of_pairs_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_pairs(text)
