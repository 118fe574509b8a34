"""A study trains each run once, whatever is killed or fails, and says what is left."""

import collections
import importlib.util
import json
import os
import signal
import subprocess
import time

import pytest

from prodgen.core.errors import BadData, StoppedError, UsageError
from prodgen.experiments import results, status
from prodgen.experiments.__main__ import main
from prodgen.experiments.session import open_session
from prodgen.experiments.study_folder import read_state
from prodgen.experiments.study_runner import find_program
from tests.tiny import ROOT, TINY


def run(study, *flags):
    main(["experiments", "run", str(study), "--workdir=w", *flags])


def count_starts(folder):
    return collections.Counter((folder / "starts.txt").read_text().split())


def test_every_run_is_trained_once_and_its_line_says_what_it_is(write_study, folder, open_study):
    study = write_study()
    run(study, "--jobs=2")
    run(study)
    assert set(count_starts(folder).values()) == {1}
    lines = results.read_lines(folder / "w/sizes/results.jsonl")
    assert [line["metrics"]["val/psnr"]["value"] for line in lines] == pytest.approx(
        [19.04, 19.14, 19.04, 19.14, 15.04, 15.14, 15.04, 15.14]
    )
    line = lines[5]
    assert line["seed"] == 1 and line["config"]["loss.beta"] == 5.0
    assert line["metrics"]["val/psnr"]["spec"]["data"] == "d1"
    assert line["cost"]["device_hours"] == pytest.approx(0.01)
    columns = results.load_columns(folder / "w/sizes")
    assert columns["config.model.latent"].tolist() == [8, 8, 32, 32, 8, 8, 32, 32]
    observations = results.list_observations(
        open_study(study, workdir="w").folder, open_study(study, workdir="w").runs,
        {line["key"]: line for line in lines},
    )  # fmt: skip
    assert observations[5].cell == 2 and observations[5].curves["val/psnr"][0] == (128, 15.12)


def test_a_failed_run_stops_no_other_and_is_tried_again_when_asked(write_study, folder, capsys):
    study = write_study()
    (folder / "broken").touch()
    with pytest.raises(BadData, match="2 runs failed, the others are done"):
        run(study)
    main(["experiments", "status", str(study), "--workdir=w"])
    text = capsys.readouterr().out
    assert "exit code 65: prodgen: ERROR bad-data: no images" in text
    assert "8 runs: 6 done, 2 failed" in text
    (folder / "broken").unlink()
    run(study, "--missing")  # a failed run is not missing
    assert count_starts(folder).total() == 8
    run(study, "--failed")
    assert count_starts(folder).total() == 10
    session = open_session(study, status.Options(workdir="w"))
    assert status.format_status(session)[1] == {"done": 8}


def test_a_killed_study_goes_on_where_it_was(write_study, folder, command):
    study = write_study()
    (folder / "seconds").write_text("0.3")
    process = subprocess.Popen(command("run", study, "--workdir=w"), start_new_session=True)
    while len(list(folder.glob("w/runs/*/results/*.json"))) < 2:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    names = {file.parts[-3] for file in folder.glob("w/runs/*/results/*.json")}
    assert len(names) < 8
    (folder / "seconds").write_text("0")
    run(study)
    starts = count_starts(folder)
    assert len(starts) == 8 and all(starts[name] == 1 for name in names)
    assert max(starts.values()) <= 2


