"""What is known of the products as arrays: labels, attribute columns, and which are known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from prodgen.core.types import Attribute


def encode_labels(items: list[dict], classes: tuple[str, ...]) -> np.ndarray:
    """int32 [N]: the class of each item, -1 where unknown."""
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index.get(item["category"], -1) for item in items], np.int32)


def encode_attributes(
    schema: tuple[Attribute, ...], items: list[dict], train: np.ndarray
) -> tuple[tuple[Attribute, ...], np.ndarray, np.ndarray]:
    """The schema with means and deviations of the `train` rows, float32 [N, A], known bool [N, A].

    A value that is missing or not of the attribute's kind is unknown, its columns zero. A number
    that is constant among the training pictures keeps a deviation of 1.
    """
    done, values, known = [], [np.zeros((len(items), 0), np.float32)], []
    known.append(np.zeros((len(items), 0), bool))
    for attribute in schema:
        raw = [item["attributes"].get(attribute.name) for item in items]
        if attribute.kind == "categorical":
            columns, has = _one_hot(attribute, raw)
        else:
            numbers = np.array([_number(value) for value in raw], np.float64)
            has = np.isfinite(numbers)
            if attribute.kind == "number":
                attribute = _standardised(attribute, numbers[has & train])
                columns = ((numbers - attribute.mean) / attribute.std)[:, None]
            else:
                turn = np.deg2rad(numbers)
                columns = np.stack([np.sin(turn), np.cos(turn)], axis=1)
        done.append(attribute)
        values.append(np.where(has[:, None], columns, 0).astype(np.float32))
        known.append(np.repeat(has[:, None], attribute.columns, axis=1))
    return tuple(done), np.concatenate(values, axis=1), np.concatenate(known, axis=1)


def _one_hot(attribute: Attribute, raw: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    index = {value: number for number, value in enumerate(attribute.values)}
    place = np.array([-1 if value is None else index.get(str(value), -1) for value in raw], int)
    return place[:, None] == np.arange(len(attribute.values))[None], place >= 0


def _number(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        return float("nan")


def _standardised(attribute: Attribute, numbers: np.ndarray) -> Attribute:
    """With the mean and deviation of the known training values, float64 [n]."""
    if not len(numbers):
        return dataclasses.replace(attribute, mean=0.0, std=1.0)
    mean, deviation = float(numbers.mean()), float(numbers.std())
    flat = deviation <= 1e-9 * max(1.0, abs(mean))
    return dataclasses.replace(attribute, mean=mean, std=1.0 if flat else deviation)
