"""What the folders above each image mean: an official split, a category, or a wrapper to skip.

Images alone decide, by their folders' names in Unicode NFC. Three layouts have splits: the split
folders come first (train/shoes), or the categories do (shoes/train), or train/ stands alone beside
loose images. Images outside of the splits are left out, which the report says.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from prodgen.data.source import SplitName

Folders = tuple[str, ...]  # the names of the folders above an image, outermost first

SPLIT_NAMES: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
WRAPPER_NAMES = {"image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "data"}
MAX_SPLIT_LEVEL = 6  # folders above the split folders
MIN_WRAPPER_SHARE = 0.9  # of the images, in a folder with splits that is no category
CACHE_SIZE = 10_000  # names of folders
MAX_NAMES = 5  # that a sentence lists


@dataclasses.dataclass(frozen=True)
class Placement:
    """What the folders of an image say. is_outside: the image is in no split, and left out."""

    category: str | None = None
    split: SplitName | None = None
    is_outside: bool = False


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the folders are read.

    wrapper: the outermost folders, which are skipped. split_level: how many folders lie between
    the wrapper and the split folders; None without splits. inner: by split folder, the number of
    folders to skip inside of it. remarks: sentences on what could also have been meant.
    """

    wrapper: Folders = ()
    split_level: int | None = None
    inner: Mapping[str, int] = dataclasses.field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def place(self, folders: Folders) -> Placement:
        """The category and the split of an image in `folders`, which are in NFC."""
        depth = len(self.wrapper)
        is_inside = folders[:depth] == self.wrapper
        rest = folders[depth:] if is_inside else ()
        if self.split_level is None:
            return Placement(rest[0] if rest else None)
        split = find_split(rest[self.split_level]) if len(rest) > self.split_level else None
        if split is None:
            return Placement(is_outside=True)
        inner = rest[:1] if self.split_level else rest[1 + self.inner.get(rest[0], 0) :]
        return Placement(inner[0] if inner else None, split)

    def describe_folder(self, folders: Folders) -> str:
        """The role of a folder, for the report; "" where it has none."""
        depth = len(self.wrapper)
        if len(folders) <= depth:
            return "skipped" if folders and folders == self.wrapper[: len(folders)] else ""
        level = len(folders) - depth - 1
        category_level = 0 if self.split_level != 0 else 1 + self.inner.get(folders[depth], 0)
        if folders[:depth] != self.wrapper:
            return ""
        if level == self.split_level:
            split = find_split(folders[-1])
            return f"split {split}" if split else ""
        if level == category_level:
            return "category"
        return "skipped" if self.split_level == 0 and 0 < level < category_level else ""

    @property
    def max_depth(self) -> int:
        """Folder levels down to the last one that means something."""
        if self.split_level is None:
            return len(self.wrapper) + 1
        return len(self.wrapper) + 1 + (self.split_level or 1 + max(self.inner.values(), default=0))


def normalise_folders(name: str) -> Folders:
    """The folders above a file, in NFC; name: its path with slashes."""
    return _split_path(name.rpartition("/")[0])


@functools.lru_cache(maxsize=CACHE_SIZE)
def _split_path(path: str) -> Folders:
    return tuple(unicodedata.normalize("NFC", path).split("/")) if path else ()


@functools.lru_cache(maxsize=CACHE_SIZE)
def find_split(folder: str) -> SplitName | None:
    """The split that a folder's name means: of train, Test_set, val-images, test1; else None."""
    words = re.sub(r"[\W_]+|\d+$", " ", folder.casefold()).split()
    words = [word for word in words if word not in WRAPPER_NAMES | {"set", "split", "folder"}]
    return SPLIT_NAMES.get(words[0].removesuffix("set")) if len(words) == 1 else None


def find_layout(paths: Sequence[Folders]) -> Layout:
    """The layout of images that lie in these folders, one entry an image, in NFC."""
    counts = collections.Counter(paths)
    remarks: tuple[str, ...] = ()
    for level in range(min(MAX_SPLIT_LEVEL + 1, max(map(len, counts), default=0))):
        inside = {path: n for path, n in counts.items() if _has_split(path, level)}
        if not inside:
            continue
        if _is_split_level(counts, inside, level):
            return _make_split_layout(inside, level)
        remarks = remarks or _describe_undecided(counts, inside, level)
    wrapper = _find_wrapper(counts)
    if any(map(find_split, wrapper)):
        remarks += (
            f"all images lie in {'/'.join(wrapper)}/, without a folder of another split beside "
            "it: validation and test images are chosen from them",
        )
    return Layout(wrapper, remarks=remarks)


def _has_split(path: Folders, level: int) -> bool:
    return len(path) > level and find_split(path[level]) is not None


def _is_split_level(counts: dict[Folders, int], inside: dict[Folders, int], level: int) -> bool:
    """Whether the folders at `level` are official splits. inside: the images in such folders."""
    splits = _collect_splits(inside, level)
    has_held_out = ["train" in names and len(names) > 1 for names in splits.values()]
    num_inside, num_images = sum(inside.values()), sum(counts.values())
    if level <= _count_shared(counts, level):
        # Beside train/ and test/ may lie anything; beside train/ alone, fewer loose images only.
        is_alone = all(len(path) == level for path in counts if path not in inside)
        is_train = all(names == {"train"} for names in splits.values()) and is_alone
        return has_held_out[0] or (is_train and 2 * num_inside > num_images > num_inside)
    if len(splits) == 1 and has_held_out[0]:
        names = next(iter(splits))
        is_wrapper = all(name.casefold() in WRAPPER_NAMES for name in names)
        are_loose = all(path == names[: len(path)] for path in counts if path not in inside)
        return is_wrapper or are_loose or num_inside > MIN_WRAPPER_SHARE * num_images
    return 2 * num_inside > num_images and 2 * sum(has_held_out) > len(splits)


