"""The sentinel: does adversarial training look healthy? Verdicts in words, with their evidence.

Its readings are those of the judgements of a run, in order (steps/judging.py): `spread`, the
generated pictures' mean squared feature distance within a category as a share of the reals';
`near_duplicates`, the share of them that all but repeat another of their category, and
`near_duplicates_real`, that of the reals: a few shapes far from each other are wide, and a collapse
nevertheless; `categories`, the share of the reals' categories that the generator produces;
`d_margin`, the discriminator's loss on held-back pairs as a share of a coin's; `logits`, the root
mean square of its logits; `out_of_range_fraction`, the share of generated values far outside the
range of a picture; `grad_norm_g` and so on, those of the step before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

NARROW = 0.25  # of the reals' spread: below, pictures of a category repeat each other
FALLEN = 0.5  # of the widest spread that this run has had
MANY = 0.5  # of the pictures have a twin, and at least twice as many as of the reals
FEW = 0.5  # of the categories
WON = 1e-3  # of a coin's loss
HUGE = 1e3  # for logits, which live within some tens
STEEP = 1e5  # for gradient norms of g and d, which live below some hundreds
STEEPER = (
    100  # times its smallest so far: for an autoencoder, whose norm follows the picture's size
)
BEYOND = 0.25  # of all values
YOUNG = 0.1  # of the run: what has not begun to look like anything is not called collapsed


def verdicts(readings: Sequence[Mapping[str, float]], progress: float) -> dict[str, str]:
    """What is wrong by name ("mode collapse", "discriminator won", "divergence"), and why.

    `readings` are all judgements so far, the newest last; `progress` is the share of the run that
    is over. Empty where all looks well.
    """
    now, found = readings[-1], {}
    best = max(reading.get("spread", 0.0) for reading in readings)
    narrow = [reading.get("spread", 1.0) < NARROW for reading in readings[-2:]]
    evidence = []
    if progress >= YOUNG and len(narrow) == 2 and all(narrow):
        evidence.append(
            f"pictures of a category differ {now['spread']:.0%} as much as real ones do, twice"
        )
    elif narrow[-1] and now["spread"] < FALLEN * best:
        evidence.append(
            f"their differences fell from {best:.0%} of the reals' to {now['spread']:.0%}"
        )
    if progress >= YOUNG and len(narrow) == 2 and all(_repeated(r) for r in readings[-2:]):
        evidence.append(
            f"{now['near_duplicates']:.0%} of the pictures all but repeat another of their "
            "category, twice; "
            f"of real ones {now['near_duplicates_real']:.0%} do"
        )
    if progress >= YOUNG and now.get("categories", 1.0) < FEW:
        evidence.append(f"{now['categories']:.0%} of the categories are produced")
    if evidence:
        found["mode collapse"] = "; ".join(evidence)
    if now.get("d_margin", 1.0) < WON:
        found["discriminator won"] = (
            f"its loss on held-back pairs is {now['d_margin']:.1e} of a coin's, "
            f"real and fake lie {now['logit_gap']:.1f} apart"
        )
    reasons = []
    if not math.isfinite(now["frechet"]):
        reasons.append("generated pictures are not finite")
    calm = min(reading.get("grad_norm_vae", math.inf) for reading in readings)
    for name, limit in (("g", STEEP), ("d", STEEP), ("vae", STEEPER * calm)):
        if now.get(f"grad_norm_{name}", 0.0) > limit:
            reasons.append(f"the gradient of {name} has the norm {now[f'grad_norm_{name}']:.1e}")
    if now["logits"] > HUGE:
        reasons.append(f"logits have grown to {now['logits']:.0f}")
    if progress >= YOUNG and now["out_of_range_fraction"] > BEYOND:
        share = now["out_of_range_fraction"]
        reasons.append(f"{share:.0%} of the generated values lie far outside [-1, 1]")
    if reasons:
        found["divergence"] = "; ".join(reasons)
    return found


def _repeated(reading: Mapping[str, float]) -> bool:
    return reading.get("near_duplicates", 0.0) >= max(
        MANY, 2 * reading.get("near_duplicates_real", 0.0)
    )
