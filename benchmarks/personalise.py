"""Evaluate personalisation with simulated people whose utilities are known.

python benchmarks/personalise.py --workdir=runs/vaegan-... --out=personalise.png

A person's utility has a sparse random weight for each category and attribute column of the run's
products. Half of the products that a person is shown follow the person's taste, as in a shop, and
half are random. The person's actions (buy, view, return) follow the utility plus noise. --n images
are generated from histories of several lengths. They are evaluated by the true utility of their
conditions, and of the conditions that a second reference classifier predicts from them.

Prints JSON with 95 % intervals over people. Lift: the share of images in the person's top decile,
over that share of unconditional samples. Diversity: the mean distance of two images in the second
classifier's features, over that of unconditional samples. Recall: of the 10 products that a person
likes best, of those not in the history, the share among the first 10 of the ranking;
`recall_by_chance` is what a random ranking gets. Top share: the share of the first 10 in the
person's top decile. --out draws a figure.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Sequence
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

import prodgen.model
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.types import Batch, Spec
from prodgen.data.store import Store
from prodgen.editing import initialisation, preference
from prodgen.editing.personaliser import EXPLORATION, MIN_DIVERSITY, Personaliser, mean_distance
from prodgen.evaluation import classifier
from prodgen.metrics import interval
from prodgen.metrics.features import Extractor, ExtractorIdentity
from prodgen.model import Model
from prodgen.models.classifier import Classifier
from prodgen.report.plots import ACCENT, GRID, INK

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("step", "best", "Its checkpoint.")
flags.DEFINE_integer("people", 30, "Number of people.", lower_bound=2)
flags.DEFINE_integer("n", 16, "Images for each person and length of history.", lower_bound=2)
flags.DEFINE_float("exploration", EXPLORATION, "As in run_sample.py --mode=personalise.")
flags.DEFINE_float("diversity", MIN_DIVERSITY, "As in run_sample.py --mode=personalise.")
flags.DEFINE_integer("seed", 1, "Seed of the people.")
flags.DEFINE_string("out", "", "The PNG file of a figure; optional.")

HISTORY_LENGTHS = (0, 1, 2, 5, 10, 20, 50)
RELEVANT_SHARE = 0.2  # of the condition columns that have a weight in a person's utility
NUMBER_SCALE = 0.5  # scale of the weights of numbers and angles; 1 for categories
TASTE_SHARE = 0.5  # of the products in a history that are shown by taste
TASTE_SCALE = 1.5  # of the utility, nats, in the choice of those
NOISE_STD = 0.5  # of an action; the utilities have standard deviation 1
BUY_SHARE, RETURN_SHARE = 0.3, 0.15  # of all products
TOP_QUANTILE = 0.9
CONDITION_LIFT, IMAGE_LIFT, DIVERSITY = "lift_asked", "lift_read", "diversity"
TARGETS = {CONDITION_LIFT: 2.0, IMAGE_LIFT: 2.0, DIVERSITY: 0.8}
RECALL, TOP_SHARE, NUM_RANKED = "recall_at_10", "top_share_at_10", 10


@dataclasses.dataclass(frozen=True)
class Person:
    """A simulated person.

    weights: of the condition columns, [K + A]; the utilities of all products have standard
    deviation 1. seed: of the products that the person is shown, and of the actions.
    """

    weights: np.ndarray
    seed: int

    def utility(self, columns: np.ndarray) -> np.ndarray:
        """The utility [N] of products with condition columns [N, K + A]."""
        return columns @ self.weights


def condition_columns(conditions: Batch, spec: Spec) -> np.ndarray:
    """Columns [N, K + A]: the category as one-hot, then attributes; unknown values are 0."""
    one_hot = conditions["label"][:, None] == np.arange(len(spec.classes))
    return np.concatenate([one_hot, conditions["attributes"] * conditions["known"]], axis=1)


def make_person(seed: int, columns: np.ndarray, spec: Spec) -> Person:
    """A person with a sparse random utility, scaled on products with columns [N, K + A]."""
    rng = np.random.default_rng([seed, 1])
    scale = [np.ones(len(spec.classes))]
    for attribute in spec.attributes:
        size = 1.0 if attribute.kind == "categorical" else NUMBER_SCALE
        scale.append(np.full(attribute.num_columns, size))
    weights, std = np.zeros(columns.shape[1]), 0.0
    while not std > 0:
        is_relevant = rng.random(len(weights)) < RELEVANT_SHARE
        weights = is_relevant * rng.standard_normal(len(weights)) * np.concatenate(scale)
        std = float(np.std(columns @ weights))
    return Person(weights / std, seed)


def simulate_history(
    person: Person, utility: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows [H] of the first H products that a person is shown, and the weights [H] of the actions.

    utility [N]: the person's, of every product. A longer history continues a shorter one.
    """
    rng = np.random.default_rng([person.seed, 2])
    noisy_utility = utility + NOISE_STD * rng.standard_normal(len(utility))
    low, high = np.quantile(noisy_utility, (RETURN_SHARE, 1 - BUY_SHARE))
    is_by_taste = rng.random(len(utility)) < TASTE_SHARE
    # Sampling without replacement by taste (Gumbel-top-k), and uniformly.
    order_by_taste = np.argsort(-(TASTE_SCALE * utility + rng.gumbel(size=len(utility))))
    orders = {True: order_by_taste, False: rng.permutation(len(utility))}
    row_order: dict[int, None] = {}  # an ordered set
    for by_taste in is_by_taste[:length]:
        row_order[next(row for row in orders[bool(by_taste)] if row not in row_order)] = None
    rows = np.array(list(row_order), int)
    utilities = noisy_utility[rows]
    events = np.where(utilities > high, "bought", np.where(utilities < low, "returned", "viewed"))
    return rows, np.array([preference.EVENT_WEIGHTS[event] for event in events], float)