def test_two_runners_share_the_work(write_study, folder, command):
    study = write_study()
    (folder / "seconds").write_text("0.2")
    processes = [subprocess.Popen(command("run", study, "--workdir=w")) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(count_starts(folder)) == 8 and set(count_starts(folder).values()) == {1}


def test_a_budget_ends_the_study_cleanly(write_study, folder, open_study):
    study = write_study()
    (folder / "seconds").write_text("30")
    with pytest.raises(StoppedError, match="the budget is spent; 0 of 8 runs are done"):
        run(study, "--budget=1s")
    runs = open_study(study, workdir="w").identities
    assert {read_state(open_study(study, workdir="w").folder, r)[0] for r in runs} == {"missing"}
    with pytest.raises(UsageError, match="--budget=1x is not a time"):
        run(study, "--budget=1x")


def test_indices_select_runs(write_study, folder):
    study = write_study()
    run(study, "--index=1,6-7")
    assert count_starts(folder).total() == 3
    with pytest.raises(UsageError, match="it has 8, from 0 to 7"):
        run(study, "--index=8")


def test_a_changed_study_is_refused_or_a_version_that_shares_runs(write_study, folder):
    run(write_study())
    study = write_study("expectation='It does.',")
    with pytest.raises(UsageError, match="changed: expectation"):
        run(study)
    run(study, "--version=v2")
    assert count_starts(folder).total() == 8
    assert len(results.read_lines(folder / "w/sizes@v2/results.jsonl")) == 8


def test_committed_lines_stand_for_the_run_folders(write_study, folder):
    study = write_study()
    run(study)
    lines = (folder / "w/sizes/results.jsonl").read_text()
    (folder / "sizes.results.jsonl").write_text(lines)
    run(study, "--missing", "--workdir=elsewhere")
    assert count_starts(folder).total() == 8
    # An edited line is named, and nothing is trained or written in its place.
    (folder / "sizes.results.jsonl").write_text(lines.replace("19.14", "25.14", 1))
    with pytest.raises(BadData, match=r"sizes.results.jsonl, line 2: .* edited or cut"):
        run(study, "--workdir=third")
    assert not list(folder.glob("third/runs/*"))


def test_a_line_needs_a_finished_curve(write_study, folder):
    """A validation value that is not finite is not written: the run's last value is unknown."""
    study = write_study()
    program = (folder / "run_train.py").read_text()
    (folder / "run_train.py").write_text(program.replace("(2, 4)", "(2,)"))
    run(study, "--index=0")
    (line,) = results.read_lines(folder / "w/sizes/results.jsonl")
    assert line["metrics"]["val/psnr"]["value"] is None
    assert json.loads(json.dumps(line)) == results.seal(line)


def test_verify_trains_again_and_compares(write_study, folder, capsys):
    """Without run folders, a training is compared with the committed line."""
    study = write_study()
    run(study)
    lines = (folder / "w/sizes/results.jsonl").read_text()
    (folder / "sizes.results.jsonl").write_text(lines)
    main(["experiments", "verify", str(study), "--workdir=elsewhere", "--index=1,4"])
    assert capsys.readouterr().out.count("2 logged values") == 2
    # A training that gives another value is named with both values.
    program = (folder / "run_train.py").read_text()
    (folder / "run_train.py").write_text(program.replace("seed / 10", "seed / 9"))
    with pytest.raises(BadData, match="val/psnr of step 2: 19.1"):
        main(["experiments", "verify", str(study), "--workdir=elsewhere", "--index=1"])


def test_the_budget_must_be_enough_for_one_run(write_study, folder):
    study = write_study()
    run(study, "--index=0")
    # A run of the same shape took an hour, as its line says.
    (line,) = results.read_lines(folder / "w/sizes/results.jsonl")
    file = next(folder.glob("w/runs/*/results/*.json"))
    results.write_lines(file, [results.seal(line | {"cost": line["cost"] | {"seconds": 3600.0}})])
    with pytest.raises(UsageError, match="the budget 30m is too small for one run"):
        run(study, "--budget=30m")


@pytest.mark.slow  # two real trainings
def test_a_run_of_run_train_is_verified_leaf_by_leaf(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    study = tmp_path / "real.py"
    fields = {k: v for k, v in TINY.items() if not k.startswith(("loss.gan", "optim.warmup"))}
    fields |= {"data.size": 128, "optim.warmup_steps": 2}
    axes = '{"beta": {"loss.beta": [1.0, 5.0]}}'
    study.write_text(
        "from prodgen.experiments import Study\ndef get_study():\n    return Study("
        f'question="?", base="configs/vae.py:quick", fixed={fields!r}, axes={axes}, seeds=2, '
        'metrics=["val/psnr"])\n'
    )
    flags = [str(study), f"--workdir={tmp_path}/w"]
    main(["experiments", "run", *flags, "--index=1"])
    main(["experiments", "verify", *flags, "--index=1"])
    main(["experiments", "report", *flags])
    text = capsys.readouterr().out
    assert "equal (bit for bit)" in text and "92 leaves of the last checkpoint" in text
    assert "1 of 4 runs are finished" in (tmp_path / "w/real/study.md").read_text()


def test_without_the_scripts_a_study_runs_the_modules_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for script, name in (("run_train.py", "training"), ("run_sample.py", "sampling")):
        module = f"prodgen.programs.{name}"
        assert find_program([script, "--workdir=x"]) == ["-m", module, "--workdir=x"]
        assert importlib.util.find_spec(module)
        (tmp_path / script).touch()
        assert find_program([script, "--workdir=x"]) == [script, "--workdir=x"]
