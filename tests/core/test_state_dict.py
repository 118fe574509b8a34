"""PyTorch state dicts are read bit for bit, and no code in a file is executed."""

import copy
import dataclasses
import hashlib
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from prodgen.core import weights
from prodgen.core.errors import BadData, MissingInput
from tests.attack import Attack

ORIGIN = "`pip install somewhere` gives the weights"
FORMATS = ["zip", "legacy"]


@dataclasses.dataclass
class Global:
    name: str


@dataclasses.dataclass
class Call:
    function: object
    arguments: tuple


@dataclasses.dataclass
class Id:
    identity: tuple


@dataclasses.dataclass
class Build:
    target: object
    state: object


@dataclasses.dataclass
class OrderedItems:
    items: dict


def encode_pickle(value):
    """The instructions of protocol 2 that leave a value on the stack."""
    match value:
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            return b"J" + struct.pack("<i", value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(encode_pickle, value)) + b"t"
        case list():
            return b"](" + b"".join(map(encode_pickle, value)) + b"e"
        case dict():
            return (
                b"}("
                + b"".join(encode_pickle(k) + encode_pickle(v) for k, v in value.items())
                + b"u"
            )
        case Global(name):
            return b"c" + name.replace(" ", "\n").encode() + b"\n"
        case Call(function, arguments):
            return encode_pickle(function) + encode_pickle(arguments) + b"R"
        case Id(identity):
            return encode_pickle(identity) + b"Q"
        case Build(target, state):
            return encode_pickle(target) + encode_pickle(state) + b"b"
        case OrderedItems(items):
            return encode_pickle(EMPTY) + encode_pickle(items)[1:]


def build_pickle(value):
    return b"\x80\x02" + encode_pickle(value) + b"."


EMPTY = Call(Global("collections OrderedDict"), ())


def tensor(shape, strides, size=6, offset=0, key="0", kind="Float", last=(False, EMPTY), fields=()):
    storage = Id(("storage", Global(f"torch {kind}Storage"), key, "cpu", size, *fields))
    function = Global("torch._utils _rebuild_tensor_v2")
    return Call(function, (storage, offset, shape, strides, *last))


SIX = np.arange(6, dtype="<f4").tobytes()


