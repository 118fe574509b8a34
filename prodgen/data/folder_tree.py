"""A folder's tree as lines of text, with the number of images and the role of each folder."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

from prodgen.data.layout import Folders, Layout

MAX_LINES = 60
MAX_CHILDREN = 12  # of one folder that are listed


@dataclasses.dataclass
class Counts:
    """Of one folder: images in it and below, directly in it, outside the splits; other files."""

    images: int = 0
    direct: int = 0
    outside: int = 0
    others: int = 0


def render_tree(
    title: str, layout: Layout, images: Iterable[Folders], others: Iterable[Folders]
) -> tuple[str, ...]:
    """The lines of a folder called `title`, of at most MAX_LINES.

    images, others: the folders above each image, and above each other file, in NFC.
    """
    counts: dict[Folders, Counts] = collections.defaultdict(Counts)
    for folders in images:
        is_outside = layout.place(folders).is_outside
        counts[folders].direct += 1
        for depth in range(len(folders) + 1):
            counts[folders[:depth]].images += 1
            counts[folders[:depth]].outside += is_outside
    for folders in others:
        for depth in range(len(folders) + 1):
            counts[folders[:depth]].others += 1
    children = collections.defaultdict(list)
    for folders in sorted(counts):
        if folders and len(folders) <= layout.max_depth:
            children[folders[:-1]].append(folders)

    lines: list[str] = []
    pending = [((), title)]
    while pending:
        folders, name = pending.pop()
        indent = "  " * len(folders)
        if folders not in counts:  # the line for children that are not listed
            lines.append(f"{indent}{name}")
            continue
        role = layout.describe_folder(folders)
        lines.append(
            f"{indent}{name}/  {_describe(counts[folders], role, bool(children[folders]))}"
        )
        inner = [(child, child[-1]) for child in children[folders][:MAX_CHILDREN]]
        num_hidden = len(children[folders]) - len(inner)
        if num_hidden:
            inner.append(((*folders, ""), f"... and {num_hidden:,} more folders"))
        pending += reversed(inner)
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"... and {len(lines) - MAX_LINES + 1:,} more lines"]
    return tuple(lines)


def _describe(counts: Counts, role: str, has_children: bool) -> str:
    parts = [f"{counts.images:,} image{'' if counts.images == 1 else 's'}"]
    if has_children and counts.direct:
        parts.append(f"{counts.direct:,} directly in it")
    if counts.others:
        parts.append(f"{counts.others:,} other file{'' if counts.others == 1 else 's'}")
    if counts.images and counts.outside == counts.images:
        parts.append("left out")
    elif role and counts.images:
        parts.append(role)
    return ", ".join(parts)
