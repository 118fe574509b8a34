"""How many modes does a GAN find? The plain game against the one of configs/gan.py.

python benchmarks/mode_coverage.py --task=grid --out=grid.png
python benchmarks/mode_coverage.py --task=stacked --data=FOLDER --out=stacked.png

Both tasks train the same network twice, with the same budget: with the non-saturating loss alone,
and with the relativistic loss, R1 and R2. The grid is 25 Gaussians in the plane and small dense
networks; stacked are three pictures of Fashion-MNIST as the channels of one, 10^3 modes, and the
networks of --config. FOLDER holds the four files `*-ubyte.gz`. Prints JSON, draws --out.
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
flags.DEFINE_enum("task", "grid", ["grid", "stacked"], "What is to be learned.")
flags.DEFINE_integer("steps", 10_000, "Training steps of each network.")
flags.DEFINE_string("data", "", "stacked: the folder with the files of Fashion-MNIST.")
flags.DEFINE_string("out", "", "The picture, a PNG; none without.")

ALWAYS = {"loss.label_smoothing": 0.0}
SETTINGS = {
    "plain": {"loss.adversarial": "nonsaturating", "loss.penalty": "none"},
    "relativistic, R1 + R2": {"loss.adversarial": "relativistic", "loss.penalty": "r1_r2"},
}
COLOURS = dict(zip(SETTINGS, (INK, ACCENT), strict=True))

CENTRES = np.stack(np.meshgrid(*[np.arange(-2.0, 3.0)] * 2), -1).reshape(-1, 2)
DEVIATION, LATENT, BATCH = 0.05, 8, 256
RATE, GAMMA = 1e-3, 0.02  # a steep D is needed here: deviations are a twentieth of a picture's
SAMPLES, FEWEST = 2500, 20  # a mode counts with so many of the samples within 3 deviations
MARKS = 40  # how often the modes are counted during training


class Dense(nn.Module):
    """[N, ...] -> [N, *shape], three hidden layers of 256."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        for _ in range(3):
            x = nn.leaky_relu(nn.Dense(256)(x), 0.2)
        return nn.Dense(int(np.prod(self.shape)))(x).reshape(-1, *self.shape)


def settings(config: ConfigDict, steps: int) -> dict[str, ConfigDict]:
    """The config in each of the SETTINGS, and of a length."""
    found = {}
    for name, fields in SETTINGS.items():
        own = ConfigDict(config.to_dict())
        for field, value in (ALWAYS | fields | {"train.num_steps": steps}).items():
            set_field(own, field, value)
        found[name] = validate(own).lock()
    return found


def grid_points(key, count: int):
    """Points of the grid as pictures [count, 1, 2, 1], which is what a penalty takes."""
    chosen, noise = jax.random.split(key)
    centre = jnp.asarray(CENTRES)[jax.random.randint(chosen, (count,), 0, len(CENTRES))]
    return (centre + DEVIATION * jax.random.normal(noise, (count, 2)))[:, None, :, None]


