"""Mode compose: banners and sprite sheets from files, told in a manifest; what cannot be done."""

import json

import numpy as np
import pytest
from PIL import Image

from prodgen.apps.common import product_images
from prodgen.core import pixels, provenance
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.metrics import marketplace
from tests.modes import run_mode
from tests.test_commandline import run_command


def shirt(side=120, rgb=(48, 94, 182), alpha=False):
    """A block of one colour on white, or in a clear frame."""
    picture = np.full((side, side, 3), 255, np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[side // 6 : -side // 6, side // 4 : -side // 4] = 255
    picture[mask > 0] = rgb
    return np.dstack([picture, mask]) if alpha else picture


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    Image.fromarray(shirt()).save(folder / "a.png")
    Image.fromarray(shirt(200, (192, 43, 43), alpha=True)).save(folder / "b.png")
    Image.fromarray(shirt(90, (40, 148, 146))).convert("L").save(folder / "c.png")
    return folder


def ask(images, out, **options):
    return run_mode("compose", out=out, images=str(images), **options)


def entry(out):
    return json.loads((out.parent / "manifest.json").read_text())["files"][out.name]


def test_a_banner_has_its_size_and_says_what_it_shows(shop, tmp_path):
    out = tmp_path / "out" / "ad.png"
    files = ask(shop, out, size="leaderboard", text="Sale", background="#203a5f")
    assert files == [out, out.parent / "manifest.json"]
    picture = np.asarray(Image.open(out))
    assert picture.shape == (90, 728, 3) and tuple(picture[0, 0]) == (0x20, 0x3A, 0x5F)
    said = entry(out)
    assert said["mode"] == "compose" and said["size"] == [728, 90] and said["contrast"] >= 4.5
    assert [p["name"] for p in said["products"]] == ["a", "b", "c"]
    assert [p["own_pixels"] for p in said["products"]] == [80, 133, 60]
    assert Image.open(out).text["prodgen"].startswith("composed; no run")


def test_the_same_command_gives_the_same_bytes(shop, tmp_path):
    for options in ({"text": "Sale", "background": "teal"}, {"layout": "sprites", "cell": 64}):
        first = ask(shop, tmp_path / "1" / "a.png", **options)
        second = ask(shop, tmp_path / "2" / "a.png", **options)
        again = ask(shop, tmp_path / "1" / "a.png", **options)
        content = [[path.read_bytes() for path in files] for files in (first, second, again)]
        assert content[0] == content[1] == content[2]


def test_sprites_come_with_their_atlas(shop, tmp_path):
    out = tmp_path / "out" / "items.png"
    files = ask(shop, out, layout="sprites", cell=64)
    assert [p.name for p in files] == ["items.png", "items.json", "manifest.json"]
    sheet = np.asarray(Image.open(out))
    frames = json.loads(files[1].read_text())["frames"]
    assert sheet.shape == (128, 128, 4) and list(frames) == ["a", "b", "c"]
    for name, rgb in (("a", (48, 94, 182)), ("b", (192, 43, 43))):
        box = frames[name]["frame"]
        part = sheet[box["y"] : box["y"] + box["h"], box["x"] : box["x"] + box["w"]]
        assert (part[5:-5, 5:-5] == (*rgb, 255)).all()


def test_recolouring_shows_each_product_in_each_colour(shop, tmp_path):
    out = tmp_path / "out" / "ways.png"
    ask(shop / "a.png", out, recolour=("original", "red", "#203a5f"), shadow=0.0)
    products = entry(out)["products"]
    assert [p["name"] for p in products] == ["a", "a-red", "a-203a5f"]
    assert all(p["ciede2000"] < 3 and p["outside"] == 0 for p in products[1:])
    picture = np.asarray(Image.open(out))
    for product, rgb in zip(products, [(48, 94, 182), (192, 43, 43), (0x20, 0x3A, 0x5F)],
                            strict=True):  # fmt: skip
        left, top, right, bottom = product["box"]
        middle = picture[(top + bottom) // 2, (left + right) // 2]
        assert np.abs(middle.astype(int) - rgb).max() <= 3


def test_a_packshot_on_white_passes_the_gate(tmp_path):
    Image.fromarray(shirt(1200)).save(tmp_path / "a.png")
    out = tmp_path / "out" / "a.png"
    ask(tmp_path / "a.png", out, size="1200x1200", shadow=0.2)
    found = marketplace.check(np.asarray(Image.open(out)), "white_main")
    assert not {"background", "off_centre", "transparent"} & set(found.keys), found.reasons


def test_a_picture_may_be_the_background(shop, tmp_path):
    Image.fromarray(np.full((30, 40, 3), (10, 60, 20), np.uint8)).save(tmp_path / "wood.png")
    out = tmp_path / "out" / "a.png"
    ask(shop, out, background=str(tmp_path / "wood.png"), size="story")
    assert (np.asarray(Image.open(out))[:200] == (10, 60, 20)).all()


def test_enlarging_is_said(shop, tmp_path, capsys):
    ask(shop / "a.png", tmp_path / "o" / "a.png", size="1080x1080")
    assert "80 px are enlarged" in capsys.readouterr().err
    assert entry(tmp_path / "o" / "a.png")["products"][0]["scale"] > 5


def test_generated_pictures_stay_known_as_such(shop, tmp_path):
    made = pixels.encode_png(shirt(), provenance.build_png_text("generated", "run 1"))
    (shop / "made.png").write_bytes(made)
    ask(shop, tmp_path / "o" / "a.png")
    assert provenance.is_generated(tmp_path / "o" / "a.png")
    ask(shop, tmp_path / "o" / "b.png", metadata=False)
    assert Image.open(tmp_path / "o" / "b.png").info == {}


def test_a_mark_is_seen_on_request(shop, tmp_path):
    ask(shop, tmp_path / "o" / "a.png", mark=True)
    ask(shop, tmp_path / "o" / "b.png")
    a, b = (np.asarray(Image.open(tmp_path / "o" / x)) for x in ("a.png", "b.png"))
    assert (a[-1, -1] == 0).all() and (b[-1, -1] == 255).all()
    assert (a[:900] == b[:900]).all()


def test_nothing_of_the_user_is_overwritten(shop, tmp_path):
    before = (shop / "a.png").read_bytes()
    with pytest.raises(UsageError, match="did not write it"):
        ask(shop, shop / "a.png")
    (tmp_path / "items.json").write_text("{}")
    with pytest.raises(UsageError, match="items.json exists"):
        ask(shop, tmp_path / "items.png", layout="sprites")
    assert (shop / "a.png").read_bytes() == before
    ask(shop, shop / "banner.png")  # beside the pictures: allowed, and no product the next time
    first = (shop / "banner.png").read_bytes()
    ask(shop, shop / "banner.png")
    assert (shop / "banner.png").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [({"size": "poster"}, UsageError, "leaderboard 728x90"),
     ({"background": "mauve"}, UsageError, "known: black, blue"),
     ({"background": "wall.jpg"}, MissingInput, "wall.jpg does not exist"),
     ({"recolour": ("red", "rde")}, UsageError, "did you mean red"),
     ({"recolour": ("#12345",)}, UsageError, "#rrggbb"),
     ({"cell": 100, "layout": "sprites"}, UsageError, "power of two"),
     ({"text": "x", "font": "none.ttf"}, MissingInput, "none.ttf"),
     ({"text": "Sale " * 99, "size": "mobile"}, UsageError, "does not fit"),
     ({"images": "nowhere"}, MissingInput, "nowhere does not exist"),
     ({"out": "ad.jpg"}, UsageError, "is not a .png file")],
)  # fmt: skip
def test_what_cannot_be_done_is_said(shop, tmp_path, options, error, says):
    options = dict(options)
    where = tmp_path / "o" / options.pop("out", "a.png")
    with pytest.raises(error) as caught:
        ask(options.pop("images", shop), where, **options)
    assert says in caught.value.format_line() and "next: " in caught.value.format_line()
    assert not where.exists()


def test_pictures_without_a_product_are_named_and_left_out(shop, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(shop / "a0.png")
    (shop / "a1.png").write_text("no picture")
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(shop / "a2.png")
    ask(shop, tmp_path / "o" / "a.png")
    said = capsys.readouterr().err
    assert "a0.png: no_product" in said and "a1.png: not a picture" in said
    assert "a2.png: no_product" in said
    assert len(entry(tmp_path / "o" / "a.png")["products"]) == 3
    with pytest.raises(BadData, match="no product in 1 images; a2.png"):
        ask(shop / "a2.png", tmp_path / "o" / "b.png")
    with pytest.raises(RejectedItem, match="no_product"):
        product_images.cut_out_product(np.zeros((40, 40, 4), np.uint8))


def test_several_files_may_be_named(shop, tmp_path):
    ask(f"{shop}/c.png,{shop}/a.png", tmp_path / "o" / "a.png")
    assert [p["name"] for p in entry(tmp_path / "o" / "a.png")["products"]] == ["c", "a"]


def test_the_command(shop, tmp_path):
    code, lines = run_command(
        "run_sample.py", "--mode=compose", f"--images={shop}", "--size=poster",
        f"--out={tmp_path}/a.png",
    )  # fmt: skip
    assert code == 2 and "skyscraper 160x600" in lines[-1]
