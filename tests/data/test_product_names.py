"""Products are found by name before id, and a text that could be two is refused with both."""

import pytest

from prodgen.core.errors import RejectedItem
from prodgen.data.product_names import ProductNames

FLAT = sorted(f"{number}.jpg" for number in range(12))  # 0, 1, 10, 11, 2, ...: id 2 is 10.jpg
TREE = ["R&amp;D/x1.jpg", "R&D/x1.jpg", "hats/chapeau_e\u0301.jpg", "hats/A b.png", "hats/a.jpg",
        "hats/a.png", "shoes/30.jpg", "shoes/007.jpg", "catalogue-01"]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "text", "name"),
    [
        (FLAT, "2", "2.jpg"), (FLAT, "12.0", None), (FLAT, "10.0", "10.jpg"),
        (TREE, "0", TREE[0]), (TREE, "8.0", TREE[8]),
        (TREE, "R&amp;D/x1.jpg", "R&amp;D/x1.jpg"), (TREE, "R&D/x1", "R&D/x1.jpg"),
        (TREE, "hats/chapeau_\u00e9.jpg", "hats/chapeau_e\u0301.jpg"),
        (TREE, "hats/a%20B.PNG", "hats/A b.png"), (TREE, "Shoes\\30.JPG", "shoes/30.jpg"),
        (TREE, "/shoes/30", "shoes/30.jpg"), (TREE, "C:\\shop\\shoes\\30.jpg", "shoes/30.jpg"),
        (TREE, "https://x.com/m/shoes/30.jpg?v=2", "shoes/30.jpg"),
        (TREE, "30.jpg", None), (TREE, "shoes/30.png", None), (TREE, "-1", None),
    ],
)  # fmt: skip
def test_a_product_is_found_as_a_table_finds_an_image(names, text, name):
    products = ProductNames({name: id for id, name in enumerate(names)})
    if name is None:
        with pytest.raises(RejectedItem, match="the run has no product"):
            products.find(text)
    else:
        assert products.find(text)[0] == names.index(name)


@pytest.mark.parametrize(
    ("names", "text", "reason"),
    [
        (TREE, "hats/a", "could be hats/a.jpg, hats/a.png; write one of them"),
        (["b/001.jpg", "a/0.jpg"], "1", "could be b/001.jpg, or a/0.jpg by its id; write its name"),
        (TREE, "030", "no product '030'; did you mean shoes/30.jpg"),
        (FLAT, "007", "no product '007'; did you mean 7.jpg"),
    ],
)
def test_what_could_be_two_products_is_refused_with_both(names, text, reason):
    with pytest.raises(RejectedItem, match=reason):
        ProductNames({name: id for id, name in enumerate(names)}).find(text)


def test_a_name_that_goes_before_an_id_is_noted():
    products = ProductNames({name: id for id, name in enumerate(FLAT)})
    assert products.find("2")[1] == "'2' is the product 2.jpg, not 10.jpg by its id"
    assert not products.find("2.jpg")[1]


def test_two_paths_that_have_only_a_name_in_common_with_a_product_are_refused():
    products = ProductNames({"main.jpg": 0})
    assert products.find("/1001/main.jpg")[0] == products.find("/1001/main.jpg")[0] == 0
    with pytest.raises(RejectedItem, match="could both mean main.jpg"):
        products.find("/1002/main.jpg")
