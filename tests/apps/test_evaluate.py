"""Mode evaluate: a run and external images, and the errors of invalid input."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prodgen.apps.common import external_images, reference_images, sample_sources
from prodgen.apps.common.extractors import load_extractors
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data import fit, prepare
from prodgen.metrics.measurement_spec import Measurement, MeasurementSpec, difference
from prodgen.model import Model
from prodgen.report.evaluation_sections import build_sections
from tests.modes import run_mode
from tests.tiny import Squares, tiny, trained_vae, write_run


@pytest.fixture(scope="module")
def store_and_data(tmp_path_factory):
    """400 squares, 80 of them held out, and the data section that prepared them."""
    data = tiny(data__test=0.2).data
    with data.unlocked():
        data.cache_dir = str(tmp_path_factory.mktemp("cache"))
    return prepare.open_or_prepare(data, source=Squares(400)), data


@pytest.fixture(scope="module")
def run(store_and_data, tmp_path_factory):
    """A VAE of 120 steps, written as the trainer writes one."""
    store, data = store_and_data
    path = tmp_path_factory.mktemp("runs") / "run"
    fields = {"loss__likelihood": "logistic", "optim__lr": 1e-2, "data__test": 0.2}
    config = tiny(train__num_steps=120, **fields)
    with config.unlocked():
        config.data.cache_dir = data.cache_dir
    write_run(path, store, config, trained_vae(store, config, 120), 120)
    return path


@pytest.fixture(scope="module")
def evaluated_run(run, store_and_data, tmp_path_factory):
    """The run's evaluation: (the folder, evaluation.json)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: store_and_data[0])
        files = run_evaluate(workdir=run)
    assert {path.name for path in files} == {
        "evaluation.json", "evaluation_pairs.png", "evaluation_typical.png", "manifest.json",
        "report.html",
    }  # fmt: skip
    return run, json.loads((run / "evaluation.json").read_text())


def run_evaluate(**options):
    return run_mode("evaluate", **options)


@pytest.mark.slow
def test_every_number_has_its_measurement_spec_interval_and_real_baseline(
    evaluated_run, store_and_data
):
    store, evaluation = store_and_data[0], evaluated_run[1]
    assert evaluation["subject"]["real"] == len(store.ids("test"))
    assert evaluation["subject"]["split_by"] == "image" and not evaluation["subject"]["cautions"]
    assert evaluation["subject"]["sets"] == [len(store.ids("test"))] * sample_sources.NUM_SEEDS
    assert {name.partition("-")[0] for name in evaluation["distances"]} == {"classifier", "pixels"}
    for numbers in evaluation["distances"].values():
        for metric, number in numbers.items():
            spec = MeasurementSpec.from_json(number["measurement_spec"])
            assert spec.metric == metric and spec.data == store.digest()
            assert spec.split == "test" and spec.real == len(store.ids("test"))
            assert number["low"] <= number["value"] <= number["high"]
            assert number["real_baseline"] is not None and number["subject"].endswith("step 120")


@pytest.mark.slow
def test_a_blurred_run_is_worse_than_the_real_baseline(evaluated_run):
    for numbers in evaluated_run[1]["distances"].values():
        assert numbers["frechet"]["value"] > 1.3 * numbers["frechet"]["real_baseline"]
        assert numbers["kernel"]["value"] > numbers["kernel"]["real_baseline"]


@pytest.mark.slow
def test_condition_accuracy_reconstruction_and_copies_are_measured(evaluated_run):
    evaluation = evaluated_run[1]
    assert set(evaluation["condition_accuracy"]) == {"category", "colour", "radius", "turn"}
    assert evaluation["condition_accuracy"]["category"]["real"] > 0.9  # on real images
    back = evaluation["reconstruction"]
    assert set(back) == {"psnr", "ssim", "bits_per_dim"}
    assert 10 < back["psnr"]["low"] < back["psnr"]["value"] < back["psnr"]["high"] < 40
    assert "likeness" in evaluation["memorisation"]["verdict"]
    assert evaluation["packshots"]["real"]["shown"] == 1


@pytest.mark.slow
def test_the_report_is_one_page_with_all_results(evaluated_run):
    page = (evaluated_run[0] / "report.html").read_text()
    assert "Frechet distance" in page and "95 % interval" in page and "real baseline" in page
    assert "Copies of training images" in page and "least typical" in page.lower()
    assert page.count("data:image/png;base64") >= 2 and 'src="http' not in page


