"""Which processes form a group: what clusters and flags say, and how a start fails."""

import socket

import pytest

from prodgen.core.errors import PeerError, UsageError
from prodgen.parallel import start
from prodgen.parallel.peers import Peers, describe_differences
from prodgen.parallel.start import ProcessGroup, find_group
from tests.tiny import tiny

SLURM = {
    "SLURM_JOB_ID": "77", "SLURM_STEP_NODELIST": "gpu[003-004,9],other",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
}  # fmt: skip
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
}  # fmt: skip
KUBERNETES = {
    "JOB_COMPLETION_INDEX": "2", "JAX_PROCESS_COUNT": "4", "JAX_COORDINATOR_ADDRESS": "job-0.pods",
}  # fmt: skip
TPU = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "1"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ProcessGroup()),
        (SLURM, ProcessGroup(5, 8, "gpu003:8476", "Slurm", (1,))),
        # Slurm has given each task its own GPU.
        (SLURM | {"CUDA_VISIBLE_DEVICES": "1"}, ProcessGroup(5, 8, "gpu003:8476", "Slurm")),
        # One task a host takes all of its devices.
        (
            SLURM | {"SLURM_STEP_TASKS_PER_NODE": "1(x8)", "SLURM_STEP_NODELIST": "n1,n2"},
            ProcessGroup(5, 8, "n1:8476", "Slurm"),
        ),
        # The script of sbatch, and a step of one task, wait for nobody.
        ({"SLURM_JOB_ID": "77", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, ProcessGroup()),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, ProcessGroup()),
        (OPEN_MPI, ProcessGroup(3, 4, "10.96.0.1:8476", "Open MPI", (1,))),
        (KUBERNETES, ProcessGroup(2, 4, "job-0.pods:8476", "Kubernetes")),
        # A pod of a job whose pods do not train together.
        ({"JOB_COMPLETION_INDEX": "2"}, ProcessGroup()),
        (TPU, ProcessGroup(1, 4, "a:8476", "TPU")),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}, ProcessGroup()),
    ],
)
def test_a_cluster_says_in_the_environment_who_trains_together(environment, expected):
    assert find_group(environment, 8476) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1,)),
        # Every task sees all GPUs of its node, as with --gpus-per-node.
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, (1,)),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}, (2, 3)),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c,GPU-d,GPU-e"}, (1,)),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_GPUS_PER_TASK": "1"}, (1,)),
        # Each task sees its own: one or two of --gpus-per-task.
        ({"CUDA_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": "2"}, None),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_GPUS_PER_TASK": "h200:4"}, None),
        ({"JAX_LOCAL_DEVICE_IDS": "0,1"}, None),
        # The second node has one task, or three.
        ({"SLURM_STEP_TASKS_PER_NODE": "4,1", "SLURM_NODEID": "1"}, None),
        (
            {"SLURM_STEP_TASKS_PER_NODE": "1(x2),3", "SLURM_NODEID": "2",
             "CUDA_VISIBLE_DEVICES": "0,1,2"},
            (1,),
        ),
    ],
)  # fmt: skip
def test_a_task_takes_its_part_of_the_gpus_that_it_sees(environment, expected):
    assert find_group(SLURM | environment, 8476).local_devices == expected
    # The same where a script has numbered the tasks.
    assert find_group(SLURM | environment, 8476, "host:9000", 8, 5).local_devices == expected


def test_flags_name_a_process():
    expected = ProcessGroup(1, 2, "host:9000", "flags")
    assert find_group({}, 8476, "host:9000", 2, 1) == expected
    assert find_group({}, 8476, "host", 2, 1).coordinator == "host:8476"
    assert find_group({}, 8476, "host", 1, 0) == ProcessGroup()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("host:9000", 2, None), "--process is missing"),
        ((None, 2, 0), "--coordinator is missing"),
        (("host:9000", 2, 2), "--process=2 of --processes=2 does not exist"),
        (("host:99", 2, 0), "is not HOST:PORT"),
        (("http://host:9000", 2, 0), "is not HOST:PORT"),
    ],
)
def test_incomplete_flags_are_named(place, message):
    with pytest.raises(UsageError, match=message):
        find_group({}, 8476, *place)


def test_a_port_that_another_program_has_is_named():
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of this machine cannot be used"):
            start.check_port(f"localhost:{port}")


def test_a_wait_for_processes_that_never_come_ends_with_the_address(monkeypatch):
    import threading

    import jax

    waiting = threading.Event()
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: waiting.wait(60))
    options = tiny(parallel__start_timeout_s=1.0).parallel
    group = ProcessGroup(1, 2, "127.0.0.1:9", "flags")
    with pytest.raises(
        PeerError, match="2 processes at 127.0.0.1:9: nothing answers"
    ) as error_info:
        start.join_group(group, options, print)
    waiting.set()
    assert error_info.value.code == 75


def test_a_process_that_differs_is_named_with_the_field():
    facts = {"config.optim.lr": "0.002", "code": "ab"}
    assert describe_differences({0: facts, 1: facts}) == []
    others = {0: facts, 1: facts, 2: facts | {"config.optim.lr": "0.001"}}
    assert describe_differences(others) == ["process 2: config.optim.lr '0.001', not '0.002'"]


def test_one_process_waits_for_nobody():
    peers = Peers()
    peers.wait_for_all("nothing")
    peers.require_equal("nothing", {})
    with peers.main_first("nothing"), peers.share_errors():
        peers.leave("nothing")
