"""Mode listing on a small shop of drawn photos, with every kind of bad row."""

import csv
import hashlib
import re

import numpy as np
import pytest
from PIL import Image

from prodgen.apps import listing
from prodgen.apps.common import listing_images, listing_products
from prodgen.core import formats
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.core.file_names import check_file_name
from tests.modes import run_mode
from tests.test_commandline import run_command

SIDE = 640
OPTIONS = {"profile": "ebay", "cutout": "plain", "sizes": ("1:1", "4:5")}


def draw_photo(path, shade=(40, 90, 160), side=SIDE, ground=255, right=0):
    """A disc of three quarters of the frame, its texture of two shades."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    share = np.clip(0.375 * side - np.hypot(y, x - right) + 0.5, 0, 1)[..., None]
    stripes = np.where((y // 16) % 2 == 0, 0, 12)[..., None]
    image = share * (np.array(shade) + stripes) + (1 - share) * ground
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(np.rint(image))).save(path, quality=95)


def write_table(path, rows, header=("sku", "title", "category", "colour", "image", "image 2")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def list_shop(shop, out, **changes):
    paths = {"table": str(shop / "products.csv"), "images": str(shop / "photos")}
    return run_mode("listing", out=out, **(OPTIONS | paths | changes))


def read_rows(out):
    with open(out / "listing.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def hash_files(out):
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop")
    photos = path / "photos"
    draw_photo(photos / "a.jpg")
    draw_photo(photos / "a back.png", right=20)
    draw_photo(photos / "b.png", shade=(150, 40, 60))
    draw_photo(photos / "stray.png")
    (photos / "broken.jpg").write_bytes(b"no image at all")
    Image.fromarray(np.full((SIDE, SIDE, 3), 255, np.uint8)).save(photos / "blank.png")
    write_table(
        path / "products.csv",
        [
            ("A-1", "Blue disc", "Discs", "blue", "a.jpg", "a back.png"),
            ("B/2", "Disc", "Discs", "red", "b.png", ""),
            ("a-1", "Another", "Discs", "red", "b.png", ""),
            ("C", "Lost", "Discs", "red", "c.png", ""),
            ("", "Nameless", "Discs", "red", "b.png", ""),
            ("D", "Broken", "Discs", "red", "broken.jpg", ""),
            ("E", "Blank", "Discs", "red", "blank.png", ""),
            ("F", "Photoless", "Discs", "red", "", ""),
        ],
    )
    return path


@pytest.fixture(scope="module")
def result(shop, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "listing"
    return out, list_shop(shop, out, colours=("teal",))


def test_files_are_named_by_sku_colour_role_and_shape(result):
    rows = read_rows(result[0])
    names = [row["file"] for row in rows if row["file"]]
    stem = listing_products.make_stem("B/2")
    assert re.fullmatch(r"B_2~[0-9a-f]{8}", stem)
    expected_names = {
        f"images/{start}{ending}.jpg"
        for start in ("A-1_main", "A-1_teal_main", "A-1_alt1", "A-1_teal_alt1", f"{stem}_main",
                      f"{stem}_teal_main")
        for ending in ("", "_4x5")
    }  # fmt: skip
    assert set(names) == expected_names and len(names) == len(expected_names)
    assert all(not check_file_name(name.rpartition("/")[2]) for name in names)
    for row in rows:
        if row["file"]:
            path = result[0] / row["file"]
            assert formats.identify_format(path.read_bytes()[:64]) == "JPEG"
            assert Image.open(path).size == (int(row["width"]), int(row["height"]))
            assert int(row["bytes"]) == path.stat().st_size


def test_every_row_and_photo_that_cannot_be_used_has_its_reason(result):
    reasons = {
        (row["sku"], row["photo"]): row["findings"].partition(":")[0]
        for row in read_rows(result[0])
        if row["verdict"] == "refused"
    }
    assert reasons == {
        ("a-1", "b.png"): "repeated_sku",
        ("C", "c.png"): "no_photo",
        ("", "b.png"): "no_sku",
        ("D", "broken.jpg"): "not a picture",
        ("E", "blank.png"): "no_product",
        ("F", ""): "no_photo",
        ("", "stray.png"): "no_row",
    }


def test_images_meet_the_profile_and_nothing_is_enlarged(result):
    rows = {row["file"]: row for row in read_rows(result[0])}
    square = rows["images/A-1_main.jpg"]
    assert square["verdict"] == "ready", square
    # The disc has 480 px, which is 0.85 of 565.
    assert int(square["width"]) == int(square["height"]) == pytest.approx(565, abs=4)
    tall = rows["images/A-1_main_4x5.jpg"]
    assert int(tall["width"]) * 5 == int(tall["height"]) * 4
    image = np.asarray(Image.open(result[0] / "images/A-1_main.jpg"))
    assert image[:20].min() >= 253
    middle = len(image) // 2
    assert np.abs(image[middle, middle].astype(int) - (40, 90, 160)).max() < 30


def test_a_colourway_has_the_colour_and_says_so(result):
    rows = {row["file"]: row for row in read_rows(result[0])}
    row = rows["images/A-1_teal_main.jpg"]
    assert row["colour"] == "teal" and row["alt_text"] == "Teal disc"
    assert rows["images/A-1_alt1.jpg"]["alt_text"] == "Blue disc, view 2"
    image = np.asarray(Image.open(result[0] / row["file"])).astype(int)
    red, green, blue = image[len(image) // 2, len(image) // 2]
    assert green > red + 40 and blue > red + 40 and abs(green - blue) < 40


def test_the_page_has_the_doubtful_ones_first_and_a_box_to_approve(result):
    page = (result[0] / "listing.html").read_text()
    rows = page.split('<div class="row ')[1:]
    states = [row.split('"')[0] for row in rows]
    assert states == sorted(states, key=("bad", "doubt", "good").index)
    assert len(rows) == 5 + 5  # photos, and rows or photos with problems
    assert page.count("type=checkbox") == 3 and 'data-name="A-1 main" checked' in page
    (row,) = [row for row in rows if "<b>A-1 main" in row]
    assert row.count("data:image/jpeg") == 5  # before, two shapes in two colours


def test_an_interrupted_command_ends_with_the_same_bytes(shop, result, tmp_path, monkeypatch):
    out, count = tmp_path / "listing", 0
    make_images = listing.make_images

    def stop_after_three(*arguments):
        nonlocal count
        for image in make_images(*arguments):
            if count == 3:
                raise KeyboardInterrupt
            count += 1
            yield image

    monkeypatch.setattr(listing, "make_images", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        list_shop(shop, out, colours=("teal",))
    assert 0 < len(list((out / "images").glob("*.jpg"))) < 12
    monkeypatch.setattr(listing, "make_images", make_images)
    list_shop(shop, out, colours=("teal",))
    assert hash_files(out) == hash_files(result[0])
    # A third command makes no image again.
    monkeypatch.setattr(listing, "make_images", lambda *arguments: pytest.fail("made again"))
    list_shop(shop, out, colours=("teal",))
    assert hash_files(out) == hash_files(result[0])


def test_a_change_of_a_photo_or_a_row_makes_its_images_again(tmp_path):
    draw_photo(tmp_path / "photos" / "a.png")
    draw_photo(tmp_path / "photos" / "b.png")
    rows = [("A", "Disc", "", "", "a.png", ""), ("B", "Disc", "", "", "b.png", "")]
    write_table(tmp_path / "products.csv", rows)
    out = tmp_path / "out"
    list_shop(tmp_path, out, sizes=("1:1",), format="webp", quality=70)
    before = {path: path.stat().st_mtime_ns for path in (out / "images").glob("*.webp")}
    assert len(before) == 2
    draw_photo(tmp_path / "photos" / "b.png", shade=(200, 60, 20))
    list_shop(tmp_path, out, sizes=("1:1",), format="webp", quality=70)
    changes = [path.name for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert changes == ["B_main.webp"]


def test_a_small_photo_is_padded_and_doubtful(tmp_path):
    draw_photo(tmp_path / "photos" / "a.png", side=200)
    write_table(tmp_path / "products.csv", [("A", "Disc", "", "", "a.png", "")])
    list_shop(tmp_path, tmp_path / "out", profile="amazon", sizes=("1:1",))
    (row,) = read_rows(tmp_path / "out")
    assert (row["width"], row["verdict"]) == ("1000", "doubtful")
    assert "fill: the product takes 15" in row["findings"]


def test_a_close_up_is_cropped_and_only_doubtful_as_main_image(tmp_path):
    y, x = np.mgrid[:700, :600]
    weave = 40 * np.sin(2 * np.pi * x / 12) * np.sin(2 * np.pi * y / 12)
    cloth = np.uint8(np.array((90, 110, 150)) + weave[..., None])
    draw_photo(tmp_path / "photos" / "a.png")
    Image.fromarray(cloth).save(tmp_path / "photos" / "detail.png")
    rows = [("A", "Scarf", "", "", "a.png", "detail.png"), ("B", "Rug", "", "", "detail.png", "")]
    write_table(tmp_path / "products.csv", rows)
    list_shop(tmp_path, tmp_path / "out", sizes=("1:1",), format="png", colours=("teal",))
    rows = {row["file"]: row for row in read_rows(tmp_path / "out")}
    assert rows[""]["findings"] == "recolour: a close-up is not recoloured"
    assert not list((tmp_path / "out").glob("images/*teal_alt1*"))
    detail = rows["images/A_alt1.png"]
    assert detail["verdict"] == "ready" and detail["alt_text"] == "Scarf, close-up"
    image = np.asarray(Image.open(tmp_path / "out" / detail["file"]))
    np.testing.assert_array_equal(image, cloth[50:650])
    assert rows["images/B_main.png"]["findings"].startswith("close_up")


def test_a_main_photo_that_cuts_the_product_off(tmp_path):
    """Doubtful where the profile requires the whole product, else a note; it stands on the edge."""
    draw_photo(tmp_path / "photos" / "a.png", side=1200)
    image = Image.open(tmp_path / "photos" / "a.png")
    image.crop((0, 0, 1200, 900)).save(tmp_path / "photos" / "a.png")
    write_table(tmp_path / "products.csv", [("A", "Disc", "", "", "a.png", "")])
    for profile, verdict in (("white_main", "doubtful"), ("ebay", "ready")):
        out = tmp_path / profile
        list_shop(tmp_path, out, profile=profile, sizes=("1:1",), format="png")
        (row,) = read_rows(out)
        assert row["verdict"] == verdict
        words = row["findings"] + row["notes"]
        assert "cut_off: the photo cuts the product off below" in words
        bottom = np.asarray(Image.open(out / row["file"]))[-1]
        assert (bottom < 200).all(axis=-1).any()


def test_photos_are_found_by_their_sku_where_the_table_has_no_paths(tmp_path):
    for name in ("A-1.png", "a-1_2.png", "A-1-2.png", "B_main.png", "c-back.png", "other.png"):
        draw_photo(tmp_path / "photos" / name, side=520)
    rows = [("A-1", "One"), ("A-1-2", "Two"), ("B", "Three"), ("C", "Four")]
    write_table(tmp_path / "products.csv", rows, header=("sku", "title"))
    list_shop(tmp_path, tmp_path / "out", sizes=("1:1",))
    rows = read_rows(tmp_path / "out")
    assert {(row["file"], row["photo"]) for row in rows if row["file"]} == {
        ("images/A-1_main.jpg", "A-1.png"), ("images/A-1_alt1.jpg", "a-1_2.png"),
        ("images/A-1-2_main.jpg", "A-1-2.png"), ("images/B_main.jpg", "B_main.png"),
    }  # fmt: skip
    reasons = {(row["sku"], row["photo"]): row["findings"] for row in rows if not row["file"]}
    assert reasons["C", ""].startswith("no_photo") and len(reasons) == 3
    assert reasons["", "c-back.png"].startswith("no_row")


def test_names_of_products_do_not_meet():
    stem = listing_products.make_stem
    assert stem("A", ("teal",)) == "A"
    assert re.fullmatch("A_teal~[0-9a-f]{8}", stem("A_teal", ("teal",)))
    assert re.fullmatch("A_MAIN~[0-9a-f]{8}", stem("A_MAIN"))
    assert not check_file_name(stem("con")) and stem("con") != "con"
    assert len(stem("x" * 500).encode()) <= listing_products.MAX_STEM_BYTES


def test_a_image_is_never_guessed(tmp_path):
    """A missing file, of which another one of a like name is there."""
    draw_photo(tmp_path / "photos" / "sub" / "a.png")
    draw_photo(tmp_path / "photos" / "b.png")
    rows = [("A", "", "", "", "a.png", ""), ("B", "", "", "", "b.png", "b2.png"),
            ("C", "", "", "", "c.png", "b.png")]  # fmt: skip
    write_table(tmp_path / "products.csv", rows)
    list_shop(tmp_path, tmp_path / "out", sizes=("1:1",))
    rows = read_rows(tmp_path / "out")
    assert [row["file"] for row in rows if row["file"]] == ["images/B_main.jpg"]
    reasons = {(row["sku"], row["photo"]): row["findings"] for row in rows if not row["file"]}
    assert "sub/a.png is there: write that path" in reasons["A", "a.png"]
    assert reasons["B", "b2.png"].startswith("missing")
    assert reasons["C", "c.png"].startswith("no_main_photo: c.png")


def test_usage(tmp_path, shop):
    cases = [
        ({"table": ""}, UsageError, "needs --table"),
        ({"profile": "amazon", "format": "webp"}, UsageError, "takes no WEBP"),
        ({"profile": "amazon", "background": "teal"}, UsageError, "white background"),
        ({"profile": "amazon", "shadow": 0.4}, UsageError, "without a shadow"),
        ({"profile": "amazon", "side": 600}, UsageError, "below the 1000 px"),
        ({"colours": ("bleu",)}, UsageError, "did you mean blue"),
        ({"sku": "number"}, UsageError, "no column 'number'"),
        ({"table": str(tmp_path / "no.csv")}, MissingInput, "does not exist"),
        ({"images": str(tmp_path / "no")}, MissingInput, "is no folder"),
    ]
    for changes, error, words in cases:
        with pytest.raises(error, match=words):
            list_shop(shop, tmp_path / "out", **changes)
    write_table(tmp_path / "products.csv", [("A", "x.png")], header=("title", "image"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no column of the table holds the SKUs"):
        list_shop(tmp_path, tmp_path / "out")
    write_table(tmp_path / "products.csv", [("A", "x.png")], header=("sku", "image"))
    with pytest.raises(BadData, match="no image could be made"):
        list_shop(tmp_path, tmp_path / "out")
    assert read_rows(tmp_path / "out")[0]["verdict"] == "refused"


def test_the_users_own_files_stay(tmp_path):
    draw_photo(tmp_path / "photos" / "a.png")
    write_table(tmp_path / "products.csv", [("A", "", "", "", "a.png", "")])
    draw_photo(tmp_path / "out" / "images" / "A_main.jpg")
    with pytest.raises(UsageError, match="did not write"):
        list_shop(tmp_path, tmp_path / "out")


def test_a_source_of_a_model_is_named_in_each_image(tmp_path):
    from prodgen.core import pixels, provenance

    draw_photo(tmp_path / "photos" / "a.png")
    image = np.asarray(Image.open(tmp_path / "photos" / "a.png"))
    text = provenance.build_png_text("generated", "run 1")
    (tmp_path / "photos" / "a.png").write_bytes(pixels.encode_png(image, text))
    write_table(tmp_path / "products.csv", [("A", "", "", "", "a.png", "")])
    list_shop(tmp_path, tmp_path / "out")
    files = list((tmp_path / "out" / "images").glob("*.jpg"))
    assert files and all(map(provenance.is_generated, files))


def test_the_command(tmp_path):
    draw_photo(tmp_path / "photos" / "a.png")
    write_table(tmp_path / "products.csv", [("A", "", "", "", "a.png", "")])
    code, lines = run_command(
        "run_sample.py", "--mode=listing", "--table=products.csv", "--images=photos",
        "--profile=etsy", "--colors=teal", "--cutout=plain", cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, lines
    assert (tmp_path / "listing" / "images" / "A_teal_main_3x4.jpg").is_file()
    assert any("1 of 1 photos ready" in line for line in lines)


def test_sizes_of_the_frame_follow_the_profile():
    rules = listing_images.make_frame_rules("google", 1500)
    assert (rules.fill, rules.max_side, rules.min_short_side) == (0.85, 1500, 500)
