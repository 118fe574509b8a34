"""Are pictures for a person what that person likes? Simulated people with known utilities.

python benchmarks/personalise.py --workdir=runs/vaegan-... --out=personalise.png

A person's utility is a sparse random weight for each category and attribute column of the run's
products. Half of what they meet is drawn by their taste, as shops show it, half at random; what
they then do with it (buy, look at, send back) follows the utility plus noise. From histories of
several lengths --n pictures are made, and judged by the true utility of what they were asked to
show, and of what a home network trained apart reads off them. Prints JSON: lift, the share of
pictures in the person's top decile over the share of unconditional ones; diversity, the mean
distance of two pictures in that network's features over that of unconditional ones; both with 95 %
intervals over people. --out draws it.
"""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from absl import flags
from ml_collections import ConfigDict

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.types import Batch, Spec
from prodgen.data.store import Store
from prodgen.editing import initialisation, preference
from prodgen.editing.personaliser import EXPLORATION, MIN_DIVERSITY, Personaliser, mean_distance
from prodgen.evaluation import classifier
from prodgen.metrics import features, interval
from prodgen.models.classifier import Classifier
from prodgen.report.plots import ACCENT, GRID, INK

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("step", "best", "Its checkpoint.")
flags.DEFINE_integer("people", 30, "How many.", lower_bound=2)
flags.DEFINE_integer("n", 16, "Pictures for each person and length of history.", lower_bound=2)
flags.DEFINE_float("exploration", EXPLORATION, "As in run_sample.py --mode=personalise.")
flags.DEFINE_float("diversity", MIN_DIVERSITY, "The same.")
flags.DEFINE_integer("seed", 1, "Of the people.")
flags.DEFINE_string("out", "", "The picture, a PNG; none without.")

LENGTHS = (0, 1, 2, 5, 10, 20, 50)
LIKED = 0.2  # the share of values that a person cares about
NUMBERS = 0.5  # the weight of a number or an angle, where that of a category is 1
SHOWN, EAGER = 0.5, 1.5  # share of exposure that follows taste, and how closely, in nats
WHIM = 0.5  # deviation of an interaction's own noise; that of the utilities is 1
BOUGHT, RETURNED = 0.3, 0.15  # shares of products that a person would buy, or send back
TOP = 0.9
ASKED, READ, DIVERSITY = "lift_asked", "lift_read", "diversity"
TARGET = {ASKED: 2.0, READ: 2.0, DIVERSITY: 0.8}


@dataclasses.dataclass(frozen=True)
class Person:
    """Weights [K + A] of raw condition columns: the utilities of all products have deviation 1.
    `seed` gives what they meet and do."""

    weights: np.ndarray
    seed: int

    def utility(self, raw: np.ndarray) -> np.ndarray:
        return raw @ self.weights


def columns(conditions: Batch, spec: Spec) -> np.ndarray:
    """Raw columns [N, K + A]: the category one-hot, then attributes; unknown ones are 0."""
    one_hot = conditions["label"][:, None] == np.arange(len(spec.classes))
    return np.concatenate([one_hot, conditions["attributes"] * conditions["known"]], axis=1)


def person(seed: int, raw: np.ndarray, spec: Spec) -> Person:
    """A person who cares about some values, whatever they are, among products [N, K + A]."""
    dice = np.random.default_rng([seed, 1])
    scale = [np.ones(len(spec.classes))]
    for attribute in spec.attributes:
        size = 1.0 if attribute.kind == "categorical" else NUMBERS
        scale.append(np.full(attribute.num_columns, size))
    weights, spread = np.zeros(raw.shape[1]), 0.0
    while not spread > 0:
        cares = dice.random(len(weights)) < LIKED
        weights = cares * dice.standard_normal(len(weights)) * np.concatenate(scale)
        spread = float(np.std(raw @ weights))
    return Person(weights / spread, seed)


def history(one: Person, utility: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows [H], weights [H]): what a person does with the first H of the products they meet.

    `utility` [N] is theirs of every product. A longer history goes on from the shorter one.
    """
    dice = np.random.default_rng([one.seed, 2])
    noisy = utility + WHIM * dice.standard_normal(len(utility))
    low, high = np.quantile(noisy, (RETURNED, 1 - BOUGHT))
    follows = dice.random(len(utility)) < SHOWN
    liked = np.argsort(-(EAGER * utility + dice.gumbel(size=len(utility))))
    queues = {True: liked, False: dice.permutation(len(utility))}
    met: dict[int, None] = {}  # in the order of meeting
    for follow in follows[:length]:
        met[next(row for row in queues[bool(follow)] if row not in met)] = None
    rows = np.array(list(met), int)
    does = np.where(noisy[rows] > high, "bought", np.where(noisy[rows] < low, "returned", "viewed"))
    return rows, np.array([preference.EVENT_WEIGHTS[event] for event in does], float)


class Judge:
    """Another home network than the one that chooses: what pictures show, and how they differ."""

    def __init__(self, store: Store, data: ConfigDict, say: classifier.Say):
        params, record = classifier.load_or_train(store, data, say, seed=1)
        self.spec, self.accuracy = store.spec, record.get("accuracy")
        net = Classifier(params["head"]["bias"].shape[0])
        both = lambda p, x: net.apply({"params": p}, pixels.to_float(x))[:2]  # noqa: E731
        apply = jax.jit(lambda p, x: jnp.concatenate(both(p, x), axis=-1))
        identity = features.ExtractorIdentity("judge", "1", record["sha256"], "none")
        self._see = features.Extractor(identity, functools.partial(apply, params))

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(raw columns [N, K + A] of what is read off pictures, their features [N, F])."""
        seen, outputs = self._see(pictures), len(self.spec.classes) + self.spec.num_columns
        read = initialisation.recognise_conditions(seen[:, :outputs], self.spec)
        return columns(read, self.spec), seen[:, outputs:].astype(np.float64)


