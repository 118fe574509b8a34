"""The fields of a JobSet and of a Job that the manifests use, and a check of a manifest.

It covers these fields only: any other field is a problem, even where Kubernetes has it.
Sources: the API reference of Kubernetes 1.32 (batch/v1 Job, core/v1 PodSpec), the API of JobSet
(jobset.x-k8s.io/v1alpha2), RFC 1123 for names.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prodgen.launch.program_words import MAX_PORT


@dataclasses.dataclass(frozen=True)
class Text:
    """A text that matches a pattern as a whole."""

    pattern: str = r"(?s).+"
    max_length: int = 131_072

    def find_problems(self, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield f"{path} is {value!r}, not a text"
        elif not re.fullmatch(self.pattern, value) or len(value) > self.max_length:
            yield f"{path} has the wrong form: {value!r}"


@dataclasses.dataclass(frozen=True)
class Number:
    """A whole number of a range."""

    low: int
    high: int = 2**31 - 1

    def find_problems(self, value: Any, path: str) -> Iterator[str]:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            yield f"{path} is {value!r}, not a whole number from {self.low} to {self.high}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, of the same type."""

    values: tuple

    def find_problems(self, value: Any, path: str) -> Iterator[str]:
        if not any(type(value) is type(v) and value == v for v in self.values):
            yield f"{path} is {value!r}, not {' or '.join(map(repr, self.values))}"


@dataclasses.dataclass(frozen=True)
class ListOf:
    """A list with at least `low` items."""

    item: Any
    low: int = 1

    def find_problems(self, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, list) or len(value) < self.low:
            yield f"{path} is not a list of at least {self.low} items"
            return
        for i, item in enumerate(value):
            yield from self.item.find_problems(item, f"{path}[{i}]")


