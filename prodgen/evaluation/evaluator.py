"""Judging a run while it trains: numbers on a held-back split, and sheets to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict
from PIL import Image

from prodgen.core import pixels
from prodgen.core.types import Batch, Spec
from prodgen.data.conditions import Conditions
from prodgen.data.store import Store
from prodgen.evaluation import monitor
from prodgen.parallel import compilation, device_mesh
from prodgen.report import writer


def padded_batches(store: Store, ids: np.ndarray, size: int) -> Iterator[Batch]:
    """Batches of exactly `size` rows over `ids`, in order; rows that only fill up have slot -1."""
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part))])
        slot = np.arange(start, start + size, dtype=np.int32)
        slot[len(part) :] = -1
        yield store.fetch(filled) | {"slot": slot}


class Judge:
    """Validation numbers of a state: the same pictures, the same noise, each time.

    The batches stay on the devices: a judgement reads nothing from the store.
    """

    def __init__(
        self, family: ModuleType, config: ConfigDict, store: Store, mesh: Mesh, split: str
    ):
        self._family, self._config, self._spec = family, config, store.spec
        limit, size = config.train.evaluate_examples, config.train.batch_size
        ids = store.evenly_spaced_ids(split, limit) if limit else store.ids(split)
        mine = device_mesh.local_slots(mesh, size)
        self._batches = [
            device_mesh.to_global_arrays(mesh, {name: rows[mine] for name, rows in batch.items()})
            for batch in padded_batches(store, ids, size)
        ]
        self._step = compilation.compile_eval_step(
            lambda mean: family.make_eval_step(config, store.spec, mean),
            mesh,
            config.parallel.mode,
        )

    def __call__(self, state: Any, frozen: Any) -> dict[str, float]:
        """The family's numbers, by name; empty where the split has no pictures."""
        if not self._batches:
            return {}
        total: dict[str, np.ndarray] = {}
        for batch in self._batches:
            for name, value in self._step(state, batch, frozen).items():
                total[name] = total.get(name, 0.0) + np.asarray(value, np.float64)
        return self._family.summarise(self._config, self._spec, total)


class Sentinel:
    """Watches the judgements of an adversarial run; what came before a restart is read back."""

    def __init__(self, run: Path, config: ConfigDict):
        self._last = config.train.num_steps
        records = writer.read_jsonl(run / writer.METRICS_FILE)
        self._seen = [
            (int(record["step"]), {name.removeprefix("val/"): v for name, v in record.items()})
            for record in records
            if "val/logits" in record
        ]

    def __call__(self, step: int, values: Mapping[str, float]) -> dict[str, str]:
        """Verdicts on the newest judgement: name -> evidence. Empty where all looks well."""
        if "logits" not in values:
            return {}
        self._seen.append((step, dict(values)))
        return self._verdicts(len(self._seen))

    def words(self) -> list[str]:
        """Every verdict of the run, a line each, for the report."""
        return [
            f"step {self._seen[i][0]:,}: {name}: {evidence}"
            for i in range(len(self._seen))
            for name, evidence in self._verdicts(i + 1).items()
        ]

    def _verdicts(self, count: int) -> dict[str, str]:
        readings = [values for _, values in self._seen[:count]]
        return monitor.verdicts(readings, self._seen[count - 1][0] / self._last)


class Sheets:
    """Sample and reconstruction sheets, of the same latents and the same pictures each time."""

    def __init__(
        self, family: ModuleType, config: ConfigDict, store: Store, conditions: Conditions
    ):
        self._family, self._config, self._spec = family, config, store.spec
        self._generate = jax.jit(family.make_generate(config, store.spec))
        self._columns = config.train.sheet_columns
        self._conditions, self._rows = sheet_conditions(conditions, config.seed, self._columns)
        self._latents = family.draw_latents(
            config, config.seed, np.arange(len(self._conditions["label"]))
        )
        split = "validation" if len(store.ids("validation")) else "train"
        self._held = store.fetch(
            store.evenly_spaced_ids(split, self._columns * (self._columns // 2))
        )
        self._encode = None
        if hasattr(family, "make_encode"):
            self._encode = jax.jit(family.make_encode(config, store.spec))

    def kinds(self) -> dict[str, Callable[[Any], Image.Image]]:
        """What can be drawn of a state, by the first word of the file's name."""
        found = {"step": self.samples}
        return found | ({"reconstruction": self.reconstructions} if self._encode else {})

    def samples(self, state: Any) -> Image.Image:
        """Generated pictures, a row a category where there are categories."""
        pictures = self._generate(self._family.eval_params(state), self._latents, self._conditions)
        return pixels.draw_contact_sheet(
            np.asarray(pixels.to_uint8(pictures)), self._columns, row_names=self._rows
        )

    def reconstructions(self, state: Any) -> Image.Image:
        """Rows of held-back pictures, each over its reconstruction."""
        weights = self._family.eval_params(state)
        mean, _ = self._encode(weights, self._held)
        decoded = np.asarray(pixels.to_uint8(self._generate(weights, mean, self._held)))
        return pixels.draw_contact_sheet(
            pairs(self._held["image"], decoded, self._columns), self._columns
        )


def sheet_conditions(
    conditions: Conditions, seed: int, columns: int
) -> tuple[Batch, tuple[str, ...]]:
    """Conditions of a sheet and its row names: a row a category, or a square as the data come."""
    names: tuple[str, ...] = conditions.spec.classes[:20]
    if not names:
        return conditions.pick(seed, np.arange(columns**2)), ()
    return conditions.pick_per_category(seed, names, columns), names


def pairs(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
    """Interleave pictures so that each row of `above` stands over its row of `below`."""
    blocks = range(0, len(above), columns)
    rows = [
        part[i : i + columns]
        for i in blocks
        for part in (_whole(above, columns), _whole(below, columns))
    ]
    return np.concatenate(rows)


def _whole(pictures: np.ndarray, columns: int) -> np.ndarray:
    """Filled up with white to full rows."""
    missing = -len(pictures) % columns
    white = np.full((missing, *pictures.shape[1:]), 255, np.uint8)
    return np.concatenate([pictures, white])


def describe(spec: Spec) -> str:
    """One line on the data a model sees."""
    kind = "grey" if spec.channels == 1 else "RGB"
    return (
        f"{spec.resolution}x{spec.resolution} {kind}, {len(spec.classes)} categories, "
        f"{len(spec.attributes)} attributes"
    )