class ImageEvaluator:
    """A second reference classifier, not the one that personalises: conditions and features."""

    def __init__(self, store: Store, data: ConfigDict, say: classifier.Say):
        params, record = classifier.load_or_train(store, data, say, seed=1)
        self.spec, self.accuracy = store.spec, record.get("accuracy")
        net = Classifier(params["head"]["bias"].shape[0])

        @jax.jit
        def apply(params, images):
            outputs_and_features = net.apply({"params": params}, pixels.to_float(images))[:2]
            return jnp.concatenate(outputs_and_features, axis=-1)

        identity = ExtractorIdentity("judge", "1", record["sha256"], "none")
        self._extract = Extractor(identity, functools.partial(apply, params))

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns [N, K + A] of the conditions predicted from images, and features [N, F]."""
        outputs = self._extract(images)
        num_outputs = len(self.spec.classes) + self.spec.num_columns
        conditions = initialisation.recognise_conditions(outputs[:, :num_outputs], self.spec)
        return condition_columns(conditions, self.spec), outputs[:, num_outputs:].astype(np.float64)


def compute_lifts(
    person: Person,
    products: np.ndarray,
    unconditional: Sequence[np.ndarray],
    personal: Sequence[np.ndarray],
) -> dict[str, float]:
    """Lift of personal over unconditional samples, by name.

    Both samples are given as columns [of the conditions, predicted from the images]. The top decile
    is that of the run's products for conditions. Predictions have noise of their own, so there it
    is the top decile of the unconditional samples.
    """
    lifts = {}
    for name, reference, before, after in zip(
        (CONDITION_LIFT, IMAGE_LIFT), (products, unconditional[1]), unconditional, personal,
        strict=True,
    ):  # fmt: skip
        threshold = np.quantile(person.utility(reference), TOP_QUANTILE)
        base_share = np.mean(person.utility(before) >= threshold)
        share = np.mean(person.utility(after) >= threshold)
        lifts[name] = float(share / max(base_share, 1 / len(before)))
    return lifts


def measure_ranking(
    person_utility: np.ndarray, scores: np.ndarray, history: np.ndarray
) -> dict[str, float]:
    """The recall at 10, and the share of the first 10 in the top decile, of scores [N]."""
    rows = np.setdiff1d(np.arange(len(scores)), history)
    first = rows[np.argsort(-scores[rows], kind="stable")[:NUM_RANKED]]
    # Products of equal utility are equally good: all of them count as among the best.
    threshold = np.sort(person_utility[rows])[-NUM_RANKED]
    top = np.quantile(person_utility, TOP_QUANTILE)
    return {
        RECALL: float(np.mean(person_utility[first] >= threshold)),
        TOP_SHARE: float(np.mean(person_utility[first] >= top)),
    }


def run_study(
    model: Model, people: int, n: int, exploration: float, min_diversity: float, seed: int, say
) -> dict:
    """`values` {length: {name: [one per person]}}, and the second classifier's accuracy."""
    store = model.store()
    ids = store.ids("train")
    products, spec = store.fetch(ids), model.spec
    columns = condition_columns(products, spec)
    evaluate = ImageEvaluator(store, model.config.data, say)
    personaliser = Personaliser(model.open_inverter(say), say)
    rows = personaliser.rows(products["image"], products)
    predicted_columns, features = evaluate(personaliser.unconditional.images)
    unconditional_columns = condition_columns(personaliser.unconditional.conditions, spec)
    unconditional = [unconditional_columns, predicted_columns]
    unconditional_distance = mean_distance(features)
    names = (*TARGETS, RECALL, TOP_SHARE)
    values = {length: {name: [] for name in names} for length in HISTORY_LENGTHS}
    for number in range(people):
        person = make_person(seed * 1000 + number, columns, spec)
        utility = person.utility(columns)
        for length in HISTORY_LENGTHS:
            history, weights = simulate_history(person, utility, length)
            samples = personaliser(rows[history], weights, n, exploration, min_diversity).samples
            predicted_columns, features = evaluate(samples.images)
            personal = [condition_columns(samples.conditions, spec), predicted_columns]
            metrics = compute_lifts(person, columns, unconditional, personal)
            metrics[DIVERSITY] = mean_distance(features) / unconditional_distance
            posterior = preference.fit_posterior(rows[history], weights)
            metrics |= measure_ranking(utility, posterior.utility(rows)[0], history)
            for name, value in metrics.items():
                values[length][name].append(value)
        say(f"person {number + 1} of {people}")
    chance = NUM_RANKED / len(ids)
    return {"judge_accuracy": evaluate.accuracy, "recall_by_chance": chance, "values": values}