@dataclasses.dataclass(frozen=True)
class MapOf:
    """A mapping from names of a pattern."""

    key: str
    item: Any

    def find_problems(self, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield f"{path} is not a mapping"
            return
        for key, item in value.items():
            if not isinstance(key, str) or not re.fullmatch(self.key, key):
                yield f"{path} has a wrong key: {key!r}"
            yield from self.item.find_problems(item, f"{path}.{key}")


@dataclasses.dataclass(frozen=True)
class Fields:
    """A mapping with these fields alone; a field is required unless `optional` lists it."""

    fields: Mapping[str, Any]
    optional: tuple[str, ...] = ()

    def find_problems(self, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield f"{path} is not a mapping"
            return
        for name in value:
            if name not in self.fields:
                yield f"{path}.{name} is not a field that this schema knows"
        for name, kind in self.fields.items():
            if name in value:
                yield from kind.find_problems(value[name], f"{path}.{name}".lstrip("."))
            elif name not in self.optional:
                yield f"{path}.{name}".lstrip(".") + " is missing"


LABEL = Text(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", 63)  # RFC 1123
QUALIFIED_NAME = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
LABEL_VALUES = MapOf(QUALIFIED_NAME, Text(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", 63))
QUANTITIES = MapOf(QUALIFIED_NAME, Text(r"\d+(\.\d+)?(m|[kMGTPE]i?)?"))
EXIT_CODES = Fields(
    {"containerName": LABEL, "operator": Choice(("In", "NotIn")),
     "values": ListOf(Number(1, 255))}
)  # fmt: skip
POD_CONDITION = Fields({"type": Choice(("DisruptionTarget",)), "status": Choice(("True",))})
POD_FAILURE_RULE = Fields(
    {
        "action": Choice(("FailJob", "FailIndex", "Ignore", "Count")),
        "onExitCodes": EXIT_CODES,
        "onPodConditions": ListOf(POD_CONDITION),
    },
    optional=("onExitCodes", "onPodConditions"),
)
CONTAINER = Fields(
    {
        "name": LABEL,
        "image": Text(r"[\w][\w.:/@-]*"),
        "workingDir": Text(r"/.*"),
        "command": ListOf(Text(r"(?s).*")),
        "env": ListOf(Fields({"name": Text(r"[A-Za-z_]\w*"), "value": Text(r"(?s).*")})),
        "ports": ListOf(Fields({"containerPort": Number(1, MAX_PORT)})),
        "resources": Fields({"limits": QUANTITIES, "requests": QUANTITIES}, ("requests",)),
        "volumeMounts": ListOf(Fields({"name": LABEL, "mountPath": Text(r"/[^:]*")})),
    },
    optional=("workingDir", "env", "ports", "resources", "volumeMounts"),
)
VOLUME = Fields(
    {
        "name": LABEL,
        "persistentVolumeClaim": Fields(
            {"claimName": Text(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", 253)}
        ),
        "emptyDir": Fields({"medium": Choice(("Memory",))}),
    },
    optional=("persistentVolumeClaim", "emptyDir"),
)
POD_TEMPLATE = Fields(
    {
        "metadata": Fields({"annotations": MapOf(QUALIFIED_NAME, Text())}),
        "spec": Fields(
            {
                "restartPolicy": Choice(("Never",)),  # a Job with a podFailurePolicy requires it
                "terminationGracePeriodSeconds": Number(1, 86_400),
                "nodeSelector": LABEL_VALUES,
                "containers": ListOf(CONTAINER),
                "volumes": ListOf(VOLUME),
            },
            optional=("nodeSelector", "volumes"),
        ),
    },
    optional=("metadata",),
)
JOB_SPEC = Fields(
    {
        "completionMode": Choice(("Indexed",)),
        "completions": Number(1),
        "parallelism": Number(1),
        "backoffLimit": Number(0),
        "backoffLimitPerIndex": Number(0),
        "podFailurePolicy": Fields({"rules": ListOf(POD_FAILURE_RULE)}),
        "template": POD_TEMPLATE,
    },
    optional=("backoffLimit", "backoffLimitPerIndex"),
)
METADATA = Fields(
    {"name": LABEL, "namespace": LABEL, "annotations": MapOf(QUALIFIED_NAME, Text())},
    optional=("namespace", "annotations"),
)
JOB = Fields(
    {"apiVersion": Choice(("batch/v1",)), "kind": Choice(("Job",)), "metadata": METADATA,
     "spec": JOB_SPEC}
)  # fmt: skip
FAILURE_RULE = Fields(
    {
        "name": Text(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"),
        "action": Choice(("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts")),
        "onJobFailureReasons": ListOf(
            Choice(("BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy"))
        ),
    }
)
JOB_SET = Fields(
    {
        "apiVersion": Choice(("jobset.x-k8s.io/v1alpha2",)),
        "kind": Choice(("JobSet",)),
        "metadata": METADATA,
        "spec": Fields(
            {
                "network": Fields(
                    {"enableDNSHostnames": Choice((True,)), "subdomain": LABEL,
                     "publishNotReadyAddresses": Choice((True,))}
                ),
                "failurePolicy": Fields({"maxRestarts": Number(0), "rules": ListOf(FAILURE_RULE)}),
                "replicatedJobs": ListOf(
                    Fields(
                        {"name": LABEL, "replicas": Number(1),
                         "template": Fields({"spec": JOB_SPEC})}
                    )
                ),
            }
        ),
    }
)  # fmt: skip
KINDS = {"Job": JOB, "JobSet": JOB_SET}


def check_manifest(manifest: Any) -> list[str]:
    """The problems of a manifest; [] where none is known."""
    kind = manifest.get("kind") if isinstance(manifest, Mapping) else None
    if kind not in KINDS:
        return [f"kind is {kind!r}, not {' or '.join(KINDS)}"]
    problems = list(KINDS[kind].find_problems(manifest, ""))
    if problems:
        return problems  # the checks below read the fields
    specs = [manifest["spec"]]
    if kind == "JobSet":
        specs = [job["template"]["spec"] for job in manifest["spec"]["replicatedJobs"]]
        names = [manifest["metadata"]["name"], manifest["spec"]["replicatedJobs"][0]["name"]]
        # JobSet names a pod's host NAME-JOB-0-INDEX.
        longest_name = "-".join([*names, "0", str(specs[0]["completions"] - 1)])
        if len(longest_name) > 63:
            problems.append(f"metadata.name gives a host name of more than 63 letters: {names[0]}")
    for spec in specs:
        problems += list(find_contradictions(spec))
    return problems


def find_contradictions(spec: Mapping[str, Any]) -> Iterator[str]:
    """Fields of a Job's spec that do not go together."""
    pod = spec["template"]["spec"]
    containers = {container["name"] for container in pod["containers"]}
    volumes = [volume["name"] for volume in pod.get("volumes", [])]
    mounts = [m["name"] for c in pod["containers"] for m in c.get("volumeMounts", [])]
    if sorted(volumes) != sorted(set(mounts)):
        yield f"volumes are {volumes}, but the containers mount {mounts}"
    if ("backoffLimit" in spec) == ("backoffLimitPerIndex" in spec):
        yield "exactly one of backoffLimit and backoffLimitPerIndex must be there"
    if spec["parallelism"] > spec["completions"]:
        yield "parallelism is more than completions"
    for rule in spec["podFailurePolicy"]["rules"]:
        if ("onExitCodes" in rule) == ("onPodConditions" in rule):
            yield "a rule of podFailurePolicy has both or none of onExitCodes and onPodConditions"
        if "onExitCodes" in rule and rule["onExitCodes"]["containerName"] not in containers:
            yield f"a rule of podFailurePolicy is for no container: {rule['onExitCodes']}"
        if rule["action"] == "FailIndex" and "backoffLimitPerIndex" not in spec:
            yield "the action FailIndex needs backoffLimitPerIndex"
