"""report.html: a finished run on one self-contained HTML page."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prodgen.config import flatten, renames
from prodgen.core.files import write_atomically
from prodgen.report import evaluation_sections, fitness_card, html_page, writer
from prodgen.report.tables import build_table
from prodgen.runs.workdir import read_record

CARDS = {  # name in the metrics -> (description, unit, digits)
    "val/elbo": ("Evidence lower bound, validation", "nats", 0),
    "val/bits_per_dim": ("Bits per dimension", "", 3),
    "val/psnr": ("Reconstruction, PSNR", "dB", 1),
    "val/ssim": ("Reconstruction, SSIM", "", 3),
    "val/kl": ("Information in the latent", "nats", 1),
    "val/active_latents": ("Active latents", "", 0),
    "val/frechet": ("Frechet distance, classifier features, validation", "", 2),
    "val/condition_accuracy": ("Condition accuracy, validation", "", 3),
    "val/condition_accuracy_real": ("Condition accuracy of real images", "", 3),
    "val/spread": ("Variety within categories, relative to real images", "", 2),
    "val/near_duplicates": ("Near duplicates among samples of a category, validation", "", 3),
    "val/categories": ("Share of categories produced", "", 2),
}
COSTS = {  # name in timing.jsonl -> description
    "seconds/loop": "Training and evaluation",
    "seconds/compile": "Compilation of the step",
    "seconds/first step": "From the command to the first step",
    "seconds/data": "Waiting for data",
    "seconds/evaluate": "Evaluation",
    "seconds/sheet": "Contact sheets",
    "seconds/checkpoint": "Checkpoints (the loop's share)",
    "seconds/classifier": "Training or loading of the reference classifier",
}


def write_report(run: Path, warnings: Sequence[str] = ()) -> Path:
    """Write report.html from the content of the run's folder, and return its path.

    `warnings` are the lines of the collapse monitor.
    """
    record = read_record(run)
    data, config = record["data"], record["config"]
    metrics = writer.read_jsonl(run / writer.METRICS_FILE)
    timing = writer.read_jsonl(run / writer.TIMING_FILE)
    last_values = {name: value for entry in metrics for name, value in entry.items()}
    counts = ", ".join(f"{number:,} {name}" for name, number in data["counts"].items())
    subtitle = html.escape(
        f"{config['model']['name']} on {config['data']['source']}, "
        f"step {last_values.get('step', 0):,}"
    )
    sections = [
        f"<h1>{html.escape(run.name)}</h1><p class=sub>{subtitle}; images: {counts}</p>",
        fitness_card.build_section(run),
        "<h2>Metrics</h2>",
        _build_cards(last_values, timing, run / "evaluation.json"),
    ]

    # The monitor watches adversarial runs only.
    if "val/logits" in last_values:
        sections.append(_build_warnings(warnings))
    sections += _build_sheets(run / "samples")
    sections += _build_evaluation(run / "evaluation.json")
    sections.append(
        "<h2>Curves</h2>" + html_page.embed_image(run / "curves.png", "curves of the run")
    )
    costs = _sum_costs(timing)
    if costs:
        sections.append(f"<h2>Cost</h2>{build_table(costs.items())}")
    sections += [
        html_page.fold("Configuration", build_table(flatten(config).items())),
        html_page.fold(
            "Versions",
            build_table([*record["versions"].items(), ("fingerprint", record["fingerprint"])]),
        ),
    ]
    if record["init_from"]:
        sections.append(html_page.fold("Initial weights", build_table(record["init_from"].items())))
    if (run / "data_report.html").exists():
        content = html.escape((run / "data_report.html").read_text(encoding="utf-8"))
        frame = f'<iframe title="data report" loading=lazy srcdoc="{content}"></iframe>'
        sections.append(html_page.fold("Data report", frame))
    page = run / "report.html"
    write_atomically(page, html_page.build_page(run.name, sections))
    return page


def build_evaluation_page(path: Path) -> bytes:
    """The page of an evaluation.json outside of a run's folder, with the sheets beside it."""
    evaluation = _read_evaluation(path)
    title = evaluation["subject"]["name"]
    cards = html_page.format_cards(evaluation_sections.build_cards(evaluation))
    return html_page.build_page(
        title, [f"<h1>{html.escape(title)}</h1>", cards, *_build_evaluation(path)]
    )


