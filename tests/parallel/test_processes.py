"""Two real processes over gloo: equal numbers, a stop, a loss, a difference."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from prodgen.cli import commandline
from prodgen.config import flatten, is_read
from prodgen.core import failpoints
from prodgen.runs import checkpoint
from prodgen.runs.run import open_run
from tests.compilation import QUICK_XLA_FLAGS
from tests.parallel.forked_runs import run_groups
from tests.tiny import ROOT, TINY, close

STEPS = 8
# Plain gradient descent hides no scale; a process that has lost the other ends after seconds.
FIELDS = TINY | {
    "data.size": 64, "train.num_steps": STEPS, "train.evaluate_every": 4, "train.sample_every": 8,
    "train.checkpoint_every": 4, "optim.name": "sgd", "optim.lr": 1e-5, "optim.warmup_steps": 0,
    "parallel.heartbeat_timeout_s": 8.0, "parallel.watchdog_s": 30.0,
    "parallel.start_timeout_s": 120.0,
}  # fmt: skip
FAMILY_FIELDS = {
    "gan": {
        "augment.policy": "product", "augment.adaptive": True, "augment.p": 0.2,
        "augment.ada_images": 800, "loss.penalty_every": 2, "optim.lr": 1e-3,
    },
    "vaegan": {"optim.lr": 1e-6},
}  # fmt: skip
# Every config file, a later family's too.
FAMILIES = {
    path.stem: (f"configs/{path.name}", FAMILY_FIELDS.get(path.stem, {}))
    for path in sorted((ROOT / "configs").glob("*.py"))
    if path.stem not in ("base", "__init__")
}


def find_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def list_arguments(workdir, cache, *flags, family="vae", steps=STEPS, **fields):
    """The arguments of run_train.py."""
    config, family_fields = FAMILIES[family]
    values = flatten(commandline.read_config(str(ROOT / config)))
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    all_fields = FIELDS | {"train.num_steps": steps, "data.cache_dir": str(cache)}
    all_fields |= family_fields | changes
    overrides = [
        f"--config.{path}={value}"
        for path, value in all_fields.items()
        if path in changes or path in family_fields or is_read(path, values | all_fields)
    ]
    return [f"--config={config}", f"--workdir={workdir}", *overrides, *flags]


def make_environment(cache, devices, failpoint=""):
    """The environment of a process with so many virtual devices."""
    count = f"--xla_force_host_platform_device_count={devices}"
    return {
        "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{count} {QUICK_XLA_FLAGS}",
        "XDG_CACHE_HOME": str(cache), failpoints.VARIABLE: failpoint,
    }  # fmt: skip


def start(workdir, cache, devices, *flags, failpoint="", **options):
    """One process of a run, on so many virtual devices."""
    return subprocess.Popen(
        [sys.executable, "run_train.py", *list_arguments(workdir, cache, *flags, **options)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | make_environment(cache, devices, failpoint),
    )


def list_places():
    """The flags of each process of a pair."""
    place = f"--coordinator=127.0.0.1:{find_port()}", "--processes=2"
    return [(*place, f"--process={index}") for index in range(2)]


def start_pair(workdir, cache, first=None, second=None, **options):
    """Both processes of a run on 2 x 2 devices. first, second: options of one of them alone."""
    return [
        start(workdir, cache, 2, *place, **options | (own or {}))
        for place, own in zip(list_places(), (first, second), strict=True)
    ]


def finish(processes, *codes):
    """The output of each process, which must end with its code."""
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == list(codes), "\n".join(outputs)
    return outputs


def wait_for_line(workdir, count, processes):
    """Until metrics.jsonl has `count` lines, or a process ends."""
    file = workdir / "metrics.jsonl"
    while all(process.poll() is None for process in processes):
        if file.exists() and file.read_text().count("\n") >= count:
            return
        time.sleep(0.02)


def read_losses(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [
        [line["step"], *(line[name] for name in ("loss", "g/loss", "d/loss") if name in line)]
        for line in lines
        if "val" not in " ".join(line)
    ]


def read_log(workdir):
    return (workdir / "logs" / "rank_1.log").read_text()


def check_equal_runs(tmp_path, **options):
    """Two processes of 2 devices and one of 4 have the same losses and final weights."""
    cache = tmp_path / "cache"
    finish([start(tmp_path / "one", cache, 4, **options)], 0)
    finish(start_pair(tmp_path / "two", cache, **options), 0, 0)
    losses, other_losses = read_losses(tmp_path / "one"), read_losses(tmp_path / "two")
    assert [line[0] for line in other_losses] == list(range(1, options.get("steps", STEPS) + 1))
    np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
    states = [jax.device_get(open_run(tmp_path / n, "latest").state) for n in ("one", "two")]
    for name in states[0].nets:
        close(states[0].nets[name].params, states[1].nets[name].params, 1e-5)
    return tmp_path / "two"


@pytest.mark.slow
def test_a_pair_that_is_told_to_stop_continues_with_equal_bits(tmp_path):
    """As an undisturbed run on two devices: a sum of two numbers has no order."""
    options = {"steps": 4, "train__evaluate_every": 2, "train__checkpoint_every": 9}
    run, reference = tmp_path / "run", tmp_path / "reference"

    def make_pair(output, failpoint=""):
        """Both processes on one device each; the failpoint is the second one's."""
        return [
            (
                list_arguments(run, tmp_path, *place, **options),
                make_environment(tmp_path, 1, failpoint if index else ""),
                f"{tmp_path / output}_{index}.txt",
            )
            for index, place in enumerate(list_places())
        ]

    # Process 1 is told to stop in the evaluation after step 2; both learn it at step 3.
    arguments = list_arguments(reference, tmp_path, **options)
    one = arguments, make_environment(tmp_path, 2), str(tmp_path / "reference.txt")
    groups = [make_pair("first", "evaluate.midway:1:term"), make_pair("second"), [one]]
    assert run_groups(groups) == [[75, 75], [0, 0], [0]]
    line = "prodgen: ERROR stopped: stopped by SIGTERM to process 1 at step 3 of 4"
    assert (tmp_path / "first_0.txt").read_text().splitlines()[-1].startswith(line)
    assert line in read_log(run)
    assert checkpoint.list_steps(run) == [3, 4]

    states = [jax.device_get(open_run(path, "latest").state) for path in (run, reference)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    metrics = [(path / "metrics.jsonl").read_bytes() for path in (run, reference)]
    assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path):
    workdir = check_equal_runs(tmp_path)
    assert "jit on 4 x cpu of 2 processes" in read_log(workdir)
    assert {path.name for path in (workdir / "samples").iterdir()} == {
        f"{kind}_{STEPS:08d}.png" for kind in ("step", "reconstruction")
    }
    assert (workdir / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jit", "pmap", "fsdp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_in_two_processes_as_in_one(tmp_path, family, mode):
    fields = {"parallel__fsdp": True} if mode == "fsdp" else {"parallel__mode": mode}
    check_equal_runs(tmp_path, family=family, steps=50, **fields)


@pytest.mark.slow
def test_the_other_feed_gives_the_same_batches(tmp_path):
    check_equal_runs(tmp_path, data__feed="tfdata")


@pytest.mark.slow
def test_a_process_with_another_config_ends_all_with_the_field(tmp_path):
    pair = start_pair(tmp_path / "run", tmp_path / "cache", second={"optim__lr": 2e-5})
    out, _ = finish(pair, 2, 2)
    line = "process 1: config.optim.lr '2e-05', not '1e-05'"
    assert line in out.splitlines()[-1] and line in read_log(tmp_path / "run").splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_stop_of_either_process_saves_one_step_in_both(tmp_path, index):
    workdir, cache = tmp_path / "run", tmp_path / "cache"
    pair = start_pair(workdir, cache, steps=2000)
    wait_for_line(workdir, 2, pair)
    pair[index].send_signal(signal.SIGTERM)
    out, _ = finish(pair, 75, 75)
    for text in (out, read_log(workdir)):
        last = text.strip().splitlines()[-1]
        assert f"stopped by SIGTERM to process {index} at step " in last
        step = int(last.split("at step ")[1].split()[0])
        assert checkpoint.list_steps(workdir)[-1] == step


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_when_a_process_is_killed_the_other_ends_and_names_the_checkpoint(tmp_path, index):
    workdir, cache = tmp_path / "run", tmp_path / "cache"
    pair = start_pair(workdir, cache, steps=2000)
    while not checkpoint.list_steps(workdir):  # the first one is written in the background
        assert all(process.poll() is None for process in pair)
        time.sleep(0.02)
    start_time = time.monotonic()
    pair[index].kill()
    codes = [75, 75]
    codes[index] = -signal.SIGKILL
    out, _ = finish(pair, *codes)
    assert time.monotonic() - start_time < 45
    text = read_log(workdir) if index == 0 else out
    last = text.strip().splitlines()[-1]
    assert last.startswith("prodgen: ERROR peer: ")
    assert f"last good checkpoint: step {checkpoint.list_steps(workdir)[-1]} at" in last


@pytest.mark.slow
def test_a_missing_process_ends_the_wait_of_the_other(tmp_path):
    place = f"--coordinator=127.0.0.1:{find_port()}", "--processes=2", "--process=0"
    process = start(tmp_path / "run", tmp_path, 2, *place, parallel__start_timeout_s=4.0)
    (out,) = finish([process], 75)
    assert "not all of them have connected" in out.splitlines()[-1]


@pytest.mark.slow
def test_a_wrong_coordinator_ends_both_with_the_address(tmp_path):
    port, wrong_port = find_port(), find_port()
    limit = {"parallel__start_timeout_s": 5.0}
    places = (f"--coordinator=127.0.0.1:{port}", f"--coordinator=127.0.0.1:{wrong_port}")
    pair = [
        start(tmp_path / "run", tmp_path, 2, place, "--processes=2", f"--process={index}", **limit)
        for index, place in enumerate(places)
    ]
    outputs = finish(pair, 75, 75)
    assert f"at 127.0.0.1:{port}: not all of them have connected" in outputs[0].splitlines()[-1]
    line = outputs[1].splitlines()[-1]
    assert f"at 127.0.0.1:{wrong_port}: nothing answers at that address" in line


@pytest.mark.slow
def test_a_port_that_another_program_has_ends_the_first_process_with_2(tmp_path):
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        place = f"--coordinator=127.0.0.1:{server.getsockname()[1]}", "--processes=2"
        (out,) = finish([start(tmp_path / "run", tmp_path, 2, *place, "--process=0")], 2)
    assert f"port {place[0].rpartition(':')[2]} of this machine" in out.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parallel__require_devices": 8}, "require_devices=8, but JAX sees 4"),
        ({"train__batch_size": 14}, "batch_size=14 is not divisible by the 4 devices"),
        ({"parallel__devices": 3}, "devices=3 is not divisible by the 2 processes"),
    ],
)
def test_what_does_not_fit_the_devices_ends_both_with_the_field(tmp_path, fields, message):
    out, _ = finish(start_pair(tmp_path / "run", tmp_path, **fields), 2, 2)
    assert message in out.splitlines()[-1]
    assert message in read_log(tmp_path / "run").splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "failpoint"), [(1, "evaluate.midway:2"), (0, "sheet.before_write:1")]
)
def test_when_a_process_hangs_both_end_with_their_stacks(tmp_path, index, failpoint):
    workdir = tmp_path / "run"
    options = {("first", "second")[index]: {"failpoint": f"{failpoint}:sleep:500"}}
    pair = start_pair(workdir, tmp_path, **options)
    wait_for_line(workdir, STEPS + 1, pair)  # all steps and the first evaluation
    start_time = time.monotonic()
    out, _ = finish(pair, 75, 75)
    assert time.monotonic() - start_time < 60
    logs = out, read_log(workdir)
    assert "core/failpoints.py" in logs[index]
    for text in logs:
        assert "the stack of every thread" in text
        assert "no process has made progress for " in text.splitlines()[-1]


@pytest.mark.slow
def test_unusable_images_of_one_process_end_both_with_their_name(tmp_path):
    workdir, caches = tmp_path / "run", [tmp_path / "0", tmp_path / "1"]
    first, second = ({"data__cache_dir": str(cache)} for cache in caches)
    # The import of TensorFlow may hold up the watchdog for some seconds.
    options = {"steps": 2000, "data__feed": "tfdata", "parallel__heartbeat_timeout_s": 60.0}
    pair = start_pair(workdir, tmp_path, first, second, **options)
    wait_for_line(workdir, 2, pair)
    for shard in caches[1].rglob("images-*.bin"):
        shard.write_bytes(b"")
    out, _ = finish(pair, 74, 74)
    assert "process 1: " in out.splitlines()[-1] and "images-00000.bin" in out.splitlines()[-1]
    assert "images-00000.bin" in read_log(workdir).splitlines()[-1]
