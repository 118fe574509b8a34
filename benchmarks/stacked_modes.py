"""The stacked task of mode_coverage.py: three images of Fashion-MNIST as the channels of one image.

Ten categories per channel give 1,000 modes, which a classifier of single images distinguishes
(Srivastava et al. 2017, with digits). The four files of the data set are read without TensorFlow.
"""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from prodgen.core import pixels, rng
from prodgen.core.errors import MissingInput
from prodgen.core.types import Batch, Spec
from prodgen.data import order
from prodgen.evaluation.classifier import BATCH_SIZE, MAX_SHIFT_PX, loss
from prodgen.models import classifier
from prodgen.runs.run import get_step_module

NUM_CLASSES, NUM_SAMPLES = 10, 26_000
CLASSIFIER_STEPS = 2000  # the 500 of evaluation/classifier.py give too many errors here
CHUNK_SIZE = 500  # images that are generated or classified at once
SHEET_COLUMNS = 16
Classify = Callable[[np.ndarray], np.ndarray]  # images uint8 [N, 28, 28, 1] -> categories [N]


def kl_to_uniform(counts: np.ndarray) -> float:
    """KL(counts || uniform), in nats."""
    share = counts[counts > 0] / counts.sum()
    return float((share * np.log(share * len(counts))).sum())


def load_fashion_mnist(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [N, 28, 28, 1], labels int32 [N]) of "train" or "t10k"."""
    arrays = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        path = folder / f"{part}-{kind}-ubyte.gz"
        if not path.is_file():
            raise MissingInput(f"{path} does not exist", "give --data=, the folder that holds it")
        arrays.append(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header))
    return arrays[0].reshape(-1, 28, 28, 1), arrays[1].astype(np.int32)


def make_triples(size: int, count: int) -> np.ndarray:
    """Image indices of the channels, [count, 3]: each channel has its own order of the data set."""
    epochs = range(-(-count // size))
    columns = [np.concatenate([order.permute_epoch(c, e, size) for e in epochs]) for c in range(3)]
    return np.stack(columns, axis=1)[:count]


def stack(images: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Images [N, 28, 28, 1] and indices [B, 3] -> stacked images [B, 28, 28, 3]."""
    return np.concatenate([images[channel] for channel in triples.T], axis=-1)


def train_classifier(images: np.ndarray, labels: np.ndarray) -> Classify:
    """Train the reference classifier on single images, longer than evaluation/classifier.py."""
    spec = Spec(28, 1, tuple(str(i) for i in range(NUM_CLASSES)))
    net, optimiser = (
        classifier.build(spec),
        optax.adam(optax.cosine_decay_schedule(2e-3, CLASSIFIER_STEPS)),
    )
    params = net.init(jax.random.key(0), classifier.dummy_image(spec))["params"]

    @jax.jit
    def update(params, opt_state, image, label):
        def compute_loss(params):
            outputs, _, _ = net.apply({"params": params}, pixels.to_float(image))
            return loss(outputs, {"label": label}, spec).mean()

        updates, opt_state = optimiser.update(jax.grad(compute_loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    opt_state, shift_rng = optimiser.init(params), np.random.default_rng(0)
    for t in range(CLASSIFIER_STEPS):
        indices = order.select_batch(0, t, len(labels), BATCH_SIZE)
        shift = shift_rng.integers(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, 2)
        image = np.roll(images[indices], shift, (1, 2))
        params, opt_state = update(params, opt_state, image, labels[indices])
    predict = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[0].argmax(-1))
    return lambda x: np.concatenate(
        [predict(x[i : i + CHUNK_SIZE]) for i in range(0, len(x), CHUNK_SIZE)]
    )


def measure_modes(classify: Classify, images: np.ndarray) -> dict[str, float]:
    """The number of modes among stacked images [N, 28, 28, 3], and KL to uniform over all modes."""
    categories = [classify(images[..., c : c + 1]) for c in range(3)]
    counts = np.bincount(
        np.ravel_multi_index(categories, (NUM_CLASSES,) * 3), minlength=NUM_CLASSES**3
    )
    return {"modes": int((counts > 0).sum()), "kl": kl_to_uniform(counts)}


def train_and_sample(config: ConfigDict, images: np.ndarray) -> np.ndarray:
    """Train a GAN as the config says; NUM_SAMPLES samples uint8 of its averaged generator."""
    family, spec, size = get_step_module(config), Spec(28, 3), config.train.batch_size
    state = jax.jit(lambda: family.init(config, spec, rng.key(config.seed, "init")))()
    cycle, num_batches = family.variants(config), family.real_batches(config)
    steps = {
        variant: jax.jit(
            family.make_train_step(config, spec, lambda x: x, variant), donate_argnums=0
        )
        for variant in cycle
    }
    triples = make_triples(len(images), len(images))
    no_conditions = make_unconditional_batch(size)

    def make_batch(t: int) -> Batch:
        indices = triples[order.select_batch(config.seed, t, len(triples), size)]
        return no_conditions | {"image": stack(images, indices), "id": indices[:, 0]}

    for t in range(config.train.num_steps):
        batches = tuple(make_batch(t * num_batches + i) for i in range(num_batches))
        state, metrics = steps[cycle[t % len(cycle)]](state, batches, {})
        if t % 100 == 0:
            losses = ", ".join(f"{k} {float(metrics[k]):.3f}" for k in ("d/loss", "g/loss"))
            print(f"step {t} of {config.train.num_steps}: {losses}", file=sys.stderr, flush=True)
    generate, weights = jax.jit(family.make_generate(config, spec)), family.eval_params(state)
    indices = np.arange(NUM_SAMPLES, dtype=np.int32).reshape(-1, CHUNK_SIZE)
    chunks = [
        generate(weights, family.draw_latents(config, 0, i), make_unconditional_batch(CHUNK_SIZE))
        for i in indices
    ]
    return np.concatenate([pixels.to_uint8(chunk) for chunk in chunks])


def make_unconditional_batch(size: int) -> Batch:
    """A batch without images and with unknown conditions."""
    return {
        "label": np.full(size, -1, np.int32),
        "attributes": np.zeros((size, 0), np.float32),
        "known": np.zeros((size, 0), bool),
        "slot": np.arange(size, dtype=np.int32),
    }


def run_stacked(configs: dict[str, ConfigDict], folder: Path, out: str) -> dict:
    """Modes and KL of each setting, and of held-out real images as the upper bound."""
    images, labels = load_fashion_mnist(folder, "train")
    held_out, held_out_labels = load_fashion_mnist(folder, "t10k")
    classify = train_classifier(images, labels)
    real = stack(held_out, make_triples(len(held_out), NUM_SAMPLES))
    results = {
        "classifier_accuracy": float((classify(held_out) == held_out_labels).mean()),
        "real": measure_modes(classify, real),
    }
    rows = [real[:SHEET_COLUMNS]]
    for name, config in configs.items():
        samples = train_and_sample(config, images)
        results[name] = measure_modes(classify, samples)
        rows.append(samples[:SHEET_COLUMNS])
    if out:
        sheet = pixels.draw_contact_sheet(
            np.concatenate(rows), SHEET_COLUMNS, row_names=("real", *configs), side=56
        )
        Path(out).write_bytes(pixels.encode_png(sheet))
    return results
