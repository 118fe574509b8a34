"""--mode=personalise: pictures for one person, from what they did with products before.

A sheet (the history with its weights, under it what was made for it), the pictures, and the taste
behind them in taste.json and, in words, taste.txt.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.apps.common.options import (
    MAX_IMAGES,
    FitOptions,
    PngOptions,
    RunOptions,
    SeedOptions,
)
from prodgen.apps.common.output import Output, describe, say
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.errors import BadData, UsageError
from prodgen.core.types import Batch
from prodgen.data import history
from prodgen.data.history import History, Interaction
from prodgen.editing.preference import EVENT_WEIGHTS, MIN_PROBABILITY

if TYPE_CHECKING:
    from prodgen.editing.inversion import Inverter
    from prodgen.editing.personaliser import Candidates, PersonalisedSamples
    from prodgen.model import Model

COLUMNS, SIDE, GAP = 8, 96, 6  # of the sheet: pictures a row, pixels a picture and between two
LINE = 18  # pixels of a line of text
SHOWN = 16  # products of the history on the sheet, the weightiest
GREY = (80, 80, 80)
KEYS = ("image", "label", "attributes", "known")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions, SeedOptions, FitOptions, PngOptions):
    """Of --mode=personalise."""

    output = "personalise"

    n: int = option(16, "Images.", low=1, high=MAX_IMAGES)
    history: str = option(
        "", f"A CSV: product or picture, and weight or event ({', '.join(EVENT_WEIGHTS)})."
    )
    person: str = option("", "The person, where --history has a column person.")
    exploration: float = option(
        0.2, "0 trusts what is known of the preference, 1 tries what may be liked.",
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
    """Write --n pictures for the person of --history."""
    from prodgen.editing.personaliser import Personaliser

    out.locate(options.output)
    out.stamp.check(model.spec.resolution)
    store = model.store()
    names = {name: i for i, name in enumerate(store.names(np.arange(store.size)))}
    found = history.read(Path(options.history), EVENT_WEIGHTS, names, options.person)
    inverter = model.open_inverter(say, options.steps)
    used, products, refused = _products(inverter, store, found)
    for reason in refused:
        say(f"left out: {reason}")
    if found.unused_columns:
        say(f"columns left aside: {', '.join(found.unused_columns)}")
    maker = Personaliser(inverter, say, options.seed)
    weights = np.array([one.weight for one in used])
    rows = maker.rows(products["image"], products)
    made = maker(rows, weights, options.n, options.exploration, options.diversity)
    words = told(made, weights, model)
    _write(out, model, options, made, drawn(products["image"], weights, made.samples.images))
    facts = _facts(made, used, refused, found.unused_columns, options)
    out.write("taste.json", json.dumps(facts, indent=1).encode(), {})
    out.write("taste.txt", ("\n".join(words) + "\n").encode(), {})
    for line in words:
        say(line)
    return out.close()


def _products(inverter: Inverter, store, found: History) -> tuple[list[Interaction], Batch, list]:
    """The interactions that can be used, their products with what they show, and all refusals.

    The user's own pictures are inverted: their conditions are those that give them back.
    """
    from prodgen.editing.photo_input import read_photo

    model = inverter.model
    used = [one for one in found.interactions if one.id >= 0]
    ids = np.array([one.id for one in used], np.int32)
    products = {name: value for name, value in store.fetch(ids).items() if name in KEYS}
    files, pictures, refused = [], [], list(found.refusals)
    for one in found.interactions:
        if one.id >= 0:
            continue
        try:
            pictures.append(read_photo(Path(one.file), model.config.data, model.spec))
            files.append(one)
        except BadData as error:
            refused.append(f"line {one.line}: {error.message}")
    if not used and not files:
        raise BadData(f"no product of the history can be used: {'; '.join(refused[:8])}")
    if files:
        inverted = inverter(np.stack(pictures))
        theirs = {"image": inverted.images} | inverted.conditions
        products = {name: np.concatenate([products[name], theirs[name]]) for name in KEYS}
    return used + files, products, refused


def _write(
    out: Output, model: Model, options: Options, made: PersonalisedSamples, sheet: Image.Image
) -> None:
    """The single pictures and the sheet."""
    candidates: Candidates = made.samples
    for i, picture in enumerate(candidates.images):
        details = {
            "latent": candidates.z[i].tolist(),
            "utility": round(float(made.utility[i]), 4),
            "std": round(float(made.std[i]), 4),
        } | describe(candidates.conditions, model.conditions.spec, i)
        out.png(f"{i:06d}.png", picture, details)
    details = {"exploration": options.exploration, "diversity": round(made.diversity, 4)}
    out.png("sheet.png", sheet, details)


def _facts(
    made: PersonalisedSamples,
    used: list[Interaction],
    refused: list[str],
    ignored: tuple,
    options: Options,
) -> dict:
    """taste.json."""
    return {
        "person": options.person,
        "history": [{"line": x.line, "product": x.name, "weight": x.weight} for x in used],
        "refused": refused,
        "ignored_columns": list(ignored),
        "exploration": options.exploration,
        "diversity": round(made.diversity, 4),
        "preferences": [
            {
                "attribute": x.attribute, "value": x.value, "strength": round(x.strength, 4),
                "std": round(x.std, 4), "sure": round(x.probability, 4),
            }
            for x in made.preferences
        ],
    }  # fmt: skip


def told(made: PersonalisedSamples, weights: np.ndarray, model: Model) -> list[str]:
    """What the person leans to, in lines of words."""
    lines = [f"{len(weights)} products: {np.sum(weights > 0)} for, {np.sum(weights < 0)} against"]
    sure = [one for one in made.preferences if one.probability >= MIN_PROBABILITY]
    for side, words in ((1, "leans to"), (-1, "leans away from")):
        told = [f"  {one}" for one in sure if side * one.strength > 0]
        lines += [f"{words} (a purchase is 1; deviation; how sure)", *told] if told else []
    if not model.conditions.spec.classes and not model.conditions.spec.attributes:
        lines.append("this run hears no conditions: the taste is about looks alone, without words")
    elif not sure:
        lines.append(f"nothing is {100 * MIN_PROBABILITY:.0f} % sure yet: more products will tell")
    lines.append(f"diversity {made.diversity:.2f} of unconditional samples'")
    return lines


def drawn(history: np.ndarray, weights: np.ndarray, made: np.ndarray) -> Image.Image:
    """The sheet: the weightiest products of the history over the pictures made."""
    order = np.argsort(-np.abs(weights), kind="stable")[:SHOWN]
    order = order[np.argsort(-weights[order], kind="stable")]
    first = f"history: {len(order)} of {len(weights)} products, with their weights"
    captions = [f"{weights[i]:+g}" for i in order]
    parts = [_block(first, history[order], captions), _block("made for it", made, [])]
    out = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
    out.paste(parts[0], (0, 0))
    out.paste(parts[1], (0, parts[0].height))
    return out


def _block(title: str, pictures: np.ndarray, captions: list[str]) -> Image.Image:
    """Pictures in rows of COLUMNS under a title, each over its caption."""
    large = pixels.enlarge(pictures, SIDE)
    side, below = large.shape[1], LINE if captions else 0
    step, rows = side + GAP, -(-len(large) // COLUMNS)
    height = LINE + 2 * GAP + rows * (step + below)
    block = Image.new("RGB", (COLUMNS * step + GAP, height), "white")
    draw, font = ImageDraw.Draw(block), ImageFont.load_default(size=12)
    draw.text((GAP, GAP), title, fill=GREY, font=font)
    for i, picture in enumerate(large):
        x, y = GAP + i % COLUMNS * step, LINE + 2 * GAP + i // COLUMNS * (step + below)
        block.paste(pixels.to_pillow(picture), (x, y))
        if captions:
            middle = (x + side // 2, y + side + LINE // 2)
            draw.text(middle, captions[i], fill=GREY, font=font, anchor="mm")
    return block
