"""Conditions for generated images: each copies the label, attributes and flags of a real image.

A run stores the conditions of its training images, so sampling needs neither the images nor the
store. Which row a sample is paired with is a function of (seed, sample index). NumPy only.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from prodgen.config.registry import suggest_names
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically
from prodgen.core.types import Attribute, Batch, Spec
from prodgen.data.known_names import encode_text, find_name, resolve_names
from prodgen.data.store import Store

FILE = "conditions.npz"
MAX_ROWS = 8192  # stored in a run: enough for any sheet, small beside a checkpoint
NUM_NEAREST = 16  # rows from which a request with attribute values draws
UNKNOWN_DISTANCE = 4.0  # squared, in units of the encoded columns
RANGE_MARGIN = 0.1  # of a number's range in training, within which a request is no extrapolation
MAX_ANGLE = 360.0  # degrees


class Conditions:
    """Rows label int32 [N], attributes float32 [N, A], known bool [N, A] of training images.

    label_counts int64 [K] and column_counts int64 [A]: the number of training images of each class,
    of each category's column and with each number known. None in runs that did not store them.
    """

    def __init__(
        self,
        spec: Spec,
        label: np.ndarray,
        attributes: np.ndarray,
        known: np.ndarray,
        label_counts: np.ndarray | None = None,
        column_counts: np.ndarray | None = None,
    ):
        self.spec, self.label, self.attributes, self.known = spec, label, attributes, known
        self.label_counts, self.column_counts = label_counts, column_counts

    @staticmethod
    def from_store(store: Store) -> Conditions:
        spec, train = store.spec, store.ids("train")
        label = store.label[train]
        label_counts = np.bincount(label[label >= 0], minlength=len(spec.classes))
        column_counts = store.known[train].sum(axis=0)
        for attribute in spec.attributes:
            if attribute.kind == "categorical":
                columns = spec.column_slices()[attribute.name]
                column_counts[columns] = store.attributes[train, columns].sum(axis=0, dtype=float)
        ids = store.evenly_spaced_ids("train", MAX_ROWS)
        rows = store.label[ids], store.attributes[ids], store.known[ids]
        return Conditions(spec, *rows, label_counts, column_counts)

    @staticmethod
    def load(run: Path, spec: Spec) -> Conditions:
        with np.load(run / FILE, allow_pickle=False) as rows:
            names = ("label_counts", "column_counts")
            counts = [rows[name] if name in rows.files else None for name in names]
            return Conditions(spec, rows["label"], rows["attributes"], rows["known"], *counts)

    def save(self, run: Path) -> None:
        out = io.BytesIO()
        rows = {"label": self.label, "attributes": self.attributes, "known": self.known}
        if self.label_counts is not None:
            rows |= {"label_counts": self.label_counts, "column_counts": self.column_counts}
        np.savez(out, **rows)
        write_atomically(run / FILE, out.getvalue())

    def visible_to(self, config: ConfigDict) -> Conditions:
        """The conditions that a config's network receives: none where it is unconditional."""
        return self if config.model.condition else self.to_unconditional()

    def to_unconditional(self) -> Conditions:
        """The same number of rows, all unknown."""
        spec = dataclasses.replace(self.spec, classes=(), attributes=())
        label, known = np.full_like(self.label, -1), np.zeros_like(self.known)
        return Conditions(spec, label, np.zeros_like(self.attributes), known)

    def trained_classes(self) -> tuple[str, ...]:
        """The classes that have training images; all of them where that is not known."""
        if self.label_counts is None or not self.spec.classes:
            return self.spec.classes
        pairs = zip(self.spec.classes, self.label_counts, strict=True)
        return tuple(name for name, count in pairs if count)

    def trained_values(self, attribute: Attribute) -> tuple[str, ...]:
        """The values of a categorical attribute that have training images, or all."""
        if self.column_counts is None or attribute.kind != "categorical":
            return attribute.values
        counts = self.column_counts[self.spec.column_slices()[attribute.name]]
        return tuple(name for name, count in zip(attribute.values, counts, strict=True) if count)

    def check_values(self, values: Mapping[str, str]) -> None:
        """UsageError where a name or value of attributes is unknown or has no training image."""
        self._encode_values(values)

    def describe_extrapolation(self, values: Mapping[str, str]) -> list[str]:
        """A sentence for each number of `values` outside of the range that it has in training.

        Names and texts that the run does not know are left to `check_values`.
        """
        sentences, schema = [], {attribute.name: attribute for attribute in self.spec.attributes}
        for name, text in values.items():
            attribute = schema.get(find_name(name, schema))
            number = _parse_finite(text)
            if attribute is None or attribute.kind == "categorical" or number is None:
                continue
            if attribute.kind == "angle":
                if abs(number) > MAX_ANGLE:
                    sentences.append(f"{name}={text} is taken as {number % MAX_ANGLE:g} degrees")
                continue
            column = self.spec.column_slices()[attribute.name].start
            encodings = self.attributes[self.known[:, column], column]
            if not len(encodings):
                continue
            low, high = (attribute.decode([x]) for x in (encodings.min(), encodings.max()))
            # The margin also covers the rounding of float32.
            margin = max(RANGE_MARGIN * (high - low), 1e-5 * max(abs(low), abs(high)))
            if not low - margin <= number <= high + margin:
                sentences.append(
                    f"{name}={text} is outside of the training images' range, {low:g} to {high:g}"
                )
        return sentences

    def pick(
        self,
        seed: int,
        indices: np.ndarray,
        label: str = "",
        values: Mapping[str, str] | None = None,
    ) -> Batch:
        """The conditions of samples `indices` [N]: label, attributes, known.

        `label` sets the category and `values` sets attributes, given as text. The pairing is then
        among the rows nearest to these values, and the values replace those of the row. UsageError
        where the run does not know a name or value, or has no training image of it.
        """
        columns = self._encode_values(values or {})
        class_index = None
        if label:
            name, classes = find_name(label, self.spec.classes), list(self.spec.classes)
            if name not in classes:
                hint = suggest_names(name, classes) if classes else "there are none"
                raise UsageError(
                    f"{name!r} is not a category of this run; {hint}", "choose a known category"
                )
            class_index = classes.index(name)
            if name not in self.trained_classes():
                raise UsageError(
                    f"{name!r} has no training image, so this run cannot draw it; "
                    f"{_list_trained_names(self.trained_classes())}",
                    "choose another category",
                )
        rows = self._candidate_rows(class_index, columns)
        # One raw Philox draw a sample: a sample's row does not depend on the other indices.
        keys = [np.array([seed, int(i)], np.uint64) for i in indices]
        bits = np.array([np.random.Philox(key=key).random_raw() for key in keys], np.uint64)
        rows = rows[(bits % np.uint64(len(rows))).astype(np.int64)]
        attributes, known = self.attributes[rows].copy(), self.known[rows].copy()
        # Each requested value replaces the row's own.
        for name, encoding in columns.items():
            attributes[:, self.spec.column_slices()[name]] = encoding
            known[:, self.spec.column_slices()[name]] = True
        labels = self.label[rows] if class_index is None else np.full(len(rows), class_index)
        return {"label": labels.astype(np.int32), "attributes": attributes, "known": known}

    def pick_per_category(self, seed: int, names: tuple[str, ...], columns: int) -> Batch:
        """Conditions of a sheet with a row of `columns` samples a category, in reading order."""
        rows = [
            self.pick(seed, row * columns + np.arange(columns), label=name)
            for row, name in enumerate(names)
        ]
        return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}

    def _encode_values(self, values: Mapping[str, str]) -> dict[str, np.ndarray]:
        """The columns float32 [c] of each attribute that `values` names."""
        schema = {attribute.name: attribute for attribute in self.spec.attributes}
        columns = {}
        for name, text in resolve_names(values, schema).items():
            if name not in schema:
                hint = suggest_names(name, schema)
                raise UsageError(
                    f"{name!r} is not an attribute of this run; {hint}", "choose a known attribute"
                )
            attribute = schema[name]
            try:
                columns[name] = encode_text(attribute, text)
            except ValueError:
                categorical = attribute.kind == "categorical"
                hint = suggest_names(text, list(attribute.values)) if categorical else "a number"
                message = f"{name}={text!r}: this is not a value of the attribute; {hint}"
                raise UsageError(message, "choose a known value") from None
            self._check_training_images(attribute, find_name(text, attribute.values))
        return columns

    def _check_training_images(self, attribute: Attribute, text: str) -> None:
        """UsageError where no training image has this value, or any value of a number."""
        if self.column_counts is None:
            return
        name, hint = attribute.name, "it is known for none"
        is_trained = self.column_counts[self.spec.column_slices()[name]].any()
        if attribute.kind == "categorical":
            values = self.trained_values(attribute)
            is_trained = text in values
            hint = _list_trained_names(values)
        if not is_trained:
            raise UsageError(
                f"{name}={text!r} has no training image, so this run cannot draw it; {hint}",
                "choose another value",
            )

    def _candidate_rows(
        self, class_index: int | None, columns: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Rows of the class whose known attributes are nearest to the encoded values.

        Rows with the requested categories of attributes come before all others, even where they
        are few: a red row asked for teal would bring the numbers of a red product along.
        """
        rows = np.arange(len(self.label))
        if class_index is not None and (self.label == class_index).any():
            rows = rows[self.label == class_index]
        if not columns:
            return rows
        # Squared distance summed over attributes; an unknown attribute counts as a far one.
        distance, mismatches = np.zeros(len(rows)), np.zeros(len(rows), int)
        kinds = {attribute.name: attribute.kind for attribute in self.spec.attributes}
        for name, encoding in columns.items():
            attribute_slice = self.spec.column_slices()[name]
            gap = np.square(self.attributes[rows, attribute_slice] - encoding).sum(-1)
            known = self.known[rows, attribute_slice].all(-1)
            distance += np.where(known, gap, UNKNOWN_DISTANCE)
            if kinds[name] == "categorical":
                mismatches += ~known | (gap > 0)
        order = np.lexsort((distance, mismatches))  # stable; the last key is the first in rank
        order = order[mismatches[order] == mismatches[order[0]]]
        return rows[order[:NUM_NEAREST]]


def _parse_finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _list_trained_names(names: tuple[str, ...]) -> str:
    return suggest_names("", list(names)).replace("known:", "it has training images of")
