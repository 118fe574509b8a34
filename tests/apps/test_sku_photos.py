"""Photos by their SKU: which names belong to one, and which could belong to another product."""

import pytest

from prodgen.apps.common.sku_photos import assign_photos


@pytest.mark.parametrize(
    ("names", "photos"),
    [
        (["A1.jpg", "A1_2.jpg", "sub/A1-back.png"], ["A1.jpg", "sub/A1-back.png", "A1_2.jpg"]),
        (["a1_2.jpg", "a1_1.jpg"], ["a1_1.jpg", "a1_2.jpg"]),
        (["A1-front.jpg", "A1 (2).jpg"], ["A1-front.jpg", "A1 (2).jpg"]),
        (["A1_alt2.jpg", "A1_alt1.jpg", "A1_main.jpg"],
         ["A1_main.jpg", "A1_alt1.jpg", "A1_alt2.jpg"]),
        (["A1-back.jpg"], None),  # no main photo
        (["A1-20.jpg"], None),  # it may be the SKU of another product
        (["A12.jpg", "xA1.jpg", "A1_0001.jpg"], None),
    ],
)  # fmt: skip
def test_names_of_one_sku(names, photos):
    assert assign_photos(names, ["A1", "Z"]).get("A1") == photos


def test_a_whole_name_goes_before_an_ending_and_two_skus_share_none():
    assert assign_photos(["A.jpg", "A_1.jpg"], ["A", "A_1"]) == {"A": ["A.jpg"], "A_1": ["A_1.jpg"]}
    assert assign_photos(["A_front_1.jpg"], ["A", "A_front"]) == {}
    assert assign_photos(["", "x.jpg"], ["", "y"]) == {}
