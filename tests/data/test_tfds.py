"""TensorFlow data sets: the real files of one, wrong names, missing files. No network is used."""

import gzip
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prodgen.core.errors import MissingInput, UsageError
from prodgen.data import prepare, tfds

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "fashion-mnist"


def unpack(name):
    return gzip.decompress((REAL / name).read_bytes())


@pytest.fixture
def fashion(data):
    """config.data of Fashion-MNIST from files on the disk."""
    data.source, data.name, data.resolution = "tfds", "fashion_mnist", 28
    data.downloads = str(REAL)
    return data


def test_the_key_needs_no_tensorflow():
    code = (
        "import sys; from configs import base; from prodgen.data import prepare; "
        "data = base.get_config().data; data.source, data.name = 'tfds', 'fashion_mnist'; "
        "prepare.compute_key(prepare.source_from_config(data), data); "
        "print('tensorflow' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert process.stdout.strip() == "False"


def test_wrong_settings_are_refused(data):
    data.source = "tfds"
    with pytest.raises(UsageError, match="config.data.name"):
        tfds.from_config(data)
    data.name, data.downloads = "fashion_mnist", "/nowhere"
    with pytest.raises(MissingInput, match="/nowhere"):
        tfds.from_config(data)


def test_a_missing_package_is_named_with_the_command_that_installs_it(data, monkeypatch):
    data.source, data.name = "tfds", "fashion_mnist"
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(
        UsageError, match="data.source=tfds needs a package.*tensorflow"
    ) as error_info:
        prepare.open_or_prepare(data)
    assert error_info.value.next_step.startswith("pip install tensorflow")

    def no_version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", no_version)
    with pytest.raises(UsageError, match="tensorflow-datasets") as error_info:
        prepare.open_or_prepare(data)
    assert error_info.value.next_step.startswith("pip install tensorflow")


@pytest.mark.slow
def test_an_unknown_name_lists_similar_ones(data):
    data.source, data.name = "tfds", "fashion_mnits"
    with pytest.raises(UsageError, match="fashion_mnist"):
        prepare.open_or_prepare(data)


@pytest.mark.slow
def test_missing_files_are_named(fashion, tmp_path):
    (tmp_path / "files").mkdir()
    for downloads in (str(tmp_path / "files"), ""):
        fashion.downloads = downloads
        if not downloads and tfds.is_resolvable("https://storage.googleapis.com"):
            continue  # with a network the files would come
        with pytest.raises(MissingInput, match="train-images-idx3-ubyte.gz") as error_info:
            prepare.open_or_prepare(fashion)
        assert "config.data.downloads" in error_info.value.next_step


@pytest.mark.slow
def test_fashion_mnist_is_byte_identical(fashion):
    if not REAL.is_dir():
        pytest.skip("the real images are not available")
    store = prepare.open_or_prepare(fashion)
    assert store.counts["test"] == 10_000 and store.spec.shape == (28, 28, 1)
    assert store.spec.classes[-1] == "Ankle boot"
    assert store.counts["refused"] == 0 and store.size + store.counts["left_out"] == 70_000
    content = unpack("t10k-images-idx3-ubyte.gz")[16:]
    expected_images = {content[offset : offset + 784] for offset in range(0, len(content), 784)}
    test = store.fetch(store.ids("test"))
    assert {image.tobytes() for image in test["image"]} == expected_images
    labels = np.frombuffer(unpack("t10k-labels-idx1-ubyte.gz")[8:], np.uint8)
    assert (np.bincount(test["label"]) == np.bincount(labels)).all()