def shares(one: Person, real: np.ndarray, plain: list[np.ndarray], made: list[np.ndarray]) -> dict:
    """Lift of made columns over plain ones, each [asked, read].

    The top decile is that of the run's products for what is asked. What is read is noisy in its
    own way, so there it is that of unconditional samples.
    """
    found = {}
    for name, reference, before, after in zip(
        (ASKED, READ), (real, plain[1]), plain, made, strict=True
    ):
        line = np.quantile(one.utility(reference), TOP)
        usual = np.mean(one.utility(before) >= line)
        found[name] = float(np.mean(one.utility(after) >= line) / max(usual, 1 / len(before)))
    return found


def study(model, people: int, n: int, exploration: float, floor: float, seed: int, say) -> dict:
    """`values` {length: {measure: [person]}}, and the judge's accuracy on held-back pictures."""
    store = model.store()
    ids = store.ids("train")
    products, spec = store.fetch(ids), model.spec
    raw = columns(products, spec)
    judge, maker = Judge(store, model.config.data, say), Personaliser(model.open_inverter(say), say)
    rows = maker.rows(products["image"], products)
    read, looks = judge(maker.unconditional.images)
    plain, unit = [columns(maker.unconditional.conditions, spec), read], mean_distance(looks)
    values = {length: {name: [] for name in TARGET} for length in LENGTHS}
    for who in range(people):
        one = person(seed * 1000 + who, raw, spec)
        utility = one.utility(raw)
        for length in LENGTHS:
            seen, weights = history(one, utility, length)
            made = maker(rows[seen], weights, n, exploration, floor).samples
            read, looks = judge(made.images)
            entry = shares(one, raw, plain, [columns(made.conditions, spec), read])
            entry[DIVERSITY] = mean_distance(looks) / unit
            for name, value in entry.items():
                values[length][name].append(value)
        say(f"person {who + 1} of {people}")
    return {"judge_accuracy": judge.accuracy, "values": values}


def told(values: dict) -> dict:
    """{measure: {length: {mean, low, high}}}, 95 % intervals over people."""
    found = {}
    for name in TARGET:
        rows = {
            length: interval.normal_interval(np.array(values[length][name])) for length in values
        }
        found[name] = {
            str(length): dict(zip(("mean", "low", "high"), np.round(row, 3).tolist(), strict=True))
            for length, row in rows.items()
        }
    return found


def draw(values: dict, path: Path) -> None:
    """Lift and diversity over the length of the history, with every person behind them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4))
    _curve(left, values, ASKED, INK, "as asked for")
    _curve(left, values, READ, ACCENT, "as read off the pictures")
    left.set_title("Lift: share in the person's top decile", fontsize=10, color=INK, loc="left")
    left.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    _curve(right, values, DIVERSITY, ACCENT, "")
    right.set_title("Diversity, of unconditional samples", fontsize=10, color=INK, loc="left")
    for axis, name in ((left, ASKED), (right, DIVERSITY)):
        axis.axhline(TARGET[name], color=INK, lw=0.8, ls=(0, (4, 3)))
        axis.axhline(1.0, color=GRID, lw=1.2, zorder=0)
        _plain(axis)
    left.set_ylim(bottom=0)
    right.set_ylim(0, 1.2)
    figure.tight_layout()
    figure.savefig(path, dpi=130, format="png", metadata={"Software": None})
    plt.close(figure)


def _curve(axis, values: dict, name: str, colour: str, label: str) -> None:
    """Means over people with their intervals; lengths are evenly spaced."""
    place = np.arange(len(values))
    mean, low, high = np.array(
        [interval.normal_interval(np.array(v[name])) for v in values.values()]
    ).T
    axis.fill_between(place, low, high, color=colour, alpha=0.15, lw=0)
    axis.plot(place, mean, color=colour, lw=1.6, marker="o", ms=3.5, label=label)
    axis.set_xticks(place, [str(length) for length in values])


def _plain(axis) -> None:
    axis.set_xlabel("products in the history", fontsize=8, color=INK)
    axis.tick_params(labelsize=8, colors=INK, length=0)
    axis.grid(color=GRID, lw=0.6, zorder=0)
    axis.set_axisbelow(True)
    for side in axis.spines.values():
        side.set_visible(False)


say = functools.partial(print, file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    model = prodgen.load(FLAGS.workdir, FLAGS.step)
    if not model.conditions.spec.classes and not model.conditions.spec.attributes:
        raise UsageError("this run hears no conditions: nobody's utility is known of its products")
    settings = {name: FLAGS[name].value for name in ("people", "n", "exploration", "seed")}
    found = study(model, floor=FLAGS.diversity, say=say, **settings)
    values = found.pop("values")
    if FLAGS.out:
        draw(values, Path(FLAGS.out))
    run = {"run": model.run.record["fingerprint"], "step": model.run.step}
    print(json.dumps(run | settings | {"floor": FLAGS.diversity} | found | told(values), indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
