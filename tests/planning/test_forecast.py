"""A forecast equals the one computed by hand."""

import dataclasses

import pytest

from prodgen.parallel.targets import parse_target
from prodgen.planning.forecast import Workload, forecast

# 3.12e12 operations take 10 ms on one A100 at 312 TFLOPS, or 20 ms at 156.
WORKLOAD = Workload(
    batch_size=64, num_steps=3600, flops=3.12e12, memory_bytes=2.039e9, ring_bytes=0,
    is_bfloat16=True,
)  # fmt: skip


def test_a_step_bound_by_its_operations():
    run = forecast(parse_target("a100"), WORKLOAD)
    assert run.bound == "flops"
    assert run.flops_seconds == pytest.approx(0.010)
    assert run.memory_seconds == pytest.approx(0.001)
    assert run.interconnect_seconds == 0
    assert run.bound_images_per_second == pytest.approx(6400)
    # At 15 % of the peak: 3,600 steps of 10 ms / 0.15 take 240 s, on a card of 400 W.
    assert run.expected_images_per_second == pytest.approx(6400 * 0.15)
    assert run.device_hours == pytest.approx(240 / 3600)
    assert run.kilowatt_hours == pytest.approx(240 / 3600 * 0.4)
    in_float32 = forecast(parse_target("a100"), dataclasses.replace(WORKLOAD, is_bfloat16=False))
    assert in_float32.flops_seconds == pytest.approx(0.020)


def test_collectives_use_the_links_of_one_host_and_the_network_between_hosts():
    """Each of n devices sends (n - 1) / n of the ring's bytes; 9e9 of them here."""
    workload = dataclasses.replace(WORKLOAD, ring_bytes=9e9)
    one_host = forecast(parse_target("h100:8"), workload)
    assert one_host.interconnect_seconds == pytest.approx(9e9 * 7 / 8 / 450e9)
    assert one_host.flops_seconds == pytest.approx(3.12e12 / 8 / 989e12)
    two_hosts = forecast(parse_target("h100:16"), workload)
    assert two_hosts.interconnect_seconds == pytest.approx(9e9 * 15 / 16 / 50e9)
    assert two_hosts.bound == "interconnect"
    # Of a TPU slice the links lead from host to host. The power of a v5e is not published.
    pod = forecast(parse_target("v5e:4x8"), workload)
    assert pod.interconnect_seconds == pytest.approx(9e9 * 31 / 32 / 200e9)
    assert pod.kilowatt_hours is None


def test_a_step_bound_by_memory_is_not_forecast_to_be_faster():
    run = forecast(parse_target("a100"), dataclasses.replace(WORKLOAD, memory_bytes=2.039e12))
    assert run.bound == "memory"
    assert run.expected_seconds == pytest.approx(1.0)
    assert run.expected_images_per_second == pytest.approx(64)
