"""report.html: a finished run on one self-contained page, readable on a phone."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prodgen.config import flatten, renames
from prodgen.core.files import write_atomically
from prodgen.report import judged, writer
from prodgen.runs import folder

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1e293b; background: #f8fafc;
       max-width: 980px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p.sub { color: #64748b; margin: 0; }
img { max-width: 100%; height: auto; border-radius: 8px; background: white;
      box-shadow: 0 1px 3px #0f172a22; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(135px, 1fr)); gap: .7rem; }
.card { background: white; border-radius: 10px; padding: .7rem .9rem;
        box-shadow: 0 1px 3px #0f172a18; }
.card b { display: block; font-size: 1.25rem; } .card span { color: #64748b; font-size: .82rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; background: white; }
td { padding: .25rem .6rem; border-bottom: 1px solid #e2e8f0; overflow-wrap: anywhere; }
td:first-child { color: #64748b; width: 45%; }
ul.warn { background: #fef2f2; border-left: 4px solid #dc2626; border-radius: 6px;
          padding: .6rem .6rem .6rem 1.8rem; }
h3 { font-size: .98rem; margin: 1.4rem 0 .4rem; }
th { text-align: left; font-weight: 600; padding: .25rem .6rem; border-bottom: 2px solid #cbd5e1; }
div.wide { overflow-x: auto; } div.wide td { overflow-wrap: normal; }
p.note { color: #92400e; font-size: .88rem; margin: .4rem 0; }
iframe { width: 100%; height: 80vh; border: 1px solid #e2e8f0; border-radius: 8px; }
details { margin-top: .8rem; } summary { cursor: pointer; color: #2563eb; }
"""

NUMBERS = {  # name in the metrics -> (words, unit, digits)
    "val/elbo": ("Evidence bound, validation", "nats", 0),
    "val/bits_per_dim": ("Bits per dimension", "", 3),
    "val/psnr": ("Reconstruction, PSNR", "dB", 1),
    "val/ssim": ("Reconstruction, SSIM", "", 3),
    "val/kl": ("Information in the latent", "nats", 1),
    "val/active_latents": ("Active latents", "", 0),
    "val/frechet": ("Frechet distance, classifier features, validation", "", 2),
    "val/condition_accuracy": ("Condition accuracy, validation", "", 3),
    "val/condition_accuracy_real": ("Condition accuracy of real images", "", 3),
    "val/spread": ("Variety within categories, of the reals'", "", 2),
    "val/near_duplicates": ("Near duplicates among samples of a category, validation", "", 3),
    "val/categories": ("Share of categories produced", "", 2),
}
COSTS = {
    "seconds/loop": "Training and judging",
    "seconds/compile": "Compiling the step",
    "seconds/first step": "From the command to the first step",
    "seconds/data": "Waiting for data",
    "seconds/evaluate": "Judging",
    "seconds/sheet": "Drawing sheets",
    "seconds/checkpoint": "Saving (the loop's share)",
    "seconds/classifier": "Training the reference classifier, or loading it",
}


def report(run: Path, warnings: Sequence[str] = ()) -> Path:
    """Write report.html from what the run's folder holds, and return its path.

    `warnings` are lines of what went wrong in training, as the sentinel saw it.
    """
    record = folder.read(run)
    metrics, timing = writer.read(run / writer.METRICS), writer.read(run / writer.TIMING)
    page = run / "report.html"
    write_atomically(page, _page(run.name, _sections(run, record, metrics, timing, warnings)))
    return page


def evaluation(path: Path) -> bytes:
    """The page of an evaluation that stands alone, from its evaluation.json and the sheets beside
    it."""
    found = _read_evaluation(path)
    title = found["subject"]["name"]
    cards = _as_cards(judged.cards(found))
    return _page(title, [f"<h1>{html.escape(title)}</h1>", cards, *_judged(path)])


def _read_evaluation(path: Path) -> dict[str, Any]:
    return renames.update_evaluation(json.loads(path.read_text(encoding="utf-8")))


