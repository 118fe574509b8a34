"""Count the modes that a GAN covers, with the non-saturating loss and that of configs/gan.py.

python benchmarks/mode_coverage.py --task=grid --out=grid.png
python benchmarks/mode_coverage.py --task=stacked --data=FOLDER --out=stacked.png

Both tasks train the same network twice with the same number of steps: with the non-saturating loss
alone, and with the relativistic loss, R1 and R2. The grid has 25 Gaussians in the plane and small
dense networks. The stacked task has three images of Fashion-MNIST as the channels of one image,
10^3 modes, and the networks of --config. FOLDER holds the four files `*-ubyte.gz`. Prints JSON;
--out draws samples.
"""

import itertools
import json
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from absl import flags
from ml_collections import ConfigDict

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import stacked_modes
from prodgen.cli import commandline
from prodgen.config import set_field, validate
from prodgen.losses import penalties
from prodgen.parallel import device_mesh
from prodgen.report.plots import ACCENT, GRID, INK
from prodgen.steps.discriminator import adversarial_loss

FLAGS = flags.FLAGS
flags.DEFINE_enum("task", "grid", ["grid", "stacked"], "The distribution to learn.")
flags.DEFINE_integer("steps", 10_000, "Training steps of each network.")
flags.DEFINE_string("data", "", "stacked: the folder with the files of Fashion-MNIST.")
flags.DEFINE_string("out", "", "The PNG file of a figure; optional.")

COMMON_FIELDS = {"loss.label_smoothing": 0.0}
SETTINGS = {
    "plain": {"loss.adversarial": "nonsaturating", "loss.penalty": "none"},
    "relativistic, R1 + R2": {"loss.adversarial": "relativistic", "loss.penalty": "r1_r2"},
}
COLOURS = dict(zip(SETTINGS, (INK, ACCENT), strict=True))

CENTRES = np.stack(np.meshgrid(*[np.arange(-2.0, 3.0)] * 2), -1).reshape(-1, 2)
STD, LATENT_SIZE, BATCH_SIZE = 0.05, 8, 256
LEARNING_RATE = 1e-3
GAMMA = 0.02  # small, since D must be steep: modes are 20 times narrower than images' variation
NUM_SAMPLES = 2500
MIN_MODE_SAMPLES = 20  # samples within 3 STD with which a mode counts as covered
NUM_MEASUREMENTS = 40  # during training


