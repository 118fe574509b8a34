"""The check that a batch divides evenly into its parts and over the devices."""

from __future__ import annotations

from prodgen.core.errors import UsageError


def check_batch_division(
    batch_size: int, microbatches: int, num_devices: int = 1, owner: str = ""
) -> None:
    """UsageError with the nearest sizes where a batch does not divide evenly.

    Every device has equal rows in each of the `microbatches` parts of a batch. owner: whose devices
    they are, as " of h200:8".
    """
    multiple = num_devices * microbatches
    if batch_size % multiple == 0:
        return
    divisors = [f"the {num_devices} devices{owner}"] if num_devices > 1 else []
    divisors += [f"config.train.microbatches={microbatches}"] if microbatches > 1 else []
    lower_size = max(batch_size // multiple, 1) * multiple
    raise UsageError(
        f"config.train.batch_size={batch_size} is not divisible by {' times '.join(divisors)}",
        f"set config.train.batch_size={lower_size}; or set config.train.batch_size="
        f"{lower_size + multiple}",
    )
