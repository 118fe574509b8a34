"""The products' metadata as arrays: labels, attribute columns, and which of them are known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from prodgen.core.types import Attribute

MIN_RELATIVE_STD = 1e-9  # of the mean: below, a number counts as constant


def encode_labels(items: list[dict], classes: tuple[str, ...]) -> np.ndarray:
    """int32 [N]: the class of each item, -1 where unknown."""
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index.get(item["category"], -1) for item in items], np.int32)


def encode_attributes(
    schema: tuple[Attribute, ...], items: list[dict], train: np.ndarray
) -> tuple[tuple[Attribute, ...], np.ndarray, np.ndarray]:
    """The schema with mean and std of the `train` rows, float32 [N, A], known bool [N, A].

    A value that is missing or not of the attribute's kind is unknown, and its columns are zero. A
    number that is constant among the training images keeps a std of 1.
    """
    attributes = []
    values, known = [np.zeros((len(items), 0), np.float32)], [np.zeros((len(items), 0), bool)]
    for attribute in schema:
        cells = [item["attributes"].get(attribute.name) for item in items]
        if attribute.kind == "categorical":
            numbers = {value: number for number, value in enumerate(attribute.values)}
            index = [-1 if cell is None else numbers.get(str(cell), -1) for cell in cells]
            index = np.array(index, int)
            columns = index[:, None] == np.arange(len(attribute.values))[None]
            is_known = index >= 0
        else:
            numbers = np.array([_parse_number(cell) for cell in cells], np.float64)
            is_known = np.isfinite(numbers)
            if attribute.kind == "number":
                # Standardised by the training split alone; a constant column is only centred.
                train_numbers = numbers[is_known & train]
                mean, std = 0.0, 1.0
                if len(train_numbers):
                    mean, std = float(train_numbers.mean()), float(train_numbers.std())
                is_constant = std <= MIN_RELATIVE_STD * max(1.0, abs(mean))
                attribute = dataclasses.replace(
                    attribute, mean=mean, std=1.0 if is_constant else std
                )
                columns = ((numbers - attribute.mean) / attribute.std)[:, None]
            else:
                radians = np.deg2rad(numbers)
                columns = np.stack([np.sin(radians), np.cos(radians)], axis=1)
        attributes.append(attribute)
        values.append(np.where(is_known[:, None], columns, 0).astype(np.float32))
        known.append(np.repeat(is_known[:, None], attribute.num_columns, axis=1))
    return tuple(attributes), np.concatenate(values, axis=1), np.concatenate(known, axis=1)


def _parse_number(cell: Any) -> float:
    try:
        return float("nan") if cell is None else float(cell)
    except (TypeError, ValueError):
        return float("nan")
