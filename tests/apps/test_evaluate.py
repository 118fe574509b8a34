"""Mode evaluate: a run and foreign pictures, judged; bad input named."""

import json

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
def many(tmp_path_factory):
    """400 squares, 80 of them held back, and the data section that they were prepared by."""
    data = tiny(data__test=0.2).data
    with data.unlocked():
        data.cache_dir = str(tmp_path_factory.mktemp("cache"))
    return prepare.prepare(Squares(400), data), data


@pytest.fixture(scope="module")
def run(many, tmp_path_factory):
    """A VAE of 120 steps, written as the trainer writes one."""
    store, data = many
    path = tmp_path_factory.mktemp("runs") / "run"
    fields = {"loss__likelihood": "logistic", "optim__lr": 1e-2, "data__test": 0.2}
    config = tiny(train__num_steps=120, **fields)
    with config.unlocked():
        config.data.cache_dir = data.cache_dir
    write_run(path, store, config, trained_vae(store, config, 120), 120)
    return path


@pytest.fixture(scope="module")
def judged(run, many, tmp_path_factory):
    """The run's evaluation: (the folder, evaluation.json)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: many[0])
        files = ask(workdir=run)
    assert {path.name for path in files} == {
        "evaluation.json", "evaluation_pairs.png", "evaluation_typical.png", "manifest.json",
        "report.html",
    }  # fmt: skip
    return run, json.loads((run / "evaluation.json").read_text())


def ask(**options):
    return run_mode("evaluate", **options)


def test_every_number_has_its_passport_interval_and_floor(judged, many):
    store, found = many[0], judged[1]
    assert found["subject"]["real"] == len(store.ids("test"))
    assert found["subject"]["sets"] == [len(store.ids("test"))] * sample_sources.NUM_SEEDS
    assert {name.partition("-")[0] for name in found["distances"]} == {"classifier", "pixels"}
    for numbers in found["distances"].values():
        for metric, number in numbers.items():
            passport = MeasurementSpec.from_json(number["measurement_spec"])
            assert passport.metric == metric and passport.data == store.digest()
            assert passport.split == "test" and passport.real == len(store.ids("test"))
            assert number["low"] <= number["value"] <= number["high"]
            assert number["real_baseline"] is not None and number["subject"].endswith("step 120")


def test_a_blurred_run_is_worse_than_its_floor_and_the_floor_is_better(judged):
    for numbers in judged[1]["distances"].values():
        assert numbers["frechet"]["value"] > 1.3 * numbers["frechet"]["real_baseline"]
        assert numbers["kernel"]["value"] > numbers["kernel"]["real_baseline"]


def test_what_was_asked_for_reconstruction_and_copies(judged):
    found = judged[1]
    assert set(found["condition_accuracy"]) == {"category", "colour", "radius", "turn"}
    assert found["condition_accuracy"]["category"]["real"] > 0.9  # home names the squares
    back = found["reconstruction"]
    assert set(back) == {"psnr", "ssim", "bits_per_dim"}
    assert 10 < back["psnr"]["low"] < back["psnr"]["value"] < back["psnr"]["high"] < 40
    assert "likeness" in found["memorisation"]["verdict"]
    assert found["packshots"]["real"]["shown"] == 1


def test_the_report_shows_it_on_one_page(judged):
    page = (judged[0] / "report.html").read_text()
    assert "Frechet distance" in page and "95 % interval" in page and "real baseline" in page
    assert "Copies of training images" in page and "least typical" in page.lower()
    assert page.count("data:image/png;base64") >= 2 and 'src="http' not in page


def test_numbers_of_two_judgements_compare_only_with_one_passport(judged, run, many, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: many[0])
        ask(workdir=run, out=tmp_path / "fewer.json", n=40)
    fewer = json.loads((tmp_path / "fewer.json").read_text())
    one, other = (
        Measurement(
            **number | {"measurement_spec": MeasurementSpec.from_json(number["measurement_spec"])}
        )
        for number in (first["distances"][name]["frechet"] for first in (judged[1], fewer)
                       for name in first["distances"] if name.startswith("pixels"))
    )  # fmt: skip
    assert difference(one, one) == 0
    with pytest.raises(UsageError, match="real: 80 and 40"):
        difference(one, other)


def test_hostile_names_stay_text(judged):
    found = judged[1] | {"subject": judged[1]["subject"] | {"name": "<script>alert(1)</script>"}}
    worst = found["condition_accuracy"]["category"] | {"worst": ["<b>mug</b>", 0.5]}
    page = "".join(build_sections(found | {"condition_accuracy": {"<i>": worst}}))
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page


def written(folder, pictures, size=None):
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        shown = Image.fromarray(picture)
        (shown.resize(size) if size else shown).save(folder / f"{i:04d}.png")
    return folder


@pytest.fixture
def sides(many, tmp_path, monkeypatch):
    """A folder of real squares with categories, a folder of others, and one of grey noise."""
    pictures = many[0].fetch(np.arange(400))["image"]
    for i, name in enumerate(("disc", "square")):
        written(tmp_path / "real" / name, pictures[i:200:2])
    written(tmp_path / "good", pictures[200:300])
    noise = np.random.default_rng(0).integers(0, 256, (100, 16, 16, 3), np.uint8)
    written(tmp_path / "bad", noise)
    monkeypatch.setitem(external_images.DATA_DEFAULTS, "cache_dir", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
def test_foreign_pictures_are_judged_by_a_folder(sides):
    found = {}
    for name in ("good", "bad"):
        files = ask(images=str(sides / name), reference=str(sides / "real"),
                    out=sides / name / "out" / "e.json")  # fmt: skip
        assert any(path.name == "e.html" for path in files)
        found[name] = json.loads((sides / name / "out" / "e.json").read_text())
    good, bad = (found[name]["distances"] for name in ("good", "bad"))
    assert found["good"]["subject"]["real"] > 80 and good.keys() == bad.keys()
    for who in good:
        assert bad[who]["frechet"]["value"] > 5 * good[who]["frechet"]["value"]
        assert good[who]["coverage"]["value"] > 0.8 and bad[who]["coverage"]["value"] < 0.2
        assert good[who]["frechet"]["low"] is None  # one set of pictures has no interval
    page = (sides / "good" / "out" / "e.html").read_text()
    assert "100 pictures of good" in page and "Frechet distance" in page


def test_nothing_is_overwritten_or_ignored(judged, many, sides, tmp_path):
    """Refused before anything is computed; a run's own evaluation stays its own."""
    run, before = judged[0], (judged[0] / "evaluation.json").read_bytes()
    with pytest.raises(UsageError, match="is not a .json file"):
        ask(workdir=run, out=tmp_path / "x.png")
    with pytest.raises(UsageError, match="has no effect without --images"):
        ask(workdir=run, reference="somewhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text('{"name": "an app"}')
    with pytest.raises(UsageError, match="was not written by this program"):
        ask(images=str(sides / "good"), reference=str(sides / "real"), out=tmp_path / "mine")
    assert "an app" in (tmp_path / "mine" / "manifest.json").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "store", lambda self: many[0])
        patch.chdir(tmp_path)
        ask(workdir=run, images=str(sides / "good"))
    assert (tmp_path / "judged" / "evaluation.html").exists()
    assert (run / "evaluation.json").read_bytes() == before


