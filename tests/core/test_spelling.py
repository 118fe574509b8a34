"""Names that a reader takes for one: other case, other space, other code points."""

from prodgen.core import spelling


def test_names_that_differ_by_case_or_space_are_found():
    names = ["Hats", "hats ", "HATS", "Shoes", "T-Shirt", "tshirt", "Straße", "STRASSE", "Hats"]
    assert spelling.find_case_variants(names) == [["HATS", "Hats", "hats "], ["STRASSE", "Straße"]]
    nfd_name, nfc_name = "ro\u0308cke", "R\u00f6cke"
    assert spelling.find_case_variants([nfd_name, nfc_name]) == [[nfc_name, nfd_name]]
    assert spelling.compose(nfd_name) == "r\u00f6cke"
    assert spelling.find_case_variants(["rot  weiss", "rot weiss"]) == [["rot  weiss", "rot weiss"]]
    assert spelling.find_case_variants(["sch\udcfch", "SCH\udcfcH"]) == [
        ["SCH\udcfcH", "sch\udcfch"]
    ]
