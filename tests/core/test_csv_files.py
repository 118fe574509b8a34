"""CSV files: the bytes that spreadsheets read."""

from prodgen.core.csv_files import format_csv


def test_a_csv_file_has_a_byte_order_mark_and_quotes_what_needs_it():
    content = format_csv(["file", "problem"], [["ä.png", 'a "b", c'], ["b.png", None], [1, 0.5]])
    expected = '\ufefffile,problem\r\nä.png,"a ""b"", c"\r\nb.png,\r\n1,0.5\r\n'
    assert content == expected.encode()


def test_texts_that_a_spreadsheet_would_compute_are_escaped_and_numbers_are_not():
    content = format_csv(
        ["=a"], [["+1"], ["-x.jpg"], ["@a"], ["\t=1"], [-1.5], ["sch\udcfch"], ["a=b"]]
    )
    rows = content.decode("utf-8-sig").split("\r\n")
    assert rows == ["'=a", "'+1", "'-x.jpg", "'@a", "'\t=1", "-1.5", "sch\\xfch", "a=b", ""]
