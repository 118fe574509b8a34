"""Manifests of Kubernetes: what they hold, their quoting, and the schema that checks them."""

import copy
import re

import pytest
import yaml

from prodgen.core.errors import UsageError
from prodgen.launch import __main__ as launch
from prodgen.launch import jobset_manifest, yaml_text
from prodgen.launch.manifest_schema import check_manifest
from tests.launch.fakes import AWKWARD, print_job

GKE = ("gke", "--image=registry.example/a/prodgen:1", "--volume=claim", "--name=run")
PROGRAM = ("--", "run_train.py", "--config=configs/vae.py", "--workdir=/shared/run")
STUDY = ("study", "configs/studies/vae_prior.py", "--to=kubernetes", *GKE[1:])


def make(capsys, *arguments):
    return yaml.safe_load(print_job(capsys, *arguments))


def job_of(jobset):
    (job,) = jobset["spec"]["replicatedJobs"]
    return job["template"]["spec"]


def expand(word, variables):
    """A word of a container's command as Kubernetes expands it: $$ is $, $(NAME) a variable."""
    parts = word.split("$$")
    for name, value in variables.items():
        parts = [part.replace(f"$({name})", value) for part in parts]
    return "$".join(parts)


def test_a_jobset_on_gpus_numbers_its_processes(capsys):
    jobset = make(capsys, *GKE, "--target=h200:16", *PROGRAM, *AWKWARD)
    job = job_of(jobset)
    (container,) = job["template"]["spec"]["containers"]
    command = [expand(word, {"JOB_COMPLETION_INDEX": "1"}) for word in container["command"]]
    assert command == ["python", *PROGRAM[1:], *AWKWARD, "--coordinator=run-workers-0-0.run:1234",
                       "--processes=2", "--process=1"]  # fmt: skip
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (2, 2, "Indexed")
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    assert jobset["spec"]["network"]["subdomain"] == "run"
    assert container["env"][0]["value"] == "/shared/prodgen-compile-cache"


def test_a_jobset_on_tpus_takes_a_slice(capsys):
    jobset = make(capsys, *GKE, "--target=v5e:4x8", *PROGRAM)
    job = job_of(jobset)
    pod = job["template"]["spec"]
    assert job["completions"] == 8
    assert pod["containers"][0]["resources"]["limits"] == {"google.com/tpu": "4"}
    assert pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"] == "4x8"
    assert "--processes=8" not in pod["containers"][0]["command"]  # GKE's variables say so
    assert jobset["metadata"]["annotations"]


def test_an_error_that_repeats_ends_the_job_and_75_restarts_it(capsys):
    jobset = make(capsys, *GKE, "--target=h200:16", "--max_restarts=7", *PROGRAM)
    job = job_of(jobset)
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and {2, 65} <= set(rule["onExitCodes"]["values"])
    assert 75 not in rule["onExitCodes"]["values"] and job["backoffLimit"] == 0
    policy = jobset["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 7
    (rule,) = policy["rules"]
    assert rule["action"] == "FailJobSet" and rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] == 300


def test_a_study_is_an_indexed_job(capsys):
    job = make(capsys, *STUDY, "--target=h200:1", "--workdir=/shared/s", "--at_once=3")
    assert job["kind"] == "Job" and job["spec"]["completions"] == 20
    assert job["spec"]["parallelism"] == 3
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-1] == "--index=$(JOB_COMPLETION_INDEX)"
    assert job["spec"]["podFailurePolicy"]["rules"][0]["action"] == "FailIndex"


def test_yaml_keeps_every_text():
    value = {"a": [*AWKWARD, "\x00\x7f\x85\u2028"], "b": {"x/y.z": "1", "1": []}, "c": [[1, True]],
             "d": {}, "e": [{"f": [{"g": 0}], "h": "no"}]}  # fmt: skip
    assert yaml.safe_load(yaml_text.format_yaml(value)) == value


