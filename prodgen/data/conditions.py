"""Conditions for generated pictures: each copies the label, attributes and flags of a real one.

A run keeps those of its training pictures, so that sampling needs neither the pictures nor the
store. Which row a sample is paired with is a function of (seed, sample index). NumPy only.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from prodgen.config.registry import nearest
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically
from prodgen.core.spelling import find_spelling
from prodgen.core.types import Batch, Spec
from prodgen.data.store import Store

FILE = "conditions.npz"
LIMIT = 8192  # rows kept: enough for any sheet, small beside a checkpoint
NEAREST = 16  # rows a request with numbers chooses among


class Conditions:
    """Rows label int32 [N], attributes float32 [N, A], known bool [N, A] of training pictures."""

    def __init__(self, spec: Spec, label: np.ndarray, attributes: np.ndarray, known: np.ndarray):
        self.spec, self.label, self.attributes, self.known = spec, label, attributes, known

    @staticmethod
    def from_store(store: Store) -> Conditions:
        ids = store.evenly_spaced_ids("train", LIMIT)
        return Conditions(store.spec, store.label[ids], store.attributes[ids], store.known[ids])

    @staticmethod
    def load(run: Path, spec: Spec) -> Conditions:
        with np.load(run / FILE, allow_pickle=False) as rows:
            return Conditions(spec, rows["label"], rows["attributes"], rows["known"])

    def save(self, run: Path) -> None:
        out = io.BytesIO()
        np.savez(out, label=self.label, attributes=self.attributes, known=self.known)
        write_atomically(run / FILE, out.getvalue())

    def visible_to(self, config: ConfigDict) -> Conditions:
        """What a config's network hears of these: all, or nothing where it is unconditional."""
        return self if config.model.condition else self.to_unconditional()

    def to_unconditional(self) -> Conditions:
        """As many rows of which nothing is known."""
        spec = dataclasses.replace(self.spec, classes=(), attributes=())
        label, known = np.full_like(self.label, -1), np.zeros_like(self.known)
        return Conditions(spec, label, np.zeros_like(self.attributes), known)

    def pick(
        self,
        seed: int,
        indices: np.ndarray,
        label: str = "",
        wanted: Mapping[str, str] | None = None,
    ) -> Batch:
        """The conditions of samples `indices` [N]: label, attributes, known.

        `label` asks for a category, `wanted` for attribute values, as text: the pairing is then
        among the rows nearest to what is asked, and the asked values replace theirs.
        """
        names = [attribute.name for attribute in self.spec.attributes]
        asked = {find_spelling(name, names): text for name, text in (wanted or {}).items()}
        if len(asked) < len(wanted or {}):
            raise UsageError("--attributes names an attribute twice, in two spellings")
        values = {name: self._value(name, text) for name, text in asked.items()}
        rows = self._candidates(self._label(label) if label else None, values)
        keys = [np.array([seed, int(i)], np.uint64) for i in indices]
        bits = np.array([np.random.Philox(key=key).random_raw() for key in keys], np.uint64)
        chosen = rows[(bits % np.uint64(len(rows))).astype(np.int64)]
        attributes, known = self.attributes[chosen].copy(), self.known[chosen].copy()
        for name, columns in values.items():
            attributes[:, self.spec.slices()[name]] = columns
            known[:, self.spec.slices()[name]] = True
        labels = self.label[chosen] if not label else np.full(len(chosen), self._label(label))
        return {"label": labels.astype(np.int32), "attributes": attributes, "known": known}

    def pick_per_category(self, seed: int, names: tuple[str, ...], columns: int) -> Batch:
        """Conditions of a sheet with a row of `columns` samples a category, in reading order."""
        rows = [
            self.pick(seed, row * columns + np.arange(columns), label=name)
            for row, name in enumerate(names)
        ]
        return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}

    def _label(self, name: str) -> int:
        name = find_spelling(name, self.spec.classes)
        if name not in self.spec.classes:
            known = (
                nearest(name, list(self.spec.classes)) if self.spec.classes else "there are none"
            )
            raise UsageError(f"--label={name!r} is not a category of this run; {known}")
        return self.spec.classes.index(name)

    def _value(self, name: str, text: str) -> np.ndarray:
        found = {attribute.name: attribute for attribute in self.spec.attributes}
        if name not in found:
            raise UsageError(f"--attributes: {name!r} is not an attribute; {nearest(name, found)}")
        try:
            return found[name].encode(find_spelling(text, found[name].values))
        except ValueError:
            kind = found[name].kind
            wants = nearest(text, list(found[name].values)) if kind == "categorical" else "a number"
            raise UsageError(f"--attributes: {name}={text!r} is not a value; {wants}") from None

    def _candidates(self, label: int | None, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Rows of the label whose known attributes lie nearest to the asked ones."""
        rows = np.arange(len(self.label))
        if label is not None and (self.label == label).any():
            rows = rows[self.label == label]
        if not values:
            return rows
        distance = np.zeros(len(rows))
        for name, columns in values.items():
            place = self.spec.slices()[name]
            gap = np.square(self.attributes[rows, place] - columns).sum(-1)
            distance += np.where(self.known[rows, place].all(-1), gap, 4.0)
        order = np.argsort(distance, kind="stable")
        return rows[order[:NEAREST]]
