"""Mode personalise on a small run: pictures, a sheet, the taste in words, the same bytes again."""

import csv
import io
import json

import jax
import numpy as np
import pytest
from PIL import Image

from prodgen.apps import personalise
from prodgen.core.errors import BadData, MissingInput, UsageError
from prodgen.data import prepare
from prodgen.evaluation import classifier as home
from prodgen.evaluation.fitness import Evidence, Fitness, Verdict
from prodgen.model import Model
from prodgen.models import classifier
from tests.modes import run_mode
from tests.tiny import tiny, trained_vae, write_run


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """Runs of 20 steps, by whether they have conditions; their classifiers are untrained."""
    paths = {}
    net = classifier.build(store.spec)
    params = jax.device_get(
        net.init(jax.random.key(0), classifier.dummy_image(store.spec))["params"]
    )
    for conditional in (True, False):
        path = tmp_path_factory.mktemp("runs") / "run"
        config = tiny(optim__lr=1e-2, train__num_steps=20, model__condition=conditional)
        write_run(path, store, config, trained_vae(store, config, 20), 20)
        home.save_to_run(path, params, {"sha256": ""})
        paths[conditional] = path
    return paths


@pytest.fixture
def personalise_history(runs, store, tmp_path, monkeypatch):
    """ask(rows of the history) -> the output folder."""
    monkeypatch.setattr(prepare, "open_or_prepare", lambda *_: store)
    verdicts = {"personalise": Verdict("fit", "")}
    fit = Fitness(Evidence("vae", 16, 80, 16, True, True, True), verdicts, {})
    monkeypatch.setattr(Model, "measure_fitness", lambda self, say=None: fit)

    def personalise_history(rows, out="out", conditional=True, **options):
        (tmp_path / "history.csv").write_text("product,picture,event\n" + "\n".join(rows) + "\n")
        history = str(tmp_path / "history.csv")
        run_mode(
            "personalise",
            runs[conditional],
            tmp_path / out,
            history=history,
            n=4,
            steps=2,
            **options,
        )
        return tmp_path / out

    return personalise_history


def reds(store, count):
    """Rows of a history that buys so many red training products."""
    red = np.flatnonzero((store.attributes[:, 1] == 1) & (store.split == 0))[:count]
    return [f"{name},,bought" for name in store.names(red)]


def test_a_history_gives_images_a_sheet_and_a_preference(personalise_history, store, tmp_path):
    Image.fromarray(store.fetch(np.array([2]))["image"][0]).save(tmp_path / "mine.png")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    rows = [*reds(store, 12), ",mine.png,viewed", ",torn.png,bought", "nobody,,bought"]
    one, two = personalise_history(rows), personalise_history(rows, out="again")
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(
        [f"{i:06d}.png" for i in range(4)]
        + ["manifest.json", "products.csv", "sheet.png", "taste.json", "taste.txt"]
    )
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    taste = json.loads((one / "taste.json").read_text())
    assert [x["line"] for x in taste["history"]] == [*range(2, 14), 14]
    refusals = " ".join(taste["refused"])
    assert "line 15: " in refusals and "torn.png" in refusals and "line 16: " in refusals
    red = next(x for x in taste["preferences"] if x["value"] == "red")
    assert red["strength"] > 0 and red["sure"] > 0.8
    assert "colour red: +" in (one / "taste.txt").read_text()
    # The shop's products come first: red ones, none of the history, with their reason.
    text = (one / "products.csv").read_text(encoding="utf-8-sig")
    ranking = list(csv.DictReader(io.StringIO(text)))
    assert len(ranking) == 10 and [row["rank"] for row in ranking[:2]] == ["1", "2"]
    assert not {row["product"] for row in ranking} & {x["product"] for x in taste["history"]}
    utilities = [float(row["utility"]) for row in ranking]
    assert utilities == sorted(utilities, reverse=True)
    assert all("colour red (+" in row["for"] for row in ranking)
    assert taste["products"][0]["product"] == ranking[0]["product"]
    entry = json.loads((one / "manifest.json").read_text())["files"]["000000.png"]
    assert entry["attributes"]["colour"] in ("red", "blue") and len(entry["latent"]) == 4


def test_a_run_that_is_unfit_ranks_and_draws_nothing(
    personalise_history, store, monkeypatch, capsys
):
    verdicts = {"personalise": Verdict("unfit", "its images are blurred")}
    unfit = Fitness(Evidence("vae", 16, 80, 16, True, True, True), verdicts, {})
    monkeypatch.setattr(Model, "measure_fitness", lambda self, say=None: unfit)
    out = personalise_history(reds(store, 3), products=2)
    assert not (out / "000000.png").exists() and (out / "products.csv").exists()
    assert "its images are blurred" in capsys.readouterr().err
    assert len(json.loads((out / "taste.json").read_text())["products"]) == 2
    with pytest.raises(UsageError, match="its images are blurred"):
        personalise_history(reds(store, 3), strict=True)


@pytest.mark.slow
def test_a_run_without_conditions_uses_appearance_alone(personalise_history, store):
    out = personalise_history(reds(store, 3), conditional=False)
    assert "appearance alone" in (out / "taste.txt").read_text()
    assert json.loads((out / "taste.json").read_text())["preferences"] == []


def test_errors_name_the_rows_that_cannot_be_used(personalise_history, runs, tmp_path):
    with pytest.raises(BadData, match="no row that can be used"):
        personalise_history(["nobody,,bought"])
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(BadData, match="no product of the history can be used: line 2"):
        personalise_history([",torn.png,bought"])
    with pytest.raises(UsageError, match="no --history"):
        run_mode("personalise", runs[True], tmp_path / "x")
    with pytest.raises(MissingInput, match="is not a file"):
        run_mode("personalise", runs[True], tmp_path / "x", history="none.csv")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sheet_has_the_products_of_the_largest_weights(channels):
    pictures = np.zeros((20, 16, 16, channels), np.uint8)
    weights = np.linspace(-1, 1, 20)
    sheet = personalise.draw_sheet(pictures, weights, pictures[:3])
    assert sheet.mode == "RGB" and sheet.width == 8 * (96 + 6) + 6
    two_rows_and_one = 2 * (18 + 12) + 3 * (96 + 6) + 2 * 18
    assert sheet.height == two_rows_and_one
