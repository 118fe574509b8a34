"""Scripts for Slurm and TPU VMs run with fake programs; --check and --submit."""

import os
import signal
import subprocess
import time

import pytest

from prodgen.core.errors import MissingInput, ProdgenError, UsageError
from prodgen.launch import __main__ as launch
from prodgen.launch import script_output
from tests.launch.fakes import AWKWARD, install, print_job, read_calls, run_script

TRAIN = ("--", "run_train.py", "--config=configs/vae.py", *AWKWARD)
TPU = ("tpu", "--tpu=pod", "--zone=us-west4-a")
SHARED_TRAIN = (*TRAIN, "--workdir=gs://bucket/run")
STUDY = "configs/studies/vae_prior.py"
MANIFEST = ("--target=h200:8", "--image=prodgen:1", "--volume=claim")


def test_a_batch_script_keeps_every_argument(tmp_path, capsys, monkeypatch):
    # srun runs its command in one task, after its own two flags.
    bodies = {"srun": 'shift 2; "$@"', "python": ""}
    hosts = 'case "$*" in "show hostnames n[3-4]") printf "n3\\nn4\\n" ;; esac'
    calls = install(tmp_path, monkeypatch, scontrol=hosts, **bodies)
    flags = ("--nodes=2", "--folder=/", "--setup=true 'a b'")
    variables = {"SLURM_JOB_ID": "12345678", "SLURM_JOB_NODELIST": "n[3-4]",
                 "SLURM_NTASKS": "16", "SLURM_PROCID": "9"}  # fmt: skip
    text = print_job(capsys, "slurm", *flags, *TRAIN)
    assert run_script(text, tmp_path, **variables) == 0
    numbers = ["--coordinator=n3:25678", "--processes=16", "--process=9"]
    assert read_calls(calls)[-1] == ["python", *TRAIN[1:], *numbers]
    text = print_job(capsys, "slurm", "--gpus_per_node=1", *TRAIN)
    assert run_script(text, tmp_path, SLURM_JOB_ID="7") == 0
    assert read_calls(calls)[-1] == ["python", *TRAIN[1:]]  # one process has no number
    cache = tmp_path / ".cache/prodgen/xla-shared"
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_batch_script_has_a_task_for_each_gpu(capsys):
    options = ["--nodes=2", "--gpus_per_node=4", "--sbatch=--partition=gpu", "--signal_s=90",
               "--cpus_per_task=6"]  # fmt: skip
    lines = print_job(capsys, "slurm", *options, *TRAIN).splitlines()
    for line in ("--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--requeue",
                 "--signal=B:TERM@90", "--partition=gpu", "--open-mode=append",
                 "--cpus-per-task=6"):  # fmt: skip
        assert f"#SBATCH {line}" in lines
    (step,) = (line for line in lines if line.startswith("srun "))
    assert "--cpus-per-task=6" in step.split()


@pytest.mark.parametrize("code, state, restarts, is_requeued", [
    (75, "RUNNING", 0, True), (75, "COMPLETING", 0, False), (75, "RUNNING", 100, False),
    (65, "RUNNING", 0, False), (0, "RUNNING", 0, False), (137, "RUNNING", 0, False),
])  # fmt: skip
def test_a_job_that_saved_is_queued_again(
    tmp_path, capsys, monkeypatch, code, state, restarts, is_requeued
):
    bodies = {"srun": f"exit {code}", "squeue": f"echo {state}", "scontrol": ""}
    calls = install(tmp_path, monkeypatch, **bodies)
    text = print_job(capsys, "slurm", "--gpus_per_node=1", *TRAIN)
    variables = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": str(restarts)}
    assert run_script(text, tmp_path, **variables) == code
    assert (["scontrol", "requeue", "7"] in read_calls(calls)) is is_requeued


