"""Is the judge any good? Real pictures, made worse step by step, in the samples' place.

python benchmarks/ladder.py --out=ladder.png
python benchmarks/ladder.py --config=configs/vae.py:fashion_mnist --efficientnet=0

A store's pictures are dealt into reference, training and stand-ins. The stand-ins climb a ladder:
blur, noise, categories left out, training pictures among them, pictures repeated; the last ladder
only deals other real pictures, so that what climbs there is chance. Prints JSON: for each metric
and ladder the Spearman rank correlation with the rung, the mean over seeds, +1 where the metric
says "worse" at every rung; how far the last rung is from the first, in standard deviations of
chance; and the first rung from which on the metric is beyond 3 of them. --out draws all of it.
"""

import dataclasses
import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from absl import flags
from matplotlib.colors import LinearSegmentedColormap

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.core.errors import MissingInput, UsageError
from prodgen.data import prepare
from prodgen.data.store import Store
from prodgen.evaluation import classifier
from prodgen.metrics import features, likeness, memorisation, nearness, neighbours, product, scores
from prodgen.metrics.features import Extractor
from prodgen.report.plots import ACCENT, GRID, INK

FLAGS = flags.FLAGS
flags.DEFINE_integer("n", 750, "Reference, training and stand-in pictures, of each.")
flags.DEFINE_integer("efficientnet", 96, "The same for efficientnet_lite0; 0 leaves it out.")
flags.DEFINE_integer("seeds", 3, "How often pictures are dealt anew.")
flags.DEFINE_string("out", "", "The picture, a PNG; none without.")

LOOKED = 64  # stand-ins that are compared pixel by pixel, and measured as packshots
SEEN = 3.0  # standard deviations of chance from which on a change counts as seen
WORSE = scores.BETTER_DIRECTION | {
    "authenticity": scores.HIGHER, "gap": scores.LOWER, "data_copying": scores.HIGHER,
    "copies": scores.LOWER, "repeats": scores.LOWER, "blur": scores.LOWER,
}  # fmt: skip
"""Each metric's better side. data_copying is a z: for copying it falls."""
CHANCE = "nothing"
NAMES = {"pictures/blur": "packshot blur"}  # in the picture; else the metric's own
LIKE = "#c2410c"  # the metric calls the worse pictures better


@dataclasses.dataclass(frozen=True)
class StandIns:
    """Rows of a store in the samples' place, and what is done to them.

    ids int [n]; blur: standard deviation in pixels; noise: in levels of 255; seed: of the noise.
    """

    ids: np.ndarray
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.blur or self.noise)

    def pictures(self, store: Store, first: int | None = None) -> np.ndarray:
        """uint8 [n, R, R, C], the first ones where not all are asked for."""
        pictures = store.fetch(self.ids[:first])["image"]
        return with_noise(blurred(pictures, self.blur), self.noise, self.seed)


@dataclasses.dataclass(frozen=True)
class Deal:
    """Disjoint rows of a store: `reference` and `training` [n], and `pool`, all others, in random
    order, from which `n` stand-ins are taken; `label` int [size] of every row; `seed`."""

    reference: np.ndarray
    training: np.ndarray
    pool: np.ndarray
    label: np.ndarray
    n: int
    seed: int

    @classmethod
    def of(cls, label: np.ndarray, n: int, seed: int) -> "Deal":
        """UsageError where there are fewer than 3 n pictures."""
        if len(label) < 3 * n:
            raise UsageError(f"{len(label)} pictures are too few for 3 groups of {n}", "lower --n")
        order = np.random.default_rng(seed).permutation(len(label))
        return cls(order[:n], order[n : 2 * n], order[2 * n :], label, n, seed)


def blurred(pictures: np.ndarray, deviation: float) -> np.ndarray:
    """uint8 [N, H, W, C] under a Gaussian of a deviation in pixels, its edge repeated outwards."""
    if not deviation:
        return pictures
    x = pictures.astype(np.float32)
    for axis, letters in ((1, "yh,nhwc->nywc"), (2, "xw,nhwc->nhxc")):
        side, reach = x.shape[axis], math.ceil(4 * deviation)
        window = np.exp(-np.square(np.arange(-reach, reach + 1)) / (2 * deviation**2))
        weights = np.zeros((side, side), np.float32)
        for offset, weight in zip(range(-reach, reach + 1), window / window.sum(), strict=True):
            place = np.arange(side)
            weights[place, np.clip(place + offset, 0, side - 1)] += weight
        x = np.einsum(letters, weights, x, optimize=True)
    return x.round().clip(0, 255).astype(np.uint8)


