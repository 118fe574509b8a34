"""What a user's mistakes look like: exit codes and the last line, answered before JAX is loaded."""

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from prodgen import options
from prodgen.apps import request
from prodgen.config import registry
from tests.tiny import ROOT


def command(program, *flags, cwd=ROOT):
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / program), *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    return done.returncode, lines, loaded, time.monotonic() - begun


TRAIN = [
    ([], 2, "no --config was given"),
    (["--config=configs/nope.py"], 2, "is not a file"),
    (["--config=configs/vae.py:qiuck"], 2, "did you mean quick"),
    (["--config=configs/vae.py", "--config.trian.lr=1"], 2, "did you mean"),
    (["--config=configs/vae.py", "--config.train.num_steps=abc"], 2, "whole number"),
    (["--config=configs/vae.py", "--config.optim.lr=nan"], 2, "finite number"),
    (["--config=configs/vae.py", "--config.data.resolution=48"], 2, "one of 16, 28"),
    (["--config=configs/vae.py", "--wrokdir=x"], 2, "workdir"),
    (["--config=configs/vae.py", "stray"], 2, "unexpected argument"),
    (["--config=configs/vae.py", "--init_from=nowhere"], 66, "holds no run"),
    (["--config=configs/vae.py", "--workdir=LICENSE"], 73, "not writable"),
    (["--config=configs/vae.py", "--workdir=/proc/nowhere"], 73, "not writable"),
]


@pytest.mark.parametrize(("flags", "code", "says"), TRAIN, ids=lambda x: str(x)[:40])
def test_training_mistakes(flags, code, says):
    found, lines, loaded, _ = command("run_train.py", *flags)
    assert found == code, lines
    assert lines[-1].startswith("prodgen: ERROR ") and says in lines[-1]
    assert "jax" not in loaded and "tensorflow" not in loaded


SAMPLE = [
    ([], 2, "no --workdir"),
    (["--workdir=nowhere"], 66, "holds no run"),
    (["--workdir=nowhere", "--mode=gird"], 2, "did you mean grid"),
    (["--workdir=nowhere", "--n=-3"], 2, "n"),
    (["--workdir=nowhere", "--frames=8"], 2, "--frames says nothing to --mode=grid"),
    (["--mode=gate"], 2, "name --images"),
    (["--mode=cutout"], 2, "name --images"),
    (["--mode=gate", "--images=x", "--cutout=plain"], 2, "--cutout says nothing to --mode=gate"),
    (["--mode=cutout", "--images=x", "--cutout=magic"], 2, "grabcut"),
    (["--mode=gate", "--images=x", "--profile=any"], 2, "white_main"),
    (["--mode=compose"], 2, "name --images"),
    (["--mode=compose", "--images=x", "--layout=poster"], 2, "sprites"),
    (["--mode=gate", "--images=x", "--mark"], 2, "--mark says nothing to --mode=gate"),
]


@pytest.mark.parametrize(("flags", "code", "says"), SAMPLE, ids=lambda x: str(x)[:40])
def test_sampling_mistakes(flags, code, says):
    found, lines, loaded, _ = command("run_sample.py", *flags)
    assert found == code, lines
    assert lines[-1].startswith("prodgen: ERROR ") and says in lines[-1]
    assert "jax" not in loaded


def test_a_broken_config_file_is_named_with_its_line(tmp_path):
    (tmp_path / "broken.py").write_text("def get_config(preset):\n    return missing\n")
    found, lines, _, _ = command("run_train.py", f"--config={tmp_path}/broken.py")
    assert found == 2 and "broken.py:2: NameError" in lines[-1]


@pytest.mark.parametrize(
    ("program", "words"),
    [("run_train.py", "configs/vae.py"), ("run_sample.py", "Scale of the latents")],
)
def test_help(program, words):
    done = subprocess.run(
        [sys.executable, program, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--workdir" in done.stdout and words in done.stdout


def test_without_an_accelerator_jax_is_told_so(monkeypatch):
    from prodgen import commandline

    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setattr(commandline.Path, "exists", lambda self: False)
    monkeypatch.setattr(commandline.importlib.util, "find_spec", lambda name: None)
    commandline.quiet_platform()
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    commandline.quiet_platform()
    assert os.environ["JAX_PLATFORMS"] == "cuda"  # the user's word stands
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    commandline.quiet_platform()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_every_flag_of_sampling_is_a_field_of_a_request_and_its_modes_exist():
    names = {flag.name for flag in options.FLAGS}
    assert names == {field.name for field in dataclasses.fields(request.Request)}
    assert {mode for flag in options.FLAGS for mode in flag.modes} <= set(registry.MODES)
