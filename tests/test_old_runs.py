"""Runs that prodgen 0.1.0 wrote open, sample the same bytes, and continue bit for bit.

Bits are compared only with the jaxlib, XLA flags and CPU vector instructions that computed them;
elsewhere, values are compared within a tolerance.
"""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from prodgen import trainer
from prodgen.config import FIELDS, compute_fingerprint, load_config, renames
from prodgen.core import trees
from prodgen.core.errors import UsageError
from prodgen.report import run_page, writer
from prodgen.runs.run import open_run
from prodgen.runs.workdir import check_config, lock_workdir, read_record
from tests.modes import run_mode

FOLDER = Path(__file__).parent / "runs_0.1"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
FAMILIES = tuple(EXPECTED["runs"])


def is_same_machine() -> bool:
    """Whether this jaxlib, its code generator and this CPU compute the recorded bits."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    instructions = {"avx", "avx2", "fma", "avx512f", "avx512vl", "avx512_bf16", "amx_tile"}
    same_cpu = sorted(instructions & set(flags)) == EXPECTED["cpu"]
    same_flags = os.environ["XLA_FLAGS"] == EXPECTED["xla_flags"]
    return same_cpu and same_flags and jax.lib.__version__ == EXPECTED["jaxlib"]


@pytest.fixture
def old_run(tmp_path, request):
    """A copy of one old run's folder."""
    with tarfile.open(FOLDER / f"{request.param}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / request.param


@pytest.mark.parametrize("old_run", FAMILIES, indirect=True)
def test_an_old_run_opens_and_samples_the_same_image(old_run, tmp_path):
    record = read_record(old_run)
    assert record["versions"]["prodgen"] == "0.1.0"
    assert record["fingerprint"] == EXPECTED["runs"][old_run.name]["fingerprint"]
    assert compute_fingerprint(load_config(old_run / "config.json")) == record["fingerprint"]
    run_mode("grid", old_run, tmp_path / "grid.png", n=16, seed=3)
    image_path, expected = tmp_path / "grid.png", FOLDER / f"{old_run.name}_grid.png"
    if is_same_machine():
        assert image_path.read_bytes() == expected.read_bytes()
    images = [np.asarray(Image.open(path)).astype(int) for path in (image_path, expected)]
    assert np.abs(images[0] - images[1]).max() <= 1


@pytest.mark.parametrize(
    "old_run",
    [
        "vae",
        pytest.param("gan", marks=pytest.mark.slow),
        pytest.param("vaegan", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_an_old_run_continues_bit_for_bit(old_run, tmp_path):
    config = load_config(old_run / "config.json")
    with config.unlocked():
        config.data.cache_dir = str(tmp_path / "cache")
    with lock_workdir(old_run):
        check_config(old_run, config)
        trainer.train(config, old_run)
    expected = EXPECTED["runs"][old_run.name]
    run = open_run(old_run, "latest")
    assert run.step == 6
    leaves = {name: np.asarray(leaf) for name, leaf in trees.flatten_with_paths(run.state).items()}
    assert set(leaves) == set(expected["leaves"])
    for name, (digest, total) in expected["leaves"].items():
        if is_same_machine():
            assert hashlib.sha256(leaves[name].tobytes()).hexdigest()[:16] == digest, name
        np.testing.assert_allclose(np.abs(leaves[name].astype(float)).sum(), total, rtol=1e-3)
    metrics = [renames.update_metrics(line) for line in expected["metrics"]]
    if is_same_machine():
        assert writer.read_jsonl(old_run / writer.METRICS_FILE) == metrics
    record = json.loads((old_run / "config.json").read_text())
    assert record["config"] == config.to_dict() and "home" not in record
    assert record["fingerprint"] == expected["fingerprint"]
    assert "deviation" not in json.dumps(record["data"]["spec"])


@pytest.mark.parametrize("old_run", ["gan"], indirect=True)
def test_old_names_are_translated_to_new_ones(old_run):
    raw = json.loads((old_run / "config.json").read_text())
    assert raw["config"]["augment"]["travel"] == 800 and "home" in raw
    config = load_config(old_run / "config.json")
    assert config.augment.ada_images == 800 and config.optim.d_lr_ratio == 0.5
    assert config.loss.perceptual == "classifier"
    record = read_record(old_run)
    assert record["classifier"]["accuracy"] == 0.0625 and "home" not in record
    assert {"mean", "std"} <= set(record["data"]["spec"]["attributes"][0])
    last = writer.read_jsonl(old_run / writer.METRICS_FILE)[-1]
    assert {"val/condition_accuracy", "val/out_of_range_fraction"} <= set(last)
    assert "Condition accuracy" in run_page.write_report(old_run).read_text()


@pytest.mark.parametrize("old_run", ["vae"], indirect=True)
def test_an_unknown_field_of_a_run_is_refused_with_the_version_that_wrote_it(old_run):
    path = old_run / "config.json"
    record = json.loads(path.read_text())
    record["config"]["loss"]["novelty"] = 1.0
    record["versions"]["prodgen"] = "9.9.0"
    path.write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"config.loss.novelty, .* written by prodgen 9.9.0"):
        open_run(old_run)


def test_restoring_the_first_names_inverts_an_update():
    values = {"augment.travel": 5, "loss.perceptual": "home", "optim.lr": 0.1}
    new_values = renames.update_fields(values)
    assert new_values == {"augment.ada_images": 5, "loss.perceptual": "classifier", "optim.lr": 0.1}
    assert renames.restore_first_names(new_values) == values
    assert renames.update_fields(new_values) == new_values
    spec = {"attributes": [{"name": "a", "deviation": 2.0}], "resolution": 16}
    assert renames.restore_first_spec(renames.update_spec(spec)) == spec
    assert set(renames.RENAMED_FIELDS.values()) <= set(FIELDS)
    assert not set(renames.RENAMED_FIELDS) & set(FIELDS)


def test_an_old_evaluation_is_translated_to_new_names():
    number = {"value": 1.0, "floor": 0.5, "floor_low": 0.4, "passport": {
        "extractor": {"name": "home", "sha256": "ab"}, "metric": "frechet"}}  # fmt: skip
    old = {"home": {"accuracy": 1.0}, "distances": {"home-3-ab": {"frechet": number}},
           "shows": {"category": {"value": 0.9}},
           "packshots": {"floor": {"fill": 0.5}}}  # fmt: skip
    new = renames.update_evaluation(old)
    assert new["classifier"] == {"accuracy": 1.0}
    assert new["condition_accuracy"] == {"category": {"value": 0.9}}
    assert new["packshots"] == {"real_baseline": {"fill": 0.5}}
    number = new["distances"]["classifier-3-ab"]["frechet"]
    assert (number["real_baseline"], number["real_baseline_low"]) == (0.5, 0.4)
    assert number["measurement_spec"]["extractor"]["name"] == "classifier"