def write(path, form, value, storages=(("0", SIX, 4),), order=True):
    """A file of a value, or of a whole pickle, and of storages (key, bytes, bytes a number)."""
    content = value if isinstance(value, bytes) else build_pickle(value)
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights/data.pkl", content)
            archive.writestr("weights/byteorder", "little" if order else "big")
            for key, data, _ in storages:
                archive.writestr(f"weights/data/{key}", data)
        return path
    facts = {"protocol_version": 1001, "little_endian": order, "type_sizes": {"long": 4}}
    with open(path, "wb") as file:
        for fact in (0x1950A86A20F9469CFC6C, 1001, facts):
            pickle.dump(fact, file, 2)
        file.write(content)
        pickle.dump([key for key, *_ in storages], file, 2)
        for _, data, itemsize in storages:
            file.write(struct.pack("<q", len(data) // itemsize) + data)
    return path


def read(path, sha256=None):
    return weights.read_state_dict(path, sha256, ORIGIN)


def assert_refused(path, words):
    with pytest.raises(BadData, match=words) as error_info:
        read(path)
    assert str(path) in error_info.value.message and error_info.value.next_step


def state(torch):
    """Tensors of every kind: contiguous, turned, cut out, shared, of one number and of none."""
    torch.manual_seed(0)
    table = torch.randn(5, 7)
    return {
        "table": table,
        "turned": table.T,
        "cut": table[1:4, 2::2],
        "kernel": torch.randn(3, 3, 2, 4).permute(3, 2, 0, 1),
        "half": torch.randn(3).half(),
        "double": torch.tensor([float("nan"), -0.0, float("inf")], dtype=torch.float64),
        "single": torch.tensor(3),
        "none": torch.zeros(0, 4, dtype=torch.int16),
        "int": torch.arange(-3, 3, dtype=torch.int32),
        "char": torch.tensor([-128, 127], dtype=torch.int8),
        "byte": torch.arange(256, dtype=torch.uint8),
    }


def assert_equal_arrays(arrays, expected_arrays):
    assert list(arrays) == list(expected_arrays)
    for name, value in expected_arrays.items():
        value = value.numpy()
        assert arrays[name].dtype == value.dtype and arrays[name].shape == value.shape
        assert arrays[name].tobytes() == value.tobytes()
        assert not value.size or arrays[name].strides == value.strides
        assert not arrays[name].flags.writeable


@pytest.mark.parametrize("form", FORMATS)
def test_files_of_torch_save_are_read_bit_for_bit(tmp_path, form):
    torch = pytest.importorskip("torch", reason="PyTorch writes the files")
    path = tmp_path / "weights"
    torch.save(state(torch), path, _use_new_zipfile_serialization=form == "zip")
    assert_equal_arrays(read(path), state(torch))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert_equal_arrays(read(path, digest), state(torch))


@pytest.mark.parametrize("form", FORMATS)
def test_a_module_s_state_dict_is_read_with_its_metadata(tmp_path, form):
    torch = pytest.importorskip("torch", reason="PyTorch writes the files")
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    path = tmp_path / "weights"
    torch.save(module.state_dict(), path, _use_new_zipfile_serialization=form == "zip")
    assert_equal_arrays(read(path), module.state_dict())


@pytest.mark.parametrize("form", FORMATS)
def test_strides_and_offsets_are_those_of_the_file(tmp_path, form):
    metadata = {"_metadata": {"": {"v": 1}}}
    value = {
        "plain": tensor((2, 3), (3, 1)),
        "turned": tensor((3, 2), (1, 3), fields=(None,) if form == "legacy" else ()),
        "last": tensor((2,), (2,), offset=3),
        "end": tensor((0, 3), (3, 1), offset=6),
    }
    arrays = read(write(tmp_path / "weights", form, Build(OrderedItems(value), metadata)))
    six = np.arange(6, dtype=np.float32)
    expected_arrays = {
        "plain": six.reshape(2, 3),
        "turned": six.reshape(2, 3).T,
        "last": six[3::2],
        "end": np.zeros((0, 3), np.float32),
    }
    assert list(arrays) == list(expected_arrays)
    for name, array in expected_arrays.items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_executed(tmp_path, form, protocol):
    victim = tmp_path / "victim"
    attack = pickle.dumps({"b": Attack(os.system, f"touch {victim}")}, protocol)
    assert_refused(write(tmp_path / "weights", form, attack), "opcode|it names")
    assert not victim.exists()
    pickle.loads(attack)
    assert victim.exists()  # so it would have been


@pytest.mark.parametrize("form", FORMATS)
def test_the_error_names_the_refused_class(tmp_path, form):
    attack = pickle.dumps({"a": Attack(os.system, "true")}, 2)
    assert_refused(write(tmp_path / "weights", form, attack), "it names '(posix|nt) system'")
    parameter = {"a": Call(Global("torch._utils _rebuild_parameter"), ())}
    assert_refused(write(tmp_path / "weights", form, parameter), "it names '.*_rebuild_parameter'")
    other = {"a": tensor((6,), (1,), kind="BFloat16")}
    assert_refused(write(tmp_path / "weights", form, other), "it names 'torch BFloat16Storage'")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([tensor((6,), (1,))], "it holds a list, not a dict of tensors"),
        (tensor((6,), (1,)), "it holds a Tensor, not a dict of tensors"),
        ({"model": {"a": tensor((6,), (1,))}}, "'model' is a dict, not a tensor"),
        ({"a": tensor((6,), (1,)), "epoch": 3}, "'epoch' is a int, not a tensor"),
        ({"a": Global("torch FloatStorage")}, "'a' is a FrozenType, not a tensor"),
        ({"a": 1.5}, "opcode BINFLOAT"),
        ({1: tensor((6,), (1,))}, "names as keys"),
        ({"a": Call(Global("torch FloatStorage"), (9,))}, "it calls a class"),
        ({"a": Call(Global("collections OrderedDict"), ([],))}, "takes 1 positional argument"),
        ({"a": tensor((6,), (1,), last=(False, {"hook": 1}))}, "other than a plain tensor"),
        ({"a": tensor((6,), (1,), last=(False, EMPTY, {"conj": True}))}, "positional arguments"),
        ({"a": tensor((6,), (1, 1))}, "other than a plain tensor"),
        ({"a": tensor((-6,), (1,))}, "-6 is not a count"),
        ({"a": tensor((6,), (-1,))}, "-1 is not a count"),
        ({"a": tensor((6,), (1,), offset=True)}, "True is not a count"),
        ({"a": Id(("module", "0"))}, "not the id of a storage"),
        ({"a": tensor((6,), (1,)), "b": tensor((3,), (1,), size=3)}, "'0' in two forms"),
        (Build(EMPTY, {"__class__": {}}), "other than its metadata"),
        (Build({}, {"__class__": {}}), "has no attribute '__dict__'"),
    ],
)
def test_other_content_is_refused(tmp_path, form, value, words):
    assert_refused(write(tmp_path / "weights", form, value), words)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((7,), (1,), 0),
        ((6,), (1,), 1),
        ((2, 3), (4, 1), 0),
        ((2,), (2**31 - 1,), 0),
        ((0,), (1,), 7),
        ((2**31 - 1,), (0,), 0),  # one number that stands for as many as one likes
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, form, shape, strides, offset):
    value = {"a": tensor(shape, strides, offset=offset)}
    assert_refused(write(tmp_path / "weights", form, value), "beyond its storage")


