"""The check that stands in an exported folder finds changed files and other results."""

import json

import numpy as np
import pytest

from prodgen.core import tensor_files
from prodgen.export import verify_folder
from tests.export.export_cases import write_sums

PART = {
    "weights": "model.safetensors",
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["b", 3]}],
    "outputs": [{"name": "image", "dtype": "uint8", "shape": ["b", 3]}],
    "files": {"stablehlo": "generator.stablehlo"},
}


@pytest.fixture
def folder(tmp_path):
    """A folder with one part, whose images are rounded numbers."""
    x = np.float32([[0, 10.2, 20], [30, 40, 250]])
    arrays = {"generator/input/x": x, "generator/output/image": np.uint8(x)}
    tensor_files.write_tensors(tmp_path / "example.safetensors", arrays, {})
    (tmp_path / "export.json").write_text(json.dumps({"parts": {"generator": PART}}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_sums(tmp_path)
    return tmp_path


def results(folder, monkeypatch, run=None, packages=()):
    """The levels and lines of a check, in which `run` computes the outputs."""
    monkeypatch.setitem(verify_folder.RUN_FORMAT, "stablehlo", run)
    monkeypatch.setitem(verify_folder.PACKAGES, "stablehlo", packages)
    return list(verify_folder.verify(folder, ("stablehlo",)))


def program(error):
    return lambda folder, name, part, inputs: np.uint8(inputs[0] + error)


def test_one_level_is_rounding_and_two_are_not(folder, monkeypatch):
    ok, same = results(folder, monkeypatch, program(0))
    assert ok == ("ok", "all files are as in SHA256SUMS")
    assert same == ("ok", "stablehlo generator: ok: image 0 levels of 255")
    assert results(folder, monkeypatch, program(1))[1][0] == "ok"
    line = "stablehlo generator: DIFFERS: image 2 levels of 255"
    assert results(folder, monkeypatch, program(2))[1] == ("failed", line)


def test_numbers_may_differ_by_their_rounding():
    expected = np.float32([100, -50])
    assert verify_folder.compare(expected + np.float32(0.009), expected)[0]
    assert not verify_folder.compare(expected + np.float32(0.02), expected)[0]
    assert not verify_folder.compare(expected[:1], expected)[0]
    assert not verify_folder.compare(expected * np.nan, expected)[0]


def test_a_changed_and_a_missing_file_are_named(folder, monkeypatch):
    (folder / "model.safetensors").write_bytes(b"other weights")
    level, line = results(folder, monkeypatch, program(0))[0]
    assert level == "failed" and line.startswith("model.safetensors has changed")
    (folder / "model.safetensors").unlink()
    expected = ("failed", "model.safetensors is missing")
    assert results(folder, monkeypatch, program(0))[0] == expected


def test_what_is_skipped_is_named_and_no_comparison_at_all_is_a_failure(folder, monkeypatch):
    _, line, end = results(folder, monkeypatch, None, ("absent_package",))
    assert line == ("skipped", "stablehlo generator: skipped: not installed: absent_package")
    assert end[0] == "failed"
    assert list(verify_folder.verify(folder, ("onnx",)))[1] == (
        "skipped", "onnx generator: skipped: the folder has no such file"
    )  # fmt: skip


def test_it_reads_all_types_of_a_safetensors_file(tmp_path):
    arrays = {"a": np.float32([[1.5], [2]]), "b": np.arange(3, dtype=np.int32)}
    arrays |= {"c": np.zeros((2, 0), bool), "d": np.uint8([7]), "e": np.float16([0.5])}
    tensor_files.write_tensors(tmp_path / "x", arrays, {"key": "value"})
    read = verify_folder.read_safetensors(tmp_path / "x")
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
