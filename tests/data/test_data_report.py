"""The data report: counts, refusals, duplicates, and names that are escaped."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from prodgen.data import duplicates, folder, prepare, table
from prodgen.data.source import Item
from tests.data.test_prepare import ListSource, make_noise, make_product_source


class PageParser(HTMLParser):
    """Checks that every tag is closed, and collects the text, tags and image sources."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.sources, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


@pytest.fixture
def shop(fill, draw, tmp_path):
    """Shoes and bags, one exact copy, one near copy, refused files, a hostile name."""
    root = tmp_path / "shop"
    fill(root / "shoes", 30)
    fill(root / "bags", 12, start=50)
    Image.fromarray(draw(3)).save(root / "shoes" / "copy.png")
    near_copy = draw(4).astype(int) + 2
    Image.fromarray(near_copy.clip(0, 255).astype(np.uint8)).save(root / "shoes" / "near.png")
    (root / "shoes" / "page.jpg").write_text("<html>")
    (root / "shoes" / "<script>alert(1)<").write_text("x")
    return root


def prepare_report(data, source):
    store = prepare.open_or_prepare(data, source=source)
    page = PageParser()
    page.feed((store.path / "data_report.html").read_text())
    return store, json.loads((store.path / "data_report.json").read_text()), page


def test_report_of_a_shop(data, shop):
    store, report, page = prepare_report(data, folder.Folder(shop, 10**7))
    assert report["counts"] == store.counts and report["refused"]["total"] == 2
    assert report["refused"]["kinds"] == {"not a picture": 2}
    reasons = {one["name"]: one["reason"] for one in report["refused"]["examples"]}
    assert reasons["shoes/page.jpg"].startswith("not a picture")
    assert {one["name"]: one["total"] for one in report["classes"]} == {"bags": 12, "shoes": 32}
    assert report["duplicates"]["pictures"] == 1
    assert report["duplicates"]["names"] == [["shoes/0003.png", "shoes/copy.png"]]
    assert ["shoes/0004.png", "shoes/near.png"] in report["near_duplicates"]["names"]
    assert report["near_duplicates"]["pairs"] == 1 and report["near_duplicates"]["complete"]
    assert report["background"]["colour"] == [255, 255, 255]
    assert report["background"]["all_white"] == 44
    assert report["sizes"]["smallest"] == report["sizes"]["largest"] == 24
    assert sum(report["sizes"]["shorter_side"].values()) == 44
    assert any("2 files refused" in remark for remark in report["remarks"])
    assert not page.open and "script" not in page.tags
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == 8 + 8 + 2 + 2
    text = "".join(page.text)
    assert "shoes/page.jpg" in text and "<script>alert(1)<" in text


def test_products_across_splits_are_reported(data, draw):
    source = make_product_source(draw, products=20, views=2)
    for row, item in enumerate(source.items):
        item.split = "test" if row in (1, 3) else "train"
    data.source, data.validation = "table", 0.0
    _, report, page = prepare_report(data, source)
    assert report["products"]["across"] == 2
    assert report["products"]["examples"][0]["product"] == "sku0"
    assert report["products"]["splits"]["test"] == {
        "images": 2, "products": 2, "joined_groups": 2
    }  # fmt: skip
    # The first picture of the last product nearly repeats the first one's, both in training.
    assert report["products"]["splits"]["train"]["joined_groups"] == 19
    remark = "2 products have images in several splits: sku0, sku1; the splits of the source"
    assert any(text.startswith(remark) for text in report["remarks"])
    text = "".join(page.text)
    assert "Products in several splits" in text and "not changed: train, test" in text


def test_splits_by_product_have_no_near_duplicates_across(data, draw):
    data.source = "table"
    _, report, page = prepare_report(data, make_product_source(draw))
    products = report["products"]
    assert sum(row["products"] for row in products["splits"].values()) == 30
    assert sum(row["images"] for row in products["splits"].values()) == 90
    assert sum(row["joined_groups"] for row in products["splits"].values()) == 29
    assert products["joined"] == 1 and products["most_joined"] == 2
    assert report["near_duplicates"]["pairs"] == 1 and report["near_duplicates"]["across"] == 0
    assert "Near duplicates across these splits: 0." in "".join(page.text)
    data.split_by = "image"
    _, report, _ = prepare_report(data, make_product_source(draw))
    assert report["products"]["across"] > 5
    assert any("--config.data.split_by=product" in text for text in report["remarks"])


