"""Programs without a `__main__` guard: worker processes must not run the main module again."""

import os
import subprocess
import sys
import textwrap

import jax
import pytest

from prodgen.core import rng
from prodgen.data import prepare
from prodgen.evaluation import classifier as home
from prodgen.models import classifier
from prodgen.steps import vae
from tests.tiny import ROOT, tiny, write_noisy_shop, write_run

TIMEOUT_S = 120
# Preparing in the program's own process fails, so that a success is one of the workers.
HEAD = """
    import sys
    sys.path.insert(0, {root!r})
    from prodgen.data import chunks

    def fail_on_any(source, options, jobs, report):
        assert not jobs, "no worker could be started"

    chunks.build_serially = fail_on_any
"""
PREPARE = """
    from configs import base
    from prodgen.data import prepare

    data = base.get_config().data
    data.source, data.path, data.cache_dir = "folder", {path!r}, {cache!r}
    data.resolution, data.workers = 16, 2
    print(prepare.open_or_prepare(data).digest())
"""
OPEN = """
    import runpy
    import prodgen.model

    model = prodgen.model.load({run!r})
    store = model.store()
    print(store.digest())
"""
USE = """
    inverted = model.invert(store.fetch([0])["image"])
    print(inverted.reconstruction.shape)
    sys.argv = ["run_sample.py", "--workdir=" + {run!r}, "--mode=batch", "--table=" + {table!r}]
    sys.argv += ["--out=" + {out!r}]
    runpy.run_path({root!r} + "/run_sample.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """80 noisy images in two categories, prepared by one process."""
    root = tmp_path_factory.mktemp("shop")
    write_noisy_shop(root / "images", 80, 20)
    return prepare.open_or_prepare(config_of(root / "images", root / "cache").data)


def config_of(path, cache):
    config = tiny(data__source="folder", data__path=str(path), data__resolution=16)
    with config.unlocked():
        config.data.cache_dir, config.data.workers = str(cache), 2
    return config


def program(text, store, tmp_path, **names):
    """A program's text; it prepares the images of `store` again, in a cache of its own."""
    names |= {"path": str(store.path.parents[1] / "images"), "cache": str(tmp_path / "cache")}
    return textwrap.dedent(HEAD + text).format(root=str(ROOT), **names)


def output(arguments, tmp_path, **options):
    """The lines that a Python program prints, started in a folder without the package."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments], check=True, text=True, stdout=subprocess.PIPE, cwd=tmp_path,
        env=environment, timeout=TIMEOUT_S, **options,
    ).stdout.splitlines()  # fmt: skip


@pytest.fixture
def run(store, tmp_path):
    """The folder of an untrained VAE whose data are to be prepared again."""
    config = config_of(store.path.parents[1] / "images", tmp_path / "cache")
    key = rng.key(0, "init")
    state = jax.jit(lambda key: vae.init(config, store.spec, key))(key)
    write_run(tmp_path / "run", store, config, state, 0)
    net = classifier.build(store.spec)  # untrained, as training one takes seconds
    params = jax.jit(net.init)(key, classifier.dummy_image(store.spec))["params"]
    home.save_to_run(tmp_path / "run", jax.device_get(params), {"sha256": ""})
    return tmp_path / "run"


def test_a_script_opens_a_run_and_prepares_its_data(store, run, tmp_path):
    (tmp_path / "script.py").write_text(program(OPEN, store, tmp_path, run=str(run)))
    assert output(["script.py"], tmp_path) == [store.digest()]


@pytest.mark.slow  # it compiles for long; its workers are those of the test before
def test_a_script_prepares_inverts_and_runs_a_batch(store, run, tmp_path):
    (tmp_path / "table.csv").write_text("name,category,count\none,bags,2\n")
    paths = {name: str(tmp_path / name) for name in ("run", "out", "table.csv")}
    paths["table"] = paths.pop("table.csv")
    (tmp_path / "script.py").write_text(program(OPEN + USE, store, tmp_path, **paths))
    digest, shape, *files = output(["script.py"], tmp_path)
    assert (digest, shape) == (store.digest(), "(1, 16, 16, 3)")
    assert {str(tmp_path / "out" / f"one_{k:03d}.png") for k in range(2)} <= set(files)


@pytest.mark.parametrize("way", ["-c", "-"])
def test_programs_without_a_file_prepare(way, store, tmp_path):
    text = program(PREPARE, store, tmp_path)
    arguments, stdin = (["-c", text], "") if way == "-c" else (["-"], text)
    assert output(arguments, tmp_path, input=stdin) == [store.digest()]


def test_a_notebook_cell_prepares(store, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    cell = nbformat.v4.new_code_cell(program(PREPARE, store, tmp_path))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3").execute()
    outputs = [one.text for one in notebook.cells[0].outputs if one.output_type == "stream"]
    assert "".join(outputs).split() == [store.digest()]
