"""The stacked task of mode_coverage.py: three pictures of Fashion-MNIST as the channels of one.

Ten categories in each channel give 1,000 modes, which a classifier of single pictures tells apart
(Srivastava et al. 2017, on digits). No TensorFlow: the four files are read as they are.
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
from prodgen.evaluation import classifier as home
from prodgen.models import classifier
from prodgen.runs.run import get_step_module

CLASSES, COUNTED = 10, 26_000
STEPS = 2000  # of the classifier; the home network's 500 leave too many pictures misnamed
PART = 500  # pictures that are generated or named at a time
SHOWN = 16  # pictures a row of the sheet
Reader = Callable[[np.ndarray], np.ndarray]  # pictures uint8 [N, 28, 28, 1] -> categories [N]


def from_uniform(counts: np.ndarray) -> float:
    """KL(counts || uniform), in nats."""
    share = counts[counts > 0] / counts.sum()
    return float((share * np.log(share * len(counts))).sum())


def fashion(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [N, 28, 28, 1], labels int32 [N]) of "train" or "t10k"."""
    found = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        path = folder / f"{part}-{kind}-ubyte.gz"
        if not path.is_file():
            raise MissingInput(f"{path} does not exist", "give --data=, the folder that holds it")
        found.append(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header))
    return found[0].reshape(-1, 28, 28, 1), found[1].astype(np.int32)


def triples(size: int, count: int) -> np.ndarray:
    """Which pictures stand in the channels, [count, 3]: each runs through the set in its order."""
    epochs = range(-(-count // size))
    lines = [np.concatenate([order.permute_epoch(c, e, size) for e in epochs]) for c in range(3)]
    return np.stack(lines, axis=1)[:count]


def stack(pictures: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Pictures [N, 28, 28, 1] by indices [B, 3] -> [B, 28, 28, 3]."""
    return np.concatenate([pictures[channel] for channel in which.T], axis=-1)


def train_reader(pictures: np.ndarray, labels: np.ndarray) -> Reader:
    """The reference classifier, trained on single images, longer than evaluation/classifier.py."""
    spec = Spec(28, 1, tuple(str(i) for i in range(CLASSES)))
    net, rule = classifier.build(spec), optax.adam(optax.cosine_decay_schedule(2e-3, STEPS))
    params = net.init(jax.random.key(0), classifier.dummy_image(spec))["params"]

    @jax.jit
    def update(params, opt, image, label):
        def loss_of(params):
            outputs, _, _ = net.apply({"params": params}, pixels.to_float(image))
            return home.loss(outputs, {"label": label}, spec).mean()

        moved, opt = rule.update(jax.grad(loss_of)(params), opt)
        return optax.apply_updates(params, moved), opt

    opt, dice = rule.init(params), np.random.default_rng(0)
    for t in range(STEPS):
        chosen = order.select_batch(0, t, len(labels), home.BATCH_SIZE)
        image = np.roll(
            pictures[chosen], dice.integers(-home.MAX_SHIFT_PX, home.MAX_SHIFT_PX + 1, 2), (1, 2)
        )
        params, opt = update(params, opt, image, labels[chosen])
    named = jax.jit(lambda x: net.apply({"params": params}, pixels.to_float(x))[0].argmax(-1))
    return lambda x: np.concatenate([named(x[i : i + PART]) for i in range(0, len(x), PART)])


def facts(reader: Reader, pictures: np.ndarray) -> dict[str, float]:
    """Modes that occur among stacked pictures [N, 28, 28, 3], and KL to uniform over all modes."""
    named = [reader(pictures[..., c : c + 1]) for c in range(3)]
    counts = np.bincount(np.ravel_multi_index(named, (CLASSES,) * 3), minlength=CLASSES**3)
    return {"modes": int((counts > 0).sum()), "kl": from_uniform(counts)}


def train(config: ConfigDict, pictures: np.ndarray) -> np.ndarray:
    """COUNTED samples uint8 of the averaged generator after the run that the config describes."""
    family, spec, size = get_step_module(config), Spec(28, 3), config.train.batch_size
    state = jax.jit(lambda: family.init(config, spec, rng.key(config.seed, "init")))()
    turns, count = family.variants(config), family.real_batches(config)
    steps = {
        variant: jax.jit(
            family.make_train_step(config, spec, lambda x: x, variant), donate_argnums=0
        )
        for variant in turns
    }
    which = triples(len(pictures), len(pictures))
    unknown = nothing_known(size)

    def batch(t: int) -> Batch:
        chosen = which[order.select_batch(config.seed, t, len(which), size)]
        return unknown | {"image": stack(pictures, chosen), "id": chosen[:, 0]}

    for t in range(config.train.num_steps):
        batches = tuple(batch(t * count + i) for i in range(count))
        state, metrics = steps[turns[t % len(turns)]](state, batches, {})
        if t % 100 == 0:
            told = ", ".join(f"{k} {float(metrics[k]):.3f}" for k in ("d/loss", "g/loss"))
            print(f"step {t} of {config.train.num_steps}: {told}", file=sys.stderr, flush=True)
    generate, weights = jax.jit(family.make_generate(config, spec)), family.eval_params(state)
    indices = np.arange(COUNTED, dtype=np.int32).reshape(-1, PART)
    made = [
        generate(weights, family.draw_latents(config, 0, i), nothing_known(PART)) for i in indices
    ]
    return np.concatenate([pixels.to_uint8(part) for part in made])


def nothing_known(size: int) -> Batch:
    """A batch without pictures and without conditions."""
    return {
        "label": np.full(size, -1, np.int32),
        "attributes": np.zeros((size, 0), np.float32),
        "known": np.zeros((size, 0), bool),
        "slot": np.arange(size, dtype=np.int32),
    }


def stacked(chosen: dict[str, ConfigDict], folder: Path, out: str) -> dict:
    """Each setting's modes and KL, and those of held-back real pictures, which bound them."""
    pictures, labels = fashion(folder, "train")
    held, held_labels = fashion(folder, "t10k")
    reader = train_reader(pictures, labels)
    real = stack(held, triples(len(held), COUNTED))
    found = {
        "classifier_accuracy": float((reader(held) == held_labels).mean()),
        "real": facts(reader, real),
    }
    rows = [real[:SHOWN]]
    for name, config in chosen.items():
        made = train(config, pictures)
        found[name] = facts(reader, made)
        rows.append(made[:SHOWN])
    if out:
        sheet = pixels.draw_contact_sheet(
            np.concatenate(rows), SHOWN, row_names=("real", *chosen), side=56
        )
        Path(out).write_bytes(pixels.encode_png(sheet))
    return found
