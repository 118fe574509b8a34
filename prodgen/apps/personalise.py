"""--mode=personalise: products for one person, from what they did with products before.

The products of the shop come first: products.csv ranks those that the history does not name, and
explains each rank. Then new images are drawn, where the run is fit for it. sheet.png shows the
history with its weights, the first products and the images. The preference behind them is in
taste.json and, in words, taste.txt.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.apps.common.fitness_check import FitnessOptions, check_fitness
from prodgen.apps.common.option_groups import (
    MAX_IMAGES,
    FitOptions,
    PngOptions,
    PriorOptions,
    RunDataOptions,
    SeedOptions,
)
from prodgen.apps.common.output import Output, describe_conditions, say
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, UsageError
from prodgen.core.types import Batch
from prodgen.data import history
from prodgen.data.history import History, Interaction
from prodgen.editing.preference import EVENT_WEIGHTS, MIN_PROBABILITY

if TYPE_CHECKING:
    from prodgen.data.store import Store
    from prodgen.editing.inversion import Inverter
    from prodgen.editing.personaliser import PersonalisedSamples, Personaliser
    from prodgen.editing.preference import PreferencePosterior
    from prodgen.editing.product_ranking import RankedProduct
    from prodgen.model import Model

NUM_COLUMNS, SIDE, GAP = 8, 96, 6  # of the sheet: images a row, pixels an image and between two
LINE_HEIGHT = 18  # pixels of a line of text
MAX_HISTORY_IMAGES = 16  # products of the history on the sheet, those of the largest weights
GREY = (80, 80, 80)
BATCH_KEYS = ("image", "label", "attributes", "known")
CHUNK_SIZE = 512  # images of the shop whose features are computed at a time
MAX_LISTED_PRODUCTS = 5  # of the ranking, in taste.txt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, SeedOptions, FitOptions, PngOptions, PriorOptions, FitnessOptions):
    """Of --mode=personalise."""

    output = "personalise"

    n: int = option(16, "New images.", low=1, high=MAX_IMAGES)
    products: int = option(10, "Products of the run's images to rank.", low=0, high=100_000)
    draw: str = option(
        "auto",
        "Whether new images are drawn; `auto`: unless the run is unfit for it.",
        choices=("auto", "always", "never"),
    )
    history: str = option(
        "", f"A CSV: product or picture, and weight or event ({', '.join(EVENT_WEIGHTS)})."
    )
    person: str = option("", "The person, where --history has a column person.")
    exploration: float = option(
        0.2, "0 uses what is certain of the preference, 1 tries what is uncertain.",
        low=0.0, high=1.0,
    )  # fmt: skip
    diversity: float = option(
        0.85, "Least diversity, as a share of unconditional samples'.", low=0.0, high=1.0
    )

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not self.history:
            raise UsageError("no --history was given", "name a CSV of products and events")


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write --n images for the person of --history."""
    from prodgen.editing.personaliser import Personaliser

    out.locate(options.output)
    out.png_encoder.check_mark(model.spec.resolution)
    store = model.store()
    ids = index_products(store)
    person_history = history.read(Path(options.history), EVENT_WEIGHTS, ids, options.person)
    doubt = check_fitness(lambda: model.measure_fitness(say), "personalise", options.strict, out)
    inverter = model.open_inverter(say, options.steps)
    interactions, products, problems = collect_products(inverter, store, person_history)
    for note in person_history.notes:
        say(f"the history: {note}")
    for problem in problems:
        say(f"left out: {problem}")
    if person_history.unused_columns:
        say(f"columns that are not used: {', '.join(person_history.unused_columns)}")

    # Fit the preference to the history, then choose images that it rates highly and that differ.
    personaliser = Personaliser(inverter, say, options.seed)
    weights = np.array([interaction.weight for interaction in interactions])
    rows = personaliser.rows(products["image"], products)
    result = personaliser(rows, weights, options.n, options.exploration, options.diversity)
    ranking = rank_store(personaliser, result.posterior, store, interactions, options.products)
    out.write("products.csv", format_ranking(ranking, store), {})

    is_drawn = options.draw == "always" or (options.draw == "auto" and doubt[:5] != "unfit")
    if is_drawn:
        write_images(result, model, options, out)
    elif options.draw == "auto":
        say("no new images are drawn, as the run is unfit for it; --draw=always draws them")
    details = {"exploration": options.exploration, "diversity": round(result.diversity, 4)}
    samples = result.samples.images[: options.n if is_drawn else 0]
    firsts = [product.rows[0] for product in ranking[:MAX_HISTORY_IMAGES]]
    shop_images = store.fetch(np.array(firsts, int))["image"]
    out.write_png(
        "sheet.png", draw_sheet(products["image"], weights, samples, shop_images), details
    )
    facts = {
        "person": options.person,
        "history": [{"line": x.line, "product": x.name, "weight": x.weight} for x in interactions],
        "refused": problems,
        "ignored_columns": list(person_history.unused_columns),
    } | details
    facts["preferences"] = [
        {
            "attribute": x.attribute,
            "value": x.value,
            "strength": round(x.strength, 4),
            "std": round(x.std, 4),
            "sure": round(x.probability, 4),
        }
        for x in result.preferences
    ]
    facts["products"] = [
        {"product": x.name, "utility": round(x.utility, 4), "std": round(x.std, 4)}
        | {"for": x.describe(1), "against": x.describe(-1)}
        for x in ranking
    ]
    out.write("taste.json", json.dumps(facts, indent=1).encode(), {})
    lines = describe_preference(result, weights, model) if is_drawn else []
    lines = [*describe_ranking(ranking), *lines]
    out.write("taste.txt", ("\n".join(lines) + "\n").encode(), {})
    for line in lines:
        say(line)
    return out.close()


