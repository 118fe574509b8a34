"""Mode cutout on a folder of photos, good and bad: files, table, sheet, and nothing overwritten."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from prodgen.apps import cutout
from prodgen.apps.common import image_files, named_colours
from prodgen.config import registry
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.core.types import Spec
from prodgen.editing.photo_input import read_photo
from tests.modes import run_mode
from tests.photo.scenes import cloth, disc, lit_background, overlap, photo
from tests.test_commandline import run_command
from tests.tiny import tiny

ALPHA = disc(180, 55, softness=2, right=12)


def scene(alpha=ALPHA, ground=(210, 205, 200)):
    side = alpha.shape[0]
    return photo(cloth(side, (50, 80, 150)), alpha, lit_background(side, ground, falloff=15))


def run_cutout(images, out, **options):
    return run_mode("cutout", out=out, images=(str(images),), **options)


def read_table(out):
    with open(out / "cutout.csv", encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a photo of every kind."""
    path = tmp_path_factory.mktemp("shop") / "photos"
    (path / "sub").mkdir(parents=True)
    Image.fromarray(scene()).save(path / "good.png")
    Image.fromarray(scene()).save(path / "good.jpg", quality=92)
    Image.fromarray(scene(disc(180, 50, right=60))).save(path / "sub" / "edge.png")
    Image.fromarray(np.full((90, 90, 3), 190, np.uint8)).save(path / "empty.png")
    Image.fromarray(scene()[:20, :20]).save(path / "tiny.png")
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1])]
    frames[0].save(path / "moving.gif", save_all=True, append_images=frames[1:])
    (path / "text.jpg").write_text("no picture")
    data = (path / "good.jpg").read_bytes()
    (path / "short.jpg").write_bytes(data[: len(data) // 2])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(scene()[:, :170]).save(path / "turned.jpg", exif=exif, quality=95)
    return path


@pytest.fixture(scope="module")
def cutout_run(shop, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "cutout"
    return out, run_cutout(shop, out)


def test_every_file_is_a_row_with_its_verdict(cutout_run):
    rows = read_table(cutout_run[0])
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "empty.png": "skipped", "good.jpg": "clean", "good.png": "clean", "moving.gif": "skipped",
        "short.jpg": "skipped", "sub/edge.png": "clean", "text.jpg": "skipped",
        "tiny.png": "skipped", "turned.jpg": "clean",
    }  # fmt: skip
    kinds = {name: row["findings"].partition(":")[0] for name, row in rows.items()}
    assert kinds["empty.png"] == "no_product" and kinds["moving.gif"] == "animated"
    assert kinds["short.jpg"] == "truncated" and kinds["tiny.png"] == "too small"
    assert kinds["text.jpg"] == "not a picture" and kinds["sub/edge.png"] == "touches_border"
    good = rows["good.png"]
    box = [int(good[side]) for side in ("left", "top", "right", "bottom")]
    np.testing.assert_allclose(box, (47, 35, 157, 145), atol=2)
    assert float(good["coverage"]) == pytest.approx(ALPHA.mean(), rel=0.03)
    assert (rows["turned.jpg"]["width"], rows["turned.jpg"]["height"]) == ("180", "170")


def test_cut_outs_have_the_photos_size_and_the_products_alpha(cutout_run, shop):
    out, files = cutout_run
    rgba = np.asarray(Image.open(out / "cut" / "good.png"))
    assert rgba.shape == (180, 180, 4)
    assert overlap(rgba[..., 3], ALPHA) > 0.97
    inside = rgba[..., 3] == 255
    np.testing.assert_array_equal(rgba[inside, :3], scene()[inside])
    paths = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert paths == {str(path.relative_to(out)) for path in files} == {
        "cut/good.png", "cut/good.jpg.png", "cut/sub/edge.png", "cut/turned.png", "cutout.csv",
        "cutout.png", "manifest.json",
    }  # fmt: skip
    entries = json.loads((out / "manifest.json").read_text())["files"]
    assert entries["cut/good.jpg.png"]["file"] == "good.jpg"
    assert entries["cutout.csv"]["cutout"] == "auto"


def test_the_same_command_gives_the_same_bytes(cutout_run, shop, tmp_path):
    again = run_cutout(shop, tmp_path / "cutout")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in cutout_run[1]]


def test_a_flat_background(shop, tmp_path):
    run_cutout(shop / "good.png", tmp_path / "white", background="white")
    image = np.asarray(Image.open(tmp_path / "white" / "cut" / "good.png"))
    assert image.shape == (180, 180, 3) and (image[0] == 255).all()
    run_cutout(shop / "good.png", tmp_path / "tint", background="#f2e6d9")
    image = np.asarray(Image.open(tmp_path / "tint" / "cut" / "good.png"))
    assert image[0, 0].tolist() == [0xF2, 0xE6, 0xD9]
    with pytest.raises(UsageError, match="--background='blau' is not a colour; did you mean blue"):
        run_cutout(shop, tmp_path / "x", background="blau")


def test_the_names_of_colours_are_those_of_every_mode():
    assert cutout.parse_background("teal") == named_colours.PRODUCT_COLOURS["teal"]
    assert cutout.parse_background("") is None is cutout.parse_background("transparent")
    with pytest.raises(UsageError, match="known: black, blue"):
        cutout.parse_background("papayawhip")


def test_the_command_fails_where_every_image_fails(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_text("no picture")
    with pytest.raises(BadData, match="no image .* 0 of 1 cut out; skipped: not a picture 1"):
        run_cutout(tmp_path / "in", tmp_path / "out")
    assert read_table(tmp_path / "out")["a.png"]["verdict"] == "skipped"


def test_files_of_the_user_are_not_overwritten(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "cutout.png")
    with pytest.raises(UsageError, match="holds the images that are read"):
        run_cutout(tmp_path, tmp_path)
    (tmp_path / "other").mkdir()
    Image.fromarray(scene()).save(tmp_path / "other" / "cutout.png")
    with pytest.raises(UsageError, match="a cutout.png that this mode did not write"):
        run_cutout(tmp_path, tmp_path / "other")
    with pytest.raises(MissingInput, match="does not exist"):
        run_cutout(tmp_path / "nowhere", tmp_path / "out")


def test_a_rerun_within_the_folder_skips_what_it_wrote(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "a.png")
    for _ in range(2):
        run_cutout(tmp_path, tmp_path / "out")
        assert list(read_table(tmp_path / "out")) == ["a.png"]


def test_neural_needs_a_model_file(tmp_path):
    with pytest.raises(MissingInput, match="needs its model file"):
        run_cutout(tmp_path, tmp_path / "out", cutout="neural")
    assert set(registry.CUTOUTS) == {"auto", "plain", "grabcut", "neural"}


def test_image_files_of_a_folder_are_listed_sorted_without_hidden_ones(shop, tmp_path):
    names = [
        path.relative_to(shop).as_posix() for path in image_files.list_image_files(shop, "--input")
    ]
    assert names == sorted(names) and "sub/edge.png" in names
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ".hidden.png").write_text("")
    with pytest.raises(MissingInput, match="--input=.* holds no images"):
        image_files.list_image_files(tmp_path / "in", "--input")
    (tmp_path / "in" / "out.png").symlink_to(shop / "good.png")
    with pytest.raises(BadData, match="a link that leaves the folder"):
        image_files.list_image_files(tmp_path / "in", "--input")


def test_files_are_images_by_their_first_bytes_or_their_suffix(tmp_path):
    image = Image.fromarray(scene()[:8, :8])
    for name, format in (("scan", "TIFF"), ("bitmap", "BMP"), ("photo", "JPEG")):
        image.save(tmp_path / name, format=format)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    files = {
        "phone": heic, "phone.heic": heic, "design.jpg": b"8BPS\0\1" + bytes(60), "empty": b"",
        "letter": b"BM is no bitmap" + bytes(60), "design": b"8BPS\0\1" + bytes(60),
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    names = [path.name for path in image_files.list_image_files(tmp_path, "--input")]
    assert names == ["bitmap", "design.jpg", "phone", "phone.heic", "photo", "scan"]


def test_a_photo_is_prepared_as_training_images_are(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "a.png")
    run = tiny(data__cutout="plain", data__resolution=32)
    spec = Spec(32, 3, background=(255, 255, 255))
    image = read_photo(tmp_path / "a.png", run.data, spec)
    assert image.shape == (32, 32, 3) and image[0].min() > 250
    assert overlap(np.uint8(255 - image.min(axis=-1)), disc(32, 13.8)) > 0.85  # centred, 86 %
    Image.fromarray(np.full((60, 60, 3), 90, np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(BadData, match="b.png: no_product"):
        read_photo(tmp_path / "b.png", run.data, spec)


def test_the_command(tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(scene()).save(tmp_path / "in" / "a.png")
    code, lines = run_command("run_sample.py", "--mode=cutout", "--images=in", cwd=tmp_path)
    assert code == 0 and lines[-1] == "1 of 1 cut out"
    assert (tmp_path / "cutout" / "cut" / "a.png").is_file()
