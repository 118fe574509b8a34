"""How long a step takes at least, and a whole run at a usual share of the peak.

The bound of a step is the longest of three times: its operations at the peak rate, its bytes at the
memory's bandwidth, and its collectives at the bandwidth between devices. Nothing is measured.
"""

from __future__ import annotations

import dataclasses

from prodgen.parallel.targets import Target

UTILISATION = 0.15  # of the peak: convolutional networks reach a tenth to a fifth of it
SECONDS_PER_HOUR = 3600


@dataclasses.dataclass(frozen=True)
class Workload:
    """What a mean step of a run does: its images, operations, and bytes on each device.

    flops: of the whole batch, by formula. memory_bytes: arguments, results and temporaries of a
    device, each once. ring_bytes: what each of very many devices sends in collectives.
    """

    batch_size: int
    num_steps: int
    flops: float
    memory_bytes: float
    ring_bytes: float
    is_bfloat16: bool


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Seconds of a step, images a second, and hours and energy of the whole run.

    bound: which of the three times is the longest. expected_seconds: of a step, at `utilisation` of
    the peak or at the bound, whichever is longer. kilowatt_hours: of the devices alone; None where
    their power is not published.
    """

    flops_seconds: float
    memory_seconds: float
    interconnect_seconds: float
    bound_seconds: float
    bound: str
    bound_images_per_second: float
    utilisation: float
    expected_seconds: float
    expected_images_per_second: float
    hours: float
    device_hours: float
    kilowatt_hours: float | None


def forecast(target: Target, workload: Workload) -> Forecast:
    """The forecast of a run of this workload on a target."""
    chip, n = target.chip, target.num_devices
    peak = chip.bf16_flops if workload.is_bfloat16 else chip.f32_flops
    # Devices of several hosts are as fast as the network between them.
    is_networked = target.num_hosts > 1 and chip.network_bandwidth is not None
    bandwidth = chip.network_bandwidth if is_networked else chip.link_bandwidth
    seconds = {
        "flops": workload.flops / n / peak,
        "memory": workload.memory_bytes / chip.memory_bandwidth,
        "interconnect": workload.ring_bytes * (n - 1) / n / bandwidth,
    }
    bound = max(seconds, key=seconds.get)
    expected_seconds = max(seconds["flops"] / UTILISATION, seconds[bound])
    hours = workload.num_steps * expected_seconds / SECONDS_PER_HOUR
    return Forecast(
        flops_seconds=seconds["flops"],
        memory_seconds=seconds["memory"],
        interconnect_seconds=seconds["interconnect"],
        bound_seconds=seconds[bound],
        bound=bound,
        bound_images_per_second=workload.batch_size / seconds[bound],
        utilisation=UTILISATION,
        expected_seconds=expected_seconds,
        expected_images_per_second=workload.batch_size / expected_seconds,
        hours=hours,
        device_hours=hours * n,
        kilowatt_hours=None if chip.power_w is None else hours * n * chip.power_w / 1000,
    )