def collect_products(
    inverter: Inverter, store: Store, person_history: History
) -> tuple[list[Interaction], Batch, list[str]]:
    """The interactions that can be used, their images with conditions, and all problems.

    The user's own images are inverted: their conditions are those that reconstruct them.
    """
    from prodgen.editing.photo_input import read_photo

    model = inverter.model
    interactions = [one for one in person_history.interactions if one.id >= 0]
    ids = np.array([one.id for one in interactions], np.int32)
    products = {name: value for name, value in store.fetch(ids).items() if name in BATCH_KEYS}
    # Products that the run does not have are files beside the table.
    own, photos, problems = [], [], list(person_history.refusals)
    for interaction in person_history.interactions:
        if interaction.id >= 0:
            continue
        try:
            photos.append(read_photo(Path(interaction.file), model.config.data, model.spec))
            own.append(interaction)
        except BadData as error:
            problems.append(f"line {interaction.line}: {error.message}")
    if not interactions and not own:
        raise BadData(
            f"no product of the history can be used: {'; '.join(problems[:8])}",
            "correct these lines of --history",
        )
    if own:
        inversion = inverter(np.stack(photos))
        own_products = {"image": inversion.images} | inversion.conditions
        products = {
            name: np.concatenate([products[name], own_products[name]]) for name in BATCH_KEYS
        }
    return interactions + own, products, problems


def index_products(store: Store) -> dict[str, int]:
    """The row of each product by its name, and by the identifier that the table has for it."""
    rows = np.arange(store.size)
    first_rows: dict[str, int] = {}
    for row, product in enumerate(store.products(rows)):
        first_rows.setdefault(product, row)
    return first_rows | {name: i for i, name in enumerate(store.names(rows))}


def rank_store(
    personaliser: Personaliser, posterior: PreferencePosterior, store: Store,
    interactions: list[Interaction], n: int,
) -> list[RankedProduct]:  # fmt: skip
    """The n products of the store that a person likes most, of those not in the history."""
    from prodgen.editing import product_ranking

    names = store.products(np.arange(store.size))
    in_history = {names[one.id] for one in interactions if one.id >= 0}
    rows = np.array([i for i, name in enumerate(names) if name not in in_history], int)
    if not n or not len(rows):
        return []
    parts = []
    for start in range(0, len(rows), CHUNK_SIZE):
        batch = store.fetch(rows[start : start + CHUNK_SIZE])
        conditions = {name: batch[name] for name in BATCH_KEYS[1:]}
        parts.append((personaliser.rows(batch["image"], conditions), conditions))
    features = np.concatenate([part for part, _ in parts])
    conditions = {name: np.concatenate([c[name] for _, c in parts]) for name in BATCH_KEYS[1:]}
    ranking = product_ranking.rank_products(
        posterior, personaliser.space, features, conditions, [names[row] for row in rows], n
    )
    return [
        dataclasses.replace(product, rows=tuple(int(rows[i]) for i in product.rows))
        for product in ranking
    ]


