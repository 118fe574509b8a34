"""study.md and study.tex: the results of a study as Markdown and as LaTeX tables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from prodgen.core.file_names import make_file_name
from prodgen.experiments import study_tables
from prodgen.experiments.comparison import Comparison
from prodgen.experiments.study import Study
from prodgen.experiments.study_text import escape_markdown, label_metric

FIGURES_FOLDER = "figures"
FIGURE_KINDS = {  # the kind of a figure -> (title, what it shows)
    "intervals": (
        "Intervals by cell",
        "Each dot is one training seed. A line is the 95 % interval of the mean over seeds; "
        "an interval that is much wider than the values is cut.",
    ),
    "interactions": (
        "Interaction of axes",
        "Each field is the mean over seeds and over the levels of all other axes.",
    ),
    "curves": (
        "Sample efficiency",
        "Mean over seeds with its 95 % band. The vertical range is that of the values after the "
        "first tenth of training.",
    ),
    "pareto": (
        "Metric and cost",
        "Cells on the Pareto front are numbered: no other cell is both cheaper and better.",
    ),
    "tuning": (
        "Best of n under equal tuning budget",
        "The expected best run of n runs drawn from a level, against the device time of n runs "
        "(Dodge et al., 2019).",
    ),
}


@dataclasses.dataclass(frozen=True)
class MetricReport:
    """The comparison of one metric, with its figures: kind -> content of a PNG file."""

    comparison: Comparison
    rows: Sequence[Sequence[str]]
    figures: Mapping[str, bytes]

    @property
    def metric(self) -> str:
        return self.comparison.metric


def name_figure(metric: str, kind: str) -> str:
    """The file name of a figure: "val-psnr_intervals.png"."""
    return make_file_name(f"{metric.replace('/', '-')}_{kind}") + ".png"


def build_markdown(study: Study, state: str, reports: Sequence[MetricReport], commands) -> str:
    expectation = study.expectation or "No expectation was written."
    lines = [f"# {escape_markdown(study.question)}", state]
    lines += ["## Expectation, written before the run", escape_markdown(expectation), "## Verdict"]
    lines += [
        f"* {escape_markdown(label_metric(r.metric))}: {escape_markdown(r.comparison.verdict.text)}"
        for r in reports
    ] or ["No run has a result yet."]
    for report in reports:
        lines.append(f"## {escape_markdown(label_metric(report.metric))}")
        lines.append(study_tables.build_markdown_table(study_tables.RESULTS_HEADER, report.rows))
        for kind in report.figures:
            path = f"{FIGURES_FOLDER}/{name_figure(report.metric, kind)}"
            lines.append(f"![{FIGURE_KINDS[kind][0]}](<{path}>)")
    text = "\n".join(f"# {name}\n{command}" for name, command in commands.items())
    # A fence is longer than any run of backticks inside.
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
    lines += ["## Commands", f"{fence}\n{text}\n{fence}"]
    return "\n\n".join(lines) + "\n"


def build_latex(reports: Sequence[MetricReport], state: str, name: str) -> str:
    tables = [
        study_tables.build_latex_table(
            study_tables.RESULTS_HEADER,
            report.rows,
            f"{study_tables.caption_results(report.metric)} {state}",
            f"tab:{name}-{report.metric}",
        )
        for report in reports
    ]
    head = r"% Needs \usepackage[T1]{fontenc} and \usepackage{booktabs}."
    return "\n\n".join([head, *tables]) + "\n"
