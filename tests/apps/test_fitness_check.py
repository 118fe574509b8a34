"""Modes say that a run is unfit for them, mark their files, and with --strict refuse."""

import json

import pytest

from prodgen.apps.common import fitness_check
from prodgen.core.errors import MissingRunData, UsageError
from prodgen.evaluation import fitness
from prodgen.evaluation.fitness import Evidence, Fitness, Verdict
from prodgen.model import Model
from tests.modes import run_mode


def make_fitness(level: str, reason: str = "photos come back as blurred patches") -> Fitness:
    uses = dict.fromkeys(fitness.USES, Verdict(level, reason))
    categories = {
        "disc": Verdict("unfit", "it has 3 training images"),
        "square": Verdict("fit", ""),
    }
    return Fitness(Evidence("vae", 16, 80, 16, True, True, True), uses, categories)


@pytest.fixture
def unfit_run(azimuth_run, azimuth_store, monkeypatch):
    monkeypatch.setattr(Model, "store", lambda self: azimuth_store)
    monkeypatch.setattr(Model, "measure_fitness", lambda self, say=None: make_fitness("unfit"))
    return azimuth_run


def test_a_fit_run_is_not_mentioned(capsys):
    assert fitness_check.check_fitness(lambda: make_fitness("fit"), "vary", True) == ""
    assert capsys.readouterr().err == ""


def test_limits_are_said_and_not_refused(capsys):
    entry = fitness_check.check_fitness(lambda: make_fitness("limited"), "mix", True)
    assert entry == "limited: photos come back as blurred patches"
    assert "fit with limits for images between two products: photos" in capsys.readouterr().err


def test_images_that_are_gone_are_an_error_only_of_strict(capsys):
    def measure():
        raise MissingRunData("the images are gone", "put them back")

    assert fitness_check.check_fitness(measure, "vary", False) == ""
    assert "is not known: the images are gone" in capsys.readouterr().err
    with pytest.raises(UsageError, match="cannot be measured: the images are gone"):
        fitness_check.check_fitness(measure, "vary", True)


def test_vary_warns_marks_its_files_and_refuses(unfit_run, tmp_path, capsys):
    run_mode("vary", unfit_run, tmp_path, n=1, products=1, steps=4, keep=())
    assert "unfit for variations of a product from its photo: photos" in capsys.readouterr().err
    entries = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert {entry["fitness"] for entry in entries.values()} == {
        "unfit: photos come back as blurred patches"
    }
    with pytest.raises(UsageError, match="unfit for variations") as error:
        run_mode("vary", unfit_run, tmp_path / "strict", n=1, products=1, steps=4, strict=True)
    assert error.value.code == 2 and "--strict" in error.value.next_step
    assert not (tmp_path / "strict").exists()


def test_batch_says_what_it_enlarges_and_which_category_is_poor(unfit_run, tmp_path, capsys):
    table = tmp_path / "requests.csv"
    table.write_text("name,category,size,count\nbig,disc,640,1\nown,square,,1\n")
    run_mode("batch", unfit_run, tmp_path / "out", table=str(table))
    messages = capsys.readouterr().err
    assert "line 2: images of 16 px are enlarged to 640 px, which adds no detail" in messages
    assert "does not draw 'disc': it has 3 training images" in messages
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").open()]
    assert [line.get("enlarged_from") for line in lines] == [16, None]
    assert all(line["fitness"].startswith("unfit") for line in lines)
    with pytest.raises(UsageError, match="unfit for the missing images of a catalogue"):
        run_mode("batch", unfit_run, tmp_path / "no", table=str(table), strict=True)
