"""--mode=fit_prior: fits a mixture of Gaussians to a VAE's codes, to sample from afterwards.

Writes prior.npz into the run: a mixture for each category. The modes that sample then read it,
unless --prior=base. It belongs to one checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import RunDataOptions, SeedOptions
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.core.errors import UsageError

if TYPE_CHECKING:
    from prodgen.data.store import Store
    from prodgen.editing.prior_fitting import Choice, Codes
    from prodgen.model import Model

CONDITION_KEYS = ("image", "label", "attributes", "known")
NUM_LINES = 5  # of the best choices, on the console


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, SeedOptions):
    """Of --mode=fit_prior."""

    output = "prior.npz"

    components: int = option(8, "Components of a mixture, at most.", low=1, high=256)


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write prior.npz; the log-likelihoods of all that was compared go to the manifest."""
    from prodgen.editing import fitted_prior, prior_fitting

    fitted_prior.require_prior(model.run)
    if out.locate(options.output) != model.run.path / fitted_prior.FILE:
        raise UsageError("--out is not read by --mode=fit_prior", "leave it out")
    store, rng = model.store(), np.random.default_rng(options.seed)
    training, validation = (
        encode_split(model, store, name, rng) for name in ("train", "validation")
    )
    say(f"{len(training.z):,} codes of training images, {len(validation.z):,} of validation images")
    prior, choices = prior_fitting.choose_prior(
        training, validation, options.components, options.seed
    )
    base, best = prior_fitting.base_log_likelihood(validation), choices[0]
    for line in describe_fit(choices, base):
        say(line)
    names, counts = model.conditions.spec.classes, prior_fitting.count_images(training)
    small_categories = [names[label] for label in counts if label not in prior.by_category]
    if small_categories:
        say(
            f"fewer than {prior_fitting.MIN_CATEGORY_IMAGES} training images, so they take the "
            f"mixture of all images: {', '.join(small_categories)}"
        )
    numbers = {
        "seed": np.array(options.seed),
        "base_log_likelihood": np.array(base),
        "log_likelihood": np.array(best.log_likelihood),
    }
    details = {
        "base_log_likelihood": round(base, 6),
        "choices": [dataclasses.asdict(choice) for choice in choices],
        "small_categories": small_categories,
    }
    out.write(fitted_prior.FILE, fitted_prior.encode(prior, model.run, numbers), details)
    return out.close()


def encode_split(model: Model, store: Store, split: str, rng: np.random.Generator) -> Codes:
    """Codes of a split's images. The labels are those that the generator receives."""
    from prodgen.editing import prior_fitting

    ids = store.evenly_spaced_ids(split, prior_fitting.MAX_IMAGES)
    rows = store.fetch(ids)
    batch = {name: rows[name] for name in CONDITION_KEYS}
    latent, label = model.config.model.latent, rows["label"]
    mean, log_variance = np.zeros((2, 0, latent))
    if len(ids):
        mean, log_variance = model.posterior(batch.pop("image"), batch)
    if not model.conditions.spec.classes:
        label = np.full_like(label, -1)
    return prior_fitting.draw_codes(mean, log_variance, label, rng)


def describe_fit(choices: Sequence[Choice], base: float) -> list[str]:
    """The validation log-likelihoods of the base prior and of the best choices, in lines."""
    unit = "nats a latent dimension"
    lines = [f"log-likelihood of validation codes: base prior {base:.4f} {unit}"]
    for choice in choices[:NUM_LINES]:
        lines.append(
            f"  {choice.log_likelihood:.4f}: at most {choice.components} components, "
            f"{choice.covariance} covariance, shrinkage of {choice.shrinkage:g} images"
        )
    best = choices[0].log_likelihood
    if best <= base:
        return [*lines, "caution: the base prior is no worse: sample with --prior=base"]
    return [*lines, f"the fitted prior is better by {best - base:.4f} {unit}"]
