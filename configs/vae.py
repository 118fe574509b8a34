"""A convolutional VAE with a calibrated decoder on product images.

Times on two CPU cores (AMD EPYC, 2026-11-24); docs/results/ has the commands for the numbers.

python run_train.py --config=configs/vae.py
    the embedded catalogue at 64 px: 7 minutes; PSNR 22.9 dB on held-out images, condition accuracy
    94 %
python run_train.py --config=configs/vae.py:quick
    512 of its images at 32 px: 40 seconds; PSNR 19 to 20 dB
python run_train.py --config=configs/vae.py:fashion_mnist
    grey clothes at 28 px: 27 minutes; 3.22 bits per dimension
python run_train.py --config=configs/vae.py:folder --config.data.path=my_products/
python run_train.py --config=configs/vae.py:table --config.data.path=my_products.csv
    your own images: as the default
"""

from ml_collections import ConfigDict

from configs import base
from prodgen.config import apply_preset

PRESETS = {
    "quick": {
        "data.size": 512,
        "data.resolution": 32,
        "model.width": 16,
        "model.max_width": 64,
        "model.latent": 32,
        "train.num_steps": 200,
        "train.log_every": 20,
        "train.sample_every": 100,
        "train.evaluate_every": 100,
        "train.checkpoint_every": 100,
        "optim.ema_images": 1500,
        "optim.warmup_steps": 20,
        "loss.beta": 5.0,
        "loss.beta_steps": 150,
    },
    "fashion_mnist": {
        "data.source": "tfds",
        "data.name": "fashion_mnist",
        "data.resolution": 28,
        "loss.likelihood": "logistic",
        "loss.beta": 1.0,
        "loss.beta_schedule": "linear",
        "optim.lr": 1e-3,
        "optim.ema_images": 44_000,
        "train.num_steps": 15_000,
        "train.log_every": 100,
        "train.sample_every": 3000,
        "train.evaluate_every": 1500,
        "train.checkpoint_every": 1500,
    },
    "folder": {"data.source": "folder"},
    "table": {"data.source": "table"},
}


def get_config(preset: str = "") -> ConfigDict:
    return apply_preset(base.get_config(), PRESETS, preset)
