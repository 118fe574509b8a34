"""--mode=personalise: images for one person, from what they did with products before.

A sheet (the history with its weights, below it the images made for it), the single images, and the
preference behind them in taste.json and, in words, taste.txt.
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
from prodgen.core.errors import BadData, UsageError
from prodgen.core.types import Batch
from prodgen.data import history
from prodgen.data.history import History, Interaction
from prodgen.editing.preference import EVENT_WEIGHTS, MIN_PROBABILITY

if TYPE_CHECKING:
    from prodgen.data.store import Store
    from prodgen.editing.inversion import Inverter
    from prodgen.editing.personaliser import PersonalisedSamples
    from prodgen.model import Model

NUM_COLUMNS, SIDE, GAP = 8, 96, 6  # of the sheet: images a row, pixels an image and between two
LINE_HEIGHT = 18  # pixels of a line of text
MAX_HISTORY_IMAGES = 16  # products of the history on the sheet, those of the largest weights
GREY = (80, 80, 80)
BATCH_KEYS = ("image", "label", "attributes", "known")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, SeedOptions, FitOptions, PngOptions, PriorOptions, FitnessOptions):
    """Of --mode=personalise."""

    output = "personalise"

    n: int = option(16, "Images.", low=1, high=MAX_IMAGES)
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
    ids = {name: i for i, name in enumerate(store.names(np.arange(store.size)))}
    person_history = history.read(Path(options.history), EVENT_WEIGHTS, ids, options.person)
    check_fitness(lambda: model.measure_fitness(say), "personalise", options.strict, out)
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

    write_images(result, model, options, out)
    details = {"exploration": options.exploration, "diversity": round(result.diversity, 4)}
    out.write_png(
        "sheet.png", draw_sheet(products["image"], weights, result.samples.images), details
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
    out.write("taste.json", json.dumps(facts, indent=1).encode(), {})
    lines = describe_preference(result, weights, model)
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


def draw_sheet(products: np.ndarray, weights: np.ndarray, samples: np.ndarray) -> Image.Image:
    """The sheet: the products of the largest weights over the images made for them."""
    order = np.argsort(-np.abs(weights), kind="stable")[:MAX_HISTORY_IMAGES]
    order = order[np.argsort(-weights[order], kind="stable")]
    title = f"history: {len(order)} of {len(weights)} products, with their weights"
    captions = [f"{weights[i]:+g}" for i in order]
    top = draw_block(title, products[order], captions)
    bottom = draw_block("made for it", samples, [])
    sheet = Image.new("RGB", (top.width, top.height + bottom.height), "white")
    sheet.paste(top, (0, 0))
    sheet.paste(bottom, (0, top.height))
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