def _page(title: str, sections: Sequence[str]) -> bytes:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = "\n".join(sections)
    return (
        f"<!doctype html><html lang=en><head>{head}<title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    ).encode()


def _judged(path: Path) -> list[str]:
    """The sections of an evaluation, if there is one."""
    if not path.exists():
        return []
    found = _read_evaluation(path)
    pairs, typical = (path.with_name(f"evaluation_{name}.png") for name in ("pairs", "typical"))
    return [
        *judged.sections(found),
        _image(pairs, "samples over the training pictures most alike to them"),
        "<h2>Most and least typical samples</h2>" + _image(typical, "typical samples"),
    ]


def _sections(
    run: Path, record: dict[str, Any], metrics: list, timing: list, warnings: Sequence[str]
) -> list[str]:
    last = {name: value for entry in metrics for name, value in entry.items()}
    data, config = record["data"], record["config"]
    counts = ", ".join(f"{number:,} {name}" for name, number in data["counts"].items())
    what = f"{config['model']['name']} on {config['data']['source']}, step {last.get('step', 0):,}"
    return [
        f"<h1>{html.escape(run.name)}</h1><p class=sub>{html.escape(what)}; pictures: {counts}</p>",
        "<h2>In numbers</h2>",
        _cards(last, timing, run / "evaluation.json"),
        _warnings(warnings) if "val/logits" in last else "",
        *_pictures(run),
        *_judged(run / "evaluation.json"),
        "<h2>Curves</h2>" + _image(run / "curves.png", "curves of the run"),
        _table("What it cost", _costs(timing)),
        _details("Configuration", flatten(config)),
        _details("Versions", record["versions"] | {"fingerprint": record["fingerprint"]}),
        _details("Started from", record["init_from"]) if record["init_from"] else "",
        _data_report(run / "data_report.html"),
    ]


def _data_report(path: Path) -> str:
    """The report of the data, whole, folded away."""
    if not path.exists():
        return ""
    content = html.escape(path.read_text(encoding="utf-8"))
    frame = f'<iframe title="data report" loading=lazy srcdoc="{content}"></iframe>'
    return f"<details><summary>What is in the data</summary>{frame}</details>"


def _cards(last: dict[str, float], timing: list, evaluation: Path) -> str:
    cards = [
        (words, f"{last[name]:z.{digits}f} {unit}")
        for name, (words, unit, digits) in NUMBERS.items()
        if name in last
    ]
    if last.get("skipped"):
        cards.append(("Steps skipped, not finite", f"{last['skipped']:.0f}"))
    rates = [entry["images_per_s"] for entry in timing if "images_per_s" in entry]
    if rates:
        cards.append(("Pictures a second", f"{sorted(rates)[len(rates) // 2]:.0f}"))
    if evaluation.exists():
        cards += judged.cards(_read_evaluation(evaluation))
    return _as_cards(cards)


def _as_cards(cards: Sequence[tuple[str, str]]) -> str:
    inner = "".join(
        f"<div class=card><b>{html.escape(value)}</b><span>{html.escape(words)}</span></div>"
        for words, value in cards
    )
    return f"<div class=cards>{inner}</div>"


def _warnings(lines: Sequence[str]) -> str:
    """What the sentinel saw of an adversarial run."""
    if not lines:
        return "<p>The sentinel saw no collapse, no lost balance and no divergence.</p>"
    inner = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>What the sentinel saw</h2><ul class=warn>{inner}</ul>"


def _pictures(run: Path) -> list[str]:
    """The newest sample and reconstruction sheets, the earlier ones folded away."""
    parts = []
    for prefix, title in (
        ("step", "Samples"),
        ("reconstruction", "Held-back pictures, each over its reconstruction"),
    ):
        sheets = sorted((run / "samples").glob(f"{prefix}_*.png"))
        if not sheets:
            continue
        parts.append(f"<h2>{title}</h2>" + _image(sheets[-1], title))
        if prefix == "step" and len(sheets) > 1:
            chosen = sheets[:-1][:: max(1, len(sheets) // 4)]
            inner = "".join(
                f"<p>{html.escape(path.stem)}</p>" + _image(path, path.stem) for path in chosen
            )
            parts.append(f"<details><summary>How they came about</summary>{inner}</details>")
    return parts


def _image(path: Path, words: str) -> str:
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'


def _costs(timing: list) -> dict[str, Any]:
    """Each session's last ledger, summed over the sessions that a run was continued in."""
    sessions = {entry["session"]: entry for entry in timing if "session" in entry}.values()
    if not sessions:
        return {}
    found = {
        words: f"{sum(ledger.get(name, 0.0) for ledger in sessions):.1f} s"
        for name, words in COSTS.items()
    }
    looped, judging = (
        sum(ledger.get(f"seconds/{name}", 0.0) for ledger in sessions)
        for name in ("loop", "evaluate")
    )
    found["Judging"] += f", {judging / looped:.1%} of it all" if looped else ""
    hours = sum(s.get("seconds/loop", 0.0) * s.get("devices", 1) for s in sessions) / 3600
    found["Device hours"] = f"{hours:.2f}"
    for words, name in (("host", "peak_host_mb"), ("device", "peak_device_mb")):
        peak = max(ledger.get(name, 0.0) for ledger in sessions)
        found |= {f"Peak {words} memory": f"{peak:,.0f} MB"} if peak else {}
    return found | {"Sessions": len(sessions)}


def _table(title: str, rows: dict[str, Any]) -> str:
    return f"<h2>{title}</h2>{_rows(rows)}" if rows else ""


def _details(title: str, rows: dict[str, Any]) -> str:
    return f"<details><summary>{title}</summary>{_rows(rows)}</details>"


def _rows(rows: dict[str, Any]) -> str:
    cells = (
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"
