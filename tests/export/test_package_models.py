"""The models of the package: small, whole, and opened where no run is named."""

import json

import numpy as np
import pytest

import prodgen
from prodgen.cli import modes
from prodgen.config import package_models
from prodgen.config.package_models import FOLDER, PACKAGE_MODELS
from prodgen.editing.guard import open_guard
from prodgen.runs.run import open_run
from tests.modes import run_mode

MAX_BYTES = 4_000_000


def test_they_are_small_and_have_cards():
    weights = list(FOLDER.rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) < MAX_BYTES
    assert {path.parent.name for path in weights} == set(PACKAGE_MODELS)
    for name in PACKAGE_MODELS:
        card = (FOLDER / name / "README.md").read_text(encoding="utf-8")
        assert card.startswith("---\nlicense: apache-2.0\n") and "It draws 16 of 16" in card


@pytest.mark.parametrize("name", PACKAGE_MODELS)
def test_their_files_are_unchanged_and_their_weights_load(name):
    run = open_run(FOLDER / name)
    assert run.is_pretrained and run.config.data.source == "catalogue"
    assert json.loads((FOLDER / name / "export.json").read_text())["step"] == run.step


def test_a_mode_takes_one_where_no_run_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = modes.parse_command(["run_sample.py"])
    assert command.place == FOLDER / "catalogue" and command.workdir is None
    assert modes.parse_command(["x", "--mode=vary"]).package_model == "catalogue_vaegan"
    command = modes.parse_command(["x", "--workdir=catalogue_vaegan"])
    assert command.package_model == "catalogue_vaegan" and command.workdir is None
    (tmp_path / "catalogue").mkdir()  # a folder of the user's own comes first
    assert modes.parse_command(["x", "--workdir=catalogue"]).package_model == ""
    assert package_models.find_model("catalog") is None


@pytest.mark.slow
def test_they_draw_what_is_asked_for_and_vary_a_photo(tmp_path):
    gan, vaegan = prodgen.load("catalogue"), prodgen.load("catalogue_vaegan")
    assert "the package ('catalogue')" in repr(gan) and "fit: sample" in repr(gan)
    teal = gan.sample(8, seed=1, label="mug", attributes={"colour": "teal"})
    red = gan.sample(8, seed=1, label="mug", attributes={"colour": "red"})
    centre = (slice(None), slice(12, 20), slice(8, 18))
    assert np.all(teal[centre].mean((1, 2))[:, 1] > teal[centre].mean((1, 2))[:, 0])
    assert np.all(red[centre].mean((1, 2))[:, 0] > red[centre].mean((1, 2))[:, 1])
    assert open_guard(vaegan._model) is None
    image = vaegan.sample(1, seed=2, label="shoe")[0]
    from PIL import Image

    Image.fromarray(image).save(tmp_path / "shoe.png")
    paths = run_mode(
        "vary", FOLDER / "catalogue_vaegan", tmp_path / "out", input=(str(tmp_path / "shoe.png"),)
    )
    assert len([path for path in paths if path.name.startswith("shoe_")]) == 8
