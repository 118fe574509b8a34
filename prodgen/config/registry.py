"""Every name that a config or a flag may choose, and the module or member that implements it.

The entries are strings, so that a wrong name is refused before JAX is imported.
A new model, source or mode is one file and one line here.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from prodgen.core.errors import UsageError

MODELS = {
    "vae": "prodgen.models.vae",
    "dcgan": "prodgen.models.dcgan",
    "r3gan": "prodgen.models.r3gan",
    "vaegan": "prodgen.models.vae",
}
STEPS = {  # model -> the step module that trains it
    "vae": "prodgen.steps.vae",
    "dcgan": "prodgen.steps.gan",
    "r3gan": "prodgen.steps.gan",
    "vaegan": "prodgen.steps.vaegan",
}
SOURCES = {
    "catalogue": "prodgen.data.catalogue",
    "folder": "prodgen.data.folder",
    "table": "prodgen.data.table",
    "tfds": "prodgen.data.tfds",
}
FEEDS = {"tfdata": "prodgen.data.tfdata", "resident": "prodgen.data.resident"}
LIKELIHOODS = {
    "sigma": "prodgen.losses.likelihoods:CalibratedGaussian",
    "mse": "prodgen.losses.likelihoods:SquaredError",
    "bernoulli": "prodgen.losses.likelihoods:Bernoulli",
    "logistic": "prodgen.losses.likelihoods:LogisticMixture",
}
BETA_SCHEDULES = {
    "constant": "prodgen.losses.divergence:constant_schedule",
    "linear": "prodgen.losses.divergence:linear_schedule",
    "falling": "prodgen.losses.divergence:falling_schedule",
    "cyclic": "prodgen.losses.divergence:cyclic_schedule",
}
AUGMENTS = {
    "none": "prodgen.augment.policies:NoAugmentation",
    "diffaugment": "prodgen.augment.policies:DiffAugment",
    "product": "prodgen.augment.policies:Product",
}
ADVERSARIAL = {
    "nonsaturating": "prodgen.losses.adversarial:NonSaturating",
    "minimax": "prodgen.losses.adversarial:Minimax",
    "lsgan": "prodgen.losses.adversarial:LeastSquares",
    "hinge": "prodgen.losses.adversarial:Hinge",
    "wgan": "prodgen.losses.adversarial:Wasserstein",
    "relativistic": "prodgen.losses.adversarial:Relativistic",
}
PENALTIES = {  # inputs at which the discriminator's gradient is penalised (losses/penalties.py)
    "none": (),
    "r1": ("real",),
    "r2": ("fake",),
    "r1_r2": ("real", "fake"),
    "gradient": ("interpolated",),
}
EXTRACTORS = {  # feature extractors of an evaluation, besides the reference classifier
    "pixels": "prodgen.metrics.features:pixels",
    "efficientnet_lite0": "prodgen.metrics.features:efficientnet_lite0",
    "lpips": "prodgen.metrics.features:perceptual",
}
MODES = {
    "grid": "prodgen.apps.grid",
    "images": "prodgen.apps.images",
    "reconstruct": "prodgen.apps.reconstruct",
    "interpolate": "prodgen.apps.interpolate",
    "traverse": "prodgen.apps.traverse",
    "directions": "prodgen.apps.directions",
    "sweep": "prodgen.apps.sweep",
    "fit_prior": "prodgen.apps.fit_prior",
    "augment_preview": "prodgen.apps.augment_preview",
    "evaluate": "prodgen.apps.evaluate",
    "gate": "prodgen.apps.gate",
    "cutout": "prodgen.apps.cutout",
    "invert": "prodgen.apps.invert",
    "vary": "prodgen.apps.vary",
    "views": "prodgen.apps.views",
    "edit": "prodgen.apps.edit",
    "batch": "prodgen.apps.batch",
    "compose": "prodgen.apps.compose",
    "listing": "prodgen.apps.listing",
    "personalise": "prodgen.apps.personalise",
    "export": "prodgen.apps.export",
}
PRIOR_CHOICES = ("auto", "base", "fitted")  # what a finished VAE samples from
EDITS = ("background", "recolour", "attribute", "inpaint", "mix")
KEEP_CHOICES = ("shape", "colour", "category")  # what a variation may keep of its product
CUTOUTS = {  # methods that separate a product from its background
    "auto": "prodgen.photo.auto:make_segmenter",
    "plain": "prodgen.photo.plain:make_segmenter",
    "grabcut": "prodgen.photo.grabcut:make_segmenter",
    "neural": "prodgen.photo.neural:make_segmenter",
}
PROFILES = (  # of metrics/marketplace_rules.py: general ones, then those of marketplaces
    *("white_main", "square_catalogue", "any_even"),
    *("amazon", "ebay", "google", "etsy", "shopify"),
)


MAX_LISTED_NAMES = 40  # in an error message


def suggest_names(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """For error messages: the most similar known name, if any, and the first known names."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {matches[0]}? " if matches else ""
    more = f" and {len(known) - MAX_LISTED_NAMES:,} more" if len(known) > MAX_LISTED_NAMES else ""
    return f"{hint}known: {', '.join(sorted(known)[:MAX_LISTED_NAMES])}{more}"


def resolve(table: Mapping[str, str], name: str, field: str) -> Any:
    """Import the module "a.b", or the member "a.b:c", that `name` stands for in `table`.

    field: the config field or flag that `name` comes from, for the UsageError of an unknown name.
    """
    if name not in table:
        raise UsageError(
            f"{field}={name!r} is not known; {suggest_names(name, table)}",
            "choose one of the known names",
        )
    module_path, _, member = table[name].partition(":")
    module = importlib.import_module(module_path)
    return getattr(module, member) if member else module
