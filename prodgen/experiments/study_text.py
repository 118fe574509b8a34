"""Texts of a study's report: labels of metrics, numbers, and escaping for Markdown and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from prodgen.core.file_names import format_name
from prodgen.report.evaluation_sections import DISTANCES, RECONSTRUCTION_METRICS
from prodgen.report.run_page import CARDS

MAX_DIGITS = 6  # after the decimal point
ABSENT = "-"  # in place of a number that is not known
TIME_UNITS = (("s", 1 / 3600), ("min", 1 / 60), ("h", 1.0))  # name -> hours
LATEX_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "[": "{[}", "]": "{]}", "`": r"\textasciigrave{}",
}  # fmt: skip


def label_metric(metric: str) -> str:
    """The description of a metric with its unit: "Reconstruction, PSNR (dB)"; else its name.

    "evaluate/classifier/frechet" also names the extractor: "Frechet distance, classifier features".
    """
    _, *extractor, last_name = ["", *metric.split("/")[1:]] if "/" in metric else ["", metric]
    if metric in CARDS:
        description, unit, _ = CARDS[metric]
    elif last_name in RECONSTRUCTION_METRICS:
        description, unit, _ = RECONSTRUCTION_METRICS[last_name]
    elif last_name in DISTANCES:
        description, unit = DISTANCES[last_name][0].partition(":")[0], ""
        description += f", {' '.join(extractor)} features" if extractor else ""
    else:
        return metric
    description = re.sub(r" \((less|more) is better\)", "", description)
    return f"{description} ({unit})" if unit else description


def choose_digits(values: Iterable[float], spreads: Iterable[float] = ()) -> int:
    """Digits after the point, 0 to 6, that show two digits of the smallest spread.

    Where no spread is known, or all are 0, four digits of the largest value are shown.
    """
    steps = [spread for spread in spreads if math.isfinite(spread) and spread > 0]
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    if steps:
        digits = 1 - math.floor(math.log10(min(steps)))
    else:
        digits = 3 - math.floor(math.log10(max(sizes))) if sizes else 0
    return min(MAX_DIGITS, max(0, digits))


def format_number(value: float, digits: int) -> str:
    """A number with `digits` digits after the point; "-" for one that is not finite."""
    return f"{value:z,.{digits}f}" if math.isfinite(value) else ABSENT


def format_interval(value: float, low: float, high: float, digits: int) -> str:
    """ "22.91 (22.70 to 23.12)"; without an interval, the value alone."""
    if not (math.isfinite(value) and math.isfinite(low) and math.isfinite(high)):
        return format_number(value, digits)
    ends = (format_number(end, digits) for end in (low, high))
    return f"{format_number(value, digits)} ({' to '.join(ends)})"


def format_p(p: float) -> str:
    """A p value of three digits; "< 0.001" below."""
    if not math.isfinite(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def choose_time_unit(hours: Iterable[float]) -> tuple[str, float]:
    """The unit (s, min or h) in which the largest duration is at least 1, and its hours."""
    longest = max((value for value in hours if math.isfinite(value)), default=0.0)
    units = [unit for unit in TIME_UNITS if longest >= unit[1]]
    return units[-1] if units else TIME_UNITS[0]


def shorten(text: str, max_length: int) -> str:
    """One line of at most `max_length` characters; the middle of a longer text is left out."""
    line = format_name(text)
    if len(line) <= max_length:
        return line
    head = (max_length - 1) * 2 // 3
    return f"{line[:head]}…{line[len(line) - (max_length - 1 - head) :]}"


def escape_latex(text: str) -> str:
    """Text as one line of LaTeX, for UTF-8 documents with the T1 font encoding."""
    line = format_name(" ".join(text.split()))
    return "".join(LATEX_ESCAPES.get(character, character) for character in line)


def escape_markdown(text: str) -> str:
    """Text as one line of Markdown, also inside a table's cell."""
    line = format_name(" ".join(text.split()))
    line = re.sub(r"([\\`*_{}\[\]<>#|&$~!])", r"\\\1", line)
    # At the start of a paragraph these begin a list.
    return re.sub(r"^(\d+(?=[.)])|)([-+.)])(?= )", r"\1\\\2", line)