@pytest.mark.slow
def test_numbers_of_different_measurement_specs_cannot_be_compared(
    evaluated_run, run, store_and_data, tmp_path
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: store_and_data[0])
        run_evaluate(workdir=run, out=tmp_path / "fewer.json", n=40)
    fewer = json.loads((tmp_path / "fewer.json").read_text())
    one, other = (
        Measurement(
            **number | {"measurement_spec": MeasurementSpec.from_json(number["measurement_spec"])}
        )
        for number in (first["distances"][name]["frechet"] for first in (evaluated_run[1], fewer)
                       for name in first["distances"] if name.startswith("pixels"))
    )  # fmt: skip
    assert difference(one, one) == 0
    with pytest.raises(UsageError, match="real: 80 and 40"):
        difference(one, other)


@pytest.mark.slow
def test_names_are_escaped_in_the_report(evaluated_run):
    evaluation = evaluated_run[1] | {
        "subject": evaluated_run[1]["subject"] | {"name": "<script>alert(1)</script>"}
    }
    worst = evaluation["condition_accuracy"]["category"] | {"worst": ["<b>mug</b>", 0.5]}
    page = "".join(build_sections(evaluation | {"condition_accuracy": {"<i>": worst}}))
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page


def write_images(folder, pictures, size=None):
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        pil_image = Image.fromarray(picture)
        (pil_image.resize(size) if size else pil_image).save(folder / f"{i:04d}.png")
    return folder


@pytest.fixture
def image_folders(store_and_data, tmp_path, monkeypatch):
    """A folder of real squares with categories, a folder of others, and one of grey noise."""
    pictures = store_and_data[0].fetch(np.arange(400))["image"]
    for i, name in enumerate(("disc", "square")):
        write_images(tmp_path / "real" / name, pictures[i:200:2])
    write_images(tmp_path / "good", pictures[200:300])
    noise = np.random.default_rng(0).integers(0, 256, (100, 16, 16, 3), np.uint8)
    write_images(tmp_path / "bad", noise)
    monkeypatch.setitem(reference_images.DATA_DEFAULTS, "cache_dir", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
def test_external_images_are_compared_with_a_folder(image_folders):
    evaluations = {}
    for name in ("good", "bad"):
        files = run_evaluate(
            images=str(image_folders / name),
            reference=str(image_folders / "real"),
            out=image_folders / f"{name}-judged" / "e.json",
        )
        assert any(path.name == "e.html" for path in files)
        evaluations[name] = json.loads((image_folders / f"{name}-judged" / "e.json").read_text())
    good, bad = (evaluations[name]["distances"] for name in ("good", "bad"))
    assert evaluations["good"]["subject"]["real"] > 80 and good.keys() == bad.keys()
    for who in good:
        assert bad[who]["frechet"]["value"] > 5 * good[who]["frechet"]["value"]
        assert good[who]["coverage"]["value"] > 0.8 and bad[who]["coverage"]["value"] < 0.2
        assert good[who]["frechet"]["low"] is None  # one set of pictures has no interval
    page = (image_folders / "good-judged" / "e.html").read_text()
    assert "100 pictures of good" in page and "Frechet distance" in page


@pytest.mark.slow
def test_files_are_not_overwritten_and_flags_are_not_ignored(
    evaluated_run, store_and_data, image_folders, tmp_path
):
    """Refused before anything is computed; a run's own evaluation stays its own."""
    run, before = evaluated_run[0], (evaluated_run[0] / "evaluation.json").read_bytes()
    with pytest.raises(UsageError, match="is not a .json file"):
        run_evaluate(workdir=run, out=tmp_path / "x.png")
    with pytest.raises(UsageError, match="has no effect without --images"):
        run_evaluate(workdir=run, reference="somewhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text('{"name": "an app"}')
    with pytest.raises(UsageError, match="was not written by this program"):
        run_evaluate(
            images=str(image_folders / "good"),
            reference=str(image_folders / "real"),
            out=tmp_path / "mine",
        )
    assert "an app" in (tmp_path / "mine" / "manifest.json").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: store_and_data[0])
        patch.chdir(tmp_path)
        good = image_folders / os.fsdecode(b"<b>\xff\n")  # any name that the system allows
        (image_folders / "good").rename(good)
        (good / "0000.png").rename(good / os.fsdecode(b"{0},%s\xff\n.png"))
        run_evaluate(workdir=run, images=str(good))
    page = (tmp_path / "judged" / "evaluation.html").read_text(encoding="utf-8")
    assert r"100 pictures of &lt;b&gt;\xff" in page
    assert (run / "evaluation.json").read_bytes() == before


def test_enough_external_images_make_several_sets():
    make = external_images.split_into_sets(np.arange(250)[:, None, None, None], seed=3)
    sets = [pictures for pictures, _ in make(100)]
    assert [len(x) for x in sets] == [100, 100] and not set(sets[0].ravel()) & set(sets[1].ravel())
    assert [len(x) for x, _ in make(50)] == [50, 50, 50] and len(make(300)[0][0]) == 250


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [("broken", BadData, "0 of 100 files are readable .*left out .0000.png: truncated"),
     ("few", BadData, "10 of 10 files are readable images, at least 20 are needed"),
     ("empty", MissingInput, "--images=.* holds no images"),
     ("file", UsageError, "is a file"),
     ("inside", UsageError, "one folder lies inside the other"),
     ("out", UsageError, "its sheets would be judged as images"),
     ("one real", UsageError, "is one image"),
     ("no pictures", BadData, "table.csv: 0 of 2 files are readable .*a.png: missing"),
     ("none", MissingInput, "--images=.*does not exist"),
     ("reference", MissingInput, "--reference=.*does not exist"),
     ("nothing", UsageError, "needs real images"),
     ("small", BadData, "at least 16 are needed")],
)  # fmt: skip
def test_errors_name_the_invalid_images(image_folders, change, error, words):
    folder, reference = image_folders / "good", str(image_folders / "real")
    out = image_folders / "x"
    first = folder / "0000.png"
    match change:
        case "broken":
            for path in folder.iterdir():
                path.write_bytes(path.read_bytes()[:-30])
        case "empty":
            folder = image_folders / "empty"
            folder.mkdir()
        case "file":
            folder = first
        case "inside":
            reference = str(image_folders)
        case "out":
            out = folder / "x"
        case "one real":
            reference = str(first)
        case "no pictures":
            reference = str(image_folders / "table.csv")
            (image_folders / "table.csv").write_text("image,category\na.png,mug\nb.png,mug\n")
        case "few":
            for path in sorted(folder.iterdir())[10:]:
                path.unlink()
        case "none":
            folder = image_folders / "nowhere"
        case "reference":
            reference = str(image_folders / "nowhere")
        case "nothing":
            reference = ""
        case "small":
            for path in folder.iterdir():
                Image.open(path).resize((12, 12)).save(path)
    with pytest.raises(error, match=words) as error_info:
        run_evaluate(images=str(folder), reference=reference, out=out / "e.json")
    assert not out.exists() and error_info.value.next_step
    assert "config." not in error_info.value.next_step  # run_sample.py has no such flag


