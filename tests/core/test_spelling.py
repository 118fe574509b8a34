"""Which names may mean the same."""

import unicodedata

from prodgen.core.spelling import find_variants


def test_case_spaces_and_unicode_forms_make_variants():
    nfc, nfd = "Röcke", unicodedata.normalize("NFD", "Röcke")
    counts = {"Hats": 9, "HATS": 2, "hats ": 1, "Straße": 5, "STRASSE": 1, nfc: 4, nfd: 3}
    assert sorted(find_variants(counts)) == sorted(
        [("HATS", "Hats"), ("hats ", "Hats"), ("STRASSE", "Straße"), (nfd, nfc)]
    )
    assert not find_variants({"-": 3, "*": 3, "--": 1, "+": 2})
    assert find_variants({"rot weiss": 2, "rot  weiss": 1}) == [("rot  weiss", "rot weiss")]


def test_variants_are_not_invented():
    counts = {"S": 5, "M": 9, "L": 4, "XL": 2, "Size 38": 20, "Size 39": 2, "Boots": 9, "Roots": 8,
              "Shirt": 50, "Skirt": 40, "Jacket": 60, "Jakcet": 1, "Jackett": 2}  # fmt: skip
    assert sorted(find_variants(counts)) == [("Jackett", "Jacket"), ("Jakcet", "Jacket")]