def _read_evaluation(path: Path) -> dict[str, Any]:
    return renames.update_evaluation(json.loads(path.read_text(encoding="utf-8")))


def _build_evaluation(path: Path) -> list[str]:
    """The sections of an evaluation.json and its sheets; [] if there is none."""
    if not path.exists():
        return []
    pairs, typical = (path.with_name(f"evaluation_{name}.png") for name in ("pairs", "typical"))
    return [
        *evaluation_sections.build_sections(_read_evaluation(path)),
        html_page.embed_image(pairs, "samples above their most similar training images"),
        "<h2>Most and least typical samples</h2>"
        + html_page.embed_image(typical, "typical samples"),
    ]


def _build_cards(last_values: dict[str, float], timing: list, evaluation: Path) -> str:
    """The key numbers of a run: its last metrics, its speed, its evaluation."""
    cards = [
        (description, f"{last_values[name]:z.{digits}f} {unit}")
        for name, (description, unit, digits) in CARDS.items()
        if name in last_values
    ]
    if last_values.get("skipped"):
        cards.append(("Skipped steps, not finite", f"{last_values['skipped']:.0f}"))
    rates = sorted(entry["images_per_s"] for entry in timing if "images_per_s" in entry)
    if rates:
        cards.append(("Images per second, median", f"{rates[len(rates) // 2]:.0f}"))
    if evaluation.exists():
        cards += evaluation_sections.build_cards(_read_evaluation(evaluation))
    return html_page.format_cards(cards)


def _build_warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return "<p>The monitor found no collapse, no imbalance and no divergence.</p>"
    items = "".join(f"<li>{html.escape(line)}</li>" for line in warnings)
    return f"<h2>Warnings</h2><ul class=warn>{items}</ul>"


def _build_sheets(folder: Path) -> list[str]:
    """The newest sample and reconstruction sheets; folded, a few earlier sample sheets."""
    sections = []
    for prefix, title in (
        ("step", "Samples"),
        ("reconstruction", "Held-out images, each above its reconstruction"),
    ):
        sheets = sorted(folder.glob(f"{prefix}_*.png"))
        if not sheets:
            continue
        sections.append(f"<h2>{title}</h2>" + html_page.embed_image(sheets[-1], title))
        if prefix == "step" and len(sheets) > 1:
            earlier = sheets[:-1][:: max(1, len(sheets) // 4)]
            inner = "".join(
                f"<p>{html.escape(path.stem)}</p>" + html_page.embed_image(path, path.stem)
                for path in earlier
            )
            sections.append(html_page.fold("Samples of earlier steps", inner))
    return sections


def list_session_totals(timing: list) -> list[dict[str, float]]:
    """The last totals of each session of a run, from the records of timing.jsonl."""
    # Totals grow during a session, and a later entry replaces an earlier one in the dict.
    return list({entry["session"]: entry for entry in timing if "session" in entry}.values())


def sum_device_hours(timing: list) -> float:
    """The hours of the loop, times the devices, over all sessions of a run."""
    sessions = list_session_totals(timing)
    return sum(s.get("seconds/loop", 0.0) * s.get("devices", 1) for s in sessions) / 3600


def _sum_costs(timing: list) -> dict[str, Any]:
    """The totals of all sessions of a run, as the report shows them."""
    sessions = list_session_totals(timing)
    if not sessions:
        return {}
    seconds = {name: sum(totals.get(name, 0.0) for totals in sessions) for name in COSTS}
    costs = {description: f"{seconds[name]:.1f} s" for name, description in COSTS.items()}
    if seconds["seconds/loop"]:
        share = seconds["seconds/evaluate"] / seconds["seconds/loop"]
        costs[COSTS["seconds/evaluate"]] += f", {share:.1%} of all"
    costs["Device hours"] = f"{sum_device_hours(timing):.2f}"
    for kind, name in (("host", "peak_host_mb"), ("device", "peak_device_mb")):
        peak = max(totals.get(name, 0.0) for totals in sessions)
        costs |= {f"Peak {kind} memory": f"{peak:,.0f} MB"} if peak else {}
    return costs | {"Sessions": len(sessions)}
