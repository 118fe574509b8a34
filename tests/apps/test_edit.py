"""--mode=edit: what changes, what stays, and what is said of it."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from prodgen.apps import edit
from prodgen.core import pixels, provenance
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.editing import photo_edits
from prodgen.model import Model
from prodgen.photo import background_removal
from tests.modes import run_mode
from tests.tiny import make_disc_photo

TEAL = (40, 148, 146)


def disc(rgb=(200, 40, 40)):
    return make_disc_photo(96, 96, rgb)


@pytest.fixture(scope="module")
def run(turned_run):
    return turned_run


@pytest.fixture
def shop(turned, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "store", lambda self: turned)
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(disc()).save(folder / "a.png")
    Image.fromarray(np.full((96, 96, 3), 255, np.uint8)).save(folder / "nothing.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def ask(run, shop, **options):
    return run_mode("edit", run, shop.parent / "out", images=str(shop), steps=4, **options)


def table(shop):
    text = (shop.parent / "out" / "edit.csv").read_text(encoding="utf-8-sig")
    return {row["file"] + row["method"]: row for row in csv.DictReader(io.StringIO(text))}


def shown(shop, name):
    return np.asarray(Image.open(shop.parent / "out" / name).convert("RGB"))


def test_a_background_is_laid_under_without_a_run(shop):
    ask(None, shop, edit="background", background="teal", shadow=0.0)
    picture = shown(shop, "a_background_classical.png")
    np.testing.assert_array_equal(picture[:10, :10], np.broadcast_to(TEAL, (10, 10, 3)))
    np.testing.assert_array_equal(picture[40:56, 40:56], disc()[40:56, 40:56])
    rows = table(shop)
    assert float(rows["a.pngclassical"]["outside_largest"]) <= 1
    assert "no_product" in rows["nothing.png"]["problem"] and rows["broken.png"]["problem"]


def test_what_is_all_product_stays_to_the_pixel_on_any_background():
    photo = make_disc_photo(72, 96)
    shot = photo_edits.ProductPhoto.from_image(photo, background_removal.load_segmenter("plain"))
    found = photo_edits.replace_background(shot, np.zeros_like(photo), 0.4)
    whole = shot.cutout.alpha == 255
    np.testing.assert_array_equal(found.image[whole], photo[whole])
    assert found.metrics == {"outside_largest": 0, "outside_mean": 0}


def test_an_edit_of_a_generated_picture_stays_known_as_such(shop):
    photo = pixels.encode_png(disc(), provenance.build_png_text("generated", "run 1"))
    (shop / "a.png").write_bytes(photo)
    ask(None, shop, edit="recolour", colour="teal")
    for name in ("a_recolour_classical.png", "edit.png"):
        assert provenance.is_generated(shop.parent / "out" / name)


def test_both_ways_to_recolour_change_the_product_alone(run, shop):
    ask(run, shop, edit="recolour", colour="blue")
    rows = table(shop)
    classical, generated = rows["a.pngclassical"], rows["a.pnggenerated"]
    assert float(classical["ciede2000"]) < 3 < float(classical["ciede2000_before"])
    assert float(generated["ciede2000_before"]) > 3 and float(generated["generated_pixels"]) == 14
    for how in ("classical", "generated"):
        picture = shown(shop, f"a_recolour_{how}.png")
        assert provenance.is_generated(shop.parent / "out" / f"a_recolour_{how}.png") == (
            how == "generated"
        )
        np.testing.assert_array_equal(picture[:12], disc()[:12])
        assert np.abs(picture[48, 48].astype(int) - disc()[48, 48]).max() > 0


def test_half_the_strength_is_half_the_way_to_the_colour(run, shop):
    ask(run, shop, edit="recolour", colour="blue", strength=0.5)
    classical = table(shop)["a.pngclassical"]
    assert 3 < float(classical["ciede2000"]) < 0.8 * float(classical["ciede2000_before"])


def test_an_attribute_is_drawn_anew_in_the_old_ones_place(run, shop):
    ask(run, shop, edit="attribute", attributes={"colour": "blue", "elevation": "5"})
    picture = shown(shop, "a_attribute_generated.png")
    np.testing.assert_array_equal(picture[0], 255)
    assert np.abs(picture[48, 48].astype(int) - disc()[48, 48]).max() > 20


def test_a_hole_is_filled_and_nothing_else_touched(run, shop):
    mask = np.zeros((96, 96), np.uint8)
    mask[40:60, 40:60] = 255
    Image.fromarray(mask).save(shop.parent / "mask.png")
    ask(run, shop, edit="inpaint", mask=str(shop.parent / "mask.png"))
    picture = shown(shop, "a_inpaint_generated.png")
    np.testing.assert_array_equal(picture[mask == 0], disc()[mask == 0])
    assert (picture[44:56, 44:56] != disc()[44:56, 44:56]).any()


@pytest.mark.slow
def test_a_mixture_leads_from_one_to_the_other(run, shop):
    Image.fromarray(disc(rgb=(40, 60, 200))).save(shop.parent / "other.png")
    ask(run, shop, edit="mix", other=str(shop.parent / "other.png"), frames=3)
    names = [f"a_mix_{k:02d}.png" for k in range(3)]
    first, middle, last = (shown(shop, name).astype(int) for name in names)
    assert np.abs(first - last).mean() > np.abs(first - middle).mean() > 0


@pytest.mark.parametrize(
    ("options", "kind", "said"),
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
def test_what_is_missing_is_said_before_anything_is_read(shop, options, kind, said):
    with pytest.raises(kind, match=said):
        ask(None, shop, **options)


def test_unknown_attributes_list_the_known_ones(run, shop):
    with pytest.raises(UsageError, match="azimuth, colour, elevation"):
        ask(run, shop, edit="attribute", attributes={"smell": "rose"})
    with pytest.raises(MissingInput, match="nowhere"):
        ask(run, shop, edit="inpaint", mask="nowhere.png")


def test_nothing_to_edit_is_an_error(shop):
    (shop / "a.png").unlink()
    with pytest.raises(BadData, match="none of 2 photos"):
        ask(None, shop, edit="background")


def test_a_shot_is_cut_out_and_squared():
    shot = photo_edits.ProductPhoto.from_image(disc(), background_removal.load_segmenter("plain"))
    assert shot.square.side in {round(n / 0.86) for n in (63, 64, 65)}
    assert shot.cutout.alpha[48, 48] == 255 and shot.cutout.alpha[2, 2] == 0
    np.testing.assert_array_equal(shot.photo, disc())


def test_the_sheet_of_many_photos_has_rows_of_eight():
    grey = [np.full((30, 20, 3), level, np.uint8) for level in range(11)]
    sheet = edit.draw_sheet([[photo, photo + 100] for photo in grey])
    assert (sheet.width // edit.CELL_SIDE, sheet.height // edit.CELL_SIDE) == (8, 4)
    one = edit.draw_sheet([[grey[0], grey[0] + 100]])
    assert (one.width // edit.CELL_SIDE, one.height // edit.CELL_SIDE) == (1, 2)
