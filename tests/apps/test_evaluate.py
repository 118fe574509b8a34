"""Mode evaluate: a run and external images, and the errors of invalid input."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from prodgen.apps.common import external_images, sample_sources
from prodgen.apps.common.extractors import load_extractors
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data import prepare
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


def test_every_number_has_its_measurement_spec_interval_and_real_baseline(
    evaluated_run, store_and_data
):
    store, evaluation = store_and_data[0], evaluated_run[1]
    assert evaluation["subject"]["real"] == len(store.ids("test"))
    assert evaluation["subject"]["sets"] == [len(store.ids("test"))] * sample_sources.NUM_SEEDS
    assert {name.partition("-")[0] for name in evaluation["distances"]} == {"classifier", "pixels"}
    for numbers in evaluation["distances"].values():
        for metric, number in numbers.items():
            spec = MeasurementSpec.from_json(number["measurement_spec"])
            assert spec.metric == metric and spec.data == store.digest()
            assert spec.split == "test" and spec.real == len(store.ids("test"))
            assert number["low"] <= number["value"] <= number["high"]
            assert number["real_baseline"] is not None and number["subject"].endswith("step 120")


def test_a_blurred_run_is_worse_than_the_real_baseline(evaluated_run):
    for numbers in evaluated_run[1]["distances"].values():
        assert numbers["frechet"]["value"] > 1.3 * numbers["frechet"]["real_baseline"]
        assert numbers["kernel"]["value"] > numbers["kernel"]["real_baseline"]


def test_condition_accuracy_reconstruction_and_copies_are_measured(evaluated_run):
    evaluation = evaluated_run[1]
    assert set(evaluation["condition_accuracy"]) == {"category", "colour", "radius", "turn"}
    assert evaluation["condition_accuracy"]["category"]["real"] > 0.9  # on real images
    back = evaluation["reconstruction"]
    assert set(back) == {"psnr", "ssim", "bits_per_dim"}
    assert 10 < back["psnr"]["low"] < back["psnr"]["value"] < back["psnr"]["high"] < 40
    assert "likeness" in evaluation["memorisation"]["verdict"]
    assert evaluation["packshots"]["real"]["shown"] == 1


def test_the_report_is_one_page_with_all_results(evaluated_run):
    page = (evaluated_run[0] / "report.html").read_text()
    assert "Frechet distance" in page and "95 % interval" in page and "real baseline" in page
    assert "Copies of training images" in page and "least typical" in page.lower()
    assert page.count("data:image/png;base64") >= 2 and 'src="http' not in page


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
    monkeypatch.setitem(external_images.DATA_DEFAULTS, "cache_dir", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
def test_external_images_are_compared_with_a_folder(image_folders):
    evaluations = {}
    for name in ("good", "bad"):
        files = run_evaluate(
            images=str(image_folders / name),
            reference=str(image_folders / "real"),
            out=image_folders / name / "out" / "e.json",
        )
        assert any(path.name == "e.html" for path in files)
        evaluations[name] = json.loads((image_folders / name / "out" / "e.json").read_text())
    good, bad = (evaluations[name]["distances"] for name in ("good", "bad"))
    assert evaluations["good"]["subject"]["real"] > 80 and good.keys() == bad.keys()
    for who in good:
        assert bad[who]["frechet"]["value"] > 5 * good[who]["frechet"]["value"]
        assert good[who]["coverage"]["value"] > 0.8 and bad[who]["coverage"]["value"] < 0.2
        assert good[who]["frechet"]["low"] is None  # one set of pictures has no interval
    page = (image_folders / "good" / "out" / "e.html").read_text()
    assert "100 pictures of good" in page and "Frechet distance" in page


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
    [("size", BadData, "images of one generator have one size"),
     ("broken", BadData, "0000.png: truncated"),
     ("few", BadData, "at least 20 are needed"),
     ("none", MissingInput, "--images=.*does not exist"),
     ("reference", MissingInput, "--reference=.*does not exist"),
     ("nothing", UsageError, "needs real images"),
     ("small", BadData, "at least 16 are needed")],
)  # fmt: skip
def test_errors_name_the_invalid_images(image_folders, change, error, words):
    folder, reference = image_folders / "good", str(image_folders / "real")
    first = folder / "0000.png"
    match change:
        case "size":
            Image.open(first).resize((20, 20)).save(folder / "0007.png")
        case "broken":
            first.write_bytes(first.read_bytes()[:-30])
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
    with pytest.raises(error, match=words):
        run_evaluate(images=str(folder), reference=reference, out=image_folders / "x" / "e.json")
    assert not (image_folders / "x").exists()


def test_errors_name_images_that_do_not_fit_the_reference(
    store_and_data, grey_store, image_folders
):
    data, small = (
        store_and_data[1],
        write_images(image_folders / "small", np.zeros((30, 12, 12, 3), np.uint8)),
    )
    with pytest.raises(BadData, match="12 x 12 px, the reference is 16"):
        external_images.source_of_folder(small, store_and_data[0], data, 0)
    with pytest.raises(BadData, match="is in colour, the reference is grey"):
        external_images.source_of_folder(image_folders / "good", grey_store, data, 0)


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
