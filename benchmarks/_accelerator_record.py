"""The results of benchmarks/accelerator.py: its JSON file, its table and its chart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from benchmarks._accelerator_plan import Section
from prodgen.core.errors import BadData, UsageError
from prodgen.core.files import write_atomically

FILE = "accelerator.json"
FEEDS = ("resident", "numpy", "tfdata")
CHART_WIDTH, BAR_HEIGHT, LABEL_WIDTH = 900, 26, 250  # pixels
INK, ACCENT = "#334155", "#2563eb"
DETERMINISTIC_BASELINE = "dcgan at 64 px"  # the section that the deterministic one is compared with


class Record:
    """The file accelerator.json, written whole after each section.

    sections: name -> {"status": "finished", "failed", "stopped" or "skipped", "attempts",
    "seconds", and "result" or "reason"}.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        self.file = folder / FILE
        self.content: dict[str, Any] = {"settings": dict(settings), "device": {}, "sections": {}}
        if not self.file.is_file():
            return
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            old_settings = content["settings"]
        except (ValueError, KeyError, TypeError):
            raise BadData(f"{self.file} is damaged", "name another folder with --out") from None
        self._check_equal("settings", old_settings, self.content["settings"])
        self.content = content

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        return self.content["sections"]

    def has_finished(self, section: Section) -> bool:
        return self.sections.get(section.name, {}).get("status") == "finished"

    def check_device(self, device: Mapping[str, Any]) -> None:
        """Keep the device's description; UsageError where another has measured before."""
        if self.content["device"]:
            self._check_equal("device", self.content["device"], dict(device))
        self.content["device"] = dict(device)

    def add(self, section: Section, answer: Mapping[str, Any]) -> None:
        """Keep a section's answer, and write the file."""
        attempts = self.sections.get(section.name, {}).get("attempts", 0)
        attempts += answer["status"] != "skipped"
        self.sections[section.name] = {**answer, "attempts": attempts}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, json.dumps(self.content, indent=1).encode())

    def _check_equal(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        for key in old.keys() | new.keys():
            if old.get(key) != new.get(key):
                raise UsageError(
                    f"{self.file} has results with the {name} {key}={old.get(key)}, now "
                    f"{new.get(key)}",
                    "name another folder with --out",
                )


def format_table(record: Record, sections: Iterable[Section]) -> str:
    """A Markdown table with a row for each section."""
    device = record.content["device"]
    title = f"{device.get('device_kind', 'no device')}, JAX {device.get('jax', '?')}"
    lines = [f"| {title} | s | result |", "|---|---:|---|"]
    for section in sections:
        entry = record.sections.get(section.name, {"status": "skipped", "reason": "not started"})
        text = f"{entry['status']}: {entry.get('reason', '')}"
        if entry["status"] == "finished":
            text = describe_result(entry["result"])
            if section.is_deterministic:
                text += _describe_cost(record, entry["result"])
        seconds = f"{entry['seconds']:.0f}" if "seconds" in entry else ""
        lines.append(f"| {section.name} | {seconds} | {text} |")
    return "\n".join(lines)


def describe_result(result: Mapping[str, Any]) -> str:
    """The numbers of a section in words, those that it has."""
    parts = []
    if "largest_relative_error" in result:
        parts.append(f"passes; largest relative error {result['largest_relative_error']:.1e}")
    if "loss" in result:
        parts.append(f"loss {result['loss']:.5g} after {result['steps']} steps")
    if "is_equal_to_the_bit" in result:
        parts.append("equal to the bit" if result["is_equal_to_the_bit"] else "not reproducible")
    if "images_per_s" in result:
        parts.append(f"{result['images_per_s']:,.0f} images/s at batch {result['batch_size']}")
    if "share_of_peak" in result:
        parts.append(f"{result['share_of_peak']:.1%} of the bfloat16 peak")
    if "gflop_per_image" in result:
        parts.append(f"{result['gflop_per_image']:.3g} GFLOP an image")
    if "compile_seconds" in result:
        text = f"compiles in {result['compile_seconds']:.1f} s"
        if "compile_seconds_from_cache" in result:
            text += f", {result['compile_seconds_from_cache']:.1f} s from the cache"
        parts.append(text)
    if "temporaries_gb" in result:
        parts.append(f"temporaries {result['temporaries_gb']:.2f} GB")
    if "idle_share" in result:
        parts.append(
            f"idle {result['idle_share']:.1%} of {result['span_ms']:.0f} ms; largest gap "
            f"{result['largest_gap_share']:.2%}, {result['largest_gap_us']:.0f} us"
        )
    for name in FEEDS:
        if name in result:
            parts.append(f"{name} {result[name]['images_per_s']:,.0f} images/s")
    if "data" in result:
        parts.append(
            f"{result['steps']} steps in {result['seconds']:.0f} s on {result['data']}; "
            f"{result['skipped_steps']} skipped; {result['sheet']}"
        )
    if "note" in result:
        parts.append(result["note"])
    return "; ".join(parts)


def _describe_cost(record: Record, result: Mapping[str, Any]) -> str:
    """The share of speed that deterministic kernels cost, where both are measured."""
    baseline = record.sections.get(DETERMINISTIC_BASELINE, {}).get("result")
    if not baseline:
        return ""
    return f"; costs {1 - result['images_per_s'] / baseline['images_per_s']:.1%} of the speed"


def draw_chart(record: Record) -> Image.Image:
    """Bars of images per second of all sections that have them."""
    rates: dict[str, float] = {}
    for name, entry in record.sections.items():
        result = entry.get("result", {})
        if "images_per_s" in result:
            rates[name] = result["images_per_s"]
        feeds = [feed for feed in FEEDS if feed in result]
        rates |= {f"{name}, {feed}": result[feed]["images_per_s"] for feed in feeds}
    font, largest = ImageFont.load_default(size=14), max(rates.values(), default=1.0)
    canvas = Image.new("RGB", (CHART_WIDTH, BAR_HEIGHT * (len(rates) + 1)), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((6, BAR_HEIGHT // 2), "images/s", fill=INK, font=font, anchor="lm")
    for i, (name, rate) in enumerate(rates.items(), 1):
        top, middle = i * BAR_HEIGHT, i * BAR_HEIGHT + BAR_HEIGHT // 2
        end = LABEL_WIDTH + (CHART_WIDTH - LABEL_WIDTH - 90) * rate / largest
        draw.text((6, middle), name, fill=INK, font=font, anchor="lm")
        draw.rectangle((LABEL_WIDTH, top + 4, end, top + BAR_HEIGHT - 4), fill=ACCENT)
        draw.text((end + 6, middle), f"{rate:,.0f}", fill=INK, font=font, anchor="lm")
    return canvas
