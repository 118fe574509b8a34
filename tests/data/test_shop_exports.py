"""Exports of shop systems are read as they are: images, categories, options, products."""
# ruff: noqa: E501 (lines of the exports)

import numpy as np
import pytest
from PIL import Image

from prodgen.data import shop_exports, table
from prodgen.data.image_paths import ImagePaths

MAGENTO = """sku,categories,name,price,base_image,additional_images
WB01,"Default Category/Gear/Bags,Default Category/Sale",Bag,45.00,/w/b/wb01.jpg,"/w/b/wb01_back.jpg,/w/b/wb01_top.jpg"
WB02,Default Category/Gear/Bags,Bag 2,32.00,/w/b/wb02.jpg,
WT01,Default Category/Women/Tops,Top,29.00,/w/t/wt01.jpg,
"""
SHOPIFY = """Handle,Title,Body (HTML),Vendor,Product Category,Tags,Option1 Name,Option1 Value,Variant Price,Image Src,Image Position
cap,Cap,<p>x</p>,Acme,Apparel > Hats,a,Colour,red,9.90,https://cdn.shopify.com/s/files/1/cap-1.jpg?v=1,1
cap,,,,,,,blue,9.90,https://cdn.shopify.com/s/files/1/cap-2.jpg?v=1,2
cap,,,,,,,green,9.90,,
mug,Mug,,Acme,Home > Mugs,,Title,Default Title,5.00,https://cdn.shopify.com/s/files/1/mug.jpg?v=1,1
"""
WOOCOMMERCE = """ID,Type,SKU,Name,Categories,Images,Attribute 1 name,Attribute 1 value(s),Regular price
1,simple,H1,Hoodie,"Clothing > Hoodies, Sale","https://x.com/h1.jpg, https://x.com/h2.jpg",Colour,Blue,45
2,simple,T1,Tee,Clothing > T-shirts,https://x.com/t1.jpg,Colour,Red,18
"""
GOOGLE = """id\ttitle\timage_link\tadditional_image_link\tprice\tgoogle_product_category\titem_group_id
a1\tBoot\thttps://x.com/a1.jpg\thttps://x.com/a1b.jpg,https://x.com/a1c.jpg\t15.00 USD\tApparel > Shoes > Boots\tG1
a2\tBoot\thttps://x.com/a2.jpg\t\t15.00 USD\tApparel > Shoes > Boots\tG1
b1\tSandal\thttps://x.com/b1.jpg\t\t9.50 USD\tApparel > Shoes > Sandals\tG2
"""


@pytest.fixture
def read(tmp_path):
    """read(text, files) -> [(name of the file, item)] of the images that are found."""

    def read(text, files, name="export.csv"):
        for number, file in enumerate(files):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / file)
        (tmp_path / name).write_text(text)
        source = table.Table(tmp_path / name, 1000)
        assert not [image.refusal for image in source.images if image.refusal]
        return source, [(i.file.rsplit("/", 1)[-1], i.category, i.group) for i in source.images]

    return read


def test_magento(read):
    files = [
        "w/b/wb01.jpg",
        "w/b/wb01_back.jpg",
        "w/b/wb01_top.jpg",
        "w/b/wb02.jpg",
        "w/t/wt01.jpg",
    ]
    source, images = read(MAGENTO, files)
    assert images == [
        ("wb01.jpg", "Bags", None), ("wb01_back.jpg", "Bags", None), ("wb01_top.jpg", "Bags", None),
        ("wb02.jpg", "Bags", None), ("wt01.jpg", "Tops", None),
    ]  # fmt: skip


def test_shopify(read):
    source, images = read(SHOPIFY, [f"images/{name}.jpg" for name in ("cap-1", "cap-2", "mug")])
    assert images == [
        ("cap-1.jpg", "Hats", "cap"), ("cap-2.jpg", "Hats", "cap"), ("mug.jpg", "Mugs", "mug")
    ]  # fmt: skip
    assert [i.attributes["Colour"] for i in source.images] == ["red", "blue", None]
    assert [i.attributes["Vendor"] for i in source.images] == ["Acme"] * 3
    assert [i.caption for i in source.images] == ["Cap", "Cap", "Mug"]
    assert any(s.startswith("1 rows without an image") for s in source.describe().sentences)


def test_woocommerce(read):
    source, images = read(WOOCOMMERCE, ["h1.jpg", "h2.jpg", "t1.jpg"])
    assert images == [
        ("h1.jpg", "Hoodies", None), ("h2.jpg", "Hoodies", None), ("t1.jpg", "T-shirts", None)
    ]  # fmt: skip
    assert [i.attributes["Colour"] for i in source.images] == ["Blue", "Blue", "Red"]


