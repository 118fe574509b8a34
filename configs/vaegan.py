"""A VAE with perceptual and adversarial terms, which give sharp reconstructions.

Times on two CPU cores (AMD EPYC, 2026-11-24); docs/results/gans.md has the commands for the
numbers.

python run_train.py --config=configs/vaegan.py
    the embedded catalogue at 64 px: about 25 minutes at 0.7 steps per second; LPIPS 0.126, with
    configs/vae.py 0.191, at the same PSNR of 23.1 dB
python run_train.py --config=configs/vaegan.py:quick
    512 of its images at 32 px: one minute
python run_train.py --config=configs/vaegan.py:fashion_mnist
    grey clothes at 28 px, 200,000 images: 27 minutes on one core; docs/results/fashion_mnist.md
python run_train.py --config=configs/vaegan.py:folder --config.data.path=my_products/
python run_train.py --config=configs/vaegan.py:table --config.data.path=my_products.csv
    your own images: as the default
python run_train.py --config=configs/vaegan.py:gpu128 --plan=h200
    what gpu64, gpu128 and gpu256 (one GPU) and tpu64 (a pod) take on an accelerator, without one;
    none of them has been trained yet
"""

from ml_collections import ConfigDict

from configs import base
from prodgen.config import apply_preset

ALWAYS = {
    "model.name": "vaegan",
    "loss.adversarial": "hinge",
    "loss.penalty": "r1",
    "loss.penalty_every": 4,
    "loss.gamma": 10.0,
    "optim.d_lr_ratio": 0.25,
}
# For accelerators; docs/accelerators.md has what each preset takes on which.
LARGE = {
    "model.width": 64,
    "model.max_width": 512,
    "model.blocks": 2,
    "model.latent": 128,
    "model.dtype": "bfloat16",
    "optim.lr": 4e-4,
    "optim.ema_images": 100_000,
    "train.num_steps": 40_000,
    "train.log_every": 100,
    "train.sample_every": 2000,
    "train.evaluate_every": 2000,
    "train.checkpoint_every": 2000,
    "loss.beta_steps": 10_000,
    "loss.gan_start": 5000,
    "loss.gan_ramp": 5000,
}
PRESETS = {
    "quick": {
        "data.size": 512,
        "data.resolution": 32,
        "model.width": 16,
        "model.max_width": 64,
        "optim.ema_images": 1500,
        "optim.warmup_steps": 20,
        "loss.beta": 5.0,
        "loss.beta_steps": 100,
        "loss.gan_start": 50,
        "loss.gan_ramp": 50,
        "train.num_steps": 150,
        "train.log_every": 15,
        "train.sample_every": 75,
        "train.evaluate_every": 75,
        "train.checkpoint_every": 75,
    },
    "small": {
        "data.resolution": 32,
        "model.width": 16,
        "model.max_width": 64,
        "optim.ema_images": 10_000,
        "loss.beta": 5.0,
        "loss.beta_steps": 1500,
        "loss.gan_start": 500,
        "loss.gan_ramp": 500,
        "train.num_steps": 4000,
        "train.log_every": 50,
        "train.sample_every": 500,
        "train.evaluate_every": 500,
        "train.checkpoint_every": 500,
    },
    "fashion_mnist": {
        "data.source": "tfds",
        "data.name": "fashion_mnist",
        "data.resolution": 28,
        "optim.ema_images": 10_000,
        "train.num_steps": 3125,
        "train.sample_every": 625,
        "train.evaluate_every": 625,
        "train.checkpoint_every": 625,
        "loss.beta_steps": 1500,
        "loss.gan_start": 1000,
        "loss.gan_ramp": 500,
    },
    "folder": {"data.source": "folder"},
    "table": {"data.source": "table"},
    "gpu64": {
        **LARGE,
        "data.resolution": 64,
        "model.block_side": 32,
        "train.batch_size": 128,
    },
    "gpu128": {
        **LARGE,
        "data.resolution": 128,
        "model.block_side": 64,
        "train.batch_size": 64,
    },
    "gpu256": {
        **LARGE,
        "data.resolution": 256,
        "model.block_side": 64,
        "model.latent": 256,
        "train.batch_size": 32,
    },
    "tpu64": {
        **LARGE,
        "data.resolution": 64,
        "model.block_side": 32,
        "optim.lr": 8e-4,
        "train.batch_size": 512,
        "train.num_steps": 10_000,
        "loss.beta_steps": 2500,
        "loss.gan_start": 1250,
        "loss.gan_ramp": 1250,
    },
}


def get_config(preset: str = "") -> ConfigDict:
    return apply_preset(base.get_config(), PRESETS, preset, ALWAYS)
