"""Sheets of samples and reconstructions, drawn while a run trains."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from prodgen.core import pixels
from prodgen.core.failpoints import failpoint
from prodgen.core.files import write_atomically
from prodgen.core.types import Batch
from prodgen.data.conditions import Conditions
from prodgen.data.store import Store

MAX_CATEGORY_ROWS = 20
Drawing = Callable[[str], contextlib.AbstractContextManager]


class SampleSheets:
    """Sample and reconstruction sheets, of the same latents and the same images each time."""

    def __init__(
        self, family: ModuleType, config: ConfigDict, store: Store, conditions: Conditions
    ):
        self._family = family
        self._generate = jax.jit(family.make_generate(config, store.spec))
        self._columns = config.train.sheet_columns
        self._conditions, self._row_names = sheet_conditions(conditions, config.seed, self._columns)
        self._latents = family.draw_latents(
            config, config.seed, np.arange(len(self._conditions["label"]))
        )
        split = "validation" if len(store.ids("validation")) else "train"
        self._originals = store.fetch(
            store.evenly_spaced_ids(split, self._columns * (self._columns // 2))
        )
        self._encode = None
        if hasattr(family, "make_encode"):
            self._encode = jax.jit(family.make_encode(config, store.spec))

    def drawing_fns(self) -> dict[str, Callable[[Any], Image.Image]]:
        """draw(state) of every kind of sheet, by the first word of the file's name."""
        fns = {"step": self.draw_samples}
        return fns | ({"reconstruction": self.draw_reconstructions} if self._encode else {})

    def write(
        self, state: Any, folder: Path, step: int, drawing: Drawing = contextlib.nullcontext
    ) -> None:
        """Write the sheets of a state at `step` as PNG files into `folder`.

        drawing: the context in which a sheet is drawn, of its name.
        """
        folder.mkdir(exist_ok=True)
        for name, draw in self.drawing_fns().items():
            with drawing(f"drawing the sheet {name}"):
                image = draw(state)
            content = pixels.encode_png(image)
            failpoint("sheet.before_write")
            write_atomically(folder / f"{name}_{step:08d}.png", content)

    def draw_samples(self, state: Any) -> Image.Image:
        """Generated images, one row for each category where there are categories."""
        samples = self._generate(self._family.eval_params(state), self._latents, self._conditions)
        samples = np.asarray(pixels.to_uint8(samples))
        return pixels.draw_contact_sheet(samples, self._columns, row_names=self._row_names)

    def draw_reconstructions(self, state: Any) -> Image.Image:
        """Rows of held-out images, each above its reconstruction."""
        weights = self._family.eval_params(state)
        mean, _ = self._encode(weights, self._originals)
        reconstructions = np.asarray(
            pixels.to_uint8(self._generate(weights, mean, self._originals))
        )
        both = interleave_rows(self._originals["image"], reconstructions, self._columns)
        return pixels.draw_contact_sheet(both, self._columns)


def sheet_conditions(
    conditions: Conditions, seed: int, columns: int
) -> tuple[Batch, tuple[str, ...]]:
    """Conditions of a sheet and its row names: a row for each category that has training images, or
    a square without names."""
    names = conditions.trained_classes()[:MAX_CATEGORY_ROWS]
    if not names:
        return conditions.pick(seed, np.arange(columns**2)), ()
    return conditions.pick_per_category(seed, names, columns), names


def interleave_rows(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
    """Images ordered for a sheet: each row of `above` stands over its row of `below`."""
    rows = []
    for start in range(0, len(above), columns):
        for row in (above[start : start + columns], below[start : start + columns]):
            # The last row is filled up with white.
            white = np.full((columns - len(row), *row.shape[1:]), 255, np.uint8)
            rows.append(np.concatenate([row, white]))
    return np.concatenate(rows)