def test_enough_foreign_pictures_make_sets():
    make = external_images.split_into_sets(np.arange(250)[:, None, None, None], seed=3)
    sets = [pictures for pictures, asked in make(100)]
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
def test_bad_pictures_are_named(sides, change, error, words):
    folder, reference = sides / "good", str(sides / "real")
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
            folder = sides / "nowhere"
        case "reference":
            reference = str(sides / "nowhere")
        case "nothing":
            reference = ""
        case "small":
            for path in folder.iterdir():
                Image.open(path).resize((12, 12)).save(path)
    with pytest.raises(error, match=words):
        ask(images=str(folder), reference=reference, out=sides / "x" / "e.json")
    assert not (sides / "x").exists()


def test_pictures_that_do_not_fit_the_reference_are_named(many, grey_store, sides):
    data, small = many[1], written(sides / "small", np.zeros((30, 12, 12, 3), np.uint8))
    with pytest.raises(BadData, match="12 x 12 px, the reference is 16"):
        external_images.source_of_folder(small, many[0], data, 0)
    with pytest.raises(BadData, match="is in colour, the reference is grey"):
        external_images.source_of_folder(sides / "good", grey_store, data, 0)


def test_extractors_that_cannot_be_had_say_where_they_come_from(monkeypatch, tmp_path):
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