def test_check_says_what_it_covers(capsys):
    output = print_job(capsys, *GKE, "--target=l4", "--check", *PROGRAM)
    assert output.startswith("checked: YAML syntax; every field, by prodgen/launch/manifest_schema")
    assert "\nnot checked: the cluster's versions" in output


JOB = ("spec", "replicatedJobs", 0, "template", "spec")
CONTAINER = (*JOB, "template", "spec", "containers", 0)
FAULTS = [
    ((*JOB, "completions"), "2", "completions is '2', not a whole number"),
    ((*JOB, "completions"), True, "not a whole number"),
    ((*JOB, "parallelism"), 3, "parallelism is more than completions"),
    ((*JOB, "backoffLimitPerIndex"), 1, "exactly one of backoffLimit"),
    ((*JOB, "podFailurePolicy", "rules", 0, "onExitCodes", "containerName"), "b", "no container"),
    ((*JOB, "podFailurePolicy", "rules", 0, "action"), "FailIndex", "needs backoffLimitPerIndex"),
    ((*JOB, "podFailurePolicy", "rules", 0, "onExitCodes", "values"), [0], "values.0. is 0"),
    ((*JOB, "template", "spec", "restartPolicy"), "Always", "restartPolicy is 'Always'"),
    ((*JOB, "template", "spec", "restartpolicy"), "Never", "restartpolicy is not a field"),
    ((*JOB, "template", "spec", "volumes"), None, "volumes is missing|not a list"),
    ((*CONTAINER, "command"), [], "command is not a list of at least 1"),
    ((*CONTAINER, "image"), "a b", "image has the wrong form"),
    ((*CONTAINER, "resources", "limits"), {"nvidia.com/gpu": 8}, "is 8, not a text"),
    ((*CONTAINER, "volumeMounts", 0, "name"), "other", "but the containers mount"),
    (("metadata", "name"), "Run", "metadata.name has the wrong form"),
    (("metadata", "name"), "a" * 60, "more than 63 letters"),
    (("kind",), "Pod", "kind is 'Pod'"),
]  # fmt: skip


def test_the_schema_finds_faults():
    options = jobset_manifest.Options(target="h200:16", image="a", volume="claim", name="run")
    target = jobset_manifest.parse_host_target("h200:16")
    manifest = jobset_manifest.make_jobset(options, target, ["run_train.py"])
    assert check_manifest(manifest) == []
    for path, value, message in FAULTS:
        wrong = copy.deepcopy(manifest)
        parent = wrong
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value
        assert re.search(message, "; ".join(check_manifest(wrong))), message
    del manifest["spec"]["network"]
    assert check_manifest(manifest) == ["spec.network is missing"]


WRONG = [
    (("--target=h100:9",), "--target=h100:9 has no number of GPUs"),
    (("--target=v5e:4x8x2",), "--target=v5e:4x8x2 is not a slice"),
    ((), "no --target was given"),
    (("--target=l4", "--image=a b"), "is not a container image"),
    (("--target=l4", "--volume=A"), "is not the name of a PersistentVolumeClaim"),
    (("--target=l4", "--mount=shared"), "is not an absolute path"),
    (("--target=l4", "--namespace=a.b"), "is not a name of Kubernetes"),
    (("--target=l4", "--mount=/other"), "not in the volume, which is mounted at /other"),
    (("--target=l4", "--mount=/shared/run"), "not in the volume"),
    (("--target=l4", "--volume="), "no --volume was given: the workdir /shared/run would vanish"),
]


@pytest.mark.parametrize("flags, message", WRONG)
def test_wrong_flags_are_named(flags, message):
    with pytest.raises(UsageError, match=message):
        launch.main(["launch", *GKE, *flags, *PROGRAM])


def test_a_word_that_is_not_utf_8_is_refused():
    with pytest.raises(UsageError, match="not UTF-8"):
        jobset_manifest.escape_references("a\udcff")
