"""VAE likelihood x beta: what each likelihood reconstructs at three weights of the KL term.

45 runs; docs/results/studies/vae_likelihood.md has the results.
"""

from prodgen.experiments import Study


def get_study() -> Study:
    return Study(
        question="Which likelihood reconstructs held-out products best, and how much does a "
        "stronger KL weight cost each of them?",
        expectation="At beta 1 the learned variance and the mean squared error reconstruct alike, "
        "because they have one optimum of the mean. From beta 1 to 20 the PSNR falls by 1 dB or "
        "more with each likelihood. The Bernoulli likelihood loses least to a stronger KL weight: "
        "its errors weigh most in nats.",
        base="configs/vae.py:quick",
        axes={
            "likelihood": {"loss.likelihood": ["sigma", "mse", "bernoulli"]},
            "beta": {"loss.beta": [1.0, 5.0, 20.0]},
        },
        seeds=5,
        metrics=["val/psnr", "val/ssim"],
        budget="90m",
        scales={"gpu": {"data.size": 4096, "data.resolution": 64, "train.num_steps": 6000}},
    )