def test_variations_of_woocommerce_belong_to_their_parent(read):
    text = (
        "ID,Type,SKU,Parent,Name,Categories,Images\n"
        '1,variable,H,,Hoodie,Clothing > Hoodies,"h1.jpg, h2.jpg"\n'
        "2,variation,H-red,h,Hoodie red,,h3.jpg\n3,variation,H-blue,id:1.0,,,h4.jpg\n"
        "4,simple,T,,Tee,Clothing > Tees,t.jpg\n"
    )
    source, images = read(text, ["h1.jpg", "h2.jpg", "h3.jpg", "h4.jpg", "t.jpg"])
    assert images == [(f"h{n}.jpg", "Hoodies", "H") for n in (1, 2, 3, 4)] + [
        ("t.jpg", "Tees", None)
    ]
    assert [image.caption for image in source.images][:4] == [
        "Hoodie",
        "Hoodie",
        "Hoodie red",
        "Hoodie",
    ]


def test_google_merchant(read):
    files = [f"{name}.jpg" for name in ("a1", "a1b", "a1c", "a2", "b1")]
    source, images = read(GOOGLE, files, "feed.txt")
    assert images == [
        *((f"{name}.jpg", "Boots", "G1") for name in ("a1", "a1b", "a1c", "a2")),
        ("b1.jpg", "Sandals", "G2"),
    ]
    price = next(a for a in source.schema() if a.name == "price")
    assert (price.kind, price.unit) == ("number", "USD")
    assert source.images[0].attributes["price"] == 15


def test_a_category_of_two_parents_keeps_the_parent():
    categories, remark = shop_exports.shorten_category_paths(
        "categories", ["Men > Shoes", "Women > Shoes", "Women > Hats", "Sale"]
    )
    assert categories == {
        "Men > Shoes": "Men > Shoes", "Women > Shoes": "Women > Shoes", "Women > Hats": "Hats",
        "Sale": "Sale",
    }  # fmt: skip
    assert remark == "the last part of the longest path: 'Hats' of 'Women > Hats'"
    assert shop_exports.shorten_category_paths("category", ["T-Shirt/Top", "Bag"]) == ({}, "")


def test_a_comma_in_the_name_of_a_taxonomy_is_kept():
    bags = "Apparel > Handbags, Wallets & Cases"
    cells = [bags, f"{bags} > Handbags", f"{bags} > Wallets"]
    categories, _ = shop_exports.shorten_category_paths("google_product_category", cells)
    assert list(categories.values()) == ["Handbags, Wallets & Cases", "Handbags", "Wallets"]


@pytest.mark.parametrize(
    ("cell", "paths"),
    [
        ("red,blue.jpg", ["red,blue.jpg"]),
        ("RED,blue.jpg", ["RED,blue.jpg"]),
        ("a.jpg, red,blue.jpg, b.jpg", ["a.jpg", "red,blue.jpg", "b.jpg"]),
        ("red,a.jpg", ["red,a.jpg"]),  # a.jpg is another image
        ("a.jpg,,b.jpg,", ["a.jpg", "b.jpg"]),
        ("a|b", ["a", "b"]),
        ("images//a.jpg, //b.jpg", ["images//a.jpg", "//b.jpg"]),
        (
            "https://x.com/w_200,h_300/red.jpg, https://x.com/b.jpg ,//y.com/c.jpg",
            ["https://x.com/w_200,h_300/red.jpg", "https://x.com/b.jpg", "//y.com/c.jpg"],
        ),
        ("https://x.com/a,b.jpg|c.jpg\nd.jpg", ["https://x.com/a,b.jpg", "c.jpg", "d.jpg"]),
    ],
)
def test_marks_within_a_name_do_not_split_a_cell(tmp_path, cell, paths):
    for file in ("images/red,blue.jpg", "a.jpg", "b.jpg"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    is_path = ImagePaths(tmp_path).is_whole_path
    assert shop_exports.split_images("Images", cell, is_path) == paths


@pytest.mark.parametrize(
    ("cells", "categories"),
    [
        (["7.0", "7", "007", "8.0", "7.5"], {"7.0": "7"}),
        (["7.0", "8.0", "0.0"], {"7.0": "7", "8.0": "8", "0.0": "0"}),
    ],
)
def test_whole_numbers_with_a_decimal_are_the_same_category(cells, categories):
    assert shop_exports.shorten_category_paths("category", cells) == (
        categories,
        "'7.0' is the category '7'",
    )
