"""An exported run opens as the run does, and says what is wrong with its files."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import prodgen.model
from prodgen.core import tensor_files, trees
from prodgen.core.errors import BadCheckpoint, MissingInput, UsageError
from prodgen.export import run_files
from prodgen.runs.run import open_run
from prodgen.runs.workdir import read_record
from prodgen.steps.state import load_pretrained
from tests.tiny import first_run, tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory, store):
    return first_run(tmp_path_factory.mktemp("export") / "run", store, tiny(), 2)


def write_folder(run, folder, dtype="float32"):
    model = prodgen.model.load(run)
    folder.mkdir()
    run_files.write_model(model, folder, dtype)
    run_files.copy_run_files(model, folder, dtype)
    run_files.seal(folder, {})
    return folder


@pytest.fixture(scope="module")
def export(run, tmp_path_factory):
    return write_folder(run, tmp_path_factory.mktemp("export") / "folder")


@pytest.fixture
def copy(export, tmp_path):
    return shutil.copytree(export, tmp_path / "copy")


def test_it_samples_and_encodes_as_the_run_does(run, export, store):
    own, other = prodgen.model.load(run), prodgen.model.load(export)
    np.testing.assert_array_equal(other.sample(5, seed=3), own.sample(5, seed=3))
    images = store.fetch(store.ids("test")[:3])["image"]
    np.testing.assert_array_equal(other.encode(images), own.encode(images))
    assert other.run.step == own.run.step and other.run.record["fingerprint"]
    with pytest.raises(MissingInput, match="has no checkpoint '7': it holds step 2 alone"):
        open_run(export, "7")


def test_a_new_run_starts_from_the_folder_or_from_its_weights_alone(run, export):
    start, donor = open_run(run), open_run(export)
    alone = open_run(export / "model.safetensors")
    for other in (donor, alone):
        assert read_record(other.path)["fingerprint"] == start.record["fingerprint"]
        state, transfer = load_pretrained(start.state, other.state, start.spec, other.spec)
        assert transfer.num_loaded_arrays == transfer.num_arrays and not transfer.differences
        ours = trees.flatten_with_paths(start.step_module.eval_params(start.state))
        theirs = trees.flatten_with_paths(start.step_module.eval_params(state))
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(UsageError, match="holds the weights alone"):
        prodgen.model.load(export / "model.safetensors")


def test_float16_weights_are_the_rounded_ones(run, tmp_path):
    folder = write_folder(run, tmp_path / "half", "float16")
    ours, theirs = (
        trees.flatten_with_paths(x.step_module.eval_params(x.state))
        for x in (open_run(run), open_run(folder))
    )
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], np.float32(np.float16(value)))
        assert theirs[name].dtype == np.float32


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    arrays = {"a": np.zeros(3, np.float16), "b/c": np.ones((2, 2), np.float32)}
    metadata = {f"name {i}": "é" * i for i in range(9)}
    for name in ("x", "y"):
        tensor_files.write_tensors(tmp_path / name, arrays, metadata)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    read, own = tensor_files.read_tensors(tmp_path / "x")
    assert own["name 8"] == "é" * 8 and own["format"] == "prodgen"
    np.testing.assert_array_equal(read["b/c"], arrays["b/c"])


def test_a_weight_beyond_float16_is_refused():
    with pytest.raises(UsageError, match="a/b do not fit into float16"):
        run_files.take_weights({"a": {"b": np.float32([1e5])}}, "float16")


def test_no_path_of_the_machine_is_in_the_files(run, export):
    cache = json.loads((run / "config.json").read_text())["config"]["data"]["cache_dir"]
    assert cache.startswith("/")
    for path in export.iterdir():
        assert cache.encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("name", ["conditions.npz", "config.json", "model.safetensors"])
def test_a_file_that_has_changed_is_named(copy, name):
    (copy / name).write_bytes((copy / name).read_bytes() + b" ")
    with pytest.raises(BadCheckpoint, match=f"{name} has changed") as error:
        open_run(copy)
    assert error.value.code == 65


def test_what_a_later_command_measures_again_is_no_change(copy):
    (copy / "fitness.json").write_text("{}")
    assert open_run(copy).step == 2


@pytest.mark.parametrize("file", ["export.json", "model.safetensors"])
def test_an_unknown_format_version_is_named(copy, file):
    if file == "export.json":
        text = (copy / file).read_text().replace('"format_version": "1"', '"format_version": "9"')
        (copy / file).write_text(text)
    else:
        metadata = tensor_files.read_metadata(copy / file) | {"format_version": "9"}
        save_file(load_file(copy / file), copy / file, metadata)
        copy = copy / file
    with pytest.raises(BadCheckpoint, match=f"{file} has the format version '9'.*knows '1'"):
        open_run(copy)


def test_weights_from_elsewhere_and_damaged_ones_are_refused(tmp_path):
    save_file({"a": np.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(BadCheckpoint, match="is not the export of a run"):
        open_run(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(BadCheckpoint, match="is not a whole safetensors file"):
        open_run(tmp_path / "y.safetensors")
    arrays = {"a": np.zeros(2)}
    tensor_files.write_tensors(tmp_path / "z.safetensors", arrays, {"record": "{}"})
    content = (tmp_path / "z.safetensors").read_bytes()
    (tmp_path / "z.safetensors").write_bytes(content[:-1] + b"\x01")
    with pytest.raises(BadCheckpoint, match="its arrays have another hash"):
        tensor_files.read_tensors(tmp_path / "z.safetensors")
