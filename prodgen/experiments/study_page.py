"""The report of a study: study.html, study.md, study.tex, and figures as PNG."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from prodgen.core.file_names import decode_name
from prodgen.core.files import write_atomically
from prodgen.experiments import curve_figures, figures, study_tables
from prodgen.experiments.comparison import compare_cells
from prodgen.experiments.results import Observation
from prodgen.experiments.sheets import build_sheets
from prodgen.experiments.study import Cell, Study
from prodgen.experiments.study_documents import (
    FIGURE_KINDS,
    FIGURES_FOLDER,
    MetricReport,
    build_latex,
    build_markdown,
    name_figure,
)
from prodgen.experiments.study_text import (
    ABSENT,
    choose_digits,
    format_number,
    label_metric,
)
from prodgen.report import html_page
from prodgen.report.tables import Link, build_table

MAX_OPEN_VERDICT = 500  # characters of a verdict that is not folded
MAX_OPEN_ROWS = 24  # of a table that is not folded
EXTRA_STYLE = """
img { display: block; margin: .3rem 0; }
blockquote { margin: .4rem 0; padding: .2rem 1rem; border-left: 4px solid #94a3b8; }
body { max-width: 1080px; }
h1, h2, p, li, summary { overflow-wrap: anywhere; }
p.sub { font-size: .88rem; } p.state { font-weight: 600; }
p.missing { background: #fff7ed; border-left: 4px solid #d97706; border-radius: 6px;
            padding: .6rem .9rem; }
a { color: #2563eb; } h3 + p { margin-top: 0; }
div.wide th { vertical-align: bottom; } div.wide td:first-child { width: auto; min-width: 9em; }
div.wide td, div.wide th { padding: .25rem .45rem; font-variant-numeric: tabular-nums; }
div.runs td { white-space: nowrap; } div.runs td:first-child { white-space: normal; }
div.scroll div.wide { max-height: 36rem; overflow-y: auto; }
div.scroll th { position: sticky; top: 0; background: white; }
pre { background: #0f172a; color: #e2e8f0; border-radius: 8px; padding: .7rem .9rem;
      overflow-x: auto; font-size: .82rem; }
.sheets { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 1rem; }
.sheets figure { margin: 0; } .sheets img { width: 100%; }
.sheets figcaption { font-size: .82rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  :root { color-scheme: dark; } body { color: #e2e8f0; background: #12161f; }
  .card, table, div.scroll th { background: #1b212d; } td { border-color: #313a4b; }
  th { border-color: #475569; } p.missing { background: #33230f; } p.note { color: #fbbf24; }
  p.sub, .card span, td:first-child { color: #9aa7ba; } a, summary { color: #7cabff; }
}
"""


def write_report(
    study: Study,
    cells: Sequence[Cell],
    observations: Sequence[Observation],
    folder: Path,
    num_planned: int,
    commands: Mapping[str, str],
    states: Mapping[tuple[int, int], str] | None = None,
) -> list[Path]:
    """Write study.html, study.md, study.tex and figures/*.png, and return their paths.

    folder: of the study; the runs' folders are below it. num_planned: runs of the study. commands:
    what a command does -> the exact command. states: (index of a cell, seed) -> the state of a run
    that is not finished, such as "failed with exit code 65". The page holds the figures itself.
    UsageError or BadData of `compare_cells` where numbers cannot be compared.
    """
    costs = study_tables.average_costs(observations)
    reports = [
        _report_metric(metric, cells, observations, costs)
        for metric in study.metrics
        if any(metric in o.metrics for o in observations)
    ]
    paths = []
    for report in reports:
        for kind, content in report.figures.items():
            path = folder / FIGURES_FOLDER / name_figure(report.metric, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
            paths.append(path)
    state = describe_progress(observations, num_planned)
    page = html_page.build_page(
        study.question,
        _build_sections(
            study, cells, observations, folder, state, reports, dict(commands), states or {}
        ),
        EXTRA_STYLE,
    )
    markdown = build_markdown(study, state, reports, commands)
    latex = build_latex(reports, state, folder.name)
    for name, content in (
        ("study.html", page),
        ("study.md", decode_name(markdown).encode()),
        ("study.tex", decode_name(latex).encode()),
    ):
        write_atomically(folder / name, content)
    return [*(folder / name for name in ("study.html", "study.md", "study.tex")), *paths]


def describe_progress(observations: Sequence[Observation], num_planned: int) -> str:
    """ "34 of 40 runs are finished."; runs count once, however many sampling seeds they have."""
    num_finished = len({o.index for o in observations})
    if num_finished == num_planned:
        return f"All {num_planned:,} runs are finished."
    return f"{num_finished:,} of {num_planned:,} runs are finished."


def _report_metric(metric, cells, observations, costs) -> MetricReport:
    comparison = compare_cells(cells, observations, metric)
    drawings = {
        "intervals": figures.plot_intervals(comparison, cells),
        "interactions": figures.plot_interactions(comparison, cells),
        "curves": curve_figures.plot_curves(cells, observations, metric),
        "pareto": figures.plot_pareto(comparison, cells, costs),
        "tuning": curve_figures.plot_tuning(comparison, cells, costs),
    }
    rows = study_tables.results_rows(comparison, cells, costs)
    contents = {kind: content for kind, content in drawings.items() if content}
    return MetricReport(comparison, rows, contents)


def _build_sections(
    study, cells, observations, folder: Path, state: str, reports, commands, states
) -> list[str]:
    is_complete = state.startswith("All")
    num_seeds = len({o.seed for o in observations})
    subtitle = (
        f"Study {folder.name}: {_count(len(cells), 'cell')} of {study.base}, "
        f"{_count(num_seeds, 'training seed')} so far"
    )
    verdicts = "".join(
        f"<li><b>{html.escape(label_metric(report.metric))}</b>: "
        f"{_build_verdict(report.comparison.verdict.text)}</li>"
        for report in reports
    )
    verdicts = f"<ul>{verdicts}</ul>" if verdicts else "<p>No run has a result yet.</p>"
    expectation = study.expectation or "No expectation was written."
    sections = [
        f"<h1>{html.escape(study.question)}</h1><p class=sub>{html.escape(subtitle)}</p>",
        f"<p class='state{'' if is_complete else ' missing'}'>{html.escape(state)}</p>",
        "<h2>Expectation, written before the run</h2>"
        f"<blockquote>{html.escape(expectation)}</blockquote>",
        f"<h2>Verdict</h2>{verdicts}",
        *(_build_metric(report, cells) for report in reports),
        *_describe_absent_metrics(study, reports),
        *build_sheets(cells, observations, folder),
        _build_runs(study, cells, observations, folder, states),
        _build_commands(commands, observations),
        html_page.fold("Settings of the study", build_table(_list_settings(study, cells))),
    ]
    return sections


def _build_verdict(text: str) -> str:
    """A verdict in words; the remarks that follow the first sentence of a long one are hidden."""
    if len(text) <= MAX_OPEN_VERDICT:
        return html.escape(text)
    first, *remarks = text.split("; ")
    items = "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks)
    return html.escape(first) + html_page.fold(f"{len(remarks):,} remarks", f"<ul>{items}</ul>")


def _build_metric(report: MetricReport, cells: Sequence[Cell]) -> str:
    """The section of one metric: table, figures, variance components."""
    label = label_metric(report.metric)
    table = build_table(map(_typeset_row, report.rows), study_tables.RESULTS_HEADER)
    parts = [
        f"<h2>{html.escape(label)}</h2>",
        f"<p class=sub>{html.escape(report.metric)}; "
        f"{study_tables.describe_direction(report.metric)}. Differences are those of a cell from "
        "the cell with the best mean; p values are adjusted by Holm's method.</p>",
        f"<div class=scroll>{table}</div>",
    ]
    for kind, (title, description) in FIGURE_KINDS.items():
        if kind in report.figures:
            parts.append(f"<h3>{title}</h3><p class=sub>{description}</p>")
            parts.append(html_page.embed_bytes(report.figures[kind], f"{title}: {label}"))
        elif kind == "curves":
            parts.append("<p class=sub>The runs recorded no curve of this metric.</p>")
    components = build_table(
        study_tables.components_rows(report.comparison, cells), study_tables.COMPONENTS_HEADER
    )
    note = "<p class=sub>Standard deviations, and in brackets the share of the variance.</p>"
    parts.append(html_page.fold("Variance components", note + components))
    return "\n".join(parts)


def _describe_absent_metrics(study: Study, reports: Sequence[MetricReport]) -> list[str]:
    absent = [m for m in study.metrics if m not in {report.metric for report in reports}]
    if not absent:
        return []
    return [f"<p class=note>No finished run has {html.escape(', '.join(absent))}.</p>"]


def _build_runs(study: Study, cells, observations, folder: Path, states) -> str:
    """Every run: link to its report, metrics, state. Runs that are not finished come last."""
    has_sampling_seeds = len({o.sampling_seed for o in observations}) > 1
    digits = {
        metric: choose_digits(o.metrics.get(metric, math.nan) for o in observations)
        for metric in study.metrics
    }
    names = {cell.index: cell.name for cell in cells}
    rows = []
    for o in sorted(observations, key=lambda o: (o.index, o.sampling_seed)):
        values = (format_number(o.metrics.get(m, math.nan), digits[m]) for m in study.metrics)
        has_page = bool(o.folder) and (folder / o.folder / "report.html").is_file()
        page = Link("report", f"{o.folder}/report.html") if has_page else "no folder here"
        seeds = [o.seed, o.sampling_seed] if has_sampling_seeds else [o.seed]
        rows.append([names[o.cell], o.index, *seeds, *values, f"{o.seconds:,.1f}", "done", page])
    for (cell, seed), state in sorted(states.items()):
        seeds = [seed, ABSENT] if has_sampling_seeds else [seed]
        blanks = [ABSENT] * (len(study.metrics) + 1)
        rows.append([names[cell], ABSENT, *seeds, *blanks, state, ABSENT])
    seed_titles = ["seed", "sampling seed"] if has_sampling_seeds else ["seed"]
    header = ("cell", "index", *seed_titles, *study.metrics, "time (s)", "state", "page")
    table = (
        f"<div class='runs scroll'>{build_table(rows, header)}</div>"
        if rows
        else "<p>None yet.</p>"
    )
    if len(rows) > MAX_OPEN_ROWS:
        table = html_page.fold(f"All {len(rows):,} rows", table)
    return f"<h2>Runs</h2>{table}"


def _build_commands(commands: Mapping[str, str], observations: Sequence[Observation]) -> str:
    lines = [f"# {name}\n{command}" for name, command in commands.items()]
    parts = ["<h2>Commands</h2>", f"<pre>{html.escape(chr(10).join(lines))}</pre>"]
    runs = {o.index: o.command for o in observations if o.command}
    if runs:
        text = "\n".join(f"# run {index}\n{runs[index]}" for index in sorted(runs))
        parts.append(html_page.fold("The command of each run", f"<pre>{html.escape(text)}</pre>"))
    return "".join(parts)


def _typeset_row(row: Sequence[str]) -> list[str]:
    """A row of results whose numbers have a minus sign and intervals that stay on one line."""
    numbers = (re.sub(r"(?<!\S)-(?=\d)|(?<=\()-(?=\d)", "\u2212", text) for text in row[1:])
    *numbers, cost = (text.replace(" to ", "\u00a0to\u00a0") for text in numbers)
    return [row[0], *numbers, cost.replace(" ", "\u00a0")]


def _list_settings(study: Study, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The study's fields that a reader needs to repeat it, as text."""
    axes = [
        (f"axis {name}: {field}", ", ".join(map(_format_setting, values)))
        for name, fields in study.axes.items()
        for field, values in fields.items()
    ]
    common = [(field, _format_setting(value)) for field, value in study.fixed.items()]
    seeds = study.seeds if isinstance(study.seeds, int) else ", ".join(map(str, study.seeds))
    evaluate = [(f"evaluate: {name}", _format_setting(v)) for name, v in study.evaluate.items()]
    return [
        ("base", study.base),
        *axes,
        *common,
        ("training seeds", str(seeds)),
        ("sampling seeds of a run", str(study.sampling_seeds)),
        *evaluate,
        ("budget", study.budget or "none"),
        ("cells", str(len(cells))),
    ]


def _format_setting(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
