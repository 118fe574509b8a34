"""The doubts in an entry of a manifest, as sentences for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prodgen.apps.common.output import say

# What a person can do about a doubt, by the field of the entry that has it.
ADVICE = {
    "cutout_doubt": "cut them out by hand",
    "doubt": "recolour them with --mode=edit and --from, --at or --region",
    "layout_doubt": "take photos of the whole product, or another layout or size",
}


def describe_doubts(entry: Mapping[str, Any]) -> list[str]:
    """The doubts of an entry, a sentence each; empty where it has none."""
    sentences = []
    if entry.get("cutout_doubt"):
        sentences.append(f"DOUBTFUL cut-out: {entry['cutout_doubt']}")
    if entry.get("doubt"):
        words = f"DOUBTFUL: {entry['doubt']}"
        if entry.get("from_colour"):
            words = f"changed {entry['from_colour']} of the product; {words}"
        sentences.append(words)
    if entry.get("layout_doubt"):
        sentences.append(f"DOUBTFUL place: {entry['layout_doubt']}")
    return sentences


def report_doubts(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print the doubts of each product, once for each `file`, and the number of doubtful ones."""
    sentences_of: dict[str, dict[str, None]] = {}
    for entry in entries:
        sentences = sentences_of.setdefault(entry["file"], {})
        sentences.update(dict.fromkeys(describe_doubts(entry)))
    for file, sentences in sentences_of.items():
        for sentence in sentences:
            say(f"{file}: {sentence}")
    num_doubtful = sum(map(bool, sentences_of.values()))
    if num_doubtful:
        fields = [field for field in ADVICE if any(entry.get(field) for entry in entries)]
        advice = "; ".join(ADVICE[field] for field in fields)
        say(f"{num_doubtful} of {len(sentences_of)} products are doubtful: {advice}")
