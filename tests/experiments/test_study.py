"""A study expands to the runs that its file says, and what is wrong in it is named."""

import dataclasses

import pytest

from prodgen.cli import commandline
from prodgen.config import compute_fingerprint
from prodgen.core.errors import UsageError
from prodgen.experiments import Study
from prodgen.experiments.study import check_study, expand, list_cells, load_study
from tests.tiny import ROOT

BASE = f"{ROOT}/configs/vae.py:quick"
STUDY = Study(
    question="?",
    base=BASE,
    fixed={"train.num_steps": 60},
    axes={
        "beta": {"loss.beta": [1.0, 5.0, 20.0]},
        "size": {"model.width": [8, 16], "model.latent": [8, 32]},
    },
    seeds=2,
    metrics=["val/psnr"],
)


def test_axes_are_crossed_and_the_fields_of_one_axis_move_together(tmp_path):
    runs = expand(STUDY, tmp_path)
    assert [(run.index, run.cell.name, run.seed) for run in runs[:3]] == [
        (0, "beta=1.0, size=8/8", 0), (1, "beta=1.0, size=8/8", 1), (2, "beta=1.0, size=16/32", 0),
    ]  # fmt: skip
    assert len(runs) == 12 and len({run.key for run in runs}) == 12
    last = runs[-1].config
    assert (last.loss.beta, last.model.width, last.model.latent, last.seed) == (20.0, 16, 32, 1)
    assert all(run.config.train.num_steps == run.num_steps == 60 for run in runs)


def test_a_run_is_the_command_that_a_user_types(tmp_path):
    run = expand(STUDY, tmp_path)[3]
    name, *settings = run.command("w")
    argv = [s.removeprefix("--config.").partition("=")[::2] for s in settings[1:-1]]
    assert name == "run_train.py" and settings[0] == f"--config={BASE}"
    assert commandline.read_config(BASE, argv).to_dict() == run.config.to_dict()


def test_equal_runs_of_two_studies_have_one_identity(tmp_path):
    keys = {run.key for run in expand(STUDY, tmp_path)}
    other = dataclasses.replace(
        STUDY,
        axes={"b": {"loss.beta": [5.0, 7.0]}},
        fixed={"train.num_steps": 60, "model.width": 8, "model.latent": 8},
    )
    assert [run.key in keys for run in expand(other, tmp_path)] == [True, True, False, False]


def test_runs_of_another_length_are_other_runs(tmp_path):
    """Their fingerprint is the same where a run may be continued to more steps."""
    study = dataclasses.replace(STUDY, base=f"{ROOT}/configs/dcgan.py:quick", axes={})
    longer = dataclasses.replace(study, fixed={"train.num_steps": 61})
    (a, _), (b, _) = expand(study, tmp_path), expand(longer, tmp_path)
    assert compute_fingerprint(a.config) == compute_fingerprint(b.config) and a.key != b.key


def test_a_field_that_only_some_cells_read_is_set_there(tmp_path):
    study = dataclasses.replace(
        STUDY,
        base=f"{ROOT}/configs/dcgan.py:quick",
        fixed={"loss.gamma": 3.0},
        axes={"penalty": {"loss.penalty": ["none", "r1"]}},
    )
    plain, penalised = expand(study, tmp_path)[::2]
    assert not any("gamma" in argument for argument in plain.train)
    assert "--config.loss.gamma=3.0" in penalised.train


def test_evaluations_of_one_training_are_runs_of_their_own(tmp_path):
    study = dataclasses.replace(
        STUDY,
        axes={"prior": {"evaluate.prior": ["base", "fitted"]}},
        evaluate={"n": 100},
        sampling_seeds=2,
        metrics=["evaluate/classifier/frechet"],
    )
    base, _, fitted, _ = expand(study, tmp_path)
    assert base.fingerprint == fitted.fingerprint and base.key != fitted.key
    assert base.evaluations == (
        {"n": "100", "prior": "base", "seed": "0"}, {"n": "100", "prior": "base", "seed": "3"},
    )  # fmt: skip
    assert not any("fit_prior" in line for line in base.commands("w"))
    assert "--mode=fit_prior" in fitted.commands("w")[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": {"b": {"loss.bet": [1.0]}}}, "did you mean config.loss.beta?"),
        ({"axes": {"b": {"loss.beta": [-1.0]}}}, "config.loss.beta=-1.0 is not allowed"),
        ({"axes": {"b": {"loss.beta": [1.0, 1]}}}, "are the same run"),
        ({"axes": {"g": {"loss.gamma": [1.0, 2.0]}}}, "are the same run"),
        ({"fixed": {"loss.gamma": 2.0}}, "config.loss.gamma is read by none of its runs"),
        ({"axes": {"every": {"train.log_every": [1, 2]}}}, "are the same run"),
    ],
)
def test_an_axis_that_is_wrong_or_changes_nothing_is_refused(tmp_path, change, message):
    with pytest.raises(UsageError) as error:
        expand(dataclasses.replace(STUDY, **change), tmp_path)
    assert message in error.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": {"b": {"loss.beta": []}}}, "the study has no runs"),
        ({"axes": {"b": {"loss.beta": [1.0], "model.width": [4, 8]}}}, "unlike numbers of levels"),
        ({"axes": {str(i): {"loss.beta": [1.0] * 10} for i in range(4)}}, "it has 20,000 runs"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": [1, 1]}, "seeds=[1, 1]"),
        ({"metrics": []}, "no metrics"),
        ({"metrics": ["psnr"]}, "'psnr'"),
        ({"question": " "}, "no question"),
    ],
)
def test_a_study_without_a_sensible_size_is_refused(tmp_path, change, message):
    with pytest.raises(UsageError) as error:
        check_study(dataclasses.replace(STUDY, **change), tmp_path)
    assert message in error.value.message


def test_an_error_of_a_study_file_names_its_line(tmp_path):
    file = tmp_path / "s.py"
    file.write_text("def get_study():\n    return Studdy()\n")
    with pytest.raises(UsageError, match=r"s.py:2: NameError"):
        load_study(file)
    file.write_text("def get_study():\n    return 3\n")
    with pytest.raises(UsageError, match="returns int, not a Study"):
        load_study(file)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "studies").glob("*.py")), ids=str)
def test_shipped_studies_expand_at_every_scale(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = load_study(path)
    assert study.expectation and len(study.list_seeds()) >= 5
    for scale in ("", *study.scales):
        scaled = load_study(path, scale)
        assert len(expand(scaled, path)) == len(list_cells(study)) * len(study.list_seeds())
