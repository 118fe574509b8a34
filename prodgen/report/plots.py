"""Plots of a run's training and validation curves, from its JSONL files."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from prodgen.core.files import write_atomically
from prodgen.report import writer

HIDDEN_METRICS = {"step", "skipped", "skipped_in_a_row", "val/nll", "val/mse", "val/logits"}
INK, ACCENT, GRID = "#334155", "#2563eb", "#e2e8f0"


def plot_curves(run: Path) -> None:
    """Draw every training and validation series of metrics.jsonl into curves.png."""
    records = writer.read_jsonl(run / writer.METRICS_FILE)
    names = sorted({name for record in records for name in record} - HIDDEN_METRICS)
    names.sort(key=lambda name: (name.startswith("val/"), name != "loss", name))
    if not names:
        return

    # One axis for each series, at most four in a row.
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.4 * rows), squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names, strict=False):
        _plot_series(axis, name, [(r["step"], r[name]) for r in records if name in r])
    figure.tight_layout()
    draft = run / ".curves.png"
    figure.savefig(draft, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)
    write_atomically(run / "curves.png", draft.read_bytes())
    draft.unlink()


def _plot_series(axis, name: str, points: list[tuple[float, float]]) -> None:
    steps, values = zip(*points, strict=True)
    is_validation = name.startswith("val/")
    axis.plot(steps, values, color=ACCENT if is_validation else INK, lw=1.4,
              marker="o" if is_validation or len(points) == 1 else None, ms=3)  # fmt: skip
    axis.set_title(name, fontsize=10, color=INK, loc="left")
    axis.tick_params(labelsize=8, colors=INK, length=0)
    axis.grid(color=GRID, lw=0.8)
    axis.margins(x=0.02)
    for side in axis.spines.values():
        side.set_visible(False)