def _collect_splits(inside: dict[Folders, int], level: int) -> dict[Folders, set[SplitName | None]]:
    """The splits below each folder that holds folders of splits at `level`."""
    splits = collections.defaultdict(set)
    for path in inside:
        splits[path[:level]].add(find_split(path[level]))
    return splits


def _make_split_layout(inside: dict[Folders, int], level: int) -> Layout:
    """The layout with split folders at `level`: what all of them share above is a wrapper."""
    depth = _count_shared(inside, level)
    first = next(iter(inside))
    if depth < level:
        return Layout(first[:depth], split_level=level - depth)
    # Inside of the split folders, wrappers and repeated names of splits are skipped.
    folders = collections.defaultdict(list)
    for path in inside:
        folders[path[level]].append(path[level + 1 :])
    inner = {name: _count_skippable(paths) for name, paths in folders.items()}
    # A name that is a category in one split is one in all of them.
    categories = {
        path[inner[name]] for name, paths in folders.items() for path in paths
        if len(path) > inner[name]
    }  # fmt: skip
    for name, paths in folders.items():
        if categories & set(paths[0][: inner[name]]):
            inner[name] = 0
    return Layout(first[:depth], split_level=0, inner=inner)


def _count_skippable(paths: Sequence[Folders]) -> int:
    """How many outermost folders of all paths have no meaning: images/, or the name of a split."""
    level = 0
    while all(
        len(path) > level
        and (path[level].casefold() in WRAPPER_NAMES or find_split(path[level]) is not None)
        for path in paths
    ):
        level += 1
    return level


def _count_shared(paths: Iterable[Folders], limit: int) -> int:
    """How many outermost folders all paths share, at most `limit`."""
    paths = list(paths)
    depth = 0
    while depth < limit and all(len(p) > depth and p[depth] == paths[0][depth] for p in paths):
        depth += 1
    return depth


def _find_wrapper(counts: dict[Folders, int]) -> Folders:
    """The outermost folders that hold all images, or all but a few beside images/."""
    paths = list(counts)
    depth = _count_shared(paths, max(map(len, paths), default=0))
    wrapper = paths[0][:depth] if paths else ()
    for name in {path[depth] for path in paths if len(path) > depth}:
        inside = {path: n for path, n in counts.items() if path[depth : depth + 1] == (name,)}
        are_loose = all(len(path) == depth for path in paths if path not in inside)
        # Beside other folders, a folder of loose images is a category as they are.
        num_images = sum(inside.values())
        num_loose = inside.get((*wrapper, name), 0)
        is_main = num_images > MIN_WRAPPER_SHARE * sum(counts.values())
        is_main &= 2 * num_loose < num_images
        if name.casefold() in WRAPPER_NAMES and (are_loose or is_main):
            return (*wrapper, name)
    return wrapper


def _describe_undecided(
    counts: dict[Folders, int], inside: dict[Folders, int], level: int
) -> tuple[str, ...]:
    """The remark on folders with names of splits that are not taken as splits; none where none."""
    names = sorted({"/".join(path[: level + 1]) + "/" for path in inside})
    splits = set().union(*_collect_splits(inside, level).values())
    if len(splits) == 1:  # remarked where a category has the name
        return ()
    if "train" not in splits:
        reason = "no folder train lies beside them"
    elif 2 * sum(inside.values()) <= sum(counts.values()) or len(names) == 2:
        share = f"{sum(inside.values()):,} of {sum(counts.values()):,} images"
        reason = f"only {share} lie in such folders; move the others out to use them"
    else:
        reason = "few folders hold both a folder train and a folder test or validation"
    return (f"{list_names(names)} are not taken as official splits: {reason}",)


def describe_categories(categories: Sequence[str]) -> list[str]:
    """Remarks on names of categories: of splits, of wrappers, and those that differ by case."""
    remarks = []
    split_names = [name for name in categories if find_split(name)]
    if split_names:
        remarks.append(
            f"the name of a split is a category here: {list_names(split_names)}; official splits "
            "need a folder train, and a folder test or validation beside it"
        )
    wrapper_names = [name for name in categories if name.casefold() in WRAPPER_NAMES]
    if wrapper_names:
        remarks.append(
            f"a category is called {list_names(wrapper_names)}, because other folders with images "
            "lie beside it; move them out if the categories are inside of it"
        )
    spellings = collections.defaultdict(list)
    for name in categories:
        spellings[" ".join(re.split(r"[\s_]+", name.casefold().strip()))].append(name)
    for names in spellings.values():
        if len(names) > 1:
            remarks.append(
                f"the categories {list_names(names)} differ by case or spaces alone and are kept "
                "apart; give their folders one name to join them"
            )
    return remarks


def list_names(names: Sequence[str], limit: int = MAX_NAMES) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
