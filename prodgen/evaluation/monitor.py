"""Does adversarial training look healthy? Verdicts in words, with their evidence.

They are made from the validation metrics of a run, in order (steps/evaluation_sums.py):

* `spread`: the mean squared feature distance of generated images within a category, as a share of
  the real images'.
* `near_duplicates`, `near_duplicates_real`: the share of images that nearly repeat another one of
  their category. A few shapes far from each other have a wide spread and are a collapse all the
  same.
* `categories`: the share of the data's categories that the generator produces.
* `d_margin`: the discriminator's loss on held-out pairs, as a share of the loss of a
  discriminator that guesses; `logits`: the root mean square of its logits.
* `out_of_range_fraction`: the share of generated values far outside [-1, 1].
* `grad_norm_g`, `grad_norm_d`, `grad_norm_vae`: gradient norms of the step before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from prodgen.report import writer

MIN_SPREAD = 0.25  # share of the real spread: below, images of a category repeat each other
MIN_SHARE_OF_BEST_SPREAD = 0.5  # share of the widest spread that this run has had
MAX_NEAR_DUPLICATES = 0.5  # share of images; it must also be twice the real share
MIN_CATEGORIES = 0.5  # share of the data's categories
MIN_D_MARGIN = 1e-3  # share of the loss of a discriminator that guesses
MAX_LOGIT_RMS = 1e3  # usual logits are within some tens
MAX_GRAD_NORM = 1e5  # of g and d; usual norms are below some hundreds
MAX_GRAD_NORM_GROWTH = 100  # an autoencoder's norm depends on the image size: times its smallest
MAX_OUT_OF_RANGE_FRACTION = 0.25  # share of all values
MIN_PROGRESS = 0.1  # share of the run: before, samples may look like nothing


class CollapseMonitor:
    """Watches the validation metrics of an adversarial run.

    Metrics from before a restart are read back from the run's folder.
    """

    def __init__(self, run: Path, config: ConfigDict):
        self._num_steps = config.train.num_steps
        records = writer.read_jsonl(run / writer.METRICS_FILE)
        self._history = [
            (int(record["step"]), {name.removeprefix("val/"): v for name, v in record.items()})
            for record in records
            if "val/logits" in record
        ]

    def __call__(self, step: int, values: Mapping[str, float]) -> dict[str, str]:
        """Verdicts on the newest metrics: name -> evidence. Empty where all is healthy."""
        if "logits" not in values:
            return {}
        self._history.append((step, dict(values)))
        return self._diagnose(len(self._history))

    def describe_verdicts(self) -> list[str]:
        """Every verdict of the run, one line each, for the report."""
        return [
            f"step {self._history[i][0]:,}: {name}: {evidence}"
            for i in range(len(self._history))
            for name, evidence in self._diagnose(i + 1).items()
        ]

    def _diagnose(self, count: int) -> dict[str, str]:
        """Verdicts after the first `count` evaluations."""
        readings = [values for _, values in self._history[:count]]
        return diagnose(readings, self._history[count - 1][0] / self._num_steps)


def diagnose(readings: Sequence[Mapping[str, float]], progress: float) -> dict[str, str]:
    """What is wrong by name ("mode collapse", "discriminator won", "divergence"), and why.

    `readings` are the metrics of all evaluations so far, the newest last; `progress` is the share
    of the run that is over. Empty where all is healthy.
    """
    now, is_early, verdicts = readings[-1], progress < MIN_PROGRESS, {}
    if evidence := _find_collapse(readings, is_early):
        verdicts["mode collapse"] = "; ".join(evidence)
    if now.get("d_margin", 1.0) < MIN_D_MARGIN:
        verdicts["discriminator won"] = (
            f"its loss on held-out pairs is {now['d_margin']:.1e} of that of random guessing, "
            f"and the mean logits of real and fake differ by {now['logit_gap']:.1f}"
        )
    if evidence := _find_divergence(readings, is_early):
        verdicts["divergence"] = "; ".join(evidence)
    return verdicts


def _find_collapse(readings: Sequence[Mapping[str, float]], is_early: bool) -> list[str]:
    """The evidence of a mode collapse, a phrase each."""
    now, last_two, evidence = readings[-1], readings[-2:], []
    # Too little spread: twice in a row, or once after a sudden fall.
    best = max(reading.get("spread", 0.0) for reading in readings)
    is_narrow = [reading.get("spread", 1.0) < MIN_SPREAD for reading in last_two]
    if not is_early and len(is_narrow) == 2 and all(is_narrow):
        evidence.append(
            f"images of a category differ {now['spread']:.0%} as much as real ones do, twice in "
            "a row"
        )
    elif is_narrow[-1] and now["spread"] < MIN_SHARE_OF_BEST_SPREAD * best:
        evidence.append(
            f"their differences fell from {best:.0%} of the real images' to {now['spread']:.0%}"
        )
    # Near duplicates, twice in a row, where the real images have far fewer.
    has_duplicates = [
        reading.get("near_duplicates", 0.0)
        >= max(MAX_NEAR_DUPLICATES, 2 * reading.get("near_duplicates_real", 0.0))
        for reading in last_two
    ]
    if not is_early and len(has_duplicates) == 2 and all(has_duplicates):
        evidence.append(
            f"{now['near_duplicates']:.0%} of the images nearly repeat another of their category, "
            f"twice in a row; of real ones {now['near_duplicates_real']:.0%} do"
        )
    if not is_early and now.get("categories", 1.0) < MIN_CATEGORIES:
        evidence.append(f"{now['categories']:.0%} of the categories are produced")
    return evidence


def _find_divergence(readings: Sequence[Mapping[str, float]], is_early: bool) -> list[str]:
    """The evidence of a divergence, a phrase each."""
    now, evidence = readings[-1], []
    if not math.isfinite(now["frechet"]):
        evidence.append("generated images are not finite")
    smallest = min(reading.get("grad_norm_vae", math.inf) for reading in readings)
    limits = {"g": MAX_GRAD_NORM, "d": MAX_GRAD_NORM, "vae": MAX_GRAD_NORM_GROWTH * smallest}
    for name, limit in limits.items():
        norm = now.get(f"grad_norm_{name}", 0.0)
        if norm > limit:
            evidence.append(f"the gradient of {name} has the norm {norm:.1e}")
    if now["logits"] > MAX_LOGIT_RMS:
        evidence.append(f"logits have grown to {now['logits']:.0f}")
    if not is_early and now["out_of_range_fraction"] > MAX_OUT_OF_RANGE_FRACTION:
        share = now["out_of_range_fraction"]
        evidence.append(f"{share:.0%} of the generated values are far outside [-1, 1]")
    return evidence
