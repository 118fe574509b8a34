"""One rule for the numbers of a column: decimal marks, thousands, units; or why there is none."""

import pytest

from prodgen.data import numerals


@pytest.mark.parametrize(
    ("cells", "unit", "values"),
    [
        (["0,75", "1,25"], "", [0.75, 1.25]),
        (["€ 9,90", "12,90 €"], "EUR", [9.9, 12.9]),
        (["12 %", "3%"], "%", [12, 3]),
        (["15.00 USD", "$7"], "USD", [15, 7]),
        (["1.234,50", "2,00"], "", [1234.5, 2]),
        (["$1,234.56", "7.5"], "USD", [1234.56, 7.5]),
        (["1,000", "975", "12,500"], "", [1000, 975, 12500]),  # beside whole numbers: thousands
        (["1,234,567", "8"], "", [1234567, 8]),
        (["1 234,5", "2,0"], "", [1234.5, 2]),
        (["1\u00a0000", "2'500"], "", [1000, 2500]),
        (["€1.234"], "EUR", [1234]),  # no price has three decimals
        (["3.0", "1e3", ".5"], "", [3, 1000, 0.5]),
        (["(12.50)", "-3", "\u22124"], "", [-12.5, -3, -4]),
        (["12,-", "7,50"], "", [12, 7.5]),
        (["90°", "45 °"], "°", [90, 45]),
        (["12 cm", "14"], "cm", [12, 14]),
    ],
)
def test_numbers_are_read_by_one_rule(cells, unit, values):
    rule, _ = numerals.find_rule(dict.fromkeys(cells, 1))
    assert rule.unit == unit and [rule.read(cell) for cell in cells] == values


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["1.5", "2,5"], "decimal points and decimal commas, as in '1.5' and '2,5'"),
        (["1,037", "1,074"], "'1,074' can be 1074 or 1.074"),
        (["1.000", "975"], "can be 1 or 1000"),
        (["12 kg", "500 g"], "several units: kg, g"),
        (["1,23,456", "7.5"], "'1,23,456' is no number"),
        (["38", "39 1/2"], "'39 1/2' is not a number"),
        (["2024-01-02", "2024-01-03"], "is not a number"),
        (["A12", "A13"], "'A12' is not a number"),
        (["1e999", "2"], "is no number"),
        (["5 %", "0.05"], "some cells have % and others do not, such as '0.05'"),
    ],
)
def test_a_column_without_one_rule_says_why(cells, reason):
    rule, words = numerals.find_rule(dict.fromkeys(cells, 1))
    assert rule is None and reason in words


def test_the_tables_decimal_mark_decides_what_a_cell_does_not_prove():
    cells = {"1,037": 1, "1,074": 1}
    assert numerals.find_rule(cells, hint=".")[0].read("1,037") == 1037
    assert numerals.find_rule(cells, decimal=",")[0].read("1,037") == 1.037
    assert numerals.find_rule({"1.250": 1}, hint=",")[0].read("1.250") == 1250
    assert numerals.find_decimal_mark([{"0,5": 1}, {"9,90 €": 2}, {"7": 1}]) == ","
    assert numerals.find_decimal_mark([{"7": 1}, {"word": 1}]) == ""


def test_a_few_words_among_numbers_count_as_missing_and_are_named():
    rule, remark = numerals.find_rule({"1.5": 50, "2.5": 60, "on request": 2})
    assert rule.read("2.5") == 2.5 and rule.read("on request") is None
    assert remark == "2 cells, such as 'on request', count as missing"
    assert numerals.find_rule({"1.5": 5, "on request": 2})[0] is None


def test_a_single_number_is_read_where_it_is_certain():
    assert numerals.parse_number("0,5") == numerals.parse_number("0.5") == 0.5
    assert numerals.parse_number("2.0") == 2
    assert numerals.parse_number("1,000") is numerals.parse_number("much") is None


def test_codes_do_not_look_like_numbers():
    for text in ("t0", "A12", "EU 38-40", ""):
        assert not numerals.looks_like_number(text)
    for text in ("2024-01-02", "38½", "EUR 500", "4/5", "-3", "#12"):
        assert numerals.looks_like_number(text)


def test_what_follows_a_number_is_not_always_a_unit():
    for cells in (["12.50-", "13"], ["38", "38½"], ["900", "1.5k"]):
        assert numerals.find_rule(dict.fromkeys(cells, 1))[0] is None
    assert numerals.parse_number("2.000") is None and numerals.parse_number("2.0") == 2
