"""Mode compose: banners and sprite sheets from files, their manifest, and errors."""

import json

import numpy as np
import pytest
from PIL import Image

from prodgen.apps.common import product_images
from prodgen.core import pixels, provenance
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.metrics import marketplace
from prodgen.photo import background_removal, plain
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


def run_compose(images, out, **options):
    return run_mode("compose", out=out, images=(str(images),), **options)


def manifest_entry(out):
    return json.loads((out.parent / "manifest.json").read_text())["files"][out.name]


def test_a_banner_has_its_size_and_its_manifest_names_the_products(shop, tmp_path):
    out = tmp_path / "out" / "ad.png"
    files = run_compose(shop, out, size="leaderboard", text="Sale", background="#203a5f")
    assert files == [out, out.parent / "manifest.json"]
    picture = np.asarray(Image.open(out))
    assert picture.shape == (90, 728, 3) and tuple(picture[0, 0]) == (0x20, 0x3A, 0x5F)
    banner_entry = manifest_entry(out)
    assert (
        banner_entry["mode"] == "compose"
        and banner_entry["size"] == [728, 90]
        and banner_entry["contrast"] >= 4.5
    )
    assert [p["name"] for p in banner_entry["products"]] == ["a", "b", "c"]
    assert [p["own_pixels"] for p in banner_entry["products"]] == [80, 133, 60]
    assert Image.open(out).text["prodgen"].startswith("composed; no run")


def test_the_same_command_gives_the_same_bytes(shop, tmp_path):
    for options in ({"text": "Sale", "background": "teal"}, {"layout": "sprites", "cell": 64}):
        first = run_compose(shop, tmp_path / "1" / "a.png", **options)
        second = run_compose(shop, tmp_path / "2" / "a.png", **options)
        again = run_compose(shop, tmp_path / "1" / "a.png", **options)
        content = [[path.read_bytes() for path in files] for files in (first, second, again)]
        assert content[0] == content[1] == content[2]


def test_the_atlas_gives_the_box_of_each_sprite(shop, tmp_path):
    out = tmp_path / "out" / "items.png"
    files = run_compose(shop, out, layout="sprites", cell=64)
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
    run_compose(shop / "a.png", out, recolour=("original", "red", "#203a5f"), shadow=0.0)
    products = manifest_entry(out)["products"]
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
    run_compose(tmp_path / "a.png", out, size="1200x1200", shadow=0.2)
    verdict = marketplace.check(np.asarray(Image.open(out)), "white_main")
    assert not {"background", "off_centre", "transparent"} & set(verdict.keys), verdict.reasons


def test_an_image_may_be_the_background(shop, tmp_path):
    Image.fromarray(np.full((30, 40, 3), (10, 60, 20), np.uint8)).save(tmp_path / "wood.png")
    out = tmp_path / "out" / "a.png"
    run_compose(shop, out, background=str(tmp_path / "wood.png"), size="story")
    assert (np.asarray(Image.open(out))[:200] == (10, 60, 20)).all()


def test_enlarged_products_are_reported(shop, tmp_path, capsys):
    run_compose(shop / "a.png", tmp_path / "o" / "a.png", size="1080x1080")
    assert "80 px are enlarged" in capsys.readouterr().err
    assert manifest_entry(tmp_path / "o" / "a.png")["products"][0]["scale"] > 5


def test_a_banner_of_generated_images_states_it(shop, tmp_path):
    content = pixels.encode_png(shirt(), provenance.build_png_text("generated", "run 1"))
    (shop / "made.png").write_bytes(content)
    run_compose(shop, tmp_path / "o" / "a.png")
    assert provenance.is_generated(tmp_path / "o" / "a.png")
    run_compose(shop, tmp_path / "o" / "b.png", metadata=False)
    assert Image.open(tmp_path / "o" / "b.png").info == {}


def test_mark_changes_a_corner_only(shop, tmp_path):
    run_compose(shop, tmp_path / "o" / "a.png", mark=True)
    run_compose(shop, tmp_path / "o" / "b.png")
    a, b = (np.asarray(Image.open(tmp_path / "o" / x)) for x in ("a.png", "b.png"))
    assert (a[-1, -1] == 0).all() and (b[-1, -1] == 255).all()
    assert (a[:900] == b[:900]).all()


def test_files_of_the_user_are_not_overwritten(shop, tmp_path):
    before = (shop / "a.png").read_bytes()
    with pytest.raises(UsageError, match="did not write it"):
        run_compose(shop, shop / "a.png")
    (tmp_path / "items.json").write_text("{}")
    with pytest.raises(UsageError, match="items.json exists"):
        run_compose(shop, tmp_path / "items.png", layout="sprites")
    assert (shop / "a.png").read_bytes() == before
    run_compose(
        shop, shop / "banner.png"
    )  # beside the pictures: allowed, and no product the next time
    first = (shop / "banner.png").read_bytes()
    run_compose(shop, shop / "banner.png")
    assert (shop / "banner.png").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "error", "message"),
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
def test_errors_name_the_option_and_the_next_step(shop, tmp_path, options, error, message):
    options = dict(options)
    where = tmp_path / "o" / options.pop("out", "a.png")
    with pytest.raises(error) as error_info:
        run_compose(options.pop("images", shop), where, **options)
    assert message in error_info.value.format_line() and "next: " in error_info.value.format_line()
    assert not where.exists()


