"""--mode=edit: which pixels change, and what the table and the files state."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from prodgen.apps import edit
from prodgen.core import pixels, provenance
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.editing import photo_edits
from prodgen.model import Model
from prodgen.photo import background_removal, plain
from prodgen.photo.mask_estimate import Finding, MaskEstimate
from tests.modes import run_mode
from tests.tiny import make_disc_photo

TEAL = (40, 148, 146)


def disc(rgb=(200, 40, 40)):
    return make_disc_photo(96, 96, rgb)


@pytest.fixture(scope="module")
def run(azimuth_run):
    return azimuth_run


@pytest.fixture
def shop(azimuth_store, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "store", lambda self: azimuth_store)
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(disc()).save(folder / "a.png")
    Image.fromarray(np.full((96, 96, 3), 255, np.uint8)).save(folder / "nothing.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def run_edit(run, shop, **options):
    return run_mode("edit", run, shop.parent / "out", images=(str(shop),), steps=4, **options)


def read_table(shop):
    text = (shop.parent / "out" / "edit.csv").read_text(encoding="utf-8-sig")
    return {row["file"] + row["method"]: row for row in csv.DictReader(io.StringIO(text))}


def open_rgb(shop, name):
    return np.asarray(Image.open(shop.parent / "out" / name).convert("RGB"))


def test_a_doubt_about_a_part_without_the_changed_colour_is_a_note_of_a_recolouring(
    shop, monkeypatch, capsys
):
    doubt = Finding("methods_differ", "the network sees no product in this part, 8% of the product")
    monkeypatch.setattr(
        background_removal,
        "load_segmenter",
        lambda *_: lambda image: MaskEstimate(plain.segment(image).mask, findings=(doubt,)),
    )
    for options, name, field, end in (
        ({"edit": "recolour", "colour": ("teal",)}, "a.pngclassical", "cutout_note", "edited;"),
        ({"edit": "background"}, "a.pngclassical", "cutout_doubt", "edited, 1 of them doubtful;"),
    ):
        run_edit(None, shop, **options)
        row, messages = read_table(shop)[name], capsys.readouterr().err
        assert row[field] == str(doubt) and f"1 of 3 photos {end}" in messages
        assert ("DOUBTFUL" in messages) == bool(row["cutout_doubt"]) and str(doubt) in messages


def test_a_background_is_replaced_without_a_run(shop):
    run_edit(None, shop, edit="background", background="teal", shadow=0.0)
    picture = open_rgb(shop, "a_background_classical.png")
    np.testing.assert_array_equal(picture[:10, :10], np.broadcast_to(TEAL, (10, 10, 3)))
    np.testing.assert_array_equal(picture[40:56, 40:56], disc()[40:56, 40:56])
    rows = read_table(shop)
    assert float(rows["a.pngclassical"]["outside_largest"]) <= 1
    assert "no_product" in rows["nothing.png"]["problem"] and rows["broken.png"]["problem"]


def test_an_interrupted_edit_is_started_again(shop, monkeypatch):
    Image.fromarray(disc()).save(shop / "b.png")

    def interrupt(path, segmenter, open_shot=edit.open_shot):
        if path.name == "b.png":
            raise KeyboardInterrupt
        return open_shot(path, segmenter)

    with monkeypatch.context() as patch:
        patch.setattr(edit, "open_shot", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_edit(None, shop, edit="background")
    assert (shop.parent / "out" / "a_background_classical.png").exists()
    run_edit(None, shop, edit="background")
    assert (shop.parent / "out" / "b_background_classical.png").exists()


def test_opaque_pixels_are_unchanged_on_any_background():
    photo = make_disc_photo(72, 96)
    product = photo_edits.ProductPhoto.from_image(photo, background_removal.load_segmenter("plain"))
    edited_photo = photo_edits.replace_background(product, np.zeros_like(photo), 0.4)
    whole = product.cutout.alpha == 255
    np.testing.assert_array_equal(edited_photo.image[whole], photo[whole])
    assert edited_photo.metrics == {"outside_largest": 0, "outside_mean": 0}


def test_an_edit_of_a_generated_image_states_it(shop):
    photo = pixels.encode_png(disc(), provenance.build_png_text("generated", "run 1"))
    (shop / "a.png").write_bytes(photo)
    run_edit(None, shop, edit="recolour", colour=("teal",))
    for name in ("a_recolour_classical.png", "edit.png"):
        assert provenance.is_generated(shop.parent / "out" / name)


def test_both_methods_of_recolouring_change_the_product_alone(run, shop):
    run_edit(run, shop, edit="recolour", colour=("blue",))
    rows = read_table(shop)
    classical, generative = rows["a.pngclassical"], rows["a.pnggenerated"]
    assert float(classical["ciede2000"]) < 3 < float(classical["ciede2000_before"])
    assert float(generative["ciede2000_before"]) > 3 and float(generative["generated_pixels"]) == 14
    for method in ("classical", "generated"):
        picture = open_rgb(shop, f"a_recolour_{method}.png")
        assert provenance.is_generated(shop.parent / "out" / f"a_recolour_{method}.png") == (
            method == "generated"
        )
        np.testing.assert_array_equal(picture[:12], disc()[:12])
        assert np.abs(picture[48, 48].astype(int) - disc()[48, 48]).max() > 0


def test_half_the_strength_is_half_the_way_to_the_colour(run, shop):
    run_edit(run, shop, edit="recolour", colour=("blue",), strength=0.5)
    classical = read_table(shop)["a.pngclassical"]
    assert 3 < float(classical["ciede2000"]) < 0.8 * float(classical["ciede2000_before"])


def test_an_attribute_edit_replaces_the_product_in_its_place(run, shop):
    run_edit(run, shop, edit="attribute", attributes={"colour": "blue", "elevation": "5"})
    picture = open_rgb(shop, "a_attribute_generated.png")
    np.testing.assert_array_equal(picture[0], 255)
    assert np.abs(picture[48, 48].astype(int) - disc()[48, 48]).max() > 20


def test_inpainting_changes_the_masked_pixels_alone(run, shop):
    mask = np.zeros((96, 96), np.uint8)
    mask[40:60, 40:60] = 255
    Image.fromarray(mask).save(shop.parent / "mask.png")
    run_edit(run, shop, edit="inpaint", mask=str(shop.parent / "mask.png"))
    (file,) = (shop.parent / "out").glob("a_inpaint_*.png")
    entry = json.loads((shop.parent / "out/manifest.json").read_text())["files"][file.name]
    assert entry["method"] == "classical" and "and the run draws 16" in entry["fill"]
    picture = open_rgb(shop, file.name)
    np.testing.assert_array_equal(picture[mask == 0], disc()[mask == 0])
    change = picture[44:56, 44:56].astype(int) - disc()[44:56, 44:56]
    assert np.abs(change).mean() < 60  # the fill continues the disc


def test_a_small_photo_is_inpainted_by_the_better_fill(run, shop, monkeypatch):
    monkeypatch.setattr(photo_edits, "MAX_FILL_ENLARGEMENT", 10.0)
    mask = np.zeros((96, 96), np.uint8)
    mask[40:60, 40:60] = 255
    Image.fromarray(mask).save(shop.parent / "mask.png")
    run_edit(run, shop, edit="inpaint", mask=str(shop.parent / "mask.png"))
    (file,) = (shop.parent / "out").glob("a_inpaint_*.png")
    entry = json.loads((shop.parent / "out/manifest.json").read_text())["files"][file.name]
    assert entry["method"] in file.name and "held-out images the error" in entry["fill"]
    is_classical = entry["error_classical"] <= entry["error_generated"]
    assert entry["method"] == ("classical" if is_classical else "generated")


@pytest.mark.slow
def test_a_mix_goes_from_one_product_to_the_other(run, shop):
    Image.fromarray(disc(rgb=(40, 60, 200))).save(shop.parent / "other.png")
    run_edit(run, shop, edit="mix", other=str(shop.parent / "other.png"), frames=3)
    names = [f"a_mix_{k:02d}.png" for k in range(3)]
    first, middle, last = (open_rgb(shop, name).astype(int) for name in names)
    assert np.abs(first - last).mean() > np.abs(first - middle).mean() > 0


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"edit": ""}, UsageError, "needs --edit"),
        ({"edit": "recolour"}, UsageError, "--colour"),
        ({"edit": "recolour", "colour": "mauveish"}, UsageError, "teal"),
        ({"edit": "recolour", "colour": "red", "method": "generated"}, UsageError, "needs a run"),
        ({"edit": "attribute", "attributes": {"colour": "red"}}, UsageError, "needs a run"),
        ({"edit": "mix"}, UsageError, "needs --other"),
        ({"edit": "mix", "other": "x"}, UsageError, "needs a run"),
        ({"edit": "background", "background": "mauveish"}, UsageError, "teal"),
        ({"edit": "background", "background": "wall.jpg"}, MissingInput, "wall.jpg does not exist"),
        ({"edit": "background", "cutout": "neural"}, MissingInput, "model file"),
    ],
)
def test_missing_options_are_an_error_before_a_photo_is_read(shop, options, kind, message):
    with pytest.raises(kind, match=message):
        run_edit(None, shop, **options)


def test_unknown_attributes_list_the_known_ones(run, shop):
    with pytest.raises(UsageError, match="azimuth, colour, elevation"):
        run_edit(run, shop, edit="attribute", attributes={"smell": "rose"})
    with pytest.raises(MissingInput, match="nowhere"):
        run_edit(run, shop, edit="inpaint", mask="nowhere.png")


def test_nothing_to_edit_is_an_error(shop):
    (shop / "a.png").unlink()
    with pytest.raises(BadData, match="none of 2 photos"):
        run_edit(None, shop, edit="background")


def test_a_shot_has_a_cut_out_and_a_square_around_it():
    product = photo_edits.ProductPhoto.from_image(
        disc(), background_removal.load_segmenter("plain")
    )
    assert product.square.side in {round(n / 0.86) for n in (63, 64, 65)}
    assert product.cutout.alpha[48, 48] == 255 and product.cutout.alpha[2, 2] == 0
    np.testing.assert_array_equal(product.photo, disc())


def test_the_sheet_of_many_photos_has_rows_of_eight():
    grey = [np.full((30, 20, 3), level, np.uint8) for level in range(11)]
    sheet = edit.draw_sheet([[photo, photo + 100] for photo in grey])
    assert (sheet.width // edit.CELL_SIDE, sheet.height // edit.CELL_SIDE) == (8, 4)
    one = edit.draw_sheet([[grey[0], grey[0] + 100]])
    assert (one.width // edit.CELL_SIDE, one.height // edit.CELL_SIDE) == (1, 2)


def draw_bag(shop):
    """A grey disc with a red band of a quarter of its height."""
    image = make_disc_photo(96, 96, (150, 150, 150))
    red = make_disc_photo(96, 96, (190, 40, 40))
    image[42:54] = red[42:54]
    Image.fromarray(image).save(shop / "a.png")
    return image


@pytest.mark.parametrize("choice", [{"from_": "red"}, {"at": "48,48"}, {"region": "region.png"}])
def test_the_part_that_is_meant_is_recoloured(shop, choice):
    image = draw_bag(shop)
    mask = np.zeros((96, 96), np.uint8)
    mask[42:54] = 255
    Image.fromarray(mask).save(shop.parent / "region.png")
    if "region" in choice:
        choice = {"region": str(shop.parent / "region.png")}
    run_edit(None, shop, edit="recolour", colour=("teal",), method="classical", **choice)
    picture = open_rgb(shop, "a_recolour_classical.png")
    np.testing.assert_array_equal(picture[30:40, 40:56], image[30:40, 40:56])
    assert np.abs(picture[46:50, 40:56] - np.int16(TEAL)).mean() < 25
    row = read_table(shop)["a.pngclassical"]
    assert float(row["ciede2000"]) < 3 and 0.1 < float(row["share"]) < 0.35


def test_colourways_have_a_file_each(shop):
    draw_bag(shop)
    run_edit(None, shop, edit="recolour", colour=("teal", "#203a5f"), method="classical")
    for word in ("teal", "203a5f"):
        assert (shop.parent / "out" / f"a_recolour_{word}_classical.png").exists()
    rows = [row for row in read_table(shop).values() if row["file"] == "a.png"]
    assert rows[-1]["from_colour"].startswith("#9") and "#b" in rows[-1]["other_colours"]
    assert rows[-1]["doubt"] == ""


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"from_": "red", "at": "4,4"}, "--from and --at say the same"),
        ({"at": "4"}, "--at=4 is no point X,Y"),
        ({"from_": "rde"}, "--from='rde' is not a colour; .*red"),
        ({"colour": ("teal", "teal")}, "--colour names teal twice"),
    ],
)
def test_unclear_sources_of_a_colour_are_refused(shop, choice, words):
    options = {"edit": "recolour", "colour": ("teal",)} | choice
    with pytest.raises(UsageError, match=words):
        run_edit(None, shop, **options)


def test_a_region_of_another_size_and_a_point_outside_are_rows_of_the_table(shop):
    Image.fromarray(np.full((40, 50), 255, np.uint8)).save(shop.parent / "small.png")
    for choice, words in (({"region": str(shop.parent / "small.png")}, "50 x 40 px"),
                          ({"at": "1,1"}, "outside the product")):  # fmt: skip
        with pytest.raises(BadData, match="none of"):
            run_edit(None, shop, edit="recolour", colour=("teal",), **choice)
        assert words in read_table(shop)["a.png"]["problem"]


def test_a_region_with_skin_is_doubtful_and_its_colours_are_in_the_table(shop):
    image = make_disc_photo(96, 96, (32, 48, 92))
    image[42:60] = make_disc_photo(96, 96, (214, 164, 132))[42:60]
    Image.fromarray(image).save(shop / "a.png")
    mask = np.zeros((96, 96), np.uint8)
    mask[30:60] = 255
    Image.fromarray(mask).save(shop.parent / "region.png")
    region = str(shop.parent / "region.png")
    run_edit(None, shop, edit="recolour", colour=("teal",), method="classical", region=region)
    row = read_table(shop)["a.pngclassical"]
    assert row["from_colour"].startswith("a region of 57% (#d7a585 61%")
    assert "skin may be changed" in row["doubt"]


def test_a_mask_of_another_size_leaves_the_other_photos_alone(run, shop):
    Image.fromarray(disc()[:80]).save(shop / "b.png")
    mask = np.zeros((96, 96), np.uint8)
    mask[40:60, 40:60] = 255
    Image.fromarray(mask).save(shop.parent / "mask.png")
    run_edit(run, shop, edit="inpaint", mask=str(shop.parent / "mask.png"))
    table = read_table(shop)
    assert "the mask is 96 x 96 px, and the photo 96 x 80 px" in table["b.png"]["problem"]
    assert any(row["file"] == "a.png" and row["written"] for row in table.values())


def test_the_run_redraws_the_whole_product(shop):
    options = edit.Options(
        images=("x",), edit="recolour", colour=("teal",), from_="red", method="generated"
    )
    with pytest.raises(UsageError, match="--from has no effect with --method=generated"):
        options.check(shop)
