"""The modes of run_sample.py on a small trained run: same bytes, and a manifest."""

import json

import numpy as np
import pytest
from PIL import Image

from prodgen.apps import traverse
from prodgen.apps.common.output import Output
from prodgen.cli.options import parse_pairs
from prodgen.config import registry
from prodgen.core.errors import MissingInput, UsageError
from prodgen.runs.workdir import read_record
from tests.modes import load_once, run_mode


@pytest.fixture(scope="module")
def run(azimuth_run):
    return azimuth_run


@pytest.fixture(scope="module")
def model(run):
    return load_once(run, "best", (run / "config.json").read_bytes())


def run_mode_on(run, out, mode, **options):
    return run_mode(mode, run, out, **options)


@pytest.mark.parametrize(
    ("mode", "options", "shape"),
    [("grid", {}, (2, 8)), ("grid", {"n": 5, "label": "disc"}, (1, 8)),
     ("interpolate", {"n": 2, "frames": 5}, (2, 5)), ("traverse", {"n": 3, "frames": 4}, (3, 4))],
)  # fmt: skip
def test_the_same_command_writes_the_same_sheet(run, tmp_path, mode, options, shape):
    files = run_mode_on(run, tmp_path / "a" / "sheet.png", mode, **options)
    again = run_mode_on(run, tmp_path / "b" / "sheet.png", mode, **options)
    assert [p.read_bytes() for p in files] == [p.read_bytes() for p in again]
    picture = np.asarray(Image.open(files[0]))
    rows, columns = shape
    assert picture.shape[0] == rows * 98 + 2 and picture.shape[1] >= columns * 98 + 2
    assert picture.std() > 1  # something is on it
    other = run_mode_on(run, tmp_path / "c" / "sheet.png", mode, seed=9, **options)
    assert other[0].read_bytes() != files[0].read_bytes()


def test_the_manifest_has_the_latent_and_the_conditions_of_each_image(run, model, tmp_path):
    run_mode_on(run, tmp_path, "images", n=3, seed=4, label="square", attributes={"colour": "red"})
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert sorted(entries) == ["000000.png", "000001.png", "000002.png"]
    entry = entries["000002.png"]
    assert entry["label"] == "square" and entry["attributes"]["colour"] == "red"
    assert entry["fingerprint"] == read_record(run)["fingerprint"] and entry["step"] == 120
    z = np.float32([entry["latent"]])
    np.testing.assert_array_equal(z, model.latents(np.array([2]), seed=4))
    conditions = model.conditions.pick(4, np.array([2]), "square", {"colour": "red"})
    image = np.asarray(Image.open(tmp_path / "000002.png"))
    np.testing.assert_array_equal(model.decode(z, conditions)[0], image)
    assert "generated" in Image.open(tmp_path / "000002.png").text["prodgen"]


def test_the_manifest_keeps_other_files_of_the_folder(run, tmp_path):
    run_mode_on(run, tmp_path / "a.png", "grid", n=2)
    run_mode_on(run, tmp_path / "b.png", "traverse", n=2)
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert {name: entry["mode"] for name, entry in entries.items()} == {
        "a.png": "grid", "b.png": "traverse",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "options"),
    [("grid", {"n": 8}), ("images", {"n": 2}), ("interpolate", {"n": 1, "frames": 3}),
     pytest.param("traverse", {"n": 2, "frames": 6}, marks=pytest.mark.slow),
     pytest.param("directions", {"n": 2, "frames": 6}, marks=pytest.mark.slow),
     pytest.param("sweep", {"n": 2, "attributes": {"colour": "*"}}, marks=pytest.mark.slow),
     pytest.param("reconstruct", {"n": 2}, marks=pytest.mark.slow)],
)  # fmt: skip
def test_every_png_states_that_it_is_generated(run, azimuth_store, tmp_path, mode, options):
    if mode == "reconstruct":
        image = azimuth_store.fetch(azimuth_store.ids("test")[:1])["image"][0]
        Image.fromarray(image).save(tmp_path / "mine.png")
        options = options | {"input": (str(tmp_path / "mine.png"),)}

    def pngs(name, **more):
        out = tmp_path / name / ("" if mode == "images" else "a.png")
        small = mode == "images" and "mark" in more  # 16 pixels a side: nothing is legible there
        if small:
            with pytest.raises(UsageError, match=".* 16 px is too small .* 24 px a side"):
                run_mode_on(run, out, mode, **options, **more)
            assert not out.exists()
            return []
        return [
            path for path in run_mode_on(run, out, mode, **options, **more) if path.suffix == ".png"
        ]

    with_metadata, without_metadata, with_mark = (
        pngs("a"),
        pngs("b", metadata=False),
        pngs("c", mark=True),
    )
    assert len(with_metadata) == {"images": 2, "interpolate": 2}.get(mode, 1)
    fingerprint = read_record(run)["fingerprint"]
    for path, other in zip(with_metadata, without_metadata, strict=True):
        with Image.open(path) as image:
            words = f"generated; run {fingerprint}, step 120, seed 0, mode {mode}"
            assert image.text["prodgen"] == words
            assert "trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]
        with Image.open(other) as image:
            assert image.text == {}
            np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(path)))
    for path, other in zip(with_mark, with_metadata, strict=False):
        with Image.open(path) as image, Image.open(other) as plain:
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame), plain.seek(frame)
                a, b = (np.asarray(x.convert("RGB")) for x in (image, plain))
                assert not a[-1, -1].any() and b[-1, -1].any()
                half = len(a) // 2
                np.testing.assert_array_equal(a[:half], b[:half])


