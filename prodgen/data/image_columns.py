"""Which columns of a table hold paths of images: their cells are files, or look like paths."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Mapping, Sequence

from prodgen.core.errors import UsageError
from prodgen.data import shop_exports
from prodgen.data.table_reader import Cells

IMAGE_NAMES = (
    "path", "image", "file", "filename", "image_path", "file_name", "filepath", "picture", "photo",
    "img", "base_image", "image src", "image_src", "images", "image_link", "image link",
    "image_url", "image url", "img_url", "image_file", "image file", "image_name", "image name",
    "main_image", "main image", "main_image_url", "primary image", "primary_image", "bild", "foto",
    "imagen", "photos", "pictures", "image_1", "image 1", "image1",
)  # fmt: skip
MAX_TRIALS = 40  # cells of a column that are tried as paths
MAX_ROWS = 2000  # evenly spaced ones, from which these cells are taken
MIN_PATH_FRACTION = 0.5  # of these that must be files


class PathTrials:
    """How many cells of each column are files, and which columns look like paths of images.

    rows: cells by column name. is_file(path) says whether a path names a file. path_columns: most
    of their cells have the suffix of an image, or are web addresses under a usual name.
    """

    def __init__(
        self, header: Sequence[str], rows: Sequence[Cells], is_file: Callable[[str], bool]
    ):
        self._is_file = is_file
        self._file_fractions: dict[str, float] = {}
        self._paths: dict[str, list[str]] = {}
        self.path_columns: list[str] = []
        sample = rows[:: max(1, len(rows) // MAX_ROWS)]
        for name in header:
            paths: dict[str, None] = {}
            for row in sample:
                # A list counts as one path, the first.
                texts = shop_exports.split_images(name, row.get(name), is_file)
                paths |= dict.fromkeys(texts[:1])
                if len(paths) >= MAX_TRIALS:
                    break
            self._paths[name] = list(paths)
            has_usual_name = name.lower() in IMAGE_NAMES
            num_paths = sum(_is_path(path, has_usual_name) for path in paths)
            if num_paths and num_paths >= MIN_PATH_FRACTION * len(paths):
                self.path_columns.append(name)

    def measure_files(self, name: str) -> float:
        """The fraction of a column's cells that are files, 0 without cells."""
        if name not in self._file_fractions:
            paths = self._paths[name]
            self._file_fractions[name] = sum(map(self._is_file, paths)) / max(1, len(paths))
        return self._file_fractions[name]

    def are_files(self, name: str) -> bool:
        """Whether most of a column's cells are files."""
        return self.measure_files(name) >= MIN_PATH_FRACTION

    def get_example(self, name: str) -> str:
        """The first cell of a column, "" without one."""
        return next(iter(self._paths[name]), "")


def find_image_column(header: Sequence[str], trials: PathTrials) -> str:
    """The column of the main images: the one whose cells are files; a usual name goes first.

    UsageError where no column holds paths.
    """
    by_lower_name = collections.defaultdict(list)
    for name in header:
        by_lower_name[name.lower()].append(name)
    usual_columns = [name for usual_name in IMAGE_NAMES for name in by_lower_name[usual_name]]
    for name in usual_columns:
        if trials.are_files(name):
            return name
    # Files in another column count against a usual name whose own files are missing.
    path_columns = [name for name in header if name in trials.path_columns]
    file_columns = [name for name in header if trials.are_files(name)]
    both = [name for name in path_columns if name in file_columns]
    candidates = both or [name for name in usual_columns if name in path_columns]
    if candidates:
        return candidates[0]
    if file_columns and not usual_columns:
        return max(file_columns, key=trials.measure_files)
    if usual_columns and not path_columns and not file_columns:
        return usual_columns[0]
    if not usual_columns:
        raise UsageError(
            f"no column of the table holds the images' paths; columns: {', '.join(header)}",
            "name the column of the paths image; or set config.data.image_column=COLUMN",
        )
    name, other = usual_columns[0], (path_columns or file_columns)[0]
    example = trials.get_example(name)
    raise UsageError(
        f"the column {name!r} holds no paths of images, such as {example!r}; {other!r} does",
        f"rename the columns; or set config.data.image_column={other}",
    )


def find_unused_images(header: Sequence[str], trials: PathTrials, image: str) -> Mapping[str, str]:
    """{column: why it is left out} of other columns of paths, which are no attributes."""
    reasons = {}
    for name in header:
        has_usual_name = name.lower() in IMAGE_NAMES
        if name in trials.path_columns or (has_usual_name and trials.are_files(name)):
            reasons[name] = (
                f"it holds paths, and {image!r} is the column of the images; "
                f"config.data.columns={image}=image,{name}=image takes both"
            )
    return reasons


def _is_path(text: str, is_address_allowed: bool) -> bool:
    """Whether a text has the suffix of an image, perhaps before the parameters of an address."""
    is_address = is_address_allowed and shop_exports.ADDRESS_START.match(text) is not None
    return is_address or shop_exports.has_suffix(re.split(r"[?#]", text, maxsplit=1)[0])
