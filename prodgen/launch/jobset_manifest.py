"""gke: print a JobSet for Kubernetes, with one pod a host of GPUs or of TPU chips.

A pod that ends with an error that a restart repeats (exit codes 2, 65, 66, 70) ends the job. Any
other end, such as 75, restarts all pods, which continue the run. The cluster needs JobSet.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.launch.manifest_schema import check_manifest
from prodgen.launch.program_words import (
    MAX_PORT,
    check_name,
    check_one_line,
    check_program,
    find_flag,
    is_remote_path,
)
from prodgen.launch.script_output import Job, JobOptions, deliver
from prodgen.launch.yaml_text import format_yaml
from prodgen.parallel.targets import Target, parse_target

PERMANENT_CODES = [2, 65, 66, 70]  # core/errors.py: a restart would end with the same error
CONTAINER, WORKERS = "worker", "workers"
# Labels of nodes: cloud.google.com/kubernetes-engine/docs, "About TPUs in GKE" and "About GPUs".
ACCELERATORS = {
    "h200": "nvidia-h200-141gb", "h100": "nvidia-h100-80gb", "a100": "nvidia-a100-80gb",
    "l4": "nvidia-l4", "v4": "tpu-v4-podslice", "v5e": "tpu-v5-lite-podslice",
    "v5p": "tpu-v5p-slice", "v6e": "tpu-v6e-slice",
}  # fmt: skip
INDEX = "$(JOB_COMPLETION_INDEX)"  # Kubernetes replaces it in a command
IMAGE = re.compile(r"[\w][\w.:/@-]*")
CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ManifestOptions(JobOptions):
    """Flags of every manifest."""

    target: str = option("", "A host's devices, as --plan names them: h200:8, h200:64, v5e:4x8.")
    image: str = option("", "The container image, with the project and its packages.")
    folder: str = option("", "The project's folder in the image; default: the image's own.")
    volume: str = option("", "A PersistentVolumeClaim that all pods mount.")
    mount: str = option("/shared", "Where the volume is mounted.")
    compile_cache: str = option("", "Folder of compiled programs; default: in the volume.")
    grace_s: int = option(300, "Seconds that a pod has for saving.", low=30, high=86_400)
    max_restarts: int = option(100, "How often all is restarted.", low=0, high=10_000)
    namespace: str = option("", "The namespace; default: the one of kubectl.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(ManifestOptions):
    """Of the command gke."""

    port: int = option(1234, "Port of the coordinator, on GPUs.", low=1, high=MAX_PORT)


def run(options: Options, words: Sequence[str]) -> None:
    """Print, check or submit the JobSet."""
    check_program(words)
    check_manifest_options(options)
    check_durable(options, find_flag(words, "workdir"), may_be_remote=True)
    deliver(make_job(make_jobset(options, parse_host_target(options.target), words)), options)


def parse_host_target(text: str) -> Target:
    """The devices of --target; UsageError where there is none of this name."""
    if not text:
        raise UsageError("no --target was given", "add it, as --target=h200:8 or --target=v5e:4x8")
    return parse_target(text, "target")


def check_manifest_options(options: ManifestOptions) -> None:
    """UsageError for a value that Kubernetes would refuse."""
    check_name(options.name)
    if options.namespace and not re.fullmatch(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", options.namespace
    ):
        raise UsageError(
            f"--namespace={options.namespace!r} is not a name of Kubernetes",
            "take lower-case letters, digits and -",
        )
    if not IMAGE.fullmatch(options.image):
        raise UsageError(
            f"--image={options.image!r} is not a container image",
            "name one, as --image=europe-docker.pkg.dev/PROJECT/REPOSITORY/prodgen:1",
        )
    if options.volume and not CLAIM.fullmatch(options.volume):
        raise UsageError(
            f"--volume={options.volume!r} is not the name of a PersistentVolumeClaim",
            "`kubectl get pvc` lists them",
        )
    for flag, path in {"mount": options.mount, "folder": options.folder}.items():
        check_one_line(f"--{flag}", path)
        if (path or flag == "mount") and not re.fullmatch(r"/[^:]*", path):
            raise UsageError(f"--{flag}={path!r} is not an absolute path", "begin it with /")
    check_one_line("--compile_cache", options.compile_cache)


def check_durable(options: ManifestOptions, workdir: str, may_be_remote: bool) -> None:
    """UsageError where the folder of runs would vanish with its pod."""
    remote = "; or one as gs://BUCKET/FOLDER" if may_be_remote else ""
    if may_be_remote and is_remote_path(workdir):
        return
    if not options.volume:
        raise UsageError(
            f"no --volume was given: the workdir {workdir or '(none)'} would vanish with its pod",
            f"add --volume=CLAIM, and name a workdir below {options.mount}{remote}",
        )
    if not posixpath.normpath(workdir).startswith(options.mount.rstrip("/") + "/"):
        raise UsageError(
            f"the workdir {workdir or '(none)'} is not in the volume, which is mounted at "
            f"{options.mount}",
            f"name a workdir below {options.mount}{remote}",
        )


def make_jobset(options: Options, target: Target, words: Sequence[str]) -> dict[str, Any]:
    """The manifest of a JobSet: a headless service, and an indexed job with a pod for each host."""
    num_hosts = target.num_hosts
    command = [escape_references(word) for word in [options.python, *words]]
    # On TPUs the program reads what GKE sets in every pod: TPU_WORKER_ID and TPU_WORKER_HOSTNAMES.
    if target.chip.gpu and num_hosts > 1:
        host = f"{options.name}-{WORKERS}-0-0.{options.name}"
        command += [
            f"--coordinator={host}:{options.port}", f"--processes={num_hosts}", f"--process={INDEX}"
        ]  # fmt: skip
    ports = [options.port] if target.chip.gpu else [8471]  # 8471: libtpu
    rules = [make_exit_rule("FailJob", PERMANENT_CODES)]
    spec = {
        "completionMode": "Indexed", "completions": num_hosts, "parallelism": num_hosts,
        "backoffLimit": 0, "podFailurePolicy": {"rules": rules},
        "template": make_pod(options, target, command, ports),
    }  # fmt: skip
    # A slice of TPUs is a node pool; all pods of the job run in one.
    annotations = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": make_metadata(options, {} if target.chip.gpu else annotations),
        "spec": {
            "network": {
                "enableDNSHostnames": True, "subdomain": options.name,
                "publishNotReadyAddresses": True,
            },
            "failurePolicy": {
                "maxRestarts": options.max_restarts,
                "rules": [
                    {
                        "name": "permanentError",
                        "action": "FailJobSet",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [{"name": WORKERS, "replicas": 1, "template": {"spec": spec}}],
        },
    }  # fmt: skip


def make_metadata(options: ManifestOptions, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The name, the namespace and the annotations of an object."""
    metadata: dict[str, Any] = {"name": options.name}
    metadata |= {"namespace": options.namespace} if options.namespace else {}
    return metadata | ({"annotations": dict(annotations)} if annotations else {})


