"""The numbers of a model card as Markdown: value, interval, real baseline, measurement spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prodgen.export.card_metrics import CardMetric
from prodgen.export.markdown_text import NOT_MEASURED, build_table, escape, format_number
from prodgen.model import Model


def build_metrics_section(model: Model, metrics: list[CardMetric]) -> str:
    """A table for each split, the cautions, and with what the numbers can be compared."""
    parts = ["## Metrics"]
    if not metrics:
        parts.append(f"The metrics of step {model.run.step:,} were {NOT_MEASURED}.")
        return "\n\n".join(parts)
    for split in dict.fromkeys(metric.split for metric in metrics):
        rows = [metric for metric in metrics if metric.split == split]
        caution = " They also serve to choose the checkpoint." if split == "validation" else ""
        parts += [f"On held-out images of the {split} split.{caution}", _build_metrics_table(rows)]
    if cautions := list(dict.fromkeys(metric.caution for metric in metrics if metric.caution)):
        parts.append("\n".join(f"* {escape(text[:1].upper() + text[1:])}." for text in cautions))
    if not any(metric.split == "test" for metric in metrics):
        parts.append(f"On the test split the model was {NOT_MEASURED}.")
    parts.append(
        "Two numbers can be compared only if they were measured in the same way: the same images "
        "in the same number, the same extractor and the same seed. The digest of the data is "
        f"`{model.run.record['data']['digest']}`. The real baseline is the value that real images "
        "get in the place of generated ones."
    )
    return "\n\n".join(parts)


def _build_metrics_table(metrics: list[CardMetric]) -> str:
    rows = []
    for metric in metrics:
        unit = f" {metric.unit}" if metric.unit else ""
        value = f"{format_number(metric.value)}{unit}"
        if metric.interval:
            low, high = (format_number(end, 3) for end in metric.interval)
            value += f" ({low} to {high})"
        better = f" ({metric.better} is better)" if metric.better else ""
        baseline = "-"
        if metric.real_baseline is not None:
            baseline = f"{format_number(metric.real_baseline)}{unit}"
        rows.append((metric.name + better, value, baseline, _format_spec(metric.spec)))
    header = ("metric", "value (95 % interval)", "real baseline", "measured with")
    return build_table(header, rows)


def _format_spec(spec: Mapping[str, Any]) -> str:
    """The measurement spec in a cell; of a hash the first digits, the front matter has all."""
    words = []
    for name, value in spec.items():
        short = str(value)[:8] if name.endswith("sha256") else value
        words.append(f"{name.replace('_', ' ')} {short}")
    return "; ".join(words)
