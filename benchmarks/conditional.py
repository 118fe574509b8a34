"""Measure a run's condition accuracy with a classifier of its own.

python benchmarks/conditional.py --workdir=runs/vae-...

Prints the classifier's accuracy on held-out images, the condition accuracy of samples (overall and
of the worst category), and the mean pairwise distance of samples as a share of that of real images,
in pixels and in the classifier's features.
"""

import json
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen.model
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.data import order, prepare
from prodgen.models import blocks

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("step", "best", "Its checkpoint.")
flags.DEFINE_integer("each", 32, "Samples of each category.")
flags.DEFINE_integer("steps", 700, "Training steps of the classifier.")
flags.DEFINE_integer("seed", 7, "Seed of the classifier and the samples.")


class Classifier(nn.Module):
    """Images float [B, R, R, C] -> (logits [B, K], features [B, 128])."""

    classes: int

    @nn.compact
    def __call__(self, x):
        x = blocks.Conv(48)(blocks.space_to_depth(x))
        while x.shape[1] > 4:
            x = blocks.DownConv(min(2 * x.shape[-1], 128))(nn.silu(x))
            x = blocks.Residual()(x) if x.shape[1] <= 16 else x
            if x.shape[1] == 7:
                break
        features = nn.silu(x).mean((1, 2))
        return nn.Dense(self.classes)(features), features


def train_classifier(store, steps: int, seed: int):
    """(network, weights) after `steps` batches of 64, each batch shifted by up to 2 pixels."""
    net = Classifier(len(store.spec.classes))
    params = net.init(jax.random.key(seed), jnp.zeros((1, *store.spec.shape)))
    optimiser = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    ids = store.ids("train")

    @jax.jit
    def update(params, opt_state, image, label):
        def compute_loss(params):
            logits, _ = net.apply(params, pixels.to_float(image))
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

        loss, grads = jax.value_and_grad(compute_loss)(params)
        updates, opt_state = optimiser.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, loss

    opt_state, rng = optimiser.init(params), np.random.default_rng(seed)
    for t in range(steps):
        rows = store.fetch(ids[order.select_batch(seed, t, len(ids), 64)])
        shift = rng.integers(-2, 3, 2)
        image = np.roll(rows["image"], shift, axis=(1, 2))
        params, opt_state, loss = update(params, opt_state, image, rows["label"])
        if t % 100 == 99:
            print(
                f"classifier {t + 1}/{steps}: loss {float(loss):.3f}", file=sys.stderr, flush=True
            )
    return net, params


def classify(net, params, images: np.ndarray):
    """(predicted category [N], features [N, F]) of images uint8 [N, R, R, C]."""
    apply = jax.jit(lambda image: net.apply(params, pixels.to_float(image)))
    parts = [apply(images[i : i + 64]) for i in range(0, len(images), 64)]
    logits, features = (np.concatenate([np.asarray(part[k]) for part in parts]) for k in (0, 1))
    return logits.argmax(1), features


def mean_pairwise_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance of all pairs of rows."""
    rows = rows.reshape(len(rows), -1).astype(np.float64)
    squares = (rows**2).sum(1)
    squared_distances = np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)
    return float(np.sqrt(squared_distances).sum() / (len(rows) * (len(rows) - 1)))


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    model = prodgen.model.load(FLAGS.workdir, FLAGS.step)
    store = prepare.open_or_prepare(model.config.data)
    net, params = train_classifier(store, FLAGS.steps, FLAGS.seed)
    ids = np.concatenate([store.ids("validation"), store.ids("test")])
    real = store.fetch(ids)
    predictions, features = classify(net, params, real["image"])
    result = {"real_accuracy": float((predictions == real["label"]).mean())}
    accuracies, fakes, fake_features = {}, [], []
    for i, name in enumerate(store.spec.classes):
        samples = model.sample(FLAGS.each, FLAGS.seed, label=name)
        predictions, sample_features = classify(net, params, samples)
        accuracies[name] = float((predictions == i).mean())
        fakes.append(samples)
        fake_features.append(sample_features)
    result |= {
        "sample_accuracy": float(np.mean(list(accuracies.values()))),
        "worst": min(accuracies.items(), key=lambda entry: entry[1]),
        "spread_pixels": mean_pairwise_distance(np.concatenate(fakes))
        / mean_pairwise_distance(real["image"]),
        "spread_features": mean_pairwise_distance(np.concatenate(fake_features))
        / mean_pairwise_distance(features),
        "by_category": accuracies,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