class Dense(nn.Module):
    """[N, ...] -> [N, *shape], three hidden layers of 256."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        for _ in range(3):
            x = nn.leaky_relu(nn.Dense(256)(x), 0.2)
        return nn.Dense(int(np.prod(self.shape)))(x).reshape(-1, *self.shape)


def make_configs(config: ConfigDict, steps: int) -> dict[str, ConfigDict]:
    """The config with each of the SETTINGS and a number of steps."""
    configs = {}
    for name, fields in SETTINGS.items():
        copy = ConfigDict(config.to_dict())
        for field, value in (COMMON_FIELDS | fields | {"train.num_steps": steps}).items():
            set_field(copy, field, value)
        configs[name] = validate(copy).lock()
    return configs


def sample_grid(key, count: int):
    """Samples of the grid as images [count, 1, 2, 1], the shape that a penalty takes."""
    mode_key, noise_key = jax.random.split(key)
    centre = jnp.asarray(CENTRES)[jax.random.randint(mode_key, (count,), 0, len(CENTRES))]
    return (centre + STD * jax.random.normal(noise_key, (count, 2)))[:, None, :, None]


def train_on_grid(config: ConfigDict, seeds: int) -> list[tuple[np.ndarray, list[dict]]]:
    """For each seed: final samples [NUM_SAMPLES, 2], and the measurements during training."""
    loss, has_penalty = adversarial_loss(config), config.loss.penalty != "none"
    gamma_schedule = optax.cosine_decay_schedule(GAMMA, config.train.num_steps, alpha=0.1)
    lr_schedule = optax.cosine_decay_schedule(LEARNING_RATE, config.train.num_steps)
    optimiser = optax.adam(lr_schedule, b1=0.0 if has_penalty else 0.5, b2=0.99)
    generator, discriminator = Dense((1, 2, 1)), Dense(())

    def sample_inputs(key):
        real_key, noise_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (BATCH_SIZE, LATENT_SIZE))
        return sample_grid(real_key, BATCH_SIZE), noise

    def loss_d(d, g, key, gamma):
        real, noise = sample_inputs(key)
        inputs = real, generator.apply(g, noise)
        if not has_penalty:
            return loss.discriminator_loss(*(discriminator.apply(d, x) for x in inputs)).mean()
        apply = lambda images: discriminator.apply(d, images)  # noqa: E731
        logits, sq_norms = zip(
            *(penalties.logits_and_grad_sq_norm(apply, x) for x in inputs), strict=True
        )
        penalty = sum(penalties.zero_centred_penalty(sq_norm, gamma) for sq_norm in sq_norms)
        return (loss.discriminator_loss(*logits) + penalty).mean()

    def loss_g(g, d, key):
        real, noise = sample_inputs(key)
        logits = discriminator.apply(d, real), discriminator.apply(d, generator.apply(g, noise))
        return loss.generator_loss(*logits).mean()

    @jax.jit
    def init(key):
        g_key, d_key = jax.random.split(key)
        g = generator.init(g_key, jnp.zeros((1, LATENT_SIZE)))
        d = discriminator.init(d_key, jnp.zeros((1, 1, 2, 1)))
        return (g, d), (optimiser.init(g), optimiser.init(d))

    def step(t, state, key):
        (g, d), (opt_g, opt_d) = state
        d_key, g_key = jax.random.split(jax.random.fold_in(key, t))
        updates, opt_d = optimiser.update(jax.grad(loss_d)(d, g, d_key, gamma_schedule(t)), opt_d)
        d = optax.apply_updates(d, updates)
        updates, opt_g = optimiser.update(jax.grad(loss_g)(g, d, g_key), opt_g)
        return (optax.apply_updates(g, updates), d), (opt_g, opt_d)

    @jax.jit
    def advance(state, step_key, sample_key, begin, end):
        state = jax.lax.fori_loop(begin, end, lambda t, state: step(t, state, step_key), state)
        noise = jax.random.normal(sample_key, (NUM_SAMPLES, LATENT_SIZE))
        return state, generator.apply(state[0][0], noise)[:, 0, :, 0]

    measured_steps = np.linspace(0, config.train.num_steps, NUM_MEASUREMENTS + 1).astype(np.int32)
    results = []
    for seed in range(seeds):
        init_key, *keys = jax.random.split(jax.random.key(seed), 3)
        state, history = init(init_key), []
        for begin, end in itertools.pairwise(measured_steps):
            state, samples = advance(state, *keys, begin, end)
            history.append({"step": int(end), **measure_grid(np.asarray(samples))})
        results.append((np.asarray(samples), history))
    return results


def measure_grid(samples: np.ndarray) -> dict[str, float]:
    """Covered modes, the share of samples near a centre, KL(samples' modes || uniform) in nats."""
    distances = np.linalg.norm(samples[:, None] - CENTRES, axis=-1)
    nearest, is_near = distances.argmin(1), distances.min(1) < 3 * STD
    counts = np.bincount(nearest[is_near], minlength=len(CENTRES))
    return {
        "modes": int((counts >= MIN_MODE_SAMPLES).sum()),
        "quality": float(is_near.mean()),
        "reverse_kl": stacked_modes.kl_to_uniform(np.bincount(nearest, minlength=len(CENTRES))),
    }


def run_grid(configs: dict[str, ConfigDict], out: str, seeds: int = 3) -> dict:
    """The final measurements of each setting, by seed."""
    results, samples, histories = {}, {}, {}
    for name, config in configs.items():
        runs = train_on_grid(config, seeds)
        samples[name], histories[name] = runs[0][0], [history for _, history in runs]
        last = [history[-1] for history in histories[name]]
        results[name] = {key: [x[key] for x in last] for key in last[0] if key != "step"}
    if out:
        draw_grid(samples, histories, Path(out))
    return results


def draw_grid(samples: dict, histories: dict, out: Path) -> None:
    """Draw real samples, samples of each setting's first seed, and the covered modes by step."""
    real = np.asarray(sample_grid(jax.random.key(0), NUM_SAMPLES))[:, 0, :, 0]
    figure, axes = plt.subplots(1, 4, figsize=(13.6, 3.4))
    for axis, (name, points) in zip(axes, ({"real": real} | samples).items(), strict=False):
        axis.scatter(*points.T, s=2, lw=0, color=COLOURS.get(name, INK))
        axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        axis.set_title(name, fontsize=10, color=INK, loc="left")
    for name, runs in histories.items():
        steps = [x["step"] for x in runs[0]]
        modes = np.array([[x["modes"] for x in history] for history in runs])
        axes[3].fill_between(
            steps, modes.min(0), modes.max(0), color=COLOURS[name], alpha=0.2, lw=0
        )
        axes[3].plot(steps, np.median(modes, 0), color=COLOURS[name], lw=1.4, label=name)
    axes[3].set_title("modes of 25, by step", fontsize=10, color=INK, loc="left")
    axes[3].set_ylim(-0.5, 25.5)
    axes[3].legend(fontsize=8, labelcolor=INK, frameon=False, loc="upper left")
    for axis in axes:
        axis.tick_params(labelsize=8, colors=INK, length=0)
        axis.grid(color=GRID, lw=0.8)
        axis.set_axisbelow(True)
        for side in axis.spines.values():
            side.set_visible(False)
    figure.tight_layout()
    figure.savefig(out, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)


def main(argv: list[str]) -> None:
    config_name, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(config_name or "configs/gan.py", overrides)
    device_mesh.initialise_jax(config)
    configs = make_configs(config, FLAGS.steps)
    if FLAGS.task == "grid":
        results = run_grid(configs, FLAGS.out)
    else:
        results = stacked_modes.run_stacked(configs, Path(FLAGS.data), FLAGS.out)
    print(json.dumps({"task": FLAGS.task, "steps": FLAGS.steps, **results}, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
