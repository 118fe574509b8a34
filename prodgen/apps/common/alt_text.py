"""The text that stands for an image: what the product is, of which colour, from which side.

Screen readers cut long texts, so that MAX_LENGTH is the usual advice of shop systems.
"""

from __future__ import annotations

import re

MAX_LENGTH = 125  # characters
TAG = re.compile(r"<[^>]*>")


def write_alt_text(
    title: str, category: str = "", colour: str = "", view: str = "", new_colour: str = ""
) -> str:
    """A sentence of at most MAX_LENGTH characters.

    title, category, colour: of the product, "" where unknown. view: as "view 2" or "close-up".
    new_colour: of a colourway; it replaces the colour in the title. A word that the title has
    already is not repeated. A long title is cut at a space.
    """
    title, category = _clean(title), _clean(category)
    if not title:
        title, category = category, ""
    if new_colour and colour:
        title = _replace_word(title, colour, new_colour)
    endings = []
    if (new_colour or colour) and not _has_words(title, new_colour or colour):
        endings.append(f", {_clean(new_colour or colour).lower()}")
    if category and not _has_words(title, category):
        endings.append(f", {category.lower()}")
    if view:
        endings.append(f", {view}")
    # What follows the title stays: the least important ending goes first where all is too long.
    while len(endings) > 1 and len("".join(endings)) > MAX_LENGTH // 2:
        endings.pop(-2)
    ending = "".join(endings)[:MAX_LENGTH]
    return (_shorten(title, MAX_LENGTH - len(ending)) + ending).strip(" ,")


def _clean(text: str) -> str:
    return " ".join(TAG.sub(" ", text).split())


def _replace_word(text: str, word: str, new_word: str) -> str:
    """A word exchanged wherever it stands, with a capital letter where it had one."""

    def choose(match: re.Match) -> str:
        is_capital = match[0][:1].isupper()
        return new_word[:1].upper() + new_word[1:] if is_capital else new_word

    return re.sub(rf"\b{re.escape(word)}\b", choose, text, flags=re.IGNORECASE)


def _has_words(text: str, words: str) -> bool:
    """Whether a text has each of the words, in singular or plural."""
    own_words = {word.rstrip("s") for word in re.findall(r"\w+", text.casefold())}
    return all(word.rstrip("s") in own_words for word in re.findall(r"\w+", words.casefold()))


def _shorten(text: str, length: int) -> str:
    """The text, cut at its last space before `length` characters."""
    if len(text) <= length:
        return text
    start = text[: length + 1].rpartition(" ")[0]
    return (start or text[:length]).rstrip(" ,;:-")
