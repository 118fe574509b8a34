"""Which processes train together, and joining them. Imports JAX only where there are several.

Slurm, Open MPI, Kubernetes and the launchers of TPUs say in the environment how many processes
they have started; on a virtual machine of a TPU, JAX asks the machine.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from prodgen.core.accelerators import has_tpu
from prodgen.core.errors import PeerError, UsageError

MAX_PROCESSES = 65_536
PORT_RANGE = (1024, 65_535)
POLL_S = 0.1
SAY_EVERY_S = 30.0


@dataclasses.dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run: this one's index in [0, count), and HOST:PORT of process 0.

    cluster: what started them. local_devices: the accelerators of its machine that a process takes;
    None: all. A group of one process has no coordinator.
    """

    index: int = 0
    count: int = 1
    coordinator: str = ""
    cluster: str = ""
    local_devices: tuple[int, ...] | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0


def find_group(
    environment: Mapping[str, str],
    port: int,
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
) -> ProcessGroup:
    """The group that the flags name, or else the environment; without either, one process.

    coordinator, count, index: the flags --coordinator, --processes, --process. UsageError where
    they are incomplete, or name a process that does not exist.
    """
    if (coordinator, count, index) != (None, None, None):
        return _make_group(coordinator, count, index, port, choose_devices(environment))
    for find in (_find_slurm, _find_open_mpi, _find_kubernetes, _find_tpu_workers):
        group = find(environment, port)
        if group is not None and group.count > 1:
            return group
    return ProcessGroup()


def _make_group(
    coordinator: str | None,
    count: int | None,
    index: int | None,
    port: int,
    local_devices: tuple[int, ...] | None,
) -> ProcessGroup:
    """The group of the three flags."""
    missing = [
        name
        for name, value in {
            "coordinator": coordinator,
            "processes": count,
            "process": index,
        }.items()
        if value is None
    ]
    if missing:
        raise UsageError(
            f"--{missing[0]} is missing: --coordinator, --processes and --process go together",
            "give all three, or none to run one process",
        )
    if not 1 <= count <= MAX_PROCESSES or not 0 <= index < count:
        raise UsageError(
            f"--process={index} of --processes={count} does not exist",
            "number the processes 0 to --processes minus 1",
        )
    if count == 1:
        return ProcessGroup()
    address = _add_port(coordinator, port, "--coordinator")
    return ProcessGroup(index, count, address, "flags", local_devices)


