"""prodgen: train VAEs and GANs on product pictures; make, vary, edit and judge new ones.

`prodgen.load(workdir)` opens a trained run in a notebook. `cut_out`, `recolour`, `background`,
`check` and `compose` work on photos and need no run (shop.py). Importing the package costs nothing:
what is used is loaded then.
"""

import os

# etils.epath, through which orbax writes to gs://, would else load all of TensorFlow.
os.environ.setdefault("EPATH_USE_TF", "false")

__version__ = "0.2.0"

PHOTO_FUNCTIONS = ("cut_out", "recolour", "background", "check", "compose")


def load(workdir, step=None, data_path=None, prior="auto"):
    """Open the run in `workdir`: a Model (library.py) with sample, encode, decode, reconstruct,
    invert, vary and views.

    `workdir` is the folder of a run or of --mode=export, or a model of the package by its name:
    "catalogue", a GAN, or "catalogue_vaegan". Both know the embedded catalogue alone.
    `step` picks a checkpoint ("best", "latest" or a number; by default the best one kept).
    `data_path` is the folder or table where the run's own images are now, if they were moved.
    `prior` says what a VAE's latents are drawn from: "base", the prior of its training; "fitted",
    that of --mode=fit_prior; "auto", the fitted one where the run has it.
    """
    from prodgen.cli.commandline import quiet_platform

    quiet_platform()
    from prodgen.library import load

    return load(workdir, step, data_path, prior)


def __getattr__(name):
    """The functions of shop.py, loaded when they are asked for."""
    if name in PHOTO_FUNCTIONS:
        from prodgen import shop

        return getattr(shop, name)
    raise AttributeError(f"module 'prodgen' has no attribute {name!r}")


def __dir__():
    return [*globals(), *PHOTO_FUNCTIONS]