@pytest.mark.parametrize("form", FORMATS)
def test_a_storage_of_another_size_than_in_the_pickle_is_refused(tmp_path, form):
    value = {"a": tensor((5,), (1,), size=5)}
    assert_refused(write(tmp_path / "weights", form, value), "(24 bytes|6 numbers) for .*size=5")
    assert_refused(write(tmp_path / "weights", form, value, ()), "no item named|its keys are not")
    assert_refused(write(tmp_path / "weights", form, value, order=False), "little-endian")


def test_an_archive_of_another_kind_is_refused(tmp_path):
    path = write(tmp_path / "weights", "zip", {})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/version", "3")
    assert_refused(path, "compressed or encrypted")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/constants.pkl", "")
    assert_refused(path, "0 entries data.pkl")
    path.write_bytes(b"{}")
    assert_refused(path, "begins as no file of torch.save does")


def test_overlapping_zip_entries_are_refused(tmp_path):
    path = tmp_path / "weights"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", build_pickle({}))
        archive.writestr("weights/data/0", bytes(4000))
        for i in range(1, 9):
            entry = copy.copy(archive.getinfo("weights/data/0"))
            entry.filename = f"weights/data/{i}"
            archive.filelist.append(entry)
    assert_refused(path, "entries larger than the file")


def test_too_many_entries_or_instructions_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "weights", "zip", {"a": tensor((6,), (1,))})
    monkeypatch.setattr(weights, "MAX_ZIP_ENTRIES", 2)
    assert_refused(path, "more than 2 entries")
    monkeypatch.undo()
    assert list(read(path)) == ["a"]
    monkeypatch.setattr(weights, "MAX_OPCODES", 10)
    assert_refused(path, "more than 10 instructions")


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_truncated_anywhere_is_refused(tmp_path, form):
    path = write(tmp_path / "weights", form, {"a": tensor((2, 3), (3, 1))})
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert_refused(path, "not a whole file of plain tensors")


def test_bytes_after_the_last_storage_are_refused(tmp_path):
    path = write(tmp_path / "weights", "legacy", {"a": tensor((6,), (1,))})
    path.write_bytes(path.read_bytes() + b"more")
    assert_refused(path, "4 bytes after the last storage")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_give_arrays_or_an_error(tmp_path, form, seed):
    rng = np.random.default_rng(seed)
    path = write(tmp_path / "weights", form, {"a": tensor((2, 3), (1, 2))})
    content = path.read_bytes()
    for _ in range(50):
        damaged_content = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged_content[place] = rng.integers(256)
        path.write_bytes(bytes(damaged_content))
        try:
            arrays = read(path)
        except BadData:
            continue
        assert all(np.array(array).nbytes <= 24 for array in arrays.values())


def test_another_hash_is_refused(tmp_path):
    path = write(tmp_path / "weights", "zip", {})
    with pytest.raises(BadData, match="has the sha256 .*, not 00") as error_info:
        read(path, "00" * 32)
    assert error_info.value.next_step == ORIGIN


def test_the_error_for_a_missing_file_says_where_it_comes_from(tmp_path):
    with pytest.raises(MissingInput) as error_info:
        read(tmp_path / "absent")
    assert error_info.value.next_step == ORIGIN