def train_on_grid(config: ConfigDict, seeds: int) -> list[tuple[np.ndarray, list[dict]]]:
    """For each seed (samples [SAMPLES, 2] at the end, their facts at each of the marks)."""
    rules, steep = adversarial_loss(config), config.loss.penalty != "none"
    gamma_of = optax.cosine_decay_schedule(GAMMA, config.train.num_steps, alpha=0.1)
    rate = optax.cosine_decay_schedule(RATE, config.train.num_steps)
    rule = optax.adam(rate, b1=0.0 if steep else 0.5, b2=0.99)
    generator, discriminator = Dense((1, 2, 1)), Dense(())

    def drawn(key):
        for_real, for_noise = jax.random.split(key)
        return grid_points(for_real, BATCH), jax.random.normal(for_noise, (BATCH, LATENT))

    def loss_d(d, g, key, gamma):
        real, noise = drawn(key)
        sides = real, generator.apply(g, noise)
        if not steep:
            return rules.discriminator_loss(
                *(discriminator.apply(d, side) for side in sides)
            ).mean()
        judge = lambda pictures: discriminator.apply(d, pictures)  # noqa: E731
        logits, squares = zip(
            *(penalties.logits_and_grad_sq_norm(judge, side) for side in sides), strict=True
        )
        slopes = sum(penalties.zero_centred_penalty(square, gamma) for square in squares)
        return (rules.discriminator_loss(*logits) + slopes).mean()

    def loss_g(g, d, key):
        real, noise = drawn(key)
        logits = discriminator.apply(d, real), discriminator.apply(d, generator.apply(g, noise))
        return rules.generator_loss(*logits).mean()

    @jax.jit
    def start(key):
        for_g, for_d = jax.random.split(key)
        g = generator.init(for_g, jnp.zeros((1, LATENT)))
        d = discriminator.init(for_d, jnp.zeros((1, 1, 2, 1)))
        return (g, d), (rule.init(g), rule.init(d))

    def step(t, state, key):
        (g, d), (opt_g, opt_d) = state
        first, second = jax.random.split(jax.random.fold_in(key, t))
        moved, opt_d = rule.update(jax.grad(loss_d)(d, g, first, gamma_of(t)), opt_d)
        d = optax.apply_updates(d, moved)
        moved, opt_g = rule.update(jax.grad(loss_g)(g, d, second), opt_g)
        return (optax.apply_updates(g, moved), d), (opt_g, opt_d)

    @jax.jit
    def advance(state, for_steps, for_samples, begin, end):
        state = jax.lax.fori_loop(begin, end, lambda t, state: step(t, state, for_steps), state)
        noise = jax.random.normal(for_samples, (SAMPLES, LATENT))
        return state, generator.apply(state[0][0], noise)[:, 0, :, 0]

    marks = np.linspace(0, config.train.num_steps, MARKS + 1).astype(np.int32)
    results = []
    for seed in range(seeds):
        first, *keys = jax.random.split(jax.random.key(seed), 3)
        state, facts = start(first), []
        for begin, end in itertools.pairwise(marks):
            state, made = advance(state, *keys, begin, end)
            facts.append({"step": int(end), **grid_facts(np.asarray(made))})
        results.append((np.asarray(made), facts))
    return results


def grid_facts(samples: np.ndarray) -> dict[str, float]:
    """Modes covered, the share of samples near a centre, KL(samples' modes || uniform) in nats."""
    gaps = np.linalg.norm(samples[:, None] - CENTRES, axis=-1)
    nearest, good = gaps.argmin(1), gaps.min(1) < 3 * DEVIATION
    counts = np.bincount(nearest[good], minlength=len(CENTRES))
    return {
        "modes": int((counts >= FEWEST).sum()),
        "quality": float(good.mean()),
        "reverse_kl": stacked_modes.from_uniform(np.bincount(nearest, minlength=len(CENTRES))),
    }


def grid(chosen: dict[str, ConfigDict], out: str, seeds: int = 3) -> dict:
    """Each setting's facts at the end of training, by seed."""
    found, samples, courses = {}, {}, {}
    for name, config in chosen.items():
        results = train_on_grid(config, seeds)
        samples[name], courses[name] = results[0][0], [facts for _, facts in results]
        ends = [facts[-1] for facts in courses[name]]
        found[name] = {key: [end[key] for end in ends] for key in ends[0] if key != "step"}
    if out:
        draw_grid(samples, courses, Path(out))
    return found


def draw_grid(samples: dict, courses: dict, out: Path) -> None:
    """Real points, each setting's samples of the first seed, and modes over steps."""
    real = np.asarray(grid_points(jax.random.key(0), SAMPLES))[:, 0, :, 0]
    figure, axes = plt.subplots(1, 4, figsize=(13.6, 3.4))
    for axis, (name, points) in zip(axes, ({"real": real} | samples).items(), strict=False):
        axis.scatter(*points.T, s=2, lw=0, color=COLOURS.get(name, INK))
        axis.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
        axis.set_title(name, fontsize=10, color=INK, loc="left")
    for name, course in courses.items():
        steps = [mark["step"] for mark in course[0]]
        modes = np.array([[mark["modes"] for mark in seed] for seed in course])
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
    chosen, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(chosen or "configs/gan.py", overrides)
    device_mesh.initialise_jax(config)
    both = settings(config, FLAGS.steps)
    if FLAGS.task == "grid":
        found = grid(both, FLAGS.out)
    else:
        found = stacked_modes.stacked(both, Path(FLAGS.data), FLAGS.out)
    print(json.dumps({"task": FLAGS.task, "steps": FLAGS.steps, **found}, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