def with_noise(pictures: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """uint8 [N, H, W, C] with normal noise of a deviation in levels on every channel, clipped."""
    if not deviation:
        return pictures
    noise = np.random.default_rng(seed).normal(0, deviation, pictures.shape)
    return (pictures + noise).round().clip(0, 255).astype(np.uint8)


def blur(deal: Deal, pixels: float) -> StandIns:
    return StandIns(deal.pool[: deal.n], blur=pixels)


def noise(deal: Deal, levels: float) -> StandIns:
    return StandIns(deal.pool[: deal.n], noise=levels, seed=deal.seed)


def missing(deal: Deal, count: float) -> StandIns:
    """Without `count` categories; others of the pool fill up. Fewer than n where they run out."""
    kinds = np.random.default_rng(deal.seed).permutation(np.unique(deal.label))
    kept = deal.pool[~np.isin(deal.label[deal.pool], kinds[: int(count)])]
    return StandIns(kept[: deal.n])


def copied(deal: Deal, share: float) -> StandIns:
    """A share of them replaced by training pictures, each once, at random places."""
    ids, count = deal.pool[: deal.n].copy(), round(share * deal.n)
    places = np.random.default_rng(deal.seed).permutation(deal.n)[:count]
    ids[places] = deal.training[:count]
    return StandIns(ids)


def repeated(deal: Deal, times: float) -> StandIns:
    """Each of them that often, in random order."""
    ids = np.resize(deal.pool[: math.ceil(deal.n / times)], deal.n)
    return StandIns(np.random.default_rng(deal.seed).permutation(ids) if times > 1 else ids)


def others(deal: Deal, number: float) -> StandIns:
    """Other real pictures, as good as the first ones."""
    if not number:
        return StandIns(deal.pool[: deal.n])
    dice = np.random.default_rng((deal.seed, int(number)))
    return StandIns(dice.permutation(deal.pool)[: deal.n])


@dataclasses.dataclass(frozen=True)
class Ladder:
    """levels: from the pictures as they are to the worst; draw: the stand-ins of a level; unit."""

    levels: tuple[float, ...]
    draw: Callable[[Deal, float], StandIns]
    unit: str


def ladders(categories: int, largest: int) -> dict[str, Ladder]:
    """By name, for a data set of so many categories; up to `largest` of them can be left out."""
    shares = np.unique(np.round(np.linspace(0, 5 / 8, 6) * categories))
    gone = tuple(float(count) for count in shares if count <= largest)
    found = {
        "blur": Ladder((0, 0.5, 1, 1.5, 2, 3), blur, "pixels"),
        "noise": Ladder((0, 5, 10, 20, 40, 80), noise, "levels of 255"),
        "missing categories": Ladder(gone, missing, f"of {categories}"),
        "copies of training": Ladder((0, 0.1, 0.25, 0.5, 0.75, 1), copied, "share"),
        "repetition": Ladder((1, 2, 4, 8, 16, 32), repeated, "times each"),
        CHANCE: Ladder((0, 1, 2, 3, 4, 5), others, "other real pictures"),
    }
    return {name: ladder for name, ladder in found.items() if len(ladder.levels) > 2}


def most_missing(deals: list[Deal]) -> int:
    """How many categories every deal can do without, and still have n stand-ins."""
    count = len(np.unique(deals[0].label))
    able = [all(len(missing(deal, k).ids) == deal.n for deal in deals) for k in range(count)]
    return able.index(False) - 1 if False in able else count - 1


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """The rank correlation of two series [n]; equal values share their mean rank.

    0 where a series never changes: it says nothing about the other.
    """
    a, b = (_ranks(np.asarray(series, float)) for series in (x, y))
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / length if length else 0.0


def _ranks(series: np.ndarray) -> np.ndarray:
    below = (series[:, None] > series).sum(1)
    return below + ((series[:, None] == series).sum(1) - 1) / 2


class Looker:
    """An extractor that remembers the features of a store's unchanged pictures."""

    def __init__(self, extractor: Extractor, store: Store):
        self.extractor, self.store = extractor, store
        self.known: dict[int, np.ndarray] = {}

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """float32 [n, F] of the rows `ids` of the store."""
        new = np.array([i for i in np.unique(ids) if int(i) not in self.known], int)
        if len(new):
            seen = self.extractor(self.store.fetch(new)["image"])
            self.known |= zip(new.tolist(), seen, strict=True)
        return np.stack([self.known[int(i)] for i in ids])

    def look(self, stand_ins: StandIns) -> np.ndarray:
        if stand_ins.changed:
            return self.extractor(stand_ins.pictures(self.store))
        return self.rows(stand_ins.ids)


def by_features(real: np.ndarray, fake: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """Every metric of features [n, F]; the real ones count as held back."""
    found: dict[str, float] = {}
    for measure, _ in scores.MEASURES:
        found |= measure(real, fake)
    hint, distance = neighbours.find_nearest(fake, training)
    spacing = neighbours.find_nearest(training)[1]
    return found | {
        "authenticity": nearness.authenticity(hint, distance, spacing),
        "gap": nearness.generalisation_gap(fake, training, real, np.random.default_rng(0))[0],
        "data_copying": nearness.data_copying(distance, neighbours.find_nearest(real, training)[1]),
    }


def by_pictures(
    looker: Looker, deal: Deal, stand_ins: StandIns, seen: np.ndarray, line: float
) -> dict[str, float]:
    """Copies, repeats and sharpness of the first LOOKED stand-ins; `seen`: features of all."""
    store, training = looker.store, looker.rows(deal.training)
    pictures, some = stand_ins.pictures(store), slice(LOOKED)
    hint = neighbours.find_nearest(seen[some], training)[0]
    match = likeness.find_matches(
        pictures[some], store.fetch(deal.training)["image"], hint[:, None]
    )
    twin = likeness.find_matches(
        pictures[some], pictures, neighbours.find_nearest(seen)[0][some, None], same=True
    )
    sharp = [product.measure(picture).blur for picture in pictures[some]]
    return {
        "copies": float((match.distance < line).mean()),
        "repeats": float((twin.distance < line).mean()),
        "blur": float(np.nanmedian(sharp)),
    }


def line_of(looker: Looker, deal: Deal) -> float:
    """The distance below which a picture is a copy, from the first reference pictures."""
    held, store = deal.reference[:LOOKED], looker.store
    hint = neighbours.find_nearest(looker.rows(held), looker.rows(deal.training))[0]
    sides = (store.fetch(ids)["image"] for ids in (held, deal.training))
    return memorisation.copy_threshold(likeness.find_matches(*sides, hint[:, None]).distance)[0]


Values = dict[str, dict[str, np.ndarray]]  # by row and ladder: [seeds, rungs]


def climb(looker: Looker, deals: list[Deal], steps: dict[str, Ladder], pixelwise: bool) -> Values:
    """Every metric on every rung in one extractor's features, and what sees pictures besides."""
    name = looker.extractor.identity.name
    found: dict[str, dict[str, list]] = {}
    for deal in deals:
        say(f"{name}: deal {deal.seed + 1} of {len(deals)}")
        real, training = looker.rows(deal.reference), looker.rows(deal.training)
        line = line_of(looker, deal) if pixelwise else math.nan

        @functools.cache
        def as_they_are(deal=deal, real=real, training=training, line=line) -> dict[str, float]:
            return measured(deal, StandIns(deal.pool[: deal.n]), real, training, line)

        def measured(deal, stand_ins, real, training, line) -> dict[str, float]:
            seen = looker.look(stand_ins)
            numbers = by_features(real, seen, training)
            rows = {f"{name}/{metric}": value for metric, value in numbers.items()}
            if pixelwise:
                rest = by_pictures(looker, deal, stand_ins, seen, line)
                rows |= {f"pictures/{metric}": value for metric, value in rest.items()}
            return rows

        for column, ladder in steps.items():
            rungs = [as_they_are()]  # the first rung is the same everywhere
            for level in ladder.levels[1:]:
                rungs.append(measured(deal, ladder.draw(deal, level), real, training, line))
            for row in rungs[0]:
                series = [rung[row] for rung in rungs]
                found.setdefault(row, {}).setdefault(column, []).append(series)
    return {
        row: {column: np.array(series) for column, series in columns.items()}
        for row, columns in found.items()
    }


def judged(row: str, columns: dict[str, np.ndarray], steps: dict[str, Ladder]) -> dict[str, dict]:
    """By ladder: rank, effect and from of a metric, and its mean at each rung.

    rank: the mean over seeds of the rank correlations, +1 if every rung is called worse; effect:
    the last rung's mean from the first's in standard deviations of chance, positive towards worse;
    from: the first level from which on every mean is SEEN of them worse, None where none is.
    """
    metric = row.rpartition("/")[2]
    sign = -1 if WORSE[metric] == scores.HIGHER else 1
    spread = _spread(columns[CHANCE], share=metric in ("copies", "repeats"))
    result = {}
    for column, values in columns.items():
        levels, means = steps[column].levels, values.mean(0)
        ranks = [spearman(np.array(levels), sign * series) for series in values]
        change = sign * (means - means[0]) / spread
        unseen = np.flatnonzero(~(change > SEEN))[-1]
        result[column] = {
            "rank": float(np.mean(ranks)),
            "effect": float(change[-1]),
            "from": levels[unseen + 1] if unseen + 1 < len(levels) else None,
            "means": [float(value) for value in means],
        }
    return result


def _spread(chance: np.ndarray, share: bool) -> float:
    """Standard deviation of what only chance changed [seeds, rungs]. Where chance changes nothing,
    a picture's worth of those looked at (`share`), or a thousandth."""
    least = 1 / LOOKED if share else 1e-3 * float(np.abs(chance).max())
    return max(float(chance.std(ddof=1)), least, 1e-12)


def tint() -> LinearSegmentedColormap:
    """Orange (calls it better), pale (does not see it), blue (calls it worse)."""
    return LinearSegmentedColormap.from_list("ladder", [LIKE, "#f1f5f9", ACCENT])


def draw(
    store: Store, deal: Deal, steps: dict[str, Ladder], table: dict[str, dict], out: Path
) -> None:
    """A strip of each ladder's pictures above bars: colour the rank, width the effect."""
    rows, columns = list(table), list(steps)
    figure = plt.figure(figsize=(2.05 * len(columns) + 2, 0.235 * len(rows) + 2.9))
    grid = figure.add_gridspec(
        2, len(columns), height_ratios=(0.95, 0.235 * len(rows) + 0.3),
        left=0.145, right=0.99, top=0.915, bottom=0.075, hspace=0.07, wspace=0.06,
    )  # fmt: skip
    for place, (name, ladder) in enumerate(steps.items()):
        axis = figure.add_subplot(grid[0, place])
        _strip(axis, store, deal, ladder)
        axis.set_title(name, fontsize=11, color=INK, loc="left", weight="bold", pad=16)
        axis.text(0, 1.06, ladder.unit, transform=axis.transAxes, fontsize=8, color=INK)
    _bars(figure.add_subplot(grid[1, :]), rows, columns, table)
    _legend(figure)
    figure.savefig(out, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)


def _strip(axis, store: Store, deal: Deal, ladder: Ladder) -> None:
    """Two pictures of every rung, with a frame where it is a training picture."""
    side, gap = store.spec.shape[0], max(2, store.spec.shape[0] // 16)
    count, step = len(ladder.levels), side + gap
    canvas = np.full((2 * step - gap, count * step - gap, 3), 255, np.uint8)
    for i, level in enumerate(ladder.levels):
        stand_ins = ladder.draw(deal, level)
        for j, picture in enumerate(stand_ins.pictures(store, 2)):
            canvas[j * step : j * step + side, i * step : i * step + side] = picture
            if stand_ins.ids[j] in deal.training:
                corner = (i * step - 0.5, j * step - 0.5)
                axis.add_patch(plt.Rectangle(corner, side, side, fill=False, ec=LIKE, lw=1.2))
    axis.imshow(canvas, interpolation="antialiased", aspect="equal")
    axis.set_xticks([i * step + side / 2 for i in range(count)])
    axis.set_xticklabels([f"{level:g}" for level in ladder.levels], fontsize=8, color=INK)
    axis.set_yticks([])
    axis.tick_params(length=0, pad=2)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _width(effect: float) -> float:
    """Of a bar, as a share of its cell: by the logarithm, 1 from 100 deviations on."""
    return 0.2 + 0.8 * min(1.0, math.log1p(abs(effect)) / math.log(101))


def _bars(axis, rows: list[str], columns: list[str], table: dict[str, dict]) -> None:
    colour, groups = tint(), [row.partition("/")[0] for row in rows]
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            cell = table[row][column]
            width, shade = 0.96 * _width(cell["effect"]), colour((cell["rank"] + 1) / 2)
            corner = (x + 0.5 - width / 2, y + 0.08)
            axis.add_patch(plt.Rectangle(corner, width, 0.84, fc=shade, ec="none"))
            dark = abs(cell["rank"]) > 0.6
            text = f"{cell['rank']:+.2f}".replace("-", "\N{MINUS SIGN}")
            axis.text(
                x + 0.5, y + 0.52, text, ha="center", va="center", fontsize=8,
                color="white" if dark else INK,
            )  # fmt: skip
    starts = [i for i in range(len(rows)) if i == 0 or groups[i] != groups[i - 1]]
    for start in starts:
        size = groups.count(groups[start])
        axis.axhline(start, color=INK, lw=0.8)
        axis.text(
            -0.86, start + size / 2, groups[start], rotation=90, ha="center", va="center",
            fontsize=9, color=INK, weight="bold",
        )  # fmt: skip
    for x in range(len(columns) + 1):
        axis.axvline(x, color=GRID, lw=0.8, zorder=0)
    axis.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axis.set_yticks(np.arange(len(rows)) + 0.5)
    axis.set_yticklabels(
        [NAMES.get(row, row.partition("/")[2]) for row in rows], fontsize=9, color=INK
    )
    axis.set_xticks([])
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _legend(figure) -> None:
    figure.text(
        0.012, 0.975, "Which metric sees what?", fontsize=15, color=INK, weight="bold", va="center"
    )
    bar = figure.add_axes((0.16, 0.034, 0.2, 0.014))
    bar.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=tint(), extent=(-1, 1, 0, 1))
    bar.set(yticks=[], xticks=[-1, 0, 1])
    bar.set_xticklabels(["calls it better", "does not see it", "calls it worse"])
    bar.tick_params(length=0, labelsize=8, colors=INK)
    for spine in bar.spines.values():
        spine.set_visible(False)
    key = figure.add_axes((0.44, 0.004, 0.55, 0.062))
    key.set(xlim=(0, 10), ylim=(0, 1))
    key.axis("off")
    for i, effect in enumerate((1, 3, 10, 30, 100)):
        width = 0.9 * _width(effect)
        key.add_patch(plt.Rectangle((i + 0.5 - width / 2, 0.32), width, 0.36, fc=GRID))
        key.text(i + 0.5, 0.5, f"{effect}", ha="center", va="center", fontsize=8, color=INK)
    key.text(5.1, 0.5, "width: change at the last rung, in standard deviations of chance",
             va="center", fontsize=8, color=INK)  # fmt: skip


def study(store: Store, lookers: list[tuple[Extractor, int]], seeds: int, out: str = "") -> dict:
    """The whole table; the first extractor also leads to copies and measures packshots."""
    table: dict[str, dict] = {}
    every = [[Deal.of(store.label, n, seed) for seed in range(seeds)] for _, n in lookers]
    categories = len(np.unique(store.label))
    steps = ladders(categories, min(most_missing(deals) for deals in every))
    for place, ((extractor, _), deals) in enumerate(zip(lookers, every, strict=True)):
        values = climb(Looker(extractor, store), deals, steps, pixelwise=not place)
        table |= {row: judged(row, columns, steps) for row, columns in values.items()}
    first = lookers[0][0].identity.name
    order = {"pictures": 0, first: 1}
    table = dict(sorted(table.items(), key=lambda item: order.get(item[0].partition("/")[0], 2)))
    if out:
        draw(store, every[0][0], steps, table, Path(out))
    return {
        "pictures": {str(who.identity): n for who, n in lookers} | {"looked at": LOOKED},
        "seeds": seeds,
        "levels": {name: ladder.levels for name, ladder in steps.items()},
        "metrics": table,
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str]) -> None:
    chosen, overrides, rest = commandline.split_config_flags(argv)
    commandline.parse_flags(rest)
    config = commandline.read_config(chosen or "configs/vae.py", overrides)
    store = prepare.open_or_prepare(config.data, say)
    params, record = classifier.load_or_train(store, config.data, say, seed=1)
    lookers = [
        (features.classifier_features(params, record["sha256"]), FLAGS.n),
        (features.pixels(), FLAGS.n),
    ]
    if FLAGS.efficientnet:
        try:
            lookers.append((features.efficientnet_lite0(), FLAGS.efficientnet))
        except MissingInput as error:
            say(f"left out: {error}")
    print(json.dumps(study(store, lookers, FLAGS.seeds, FLAGS.out), indent=1))


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
