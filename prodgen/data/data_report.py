"""The data report (being written)."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from prodgen.data.store import Store


@dataclasses.dataclass
class Findings:
    title: str
    refused: list[tuple[str, str]]
    left_out: list[str]
    original: np.ndarray
    white: np.ndarray
    difference: np.ndarray
    notes: list[str]


def write(store: Store, findings: Findings) -> None:
    (store.path / "data_report.json").write_text(json.dumps({"counts": store.counts}))
    (store.path / "data_report.html").write_text("<p>data report")
