"""A run that continues on other devices: bits of its leaves, its numbers, the record of it."""

import json

import jax
import numpy as np
import pytest

from prodgen.core import failpoints
from prodgen.parallel import state_sharding
from prodgen.runs import checkpoint
from prodgen.runs.run import build_run_state, open_run
from tests.parallel.test_processes import finish, read_losses, start, start_pair
from tests.tiny import close, mesh_of, tiny, write_run
from tests.tiny_gan import start as init_state

SIGKILL_CODE = -9


@pytest.mark.parametrize("fsdp", [False, True])
def test_leaves_are_restored_bit_by_bit_on_any_number_of_devices(
    store, tmp_path, fsdp, monkeypatch
):
    monkeypatch.setattr(state_sharding, "MIN_ELEMENTS", 8)
    config = tiny(parallel__fsdp=fsdp)
    state = init_state(config, store.spec)
    write_run(tmp_path / "run", store, config, state, 3)
    for devices in (8, 4, 1):
        shapes = build_run_state(config, store.spec, mesh_of(config, devices))
        _, leaves = checkpoint.open_step(tmp_path / "run", 3, shapes)
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(leaves), jax.device_get(state))
        widths = {leaf.sharding.num_devices for leaf in jax.tree.leaves(leaves)}
        assert widths == {devices}


def continue_run(workdir, cache, monkeypatch, devices, *, is_last=False, **fields):
    """Train on so many devices, "2x2" in two processes, up to the next checkpoint."""
    failpoint = "" if is_last else "save.after_commit:1:kill"
    monkeypatch.setenv(failpoints.VARIABLE, failpoint)
    if devices == "2x2":
        return finish(start_pair(workdir, cache, **fields), 0, 0)
    return finish([start(workdir, cache, devices, **fields)], 0 if is_last else SIGKILL_CODE)


@pytest.mark.slow
@pytest.mark.parametrize("fsdp", [False, True])
def test_a_run_continues_on_fewer_devices_and_in_processes(tmp_path, monkeypatch, fsdp):
    cache, workdir = tmp_path / "cache", tmp_path / "run"
    fields = {"steps": 16, "parallel__fsdp": fsdp, "model__width": 16, "model__max_width": 16}
    continue_run(tmp_path / "whole", cache, monkeypatch, 1, is_last=True, **fields)
    for devices in (8, 4, 1):
        continue_run(workdir, cache, monkeypatch, devices, **fields)
    out, _ = continue_run(workdir, cache, monkeypatch, "2x2", is_last=True, **fields)
    assert "4 x cpu of 2 processes from step 12 on, 1 x cpu before" in out
    np.testing.assert_allclose(read_losses(workdir), read_losses(tmp_path / "whole"), rtol=1e-5)
    states = [
        jax.device_get(open_run(run, "latest").state) for run in (workdir, tmp_path / "whole")
    ]
    close(states[0].nets["vae"].params, states[1].nets["vae"].params, 1e-5)
    record = json.loads((workdir / "config.json").read_text())
    history = [(e["step"], e["devices"], e["processes"]) for e in record["devices"]]
    assert history == [(0, 8, 1), (4, 4, 1), (8, 1, 1), (12, 4, 2)]
