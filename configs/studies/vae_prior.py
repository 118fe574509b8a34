"""Prior of a VAE: standard or conditional in training, and a mixture fitted afterwards.

20 runs of 10 trainings; docs/results/studies/vae_prior.md has the results.
"""

from prodgen.experiments import Study


def get_study() -> Study:
    return Study(
        question="How much closer to held-out products are a VAE's samples if they are drawn from "
        "a Gaussian mixture that is fitted to its codes after training, instead of from the prior "
        "that it was trained with?",
        expectation="The mixture lowers the Frechet distance by a tenth or more of a VAE with the "
        "standard prior, because its codes do not fill the prior. It helps less with the "
        "conditional prior, which has learned where each category lies.",
        base="configs/vae.py:quick",
        fixed={"data.size": 3072, "data.test": 0.3, "train.num_steps": 300},
        axes={
            "training": {"model.prior": ["standard", "conditional"]},
            "sampling": {"evaluate.prior": ["base", "fitted"]},
        },
        seeds=5,
        sampling_seeds=2,
        evaluate={"n": 900},
        metrics=["evaluate/classifier/frechet", "evaluate/classifier/kernel"],
        budget="90m",
        scales={"gpu": {"data.resolution": 64, "train.num_steps": 6000, "model.width": 64}},
    )