def test_images_without_a_product_are_reported_and_left_out(shop, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(shop / "a0.png")
    (shop / "a1.png").write_text("no picture")
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(shop / "a2.png")
    run_compose(shop, tmp_path / "o" / "a.png")
    stderr = capsys.readouterr().err
    assert "a0.png: no_product" in stderr and "a1.png: not a picture" in stderr
    assert "a2.png: no_product" in stderr
    assert len(manifest_entry(tmp_path / "o" / "a.png")["products"]) == 3
    with pytest.raises(BadData, match="no product in 1 images; a2.png"):
        run_compose(shop / "a2.png", tmp_path / "o" / "b.png")
    with pytest.raises(RejectedItem, match="no_product"):
        product_images.assess_product(np.zeros((40, 40, 4), np.uint8), plain.segment)


def test_compose_cuts_out_by_the_method_that_is_named(shop, tmp_path, monkeypatch):
    names = []

    def load_segmenter(*name_and_model):
        names.append(name_and_model)
        return plain.segment

    monkeypatch.setattr(background_removal, "load_segmenter", load_segmenter)
    run_compose(shop, tmp_path / "o" / "a.png", cutout="neural", model="u2netp.onnx")
    assert names == [("neural", "u2netp.onnx")]


def test_several_files_may_be_named(shop, tmp_path):
    run_compose(f"{shop}/c.png,{shop}/a.png", tmp_path / "o" / "a.png")
    assert [p["name"] for p in manifest_entry(tmp_path / "o" / "a.png")["products"]] == ["c", "a"]


def test_the_command(shop, tmp_path):
    code, lines = run_command(
        "run_sample.py", "--mode=compose", f"--images={shop}", "--size=poster",
        f"--out={tmp_path}/a.png",
    )  # fmt: skip
    assert code == 2 and "skyscraper 160x600" in lines[-1]


def test_an_advert_states_its_words_and_takes_its_accent_from_the_product(shop, tmp_path):
    out = tmp_path / "out" / "hero.png"
    Image.fromarray(np.full((20, 60, 4), 255, np.uint8)).save(tmp_path / "logo.png")
    run_compose(
        shop / "b.png", out, layout="hero", size="landscape", headline="Sale", price="9 €",
        button="Buy", logo=str(tmp_path / "logo.png"),
    )  # fmt: skip
    entry = manifest_entry(out)
    assert entry["words"] == {"headline": "Sale", "price": "9 €", "button": "Buy"}
    assert entry["contrast"] >= 4.5 and entry["logo_box"][2] - entry["logo_box"][0] == 170
    picture = np.asarray(Image.open(out).convert("RGB")).astype(int)
    left, top, right, bottom = entry["text_boxes"][0]
    words = picture[top:bottom, left:right]
    assert (words[..., 0] - words[..., 1:].max(axis=-1) > 100).any()  # the red of the product


def test_doubts_about_colours_and_places_are_printed_counted_and_in_the_manifest(tmp_path, capsys):
    two_colours = shirt(alpha=True)
    two_colours[:58][two_colours[:58, :, 3] > 0] = (170, 40, 45, 255)
    at_right = np.roll(shirt(alpha=True), 30, axis=1)
    for name, image in {"a": shirt(), "b": two_colours, "c": at_right}.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    out = tmp_path / "o" / "ad.png"
    run_compose(tmp_path, out, recolour=("original", "teal", "red"), size="landscape", n=3)
    messages, products = capsys.readouterr().err, manifest_entry(out)["products"]
    assert messages.count("b.png: changed #") == 1 and "DOUBTFUL: another colour" in messages
    assert messages.count("c.png: DOUBTFUL place: its photo cuts it off on the right") == 1
    assert "2 of 3 products are doubtful: recolour them with --mode=edit and --from" in messages
    assert {p["name"] for p in products if "doubt" in p} == {"b-teal", "b-red"}
    assert {p["name"] for p in products if "layout_doubt" in p} == {"c", "c-teal", "c-red"}


def test_layouts_need_their_number_of_products(shop, tmp_path, capsys):
    with pytest.raises(UsageError, match="--layout=pair needs 2 products"):
        run_compose(shop / "a.png", tmp_path / "o" / "a.png", layout="pair")
    run_compose(shop, tmp_path / "o" / "b.png", layout="grid", size="480x480")
    assert len(manifest_entry(tmp_path / "o" / "b.png")["products"]) == 3
