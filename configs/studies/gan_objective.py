"""GAN loss x penalty, from the classical DCGAN to r3gan, at 28 px.

40 runs; docs/results/studies/gan_objective.md has the results.
"""

from prodgen.experiments import Study


def get_study() -> Study:
    return Study(
        question="Is the gain from DCGAN to r3gan that of the network, of the relativistic loss, "
        "or of the gradient penalty?",
        expectation="The penalty matters most: without it, both networks have a larger Frechet "
        "distance with either loss. With it, the relativistic loss is better than the "
        "non-saturating one, and the r3gan network better than DCGAN.",
        base="configs/dcgan.py:quick",
        fixed={
            "data.size": 2048, "data.resolution": 28, "loss.label_smoothing": 0.0,
            "train.num_steps": 240, "train.evaluate_every": 60, "train.sample_every": 120,
        },
        axes={
            "network": {"model.name": ["dcgan", "r3gan"], "optim.lr": [1e-3, 5e-4]},
            "loss": {"loss.adversarial": ["nonsaturating", "relativistic"]},
            "penalty": {"loss.penalty": ["none", "r1_r2"]},
        },
        seeds=5,
        metrics=["val/frechet", "val/condition_accuracy"],
        budget="90m",
        scales={"gpu": {"train.num_steps": 20_000, "model.width": 64, "model.max_width": 256}},
    )  # fmt: skip