def make_exit_rule(action: str, codes: Sequence[int]) -> dict[str, Any]:
    """A rule of podFailurePolicy for exit codes."""
    on_exit = {"containerName": CONTAINER, "operator": "In", "values": list(codes)}
    return {"action": action, "onExitCodes": on_exit}


def make_pod(
    options: ManifestOptions, target: Target, command: Sequence[str], ports: Sequence[int]
) -> dict[str, Any]:
    """The template of a pod with the devices of one host. command: with references escaped."""
    name = target.text.partition(":")[0]
    if target.chip.gpu:
        selector = {"cloud.google.com/gke-accelerator": ACCELERATORS[name]}
        devices = {"nvidia.com/gpu": str(target.sizes[1])}
    else:
        topology = "x".join(map(str, target.sizes))
        selector = {
            "cloud.google.com/gke-tpu-accelerator": ACCELERATORS[name],
            "cloud.google.com/gke-tpu-topology": topology,
        }
        devices = {"google.com/tpu": str(target.num_devices // target.num_hosts)}
    cache = options.compile_cache
    if not cache and options.volume:
        cache = f"{options.mount.rstrip('/')}/prodgen-compile-cache"
    mounts = [("dshm", "/dev/shm", {"emptyDir": {"medium": "Memory"}})]  # NCCL's shared memory
    if options.volume:
        claim = {"persistentVolumeClaim": {"claimName": options.volume}}
        mounts.append(("shared", options.mount, claim))
    container = {
        "name": CONTAINER, "image": options.image,
        **({"workingDir": options.folder} if options.folder else {}),
        "command": list(command),
        **({"env": [{"name": "JAX_COMPILATION_CACHE_DIR", "value": escape_references(cache)}]}
           if cache else {}),
        **({"ports": [{"containerPort": port} for port in ports]} if ports else {}),
        "resources": {"limits": devices},
        "volumeMounts": [{"name": n, "mountPath": path} for n, path, _ in mounts],
    }  # fmt: skip
    return {
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": options.grace_s,
            "nodeSelector": selector,
            "containers": [container],
            "volumes": [{"name": n, **source} for n, _, source in mounts],
        }
    }


def escape_references(word: str) -> str:
    """A word that Kubernetes passes on as it is: it reads $(NAME) as a variable, and $$ as $."""
    if any(0xD800 <= ord(character) <= 0xDFFF for character in word):
        raise UsageError(f"{word!a} is not UTF-8, which Kubernetes needs", "write it in UTF-8")
    return word.replace("$", "$$")


def make_job(manifest: dict[str, Any]) -> Job:
    """The job of a manifest: its text is parsed again, and checked against the schema."""
    import yaml

    text = format_yaml(manifest)
    findings = [] if yaml.safe_load(text) == manifest else ["the YAML has other contents"]
    findings += check_manifest(manifest)
    return Job(
        text, ["kubectl", "apply", "-f", "-"], "kubectl", findings,
        [
            "checked: YAML syntax; every field, by prodgen/launch/manifest_schema.py: its name, "
            "type and range, which fields are required, which go together",
            "not checked: the cluster's versions of Kubernetes and JobSet, its nodes, quota, image "
            "and volume",
        ],
        "install kubectl (kubernetes.io/docs/tasks/tools), or leave --submit out",
    )  # fmt: skip
