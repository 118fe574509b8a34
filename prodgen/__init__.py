"""prodgen: train VAEs and GANs on product pictures; make, vary, edit and judge new ones.

`prodgen.load(workdir)` opens a trained run in a notebook. Importing the package costs nothing:
JAX is loaded by what needs it.
"""

__version__ = "0.2.0"


def load(workdir, step=None, data_path=None, prior="auto"):
    """Open the run in `workdir`: a Model (library.py) with sample, encode, decode, reconstruct,
    invert, vary and views.

    `step` picks a checkpoint ("best", "latest" or a number; by default the best one kept).
    `data_path` is the folder or table where the run's own images are now, if they were moved.
    `prior` says what a VAE's latents are drawn from: "base", the prior of its training; "fitted",
    that of --mode=fit_prior; "auto", the fitted one where the run has it.
    """
    from prodgen.cli.commandline import quiet_platform

    quiet_platform()
    from prodgen.library import load

    return load(workdir, step, data_path, prior)