def _add_port(address: str, port: int, owner: str) -> str:
    """HOST or HOST:PORT -> HOST:PORT; UsageError where it is neither."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?", address)
    if not match or not PORT_RANGE[0] <= int(match[2] or port) <= PORT_RANGE[1]:
        low, high = PORT_RANGE
        raise UsageError(
            f"{owner}={address} is not HOST:PORT with a port of {low} to {high}",
            "name the machine of process 0 and a free port on it",
        )
    return f"{match[1]}:{match[2] or port}"


def _find_slurm(environment: Mapping[str, str], port: int) -> ProcessGroup | None:
    """The tasks of a job step (srun); a script that sbatch runs is one process."""
    hosts = environment.get("SLURM_STEP_NODELIST", "")
    count = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    if not hosts or count == 1:
        return None
    # node[003-007,9],other -> node003
    match = re.match(r"([^\[,]*)(?:\[([^\],-]*))?", hosts)
    return ProcessGroup(
        int(environment["SLURM_PROCID"]), count, f"{match[1]}{match[2] or ''}:{port}", "Slurm",
        choose_devices(environment),
    )  # fmt: skip


def _find_open_mpi(environment: Mapping[str, str], port: int) -> ProcessGroup | None:
    """The processes of mpirun."""
    count = int(environment.get("OMPI_COMM_WORLD_SIZE", "1"))
    if count == 1:
        return None
    # 1531576320.0;tcp://10.96.0.1,10.148.0.1:34911, or a name in newer versions
    uri = environment.get("OMPI_MCA_orte_hnp_uri", "") or environment.get("PMIX_SERVER_URI2", "")
    match = re.search(r"tcp4?://([^,:]+)|tcp6://\[([^,\]]+)", uri)
    address = environment.get("JAX_COORDINATOR_ADDRESS")
    if not address and not match:
        raise UsageError(
            "Open MPI does not say where its first process runs",
            "mpirun -x JAX_COORDINATOR_ADDRESS=HOST:PORT, the machine of process 0",
        )
    return ProcessGroup(
        int(environment["OMPI_COMM_WORLD_RANK"]), count,
        _add_port(address or match[1] or f"[{match[2]}]", port, "JAX_COORDINATOR_ADDRESS"),
        "Open MPI", choose_devices(environment),
    )  # fmt: skip


def _find_kubernetes(environment: Mapping[str, str], port: int) -> ProcessGroup | None:
    """The pods of an indexed Job whose manifest names the coordinator and the number of pods."""
    index, address = environment.get("JOB_COMPLETION_INDEX"), "JAX_COORDINATOR_ADDRESS"
    count = int(environment.get("JAX_PROCESS_COUNT", "1"))
    if index is None or address not in environment or count == 1:
        return None
    coordinator = _add_port(environment[address], port, address)
    return ProcessGroup(int(index), count, coordinator, "Kubernetes")


def _find_tpu_workers(environment: Mapping[str, str], port: int) -> ProcessGroup | None:
    """The hosts of a TPU slice whose names are in the environment, as on Kubernetes."""
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "").split(",")
    if (
        len(hosts) == 1
        or "TPU_WORKER_ID" not in environment
        or "MEGASCALE_NUM_SLICES" in environment
    ):
        return None
    return ProcessGroup(int(environment["TPU_WORKER_ID"]), len(hosts), f"{hosts[0]}:{port}", "TPU")


def choose_devices(environment: Mapping[str, str]) -> tuple[int, ...] | None:
    """The GPUs that this process takes of those that it sees, counted from 0.

    None: all that it sees, because it is alone on its machine or has its own. Processes that see
    all GPUs of their machine take equal parts of them, in the order of their local numbers.
    """
    count, index = _find_local_place(environment)
    if count == 1 or "JAX_LOCAL_DEVICE_IDS" in environment:
        return None
    visible_devices = environment.get("CUDA_VISIBLE_DEVICES")
    if visible_devices is None:
        return (index,)
    num_visible = len(visible_devices.split(","))
    # srun --gpus-per-task=2 shows each task its own two, also where the machine has two tasks.
    if environment.get("SLURM_GPUS_PER_TASK", "").rpartition(":")[2] == str(num_visible):
        return None
    size = num_visible // count  # 0: fewer GPUs than processes, each sees its own
    return tuple(range(index * size, (index + 1) * size)) or None


def _find_local_place(environment: Mapping[str, str]) -> tuple[int, int]:
    """(the number of processes on this machine, this one's index among them)."""
    if "OMPI_COMM_WORLD_LOCAL_RANK" in environment:
        count = int(environment.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1"))
        return count, int(environment["OMPI_COMM_WORLD_LOCAL_RANK"])
    if "SLURM_LOCALID" not in environment:
        return 1, 0
    # 4(x2),1 -> 4, 4, 1: the tasks of each node of the step
    parts = re.findall(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    counts = [int(count) for count, times in parts for _ in range(int(times or 1))]
    node = int(environment.get("SLURM_NODEID", "0"))
    return counts[min(node, len(counts) - 1)], int(environment["SLURM_LOCALID"])


def is_tpu_machine() -> bool:
    """Whether this machine has TPUs that JAX will use: it may be one host of several."""
    return "tpu" in os.environ.get("JAX_PLATFORMS", "tpu") and has_tpu()


def join_group(group: ProcessGroup, options: Any, say: Callable[[str], None]) -> ProcessGroup:
    """Connect to the other processes; the group as JAX knows it, its devices still untouched.

    options: config.parallel. say: receives a line twice a minute. PeerError where they are not
    complete after `start_timeout_s`, or the coordinator's port is taken.
    """
    if group.count == 1 and not is_tpu_machine():
        return group
    import jax

    # SIGTERM is handled by the training loop; JAX's own handler would take it away.
    jax.config.update("jax_enable_preemption_service", False)
    os.environ.setdefault("JAX_COORDINATOR_PORT", str(options.port))
    arguments: dict[str, Any] = {
        # After its time-outs JAX ends the process; this program is to end it before, with a reason.
        "initialization_timeout": int(options.start_timeout_s) + 60,
        "heartbeat_timeout_seconds": 2 * int(options.heartbeat_timeout_s) + 10,
        "shutdown_timeout_seconds": 60,
    }
    if group.count > 1:
        if group.is_main:
            check_port(group.coordinator)
        arguments |= {
            "coordinator_address": group.coordinator,
            "num_processes": group.count,
            "process_id": group.index,
            "cluster_detection_method": "deactivate",
        }
        if group.local_devices is not None:
            arguments["local_device_ids"] = list(group.local_devices)
    _initialise(group, arguments, options.start_timeout_s, say)
    if group.count > 1:
        return group
    from jax._src import distributed

    state = distributed.global_state
    return ProcessGroup(
        state.process_id, state.num_processes, state.coordinator_address or "", "TPU"
    )


def _initialise(
    group: ProcessGroup, arguments: dict[str, Any], timeout_s: float, say: Callable[[str], None]
) -> None:
    """Call jax.distributed.initialize in a thread, so that signals and the time limit work."""
    import jax

    errors: list[Exception] = []

    def initialise() -> None:
        try:
            jax.distributed.initialize(**arguments)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=initialise, daemon=True)
    thread.start()
    where = (
        f"{group.count} processes at {group.coordinator}" if group.coordinator else "the TPU hosts"
    )
    start = last_say = time.monotonic()
    while thread.is_alive():
        thread.join(POLL_S)
        now = time.monotonic()
        if now - start > timeout_s:
            raise PeerError(
                f"process {group.index} waited {timeout_s:.0f} s for {where}: "
                + _describe_coordinator(group),
                "start every process with the same --coordinator and --processes, or set "
                "config.parallel.start_timeout_s=SECONDS",
            )
        if now - last_say > SAY_EVERY_S:
            last_say = now
            say(f"process {group.index} has waited {now - start:.0f} s for {where}")
    if errors and group.count > 1:
        raise PeerError(
            f"process {group.index} of {group.count} cannot start at {group.coordinator}: "
            f"{str(errors[0]).splitlines()[0][:200]}",
            "name another port, or end the program that has it",
        )
    if errors and not isinstance(errors[0], ValueError):  # ValueError: no cluster
        raise PeerError(
            f"the hosts of this TPU cannot be listed: {errors[0]}",
            "name them with --coordinator, --processes and --process",
        )


def _describe_coordinator(group: ProcessGroup) -> str:
    """What is known of process 0 from outside."""
    if group.is_main:
        return "not all of them have connected"
    host, port = split_address(group.coordinator)
    try:
        socket.create_connection((host, port), 2.0).close()
    except OSError as error:
        return f"nothing answers at that address ({error.strerror or error})"
    return "process 0 answers, but not all of them have connected"


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT -> (host, port), without the brackets of an IPv6 address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def check_port(coordinator: str) -> None:
    """UsageError where another program listens on process 0's port of this machine."""
    _, port = split_address(coordinator)
    family = socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError as error:
            raise UsageError(
                f"port {port} of this machine cannot be used for --coordinator={coordinator}: "
                f"{error.strerror or error}",
                "name another port for all processes, or end the program that has it",
            ) from None
