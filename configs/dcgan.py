"""The classical GAN: 5x5 convolutions, non-saturating loss, two Adams.

Times on two CPU cores (AMD EPYC, 2026-11-24); docs/results/gans.md has the commands for the
numbers.

python run_train.py --config=configs/dcgan.py
    the embedded catalogue at 28 px: 10 minutes; condition accuracy 84 %, of real images 95 %
python run_train.py --config=configs/dcgan.py:quick
    512 of its images at 16 px: 42 seconds; blobs of the right colour
python run_train.py --config=configs/dcgan.py:brief
    the original experiment in full: 10,000 steps of 64 images, unconditional, a 5x5 sheet every
    1,000 steps; 81 minutes on one core; best Frechet distance 37.5, 134.7 after 1,000 steps
"""

from ml_collections import ConfigDict

from configs import base
from prodgen.config import apply_preset

ALWAYS = {
    "data.resolution": 28,
    "model.name": "dcgan",
    "model.width": 64,
    "model.max_width": 256,
    "model.latent": 100,
    "loss.adversarial": "nonsaturating",
    "loss.label_smoothing": 0.1,
    "loss.penalty": "r1",
    "loss.penalty_every": 4,
    "loss.gamma": 1.0,
    "optim.lr": 2e-4,
    "optim.schedule": "constant",
    "optim.b1": 0.5,
    "optim.b2": 0.99,
    "optim.warmup_steps": 0,
    "optim.clip": 0.0,
    "optim.ema_images": 20_000,
    "train.num_steps": 1500,
    "train.log_every": 50,
    "train.sample_every": 250,
    "train.evaluate_every": 250,
    "train.checkpoint_every": 250,
}
PRESETS = {
    "quick": {
        "data.size": 512,
        "data.resolution": 16,
        "model.width": 32,
        "model.max_width": 128,
        "optim.lr": 1e-3,
        "optim.ema_images": 1000,
        "train.num_steps": 200,
        "train.log_every": 20,
        "train.sample_every": 100,
        "train.evaluate_every": 100,
        "train.checkpoint_every": 100,
    },
    "brief": {
        "model.condition": False,
        "loss.penalty": "none",
        "loss.penalty_every": 1,
        "optim.lr": 1e-4,
        "optim.b2": 0.999,
        "optim.ema_images": 0,
        "train.num_steps": 10_000,
        "train.sheet_columns": 5,
        "train.log_every": 100,
        "train.sample_every": 1000,
        "train.evaluate_every": 1000,
        "train.checkpoint_every": 1000,
    },
}


def get_config(preset: str = "") -> ConfigDict:
    return apply_preset(base.get_config(), PRESETS, preset, ALWAYS)
