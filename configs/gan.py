"""A conditional GAN: r3gan networks, relativistic loss, R1 and R2 (Huang et al. 2024).

Times on two CPU cores (AMD EPYC, 2026-11-24); docs/results/gans.md has the commands for the
numbers.

python run_train.py --config=configs/gan.py
    the embedded catalogue at 32 px: 16 minutes; condition accuracy 98 %
python run_train.py --config=configs/gan.py:quick
    512 of its images at 16 px: 50 seconds; blobs of the right colour
python run_train.py --config=configs/gan.py:folder --config.data.path=my_products/
python run_train.py --config=configs/gan.py:table --config.data.path=my_products.csv
    your own images, with augmentation: 16 minutes; for 50 to 300 images add
    --init_from=runs/gan-... and --config.train.num_steps=1000, which takes 4 minutes
python run_train.py --config=configs/gan.py:hours --config.data.source=... --config.data.path=...
    your own images at 64 px: two hours; on 4,098 images of clothes: condition accuracy 71 %, of
    real images 73 %
python run_train.py --config=configs/gan.py:fashion_mnist
    grey clothes at 28 px, 200,000 images: 26 minutes on one core; condition accuracy 82 %, of real
    images 79 %; evaluated in docs/results/fashion_mnist.md
python run_train.py --config=configs/gan.py:gpu64 --plan=h200
    what gpu64, gpu128 and gpu256 (one GPU) and tpu64 (a pod) take on an accelerator, without one;
    none of them has been trained yet
"""

from ml_collections import ConfigDict

from configs import base
from prodgen.config import apply_preset

ALWAYS = {
    "data.resolution": 32,
    "model.name": "r3gan",
    "model.width": 48,
    "model.max_width": 128,
    "model.half": True,
    "model.block_side": 256,
    "model.latent": 64,
    "loss.adversarial": "relativistic",
    "loss.penalty": "r1_r2",
    "loss.penalty_every": 4,
    "loss.gamma": 1.0,
    "loss.gamma_end": 0.3,
    "optim.lr": 5e-4,
    "optim.schedule": "burn_in",
    "optim.burn_in": 0.7,
    "optim.lr_end": 0.25,
    "optim.b1": 0.0,
    "optim.b2": 0.9,
    "optim.b2_end": 0.99,
    "optim.warmup_steps": 0,
    "optim.clip": 0.0,
    "optim.ema_images": 10_000,
    "train.batch_size": 32,
    "train.num_steps": 5000,
    "train.log_every": 50,
    "train.sample_every": 500,
    "train.evaluate_every": 500,
    "train.checkpoint_every": 500,
}
# For thousands of images: augmentation keeps the discriminator from memorising them.
SMALL_DATA = {"augment.policy": "product", "augment.p": 0.3, "augment.ramp": True}
# For accelerators; docs/accelerators.md has what each preset takes on which.
LARGE = {
    "model.half": False,
    "model.max_width": 512,
    "model.blocks": 2,
    "model.dtype": "bfloat16",
    "loss.penalty_every": 1,
    "loss.gamma_end": 0.1,
    "optim.lr": 2e-4,
    "optim.burn_in": 0.2,
    "optim.ema_images": 500_000,
    "train.log_every": 100,
    "train.sample_every": 2000,
    "train.evaluate_every": 2000,
    "train.checkpoint_every": 2000,
}
PRESETS = {
    "quick": {
        "data.size": 512,
        "data.resolution": 16,
        "optim.ema_images": 2000,
        "train.num_steps": 200,
        "train.log_every": 20,
        "train.sample_every": 100,
        "train.evaluate_every": 100,
        "train.checkpoint_every": 100,
    },
    "hours": {
        **SMALL_DATA,
        "data.resolution": 64,
        "loss.gamma": 2.0,
        "optim.ema_images": 20_000,
        "train.num_steps": 8000,
    },
    "fashion_mnist": {
        "data.source": "tfds",
        "data.name": "fashion_mnist",
        "data.resolution": 28,
        "loss.gamma": 10.0,  # with 1 each category collapses to a few shapes
        "train.num_steps": 6250,
        "train.sample_every": 1250,
        "train.evaluate_every": 625,
        "train.checkpoint_every": 625,
    },
    "folder": {"data.source": "folder", **SMALL_DATA},
    "table": {"data.source": "table", **SMALL_DATA},
    "gpu64": {
        **LARGE,
        "data.resolution": 64,
        "model.width": 256,
        "model.group": 128,
        "loss.gamma": 2.0,
        "train.batch_size": 64,
        "train.microbatches": 4,
        "train.num_steps": 150_000,
    },
    "gpu128": {
        **LARGE,
        "data.resolution": 128,
        "model.width": 128,
        "model.group": 128,
        "loss.gamma": 10.0,
        "train.batch_size": 32,
        "train.microbatches": 4,
        "train.num_steps": 250_000,
    },
    "gpu256": {
        **LARGE,
        "data.resolution": 256,
        "model.width": 64,
        "model.group": 64,
        "loss.gamma": 50.0,
        "train.batch_size": 32,
        "train.microbatches": 4,
        "train.num_steps": 250_000,
    },
    "tpu64": {
        **LARGE,
        "data.resolution": 64,
        "model.width": 256,  # dense blocks: groups leave a matrix unit's lanes empty
        "loss.gamma": 2.0,
        "train.batch_size": 256,
        "train.num_steps": 40_000,
    },
}


def get_config(preset: str = "") -> ConfigDict:
    return apply_preset(base.get_config(), PRESETS, preset, ALWAYS)
