"""The examples of docs/serving.md give images of an exported folder, without prodgen."""

import io
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

import prodgen.model
from prodgen.core import provenance
from prodgen.export import export_folder, run_files
from tests.tiny import ROOT, vae_run

EXAMPLES = ROOT / "docs/examples"
TIMEOUT_S = 120
pytestmark = pytest.mark.slow  # processes that load JAX


@pytest.fixture(scope="module")
def run_model(tmp_path_factory, store):
    return prodgen.model.load(vae_run(tmp_path_factory.mktemp("serving") / "run", store, 2))


@pytest.fixture(scope="module")
def folder(run_model, tmp_path_factory):
    """The files of an export that the examples read, of a tiny run."""
    path = tmp_path_factory.mktemp("serving") / "export"
    request = export_folder.ExportRequest(parts=("generator",), formats=("stablehlo",))
    path.mkdir()
    facts = export_folder.write_run(run_model, None, path, request, lambda text: None)
    run_files.seal(path, facts)
    return path


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(address):
    """Status and content of an answer."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def service(folder):
    """The address of a service, once it answers."""
    for name in ("fastapi", "uvicorn"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    port = find_free_port()
    command = [sys.executable, str(EXAMPLES / "serve.py"), str(folder), str(port)]
    with subprocess.Popen(command, cwd=folder) as process:
        deadline = time.monotonic() + TIMEOUT_S
        try:
            while process.poll() is None and time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/images"
        finally:
            process.terminate()


def decode(run_model, seed, size, label):
    """What the run itself makes of the inputs that the examples draw."""
    rng, conditions = np.random.default_rng(seed), run_model.conditions
    z = rng.standard_normal((size, run_model.config.model.latent), np.float32)
    rows = rng.choice(np.flatnonzero(conditions.label == label), size)
    batch = {name: getattr(conditions, name)[rows] for name in ("label", "attributes", "known")}
    return run_model.decode(z, batch)


def read_image(content, path):
    """The pixels of a PNG that must state that it is generated."""
    path.write_bytes(content)
    assert provenance.is_generated(path)
    return np.asarray(Image.open(io.BytesIO(content)), np.int32)


def test_the_service_gives_the_images_of_the_run(folder, run_model, service, tmp_path):
    status, content = fetch(f"{service}?label=square&n=3&seed=5")
    assert status == 200
    sheet = read_image(content, tmp_path / "sheet.png")
    expected = np.concatenate(decode(run_model, 5, 4, 1)[:3], axis=1)  # padded to a batch of 4
    assert sheet.shape == (16, 48, 3) and np.abs(sheet - expected).max() <= 1
    assert fetch(f"{service}?label=square&n=3&seed=5") == (200, content)
    assert fetch(f"{service}?label=square&n=3&seed=6")[1] != content
    status, content = fetch(service)
    assert status == 200 and read_image(content, tmp_path / "one.png").shape == (16, 16, 3)


@pytest.mark.parametrize(
    "query, names", [("label=cup", ("disc", "square")), ("n=17", ("16",)), ("n=two", ("n",)),
                     ("n=0", ("1",)), ("seed=-1", ("0",))],
)  # fmt: skip
def test_a_wrong_request_is_refused_and_says_what_is_allowed(service, query, names):
    status, content = fetch(f"{service}?{query}")
    (problem,) = json.loads(content)["detail"]
    assert status == 422 and problem["loc"] == ["query", query.partition("=")[0]]
    assert all(name in str(problem) for name in names)


def run_job(folder, *arguments):
    command = [sys.executable, str(EXAMPLES / "batch_job.py"), str(folder), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)


def test_the_batch_job_writes_the_images_of_the_run(folder, run_model, tmp_path):
    result = run_job(folder, tmp_path / "out", 70, "disc")
    assert result.returncode == 0, result.stderr
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == [f"{i:06d}.png" for i in range(70)]
    images = np.stack([read_image(path.read_bytes(), tmp_path / "one.png") for path in paths])
    expected = [decode(run_model, (0, start), 64, 0) for start in (0, 64)]
    assert np.abs(images - np.concatenate(expected)[:70]).max() <= 1
    result = run_job(folder, tmp_path / "out", 2, "cup")
    assert result.returncode == 1 and "'cup' is not among disc, square" in result.stderr


def test_the_examples_are_short_and_need_no_prodgen():
    for name in ("serve.py", "batch_job.py"):
        assert "import prodgen" not in (text := (EXAMPLES / name).read_text())
        assert "from prodgen" not in text
    assert len((EXAMPLES / "serve.py").read_text().splitlines()) <= 40