def test_sigterm_of_slurm_reaches_the_tasks_and_their_exit_code_counts(
    tmp_path, capsys, monkeypatch
):
    srun = "touch started; while [ ! -e signalled ]; do sleep 0.02; done; sleep 0.1; exit 75"
    bodies = {"srun": srun, "scancel": "touch signalled", "squeue": "echo RUNNING", "scontrol": ""}
    calls = install(tmp_path, monkeypatch, **bodies)
    text = print_job(capsys, "slurm", "--gpus_per_node=1", *TRAIN)
    process = start_script(text, tmp_path, SLURM_JOB_ID="7")
    wait_for(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 75
    assert [call[0] for call in read_calls(calls)] == ["srun", "scancel", "squeue", "scontrol"]
    assert ["scancel", "--signal=TERM", "7.0"] in read_calls(calls)


def start_script(text, folder, **environment):
    return subprocess.Popen(["bash", "-c", text], cwd=folder, env=os.environ | environment)


def wait_for(file):
    deadline_s = time.monotonic() + 20
    while not file.exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert file.exists()


# gcloud runs the command of two workers in shells of their own, as ssh does.
GCLOUD = 'for word; do case $word in --command=*) sh -c "${word#--command=}" ;; esac; done'


def test_a_tpu_script_keeps_every_argument_and_starts_again_after_75(tmp_path, capsys, monkeypatch):
    python = 'echo "$JAX_COORDINATOR_PORT" >> ports; [ $(wc -l < ports) -ge 3 ] || exit 75'
    calls = install(tmp_path, monkeypatch, gcloud=GCLOUD, python=python)
    text = print_job(capsys, *TPU, "--setup=true && true", *SHARED_TRAIN)
    assert run_script(text, tmp_path) == 0
    programs = [call for call in read_calls(calls) if call[0] == "python"]
    assert programs == [["python", *SHARED_TRAIN[1:]]] * 3
    gcloud = read_calls(calls)[0]
    assert gcloud[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "pod"]
    assert gcloud[6:8] == ["--zone=us-west4-a", "--worker=all"] and len(gcloud) == 9
    assert (tmp_path / "ports").read_text().split() == ["8476"] * 3


@pytest.mark.parametrize("code, num_starts", [(75, 3), (65, 1), (137, 1)])
def test_a_tpu_script_gives_up(tmp_path, capsys, monkeypatch, code, num_starts):
    calls = install(tmp_path, monkeypatch, gcloud=GCLOUD, python=f"exit {code}")
    text = print_job(capsys, *TPU, "--max_restarts=2", *SHARED_TRAIN)
    assert run_script(text, tmp_path) == code
    assert sum(call[0] == "python" for call in read_calls(calls)) == num_starts


def test_sigterm_reaches_the_program_on_the_workers(tmp_path, capsys, monkeypatch):
    python = "trap 'exit 75' TERM; touch started; while :; do sleep 0.02; done"
    install(tmp_path, monkeypatch, gcloud=GCLOUD, python=python)
    process = start_script(print_job(capsys, *TPU, *SHARED_TRAIN), tmp_path)
    wait_for(tmp_path / "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 75


def test_check_says_what_it_covers(capsys, monkeypatch):
    for arguments in (("slurm", *TRAIN), (*TPU, *SHARED_TRAIN)):
        output = print_job(capsys, arguments[0], "--check", *arguments[1:])
        assert "checked: shell syntax, by bash -n" in output and "\nnot checked: " in output
    assert script_output.check_shell("if true\n")[0]
    monkeypatch.setenv("PATH", "/nowhere")
    assert script_output.check_shell("if\n") == (
        [], "not checked: shell syntax, because bash is not on PATH"
    )  # fmt: skip


def test_a_script_with_a_wrong_setup_is_refused(capsys):
    for arguments in (("slurm", "--setup=if true", *TRAIN), (*TPU, "--setup=(", *SHARED_TRAIN)):
        with pytest.raises(ProdgenError, match="bash -n: ") as error:
            launch.main(["launch", *arguments])
        assert error.value.code == 70


SUBMISSIONS = {
    "sbatch": (("slurm",), TRAIN),
    "kubectl": (("gke", *MANIFEST), ("--", "run_train.py", "--workdir=/shared/a")),
    "gcloud": (TPU, ("--", "run_train.py", "--workdir=gs://bucket/a")),
}


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_submit_gives_the_text_to_the_scheduler(tmp_path, capsys, monkeypatch, name):
    flags, program = SUBMISSIONS[name]
    calls = install(tmp_path, monkeypatch, **{name: 'cat > "$HOME/received"'})
    text = print_job(capsys, *flags, *program)
    assert print_job(capsys, *flags, "--submit", *program) == ""
    if name != "gcloud":  # there the script itself is run
        assert (tmp_path / "received").read_text() == text
    commands = {"sbatch": ["sbatch"], "kubectl": ["kubectl", "apply", "-f", "-"]}
    call = read_calls(calls)[0]
    assert call == commands.get(name, call) and call[0] == name

    install(tmp_path, monkeypatch, **{name: "exit 3"})
    with pytest.raises(ProdgenError, match="ended with exit code 3") as error:
        launch.main(["launch", *flags, "--submit", *program])
    assert error.value.code == 3 and error.value.next_step

    (tmp_path / "bin" / name).unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(MissingInput, match=f"program {name} is not on PATH") as error:
        launch.main(["launch", *flags, "--submit", *program])
    assert "--submit" in error.value.next_step


def test_a_study_is_an_array_job_of_one_run_a_task(tmp_path, capsys, monkeypatch):
    calls = install(tmp_path, monkeypatch, srun="")
    text = print_job(capsys, "study", STUDY, "--at_once=4", "--workdir=my studies", "--gpus=2")
    assert "#SBATCH --array=0-19%4\n" in text and "#SBATCH --gpus=2\n" in text
    variables = {"SLURM_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "17"}
    assert run_script(text, tmp_path, **variables) == 0
    (srun,) = read_calls(calls)
    assert srun[srun.index("python") :] == [
        "python", "-m", "prodgen.experiments", "run", STUDY, "--workdir=my studies", "--index=17"
    ]  # fmt: skip


WRONG = [
    (["slurm", "--name=A_b", *TRAIN], "--name='A_b' is not a name"),
    (["slurm", f"--name={'a' * 41}", *TRAIN], "is not a name"),
    (["slurm", "--time=1 day", *TRAIN], "is no time of Slurm"),
    (["slurm", "--setup=a\nb", *TRAIN], "control character"),
    (["slurm", "--sbatch=a", *TRAIN], "is no option of sbatch"),
    (["slurm", "--check", "--submit", *TRAIN], "exclude each other"),
    (["slurm", "run_train.py"], "unexpected argument 'run_train.py'"),
    (["slurm"], "no program was given"),
    (["slurn", *TRAIN], "'slurn' is no command"),
    (["slurm", "--nods=2", *TRAIN], "nods"),
    ([*TPU, *TRAIN], r"the workdir \(none\) is not a folder"),
    ([*TPU[:2], "--zone=A", *SHARED_TRAIN], "--zone='A' is not a name"),
    (["study"], "study takes one study"),
    (["study", STUDY, "--image=a"], "--image has no effect with --to=slurm"),
    (["study", STUDY, "--to=kubernetes", *MANIFEST, "--workdir=gs://a/b"],
     "gs://a/b is not in the volume"),
    (["study", STUDY, "--to=kubernetes", *MANIFEST[:2], "--workdir=/shared/a"],
     "no --volume was given"),
    (["study", STUDY, "--to=kubernetes", "--workdir=/shared/a", "--target=h200:16", *MANIFEST[1:]],
     "has 2 hosts"),
]  # fmt: skip


@pytest.mark.parametrize("arguments, message", WRONG)
def test_wrong_flags_are_named(arguments, message):
    with pytest.raises(UsageError, match=message) as error:
        launch.main(["launch", *arguments])
    assert error.value.next_step
