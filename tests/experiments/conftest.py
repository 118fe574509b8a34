"""A folder with a program that stands in for run_train.py: it "trains" in a moment."""

import sys
from pathlib import Path

import pytest

from prodgen.experiments.session import StudyOptions, open_session
from tests.tiny import ROOT

STUDY = """
from prodgen.experiments import Study

def get_study():
    return Study(
        question="Does beta cost reconstruction?",
        base="{base}",
        fixed={{"train.num_steps": 4}},
        axes={{
            "beta": {{"loss.beta": [1.0, 5.0]}},
            "size": {{"model.width": [8, 16], "model.latent": [8, 32]}},
        }},
        seeds=2,
        metrics=["val/psnr"],
        {more}
    )
"""
# What a run writes, as run_train.py does; beta 5 and seed 1 fail while a file `broken` exists.
PROGRAM = """
import json, platform, sys, time
from pathlib import Path
flags = dict(x[2:].split("=", 1) for x in sys.argv[1:])
path = Path(flags["workdir"])
beta, seed = float(flags["config.loss.beta"]), int(flags["config.seed"])
with open("starts.txt", "a") as file:
    file.write(f"{path.name}\\n")
if Path("broken").exists() and (beta, seed) == (5.0, 1):
    print("prodgen: ERROR bad-data: no images", file=sys.stderr)
    sys.exit(65)
time.sleep(float(Path("seconds").read_text()))
versions = {"python": platform.python_version()}
record = {"config": {"loss": {"beta": beta}}, "fingerprint": path.name,
          "data": {"digest": "d1"}, "init_from": {}, "versions": versions}
(path / "config.json").write_text(json.dumps(record))
values = [{"step": s, "val/psnr": 20 - beta + seed / 10 + s / 100} for s in (2, 4)]
(path / "metrics.jsonl").write_text("".join(json.dumps(v) + "\\n" for v in values))
(path / "timing.jsonl").write_text(json.dumps({"step": 4, "session": 0, "seconds/loop": 36.0}))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the stand-in program."""
    (tmp_path / "run_train.py").write_text(PROGRAM)
    (tmp_path / "seconds").write_text("0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def write_study(folder):
    """write_study(more="") -> the path of a study of 8 runs; `more`: further arguments."""

    def write(more: str = "", name: str = "sizes", base: str = f"{ROOT}/configs/vae.py:quick"):
        path = folder / f"{name}.py"
        path.write_text(STUDY.format(base=base, more=more))
        return path

    return write


@pytest.fixture
def command(folder):
    """command(name, study, *flags) -> the arguments of a child process."""

    def build(name: str, study: Path, *flags: str) -> list[str]:
        return [sys.executable, "-m", "prodgen.experiments", name, str(study), *flags]

    return build


@pytest.fixture
def open_study():
    """open_study(path, **flags) -> StudySession."""
    return lambda path, **flags: open_session(path, StudyOptions(**flags))
