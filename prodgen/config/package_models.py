"""The models that the package brings along: exported folders, by name."""

from __future__ import annotations

from pathlib import Path

from prodgen.core.mirror import open_folder

FOLDER = Path(__file__).parents[1] / "pretrained"
PACKAGE_MODELS = {  # name -> what it is, in words
    "catalogue": "a GAN of 32 px",
    "catalogue_vaegan": "a VAE with a discriminator, of 32 px",
}
LIMITS = "it knows the products of the embedded catalogue alone"


def find_model(text: str | Path) -> Path | None:
    """The folder of a model of the package; None for any other name, and for a path."""
    return FOLDER / text if str(text) in PACKAGE_MODELS and not Path(text).exists() else None


def open_place(text: str | Path) -> Path:
    """The path of a run's folder, of what --mode=export wrote, or of a model of the package.

    The files of a remote folder are downloaded first.
    """
    return find_model(text) or open_folder(text)


def describe(name: str) -> str:
    """A model of the package in one sentence."""
    return f"the model {name!r} of the package is {PACKAGE_MODELS[name]}: {LIMITS}"
