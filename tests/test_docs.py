"""The documentation is plain English: short sentences, the field's words, links that lead."""

import re

import pytest

from tests.tiny import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAX_WORDS = 30  # a sentence
OLD_WORDS = (
    "home network", "named as asked", "obedien", "sentinel", "passport", "held back", "twin",
    "out of reach", "packshot judge", "the house",
)  # fmt: skip


def sentences(text):
    """The sentences of a page; no code, tables, headings or link targets."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)|`[^`]*`", "]x", text)
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) ?)", text)
    for paragraph in paragraphs:
        if not paragraph.lstrip().startswith(("|", "#", "!")):
            yield from re.split(r"(?<=[.:;?!])[\"*)\]]*\s+", " ".join(paragraph.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_plain_english(page):
    text = page.read_text()
    long = [s for s in sentences(text) if len(re.findall(r"\w[\w'-]*", s)) > MAX_WORDS]
    assert not long, long
    old = [word for word in OLD_WORDS if word in text.lower() and page.name != "CHANGELOG.md"]
    assert not old, old


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_stands_on_lines_of_its_own(page):
    """A diagram or a command that was filled like a paragraph is not drawn."""
    lines = page.read_text().splitlines()
    assert not [line for line in lines if "```" in line and not re.fullmatch(r" *```\w*", line)]
