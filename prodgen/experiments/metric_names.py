"""The metrics that a study can compare, and which direction is the better one."""

from __future__ import annotations

from prodgen.core.errors import UsageError

FRECHET_METRICS = {"frechet", "fid"}
HIGHER_IS_BETTER = {
    *("psnr", "ssim", "elbo", "accuracy", "condition_accuracy", "categories"),
    *("precision", "recall", "density", "coverage"),
}
LOWER_IS_BETTER = {
    *("kernel", "kid", "lpips", "perceptual", "mse", "nll", "bits_per_dim", "loss"),
    *("near_duplicates", "out_of_range_fraction"),
    *FRECHET_METRICS,
}


def is_higher_better(metric: str) -> bool:
    """Whether more is better, by the last part of the name: "frechet" of "evaluate/x/frechet".

    UsageError for a name that has no direction: an unknown one, or one that only describes a run,
    such as "val/logits".
    """
    name = metric.rpartition("/")[2]
    if name in HIGHER_IS_BETTER or name in LOWER_IS_BETTER:
        return name in HIGHER_IS_BETTER
    choices = ", ".join(sorted(HIGHER_IS_BETTER | LOWER_IS_BETTER))
    raise UsageError(
        f"the metric {metric!r} does not say which of two runs is better",
        f"name a metric whose last part is one of {choices}",
    )


def is_frechet(metric: str) -> bool:
    """Whether the metric is a Frechet distance, by the last part of its name."""
    return metric.rpartition("/")[2] in FRECHET_METRICS