def test_an_interpolation_is_animated_there_and_back(run, tmp_path):
    files = run_mode_on(run, tmp_path / "i.png", "interpolate", n=1, frames=6)
    assert Image.open(files[1]).n_frames == 10  # there and back, the ends once


def test_a_traversal_begins_with_the_most_active_latent(run, model, tmp_path):
    run_mode_on(run, tmp_path / "t.png", "traverse", n=4)
    entry = json.loads((tmp_path / "manifest.json").read_text())["files"]["t.png"]
    assert entry["activity"] == sorted(entry["activity"], reverse=True)
    activity = traverse.latent_activity(model, 0)
    assert entry["latents"][0] == int(np.argmax(activity))


def test_the_users_images_are_reconstructed(run, azimuth_store, tmp_path):
    (tmp_path / "mine").mkdir()
    for i, picture in enumerate(azimuth_store.fetch(azimuth_store.ids("test")[:3])["image"]):
        Image.fromarray(picture).resize((40, 30)).save(tmp_path / "mine" / f"{i}.jpg")
    files = run_mode_on(run, tmp_path / "r.png", "reconstruct", input=(str(tmp_path / "mine"),))
    entry = json.loads(files[-1].read_text())["files"]["r.png"]
    assert [p["name"] for p in entry["pictures"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert all(5 < p["psnr"] < 60 for p in entry["pictures"])


def test_a_model_encodes_decodes_and_samples(model, azimuth_store):
    pictures = azimuth_store.fetch(azimuth_store.ids("test"))
    z = model.encode(pictures["image"], pictures)
    assert z.shape == (len(pictures["image"]), 4) and z.dtype == np.float32
    back = model.reconstruct(pictures["image"], pictures)
    assert back.shape == pictures["image"].shape and back.dtype == np.uint8
    error = np.abs(back.astype(int) - pictures["image"]).mean()
    blank = np.abs(pictures["image"].astype(int).mean(0) - pictures["image"]).mean()
    assert error < blank  # nearer than the mean picture
    np.testing.assert_array_equal(model.sample(3, seed=2), model.sample(70, seed=2)[:3])
    with pytest.raises(ValueError, match="uint8 images of"):
        model.encode(np.zeros((1, 8, 8, 3), np.uint8))


def test_errors_name_the_invalid_option(run, tmp_path):
    with pytest.raises(UsageError, match="not a category of this run"):
        run_mode_on(run, tmp_path / "x.png", "grid", label="mug")
    with pytest.raises(MissingInput, match="no checkpoint '31'"):
        run_mode_on(run, tmp_path / "x.png", "grid", step="31")
    with pytest.raises(MissingInput, match="does not exist"):
        run_mode_on(run, tmp_path / "x.png", "reconstruct", input=(str(tmp_path / "nothing"),))
    with pytest.raises(UsageError, match="not name=value"):
        parse_pairs("red", "--attributes")


def test_every_mode_has_a_run_function():
    import importlib

    for module in registry.MODES.values():
        assert callable(importlib.import_module(module).run)


def test_out_is_a_file_for_one_image_and_a_folder_for_several(tmp_path):
    def target(out, default):
        place = tmp_path / out if out else None
        path = Output(None, "vary", None, place, tmp_path / "run").locate(default)
        return path.relative_to(tmp_path).as_posix()

    (tmp_path / "there").mkdir()
    assert target("", "grid.png") == "run/grid.png"
    assert target("mine.png", "grid.png") == "mine.png"
    assert target("there", "grid.png") == "there/grid.png"
    assert target("v1.2", "vary") == "v1.2"
    assert target("new", "grid.png") == "new/grid.png"  # a folder, made when it is written to
    assert target("v1.2", "grid.png") == "v1.2/grid.png"
    with pytest.raises(UsageError, match=r"mine\.jpg is not a \.png file"):
        target("mine.jpg", "grid.png")
    with pytest.raises(UsageError, match=r"mine\.png is a file; --mode=vary writes a folder"):
        target("mine.png", "vary")
    (tmp_path / "plain").write_text("")
    for default in ("grid.png", "vary"):
        with pytest.raises(UsageError, match=r"plain is (not a|a file)"):
            target("plain", default)