def read_folder(folder, resolution=16, method="pad"):
    source = external_images.open_folder(folder)
    return external_images.read_images(folder, source, resolution, method)


def test_images_that_are_mostly_smaller_than_a_run_are_refused(store_and_data, image_folders):
    store, data = store_and_data
    small = write_images(image_folders / "small", np.zeros((30, 12, 12, 3), np.uint8))
    with pytest.raises(BadData, match="12 x 12 px, the reference is 16"):
        external_images.make_source(read_folder(small), store, data, 0, [])


def test_images_of_several_sizes_are_brought_to_one_and_unreadable_ones_are_named(
    store_and_data, image_folders
):
    """30 wide images of 32 x 16 become bands between stripes of their own background."""
    store, data = store_and_data
    wide = np.full((30, 16, 32, 3), 200, np.uint8)
    wide[:, 4:12, 8:24] = [90, 20, 20]
    folder = write_images(image_folders / "several", wide)
    Image.new("RGB", (12, 12), (0, 0, 255)).save(folder / "tiny.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    images = read_folder(folder)
    assert images.pixels.shape == (31, 16, 16, 3) and images.num_enlarged == 1
    assert (images.pixels[0, [0, 3, 12, 15]] == 200).all()  # padding: 4 rows above and below
    assert np.abs(images.pixels[0, 7:9, 6:10] - np.int16([90, 20, 20])).max() <= 3
    assert [name for name, _ in images.refusals] == ["broken.jpg"]
    source = external_images.make_source(images, store, data, 0, [(16, 16)] * 9)
    assert source.fitting.startswith("longer side resized to 16 px")
    record = source.record["images"]
    assert (record["smallest"], record["largest"]) == ([12, 12], [16, 32])
    assert record["resized"] == 31 and record["left_out"]["total"] == 1
    assert any("1 of 31 images are smaller than 16 px" in text for text in source.cautions)
    assert any("padding covers 48% of an image and 0% of a" in text for text in source.cautions)


def test_images_of_the_size_of_the_run_are_taken_as_they_are(store_and_data, image_folders):
    store, data = store_and_data
    source = external_images.make_source(read_folder(image_folders / "good"), store, data, 0, [])
    ((images, _),) = source.generate(100)
    expected = store.fetch(np.arange(200, 300))["image"]
    np.testing.assert_array_equal(np.sort(images, axis=0), np.sort(expected, axis=0))
    assert source.fitting == "" and not source.is_grey
    assert source.cautions == ("100 of 100 images are equal to images of the reference",)


def test_where_one_side_is_grey_both_are_compared_as_grey(
    store_and_data, grey_store, image_folders
):
    store, data = store_and_data
    noise = np.random.default_rng(0).integers(0, 256, (30, 16, 16), np.uint8)
    grey = read_folder(write_images(image_folders / "grey", noise))
    colour = read_folder(image_folders / "bad")
    for images, real, channels in ((grey, store, 3), (colour, grey_store, 1)):
        source = external_images.make_source(images, real, data, 0, [])
        assert source.is_grey and source.fitting == "both sides as grey (ITU-R 601 luma)"
        assert any("no number describes colour" in text for text in source.cautions)
        assert source.generate(30)[0][0].shape[-1] == channels
    red = np.full((1, 2, 2, 3), [255, 0, 0], np.uint8)
    assert (fit.remove_colour(red) == 76).all()  # 0.299 of 255
    assert not external_images.make_source(grey, grey_store, data, 0, []).is_grey


def test_the_resolution_is_one_that_nine_of_ten_images_reach():
    sizes = [(40, 70)] * 18 + [(20, 30)] * 2
    folder = Path("made")
    assert reference_images.choose_resolution(folder, sizes, [(500, 500)]) == 64
    assert reference_images.choose_resolution(folder, sizes[:18] + [(20, 30)] * 3, []) == 16
    assert reference_images.choose_resolution(folder, [(28, 28)] * 9, [(30, 40), (50, 50)]) == 28
    assert reference_images.choose_resolution(folder, [(900, 300)], [(400, 400)]) == 128


@pytest.mark.slow
def test_the_page_says_how_images_were_fitted_and_what_was_left_out(evaluated_run):
    subject = evaluated_run[1]["subject"]
    plain = "".join(build_sections(evaluated_run[1]))
    assert "The split was by image" in plain and "were left out" not in plain
    images = {
        "smallest": [12, 12], "largest": [16, 32], "fitting": "cropped", "total": 3,
        "left_out": {"total": 1, "files": [{"name": "<a>.jpg", "reason": "truncated"}]},
    }  # fmt: skip
    more = {"images": images, "cautions": ["one side is grey"], "split_by": "product"}
    page = "".join(build_sections(evaluated_run[1] | {"subject": subject | more}))
    assert "12 x 12 to 32 x 16 pixels. Each was fitted: cropped." in page
    assert "One side is grey." in page and "The split was by product" in page
    assert "Files of the images that were left out: 1" in page and "&lt;a&gt;.jpg" in page
    older = {name: value for name, value in subject.items() if name not in ("split_by", "cautions")}
    assert "The split was" not in "".join(build_sections(evaluated_run[1] | {"subject": older}))


def test_judging_a_folder_by_itself_is_remarked(store_and_data, image_folders):
    data = reference_images.data_section("folder", image_folders / "good")
    source = external_images.make_source(
        read_folder(image_folders / "good"), store_and_data[0], data, 0, []
    )
    assert any("are the same folder" in text for text in source.cautions)


def test_missing_extractors_name_their_source(monkeypatch, tmp_path):
    with pytest.raises(MissingInput, match="lpips has no weights"):
        load_extractors(("lpips",))
    with pytest.raises(UsageError, match="'inception' is not known; known: efficientnet_lite0"):
        load_extractors(("inception",))
    with pytest.raises(UsageError, match="pixels takes no file"):
        load_extractors(("pixels=x",))
    with pytest.raises(MissingInput, match="nowhere.pth"):
        load_extractors((f"efficientnet_lite0={tmp_path / 'nowhere.pth'}",))
    (tmp_path / "other.pth").write_bytes(b"something else")
    with pytest.raises(BadData):
        load_extractors((f"efficientnet_lite0={tmp_path / 'other.pth'}",))
    lookers, perceptual = load_extractors(())
    assert [who.identity.name for who in lookers] == ["pixels"] and perceptual is None