def test_categories_without_a_training_image_are_named(data):
    images = make_noise(40)
    source = ListSource([Item(f"{n}", image, f"c{n:02d}") for n, image in enumerate(images)])
    source.names = tuple(item.category for item in source.items)
    data.source = "folder"
    store, report, _ = prepare_report(data, source)
    assert store.counts["train"] == 40
    assert "40 products stay in training: no other product has the category" in report["remarks"]
    assert any("no image is held out for validation and test" in r for r in report["remarks"])
    for number, item in enumerate(source.items):
        item.split = "test" if number < 14 else "train"
    source.items[20].category = source.items[21].category = "C22"
    source.names += ("C22",)
    source.items[0].category = None
    _, report, _ = prepare_report(data, source)
    remarks = "\n".join(report["remarks"])
    assert "1 image has no category" in report["remarks"]
    assert "16 categories have no training image: c00, c01, c02," in remarks
    assert "c11 and 4 more; a run refuses to draw them" in remarks
    assert "'C22' (" in remarks and "may be the same; each is a category of its own" in remarks


def test_attributes_are_reported_in_their_own_units(data, fill, tmp_path):
    fill(tmp_path / "shop", 20)
    rows = [
        f"{n:04d}.png,{n + 0.5 if n % 2 else ''},{'felt' if n < 5 else 'wood'}" for n in range(20)
    ]
    path = tmp_path / "shop" / "a.csv"
    path.write_text("path,width (cm),material\n" + "\n".join(rows))
    _, report, page = prepare_report(data, table.Table(path, 10**7))
    width, material = report["attributes"]
    assert width["known"] == 0.5 and width["unit"] == "cm"
    assert width["range"][0] == pytest.approx(1.5) and width["range"][-1] == pytest.approx(19.5)
    assert material["values"] == {"felt": 5, "wood": 15}
    assert not page.open and "known for 50% of the images" in "".join(page.text)


def test_names_that_are_not_utf8_are_escaped(data, fill, draw, tmp_path):
    root = fill(tmp_path / "shop", 4)
    with open(bytes(root) + b"/sch\xfch.png", "wb") as file:
        Image.fromarray(draw(9)).save(file, "PNG")
    (root / "sch\udcff.txt").write_text("x")
    store, report, page = prepare_report(data, folder.Folder(root, 10**7))
    assert report["refused"]["examples"][0]["name"] == "sch\\xff.txt"
    assert "sch\udcfch.png" in store.names(np.arange(store.size))


def test_near_pairs_are_exactly_those_within_the_distance():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for copy, bits in ((7, 1), (8, 2), (9, 3), (10, 4)):
        flipped_bits = rng.choice(64, bits, replace=False).astype(np.uint64)
        hashes[copy + 100] = hashes[copy] ^ np.bitwise_or.reduce(np.uint64(1) << flipped_bits)
    hashes[200] = hashes[11]
    pairs, complete = duplicates.find_near_pairs(hashes, lambda a, b: np.ones(len(a), bool))
    assert complete and pairs.tolist() == [[7, 107], [8, 108], [9, 109], [11, 200]]


def test_the_search_of_a_set_of_one_repeated_image_is_bounded():
    hashes_of_one_image = np.zeros(20_000, np.uint64)
    pairs, complete = duplicates.find_near_pairs(
        hashes_of_one_image, lambda a, b: np.ones(len(a), bool), max_pairs=1000
    )
    assert not complete and len(pairs) >= 1000


def test_flat_images_have_the_hash_zero():
    images = np.full((2, 16, 16, 3), 255, np.uint8)
    images[1] -= np.random.default_rng(0).integers(0, 2, images[1].shape, dtype=np.uint8)
    assert (duplicates.compute_difference_hashes(images) == 0).all()