def format_ranking(ranking: list[RankedProduct], store: Store) -> bytes:
    """The content of products.csv."""
    names = store.names(np.array([product.rows[0] for product in ranking], int))
    header = ["rank", "product", "image", "utility", "std", "for", "against"]
    return format_csv(
        header,
        (
            [i + 1, x.name, name, f"{x.utility:.4f}", f"{x.std:.4f}", x.describe(1), x.describe(-1)]
            for i, (x, name) in enumerate(zip(ranking, names, strict=True))
        ),
    )


def describe_ranking(ranking: list[RankedProduct]) -> list[str]:
    """The first products of the shop, in lines of words."""
    if not ranking:
        return []
    lines = ["products of the shop, the best first (a purchase is 1)"]
    for i, product in enumerate(ranking[:MAX_LISTED_PRODUCTS]):
        reasons = product.describe(1)
        lines.append(f"  {i + 1}. {product.name}: {product.utility:+.2f}; for it: {reasons}")
    return lines


def write_images(result: PersonalisedSamples, model: Model, options: Options, out: Output) -> None:
    """The single images, each with its latent, utility and conditions."""
    candidates = result.samples
    for i, image in enumerate(candidates.images):
        details = {
            "latent": candidates.z[i].tolist(),
            "utility": round(float(result.utility[i]), 4),
            "std": round(float(result.std[i]), 4),
        } | describe_conditions(candidates.conditions, model.conditions.spec, i)
        out.write_png(f"{i:06d}.png", image, details)


def describe_preference(
    result: PersonalisedSamples, weights: np.ndarray, model: Model
) -> list[str]:
    """What the person prefers and avoids, in lines of words."""
    spec = model.conditions.spec
    lines = [f"{len(weights)} products: {np.sum(weights > 0)} for, {np.sum(weights < 0)} against"]
    certain = [one for one in result.preferences if one.probability >= MIN_PROBABILITY]
    for sign, verb in ((1, "prefers"), (-1, "avoids")):
        values = [f"  {one}" for one in certain if sign * one.strength > 0]
        if values:
            lines += [f"{verb} (a purchase is 1; standard deviation; probability)", *values]
    if not spec.classes and not spec.attributes:
        lines.append("this run has no conditions: the preference is for appearance alone")
    elif not certain:
        lines.append(
            f"no preference is {100 * MIN_PROBABILITY:.0f} % certain yet: add more products"
        )
    lines.append(f"diversity {result.diversity:.2f} of that of unconditional samples")
    return lines


def draw_sheet(
    products: np.ndarray, weights: np.ndarray, samples: np.ndarray, ranking: np.ndarray = ()
) -> Image.Image:
    """The sheet: the products of the largest weights, those of the shop that are ranked first, and
    the images made for them."""
    order = np.argsort(-np.abs(weights), kind="stable")[:MAX_HISTORY_IMAGES]
    order = order[np.argsort(-weights[order], kind="stable")]
    title = f"history: {len(order)} of {len(weights)} products, with their weights"
    captions = [f"{weights[i]:+g}" for i in order]
    blocks = [draw_block(title, products[order], captions)]
    if len(ranking):
        ranks = [str(i + 1) for i in range(len(ranking))]
        blocks.append(draw_block("products of the shop, the best first", ranking, ranks))
    if len(samples):
        blocks.append(draw_block("made for it", samples, []))
    sheet = Image.new("RGB", (blocks[0].width, sum(block.height for block in blocks)), "white")
    y = 0
    for block in blocks:
        sheet.paste(block, (0, y))
        y += block.height
    return sheet


def draw_block(title: str, cells: np.ndarray, captions: list[str]) -> Image.Image:
    """Images uint8 [N, H, W, C] in rows under a title, each over its caption, RGB."""
    cells = pixels.enlarge(cells, SIDE)
    side, caption_height = cells.shape[1], LINE_HEIGHT if captions else 0
    step, rows = side + GAP, -(-len(cells) // NUM_COLUMNS)
    height = LINE_HEIGHT + 2 * GAP + rows * (step + caption_height)
    block = Image.new("RGB", (NUM_COLUMNS * step + GAP, height), "white")
    draw, font = ImageDraw.Draw(block), ImageFont.load_default(size=12)
    draw.text((GAP, GAP), title, fill=GREY, font=font)
    for i, cell in enumerate(cells):
        x = GAP + i % NUM_COLUMNS * step
        y = LINE_HEIGHT + 2 * GAP + i // NUM_COLUMNS * (step + caption_height)
        block.paste(pixels.to_pillow(cell), (x, y))
        if captions:
            middle = (x + side // 2, y + side + LINE_HEIGHT // 2)
            draw.text(middle, captions[i], fill=GREY, font=font, anchor="mm")
    return block