def summarise(values: dict) -> dict:
    """{name: {length: {mean, low, high}}}, with 95 % intervals over people."""
    summary = {}
    for name in (*TARGETS, RECALL, TOP_SHARE):
        rows = {
            length: interval.normal_interval(np.array(values[length][name])) for length in values
        }
        summary[name] = {
            str(length): dict(zip(("mean", "low", "high"), np.round(row, 3).tolist(), strict=True))
            for length, row in rows.items()
        }
    return summary


def draw(values: dict, path: Path) -> None:
    """Draw lift and diversity by the length of the history."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.4))
    _draw_curve(left, values, CONDITION_LIFT, INK, "of the conditions")
    _draw_curve(left, values, IMAGE_LIFT, ACCENT, "predicted from the images")
    left.set_title("Lift: share in the person's top decile", fontsize=10, color=INK, loc="left")
    left.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    _draw_curve(right, values, DIVERSITY, ACCENT, "")
    right.set_title(
        "Diversity, relative to unconditional samples", fontsize=10, color=INK, loc="left"
    )
    for axis, name in ((left, CONDITION_LIFT), (right, DIVERSITY)):
        axis.axhline(TARGETS[name], color=INK, lw=0.8, ls=(0, (4, 3)))
        axis.axhline(1.0, color=GRID, lw=1.2, zorder=0)
        axis.set_xlabel("products in the history", fontsize=8, color=INK)
        axis.tick_params(labelsize=8, colors=INK, length=0)
        axis.grid(color=GRID, lw=0.6, zorder=0)
        axis.set_axisbelow(True)
        for side in axis.spines.values():
            side.set_visible(False)
    left.set_ylim(bottom=0)
    right.set_ylim(0, 1.2)
    figure.tight_layout()
    figure.savefig(path, dpi=130, format="png", metadata={"Software": None})
    plt.close(figure)


def _draw_curve(axis, values: dict, name: str, colour: str, label: str) -> None:
    """Draw means over people with their intervals; lengths are evenly spaced."""
    x = np.arange(len(values))
    mean, low, high = np.array(
        [interval.normal_interval(np.array(v[name])) for v in values.values()]
    ).T
    axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    axis.plot(x, mean, color=colour, lw=1.6, marker="o", ms=3.5, label=label)
    axis.set_xticks(x, [str(length) for length in values])


say = functools.partial(print, file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    model = prodgen.model.load(FLAGS.workdir, FLAGS.step)
    if not model.conditions.spec.classes and not model.conditions.spec.attributes:
        raise UsageError("this run has no conditions, which define the utilities")
    settings = {name: FLAGS[name].value for name in ("people", "n", "exploration", "seed")}
    result = run_study(model, min_diversity=FLAGS.diversity, say=say, **settings)
    values = result.pop("values")
    if FLAGS.out:
        draw(values, Path(FLAGS.out))
    run = {"run": model.run.record["fingerprint"], "step": model.run.step}
    settings |= {"floor": FLAGS.diversity}
    print(json.dumps(run | settings | result | summarise(values), indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
