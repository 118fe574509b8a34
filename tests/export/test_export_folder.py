"""Mode export writes a folder whole or not at all, and refuses what the run does not have."""

import json
import subprocess
import sys

import jax
import pytest
from safetensors.numpy import load_file

import prodgen.model
from prodgen.core.errors import MissingInput, MissingRunData, SelfTestError, UsageError
from prodgen.evaluation import classifier
from prodgen.export import export_folder, onnx_files
from tests.modes import run_mode
from tests.tiny import first_run, tiny
from tests.tiny_gan import init_reference_classifier, tiny_gan

WEIGHTS_ALONE = {"formats": ("safetensors",)}
RECORD = {"sha256": "0" * 64, "seed": 0, "data": "d", "accuracy": 0.9}


@pytest.fixture(scope="module", autouse=True)
def no_images():
    """The runs' own images are gone."""

    def measure_fitness(self, say=None):
        raise MissingRunData("the images are gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prodgen.model.Model, "measure_fitness", measure_fitness)
        yield


def add_classifier(path, store):
    params = jax.device_get(init_reference_classifier(store.spec)["classifier"])
    classifier.save_to_run(path, params, RECORD)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, store):
    path = tmp_path_factory.mktemp("export") / "run"
    return add_classifier(first_run(path, store, tiny(), 2), store)


@pytest.fixture(scope="module")
def gan_run(tmp_path_factory, store):
    return first_run(tmp_path_factory.mktemp("export") / "gan", store, tiny_gan(), 0)


def test_the_folder_holds_weights_cards_and_checksums(run, tmp_path, capsys):
    folder = tmp_path / "model"
    paths = run_mode("export", run, folder, licence="MIT", **WEIGHTS_ALONE)
    assert sorted(path.name for path in paths) == [
        "DATA_CARD.md", "README.md", "SHA256SUMS", "classifier.safetensors", "conditions.npz",
        "config.json", "export.json", "model.safetensors", "samples.png",
    ]  # fmt: skip
    check = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert check.returncode == 0
    content = json.loads((folder / "export.json").read_text())
    assert (content["family"], content["step"], content["licence"]) == ("vae", 2, "MIT")
    assert [part for part in content["parts"]] == ["generator", "encoder", "classifier"]
    assert content["parts"]["encoder"]["outputs"][0] == {
        "name": "mean", "dtype": "float32", "shape": ["b", 4],
    }  # fmt: skip
    assert load_file(folder / "classifier.safetensors")["head/bias"].shape[0] > 2
    reference = classifier.load_from_run(folder, print)
    assert reference.record == RECORD and "stem" in reference.params
    assert "what the run is fit for is not known" in capsys.readouterr().err


def test_a_new_export_replaces_the_old_one_and_leaves_other_files(run, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    run_mode("export", run, folder, **WEIGHTS_ALONE)
    (folder / "notes.txt").write_text("mine")
    before = (folder / "model.safetensors").read_bytes()

    def fail(*_):
        raise SelfTestError("differs")

    with monkeypatch.context() as patch, pytest.raises(SelfTestError):
        patch.setattr(export_folder, "write_cards", fail)
        run_mode("export", run, folder, dtype="float16", **WEIGHTS_ALONE)
    assert (folder / "model.safetensors").read_bytes() == before
    run_mode("export", run, folder, dtype="float16", parts=("generator",), **WEIGHTS_ALONE)
    assert len((folder / "model.safetensors").read_bytes()) < 0.7 * len(before)
    names = {path.name for path in folder.iterdir()}
    assert "notes.txt" in names and "classifier.safetensors" not in names
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_exported_is_named_before_any_work(gan_run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="a r3gan run has no encoder to export") as error:
        run_mode("export", gan_run, tmp_path / "x", parts=("generator", "encoder"))
    assert error.value.code == 2
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="has files that are not an export"):
        run_mode("export", gan_run, tmp_path)
    with pytest.raises(UsageError, match="not the identifier of a licence"):
        run_mode("export", gan_run, tmp_path / "x", licence="my own licence!")
    monkeypatch.setattr(onnx_files, "list_missing_packages", lambda: ["torch"])
    with pytest.raises(MissingInput, match="--formats=onnx needs .* torch") as error:
        run_mode("export", gan_run, tmp_path / "x", formats=("onnx",))
    assert "prodgen[export]" in error.value.next_step
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_the_whole_folder_of_a_run_passes_its_own_check(run, tmp_path):
    folder = tmp_path / "model"
    run_mode("export", run, folder)
    command = [sys.executable, str(folder / "verify.py"), "stablehlo"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout.count(": ok: ") == 3
    content = bytearray((folder / "encoder.stablehlo").read_bytes())
    content[-1] ^= 1
    (folder / "encoder.stablehlo").write_bytes(content)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "encoder.stablehlo has changed" in result.stdout
