"""The page gate.html: each image before and after its repair, failing ones first, and the rules."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from prodgen.apps.common.thumbnails import encode_thumbnail
from prodgen.metrics.marketplace import Verdict
from prodgen.metrics.marketplace_rules import PROFILES, Profile
from prodgen.report import html_page
from prodgen.report.review_page import ReviewRow, build_review_page

WORDS = {"pass": "passes", "fail": "fails", "close_up": "close-up: a further image"}
STATES = {"pass": "good", "fail": "bad", "close_up": "doubt"}


class GatePage:
    """Rows of the first `limit` images that do not pass and of the first `limit` that do."""

    def __init__(self, limit: int):
        self._limit, self._total = limit, 0
        self._rows: dict[bool, list[ReviewRow]] = {False: [], True: []}

    def add_image(
        self,
        file: str,
        verdict: Verdict,
        before: np.ndarray | None,
        after: np.ndarray | None = None,
        after_verdict: Verdict | None = None,
        repair: str = "",
    ) -> None:
        """An image uint8 [H, W, 1 | 3 | 4], and its repaired copy, where there are any."""
        self._total += 1
        is_resolved = (after_verdict or verdict).passes
        rows = self._rows[is_resolved]
        if len(rows) >= self._limit:
            return
        versions = (("before", before), ("after", after))
        images = tuple((name, encode_thumbnail(i)) for name, i in versions if i is not None)
        words, state = WORDS[verdict.name], STATES[verdict.name]
        if after_verdict:
            words += f"; after the repair: {WORDS[after_verdict.name]}"
            state = "good" if after_verdict.passes else "bad"
        left_over = after_verdict.reasons if after_verdict else ()
        details = [f"repair: {repair}"] if repair else []
        details += [f"after the repair: {reason}" for reason in left_over]
        details += [f"note: {note}" for note in verdict.notes]
        rows.append(ReviewRow(file, words, state, images, verdict.reasons, tuple(details)))

    def build(self, summary: str, profile: str, cards: Sequence[tuple[str, str]]) -> bytes:
        """The page; its summary says how many rows are left out."""
        rows = (self._rows[False] + self._rows[True])[: self._limit]
        if len(rows) < self._total:
            summary += f"; {len(rows)} of {self._total} are shown"
        sections = ["<h2>The rules</h2>", describe_profile(profile)]
        return build_review_page(f"Gate: {profile}", summary, cards, rows, sections)


def describe_profile(name: str) -> str:
    """A profile's rules, what no measure checks, and their source, as HTML."""
    profile = PROFILES[name]
    lines = [f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>"
             for k, v in list_rules(profile)]  # fmt: skip
    table = f"<table>{''.join(lines)}</table>"
    manual_rules = "".join(f"<li>{html.escape(rule)}</li>" for rule in profile.manual_rules)
    table += f"<p>Look yourself, nothing here checks it:</p><ul>{manual_rules}</ul>" * bool(
        manual_rules
    )
    source = profile.source
    if not source:
        return f"{table}<p class=note>Common rules, not the text of any marketplace.</p>"
    kind = "the marketplace's own page" if source.is_first_hand else "a page of others"
    words = f"{source.title}: {source.url}, read on {source.date} ({kind}). {source.open_points}"
    folded_words = f"<p>{html.escape(words)}</p>"
    return f"{table}{html_page.fold('Source, and what could not be verified', folded_words)}"


def list_rules(profile: Profile) -> list[tuple[str, str]]:
    """(rule, its value) of a profile, in words."""
    low, high = profile.fill
    rules = [
        ("background", "white" if profile.background else "any colour"),
        ("the product fills, of the frame's side", f"{low:.0%} to {high:.0%}"),
        ("off centre by", f"at most {profile.max_off_centre:.0%}"),
        ("longest side", f"at least {profile.min_side} px"),
        ("of which real detail", f"{profile.min_native} px"),
    ]
    if profile.min_short_side:
        rules.append(("shortest side", f"at least {profile.min_short_side} px"))
    if profile.recommended_side:
        rules.append(("recommended longest side", f"{profile.recommended_side} px"))
    if profile.square:
        rules.append(("shape", "square"))
    if profile.max_bytes < math.inf:
        rules.append(("file", f"at most {profile.max_bytes / 1e6:.0f} MB"))
    if profile.formats:
        rules.append(("formats", ", ".join(profile.formats)))
    if profile.advice:
        rules.append(("advice only: a note and no fault", ", ".join(profile.advice)))
    return rules
