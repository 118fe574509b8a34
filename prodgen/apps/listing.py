"""--mode=listing: from photos and a table of products to finished images of a shop's listings.

    --table=products.csv --images=photos/ --profile=amazon --sizes=1:1,4:5 --colours=teal,navy

Cuts out each photo, checks it, places it on the background in each size, and names the files by SKU
and role. Writes them with listing.csv (alt texts, findings) and listing.html to approve from. A row
or a photo that cannot be used is a line of the table with its reason. An interrupted command that
is started again makes what is missing, and ends with the same bytes.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path

from prodgen.apps.common import backgrounds, image_files, listing_page, named_colours
from prodgen.apps.common.batch_progress import BatchProgress
from prodgen.apps.common.listing_images import SIZES, ImageOptions, PhotoJob, make_images
from prodgen.apps.common.listing_products import (
    ListingProblem,
    ListingTable,
    list_unused_photos,
    read_products,
)
from prodgen.apps.common.option_groups import MAX_IMAGES, CutoutOptions
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.core.photo_files import SUFFIXES
from prodgen.metrics.marketplace_rules import PROFILES
from prodgen.photo import background_removal
from prodgen.photo.mask_estimate import Segmenter

TABLE, PAGE, FOLDER = "listing.csv", "listing.html", "images"
NUM_WORKERS = 2  # photos at a time: NumPy and Pillow compute in parallel
MAX_PAGE_PHOTOS = 200  # unless --n gives another number
FORMAT_NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}  # as the profiles write them


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CutoutOptions):
    """Of --mode=listing."""

    output = "listing"

    table: str = option("", "A table of products: .csv, .tsv or .jsonl, a row each.")
    images: str = option("", "The folder of the photos; default: the table's folder.")
    sku: str = option("", "The column of the SKU; default: found by its name.")
    profile: str = option(
        "white_main", "The rules that an image must meet.", choices=registry.PROFILES
    )
    sizes: tuple[str, ...] = option(
        tuple(SIZES), "Shapes of the images, width to height.", choices=tuple(SIZES)
    )
    side: int = option(2000, "Longest side of an image, at most, pixels.", low=500, high=10_000)
    background: str = option("", "A colour's name, #rrggbb or a file; default: white.")
    shadow: float = option(0.0, "Strength of the shadow.", low=0.0, high=1.0)
    colours: tuple[str, ...] = option((), "Colourways of each product, as teal,#203a5f.")
    format: str = option("jpeg", "Format of the images.", choices=tuple(SUFFIXES))
    quality: int = option(
        90, "Quality of the images.", low=1, high=100, read_with={"format": ("jpeg", "webp")}
    )
    metadata: bool = option(True, "Write into each image where it comes from.")
    n: int = option(MAX_PAGE_PHOTOS, "Photos on the page, at most.", low=1, high=MAX_IMAGES)

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not self.table:
            raise UsageError("--mode=listing needs --table", "name a table of products")
        if not self.sizes:
            raise UsageError("--sizes is empty", f"write some of {', '.join(SIZES)}")
        for name in self.colours:
            named_colours.parse_colour(name, "--colours")
        profile, background = PROFILES[self.profile], backgrounds.parse_background(self.background)
        if profile.background and "background" not in profile.advice:
            if background != profile.background:
                raise UsageError(
                    f"--profile={self.profile} requires a white background",
                    "leave --background out, or choose another profile",
                )
            if self.shadow:
                raise UsageError(
                    f"--profile={self.profile} requires a white background without a shadow",
                    "leave --shadow out, or choose another profile",
                )
        name = FORMAT_NAMES[self.format]
        if profile.formats and name not in profile.formats:
            raise UsageError(
                f"--profile={self.profile} takes no {name}",
                f"choose another --format; it takes {', '.join(profile.formats)}",
            )
        if self.side < profile.min_square_side:
            raise UsageError(
                f"--side={self.side} is below the {profile.min_square_side} px of "
                f"--profile={self.profile}",
                "write a larger --side",
            )


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write the images, listing.csv and listing.html; needs no run."""
    table = Path(os.path.expanduser(options.table))
    target = out.locate(options.output)
    listing, files = read_shop(options, table, out, target)
    segmenter = background_removal.load_segmenter(options.cutout, options.model)
    image_options = collect_image_options(options)
    jobs = [
        PhotoJob(product, index, name, Path(path))
        for product in listing.products
        for index, (name, path) in enumerate(product.photos)
    ]
    problems = [
        *listing.problems, *list_unused_photos(files, listing.products, listing.problems),
    ]  # fmt: skip
    out.close()  # the manifest marks the folder as ours, should this end early

    names = [file for job in jobs for file in job.list_files(image_options)]
    progress = BatchProgress(target / FOLDER, names)
    origin = describe_origin(options)
    make_all(jobs, image_options, progress, segmenter, origin)
    paths = progress.close()
    results = list(listing_page.list_entries(jobs, image_options, progress))
    summary = summarise(results, problems)
    details = {"table": options.table, "images": options.images, "profile": options.profile}
    content = listing_page.format_table(results, problems, target, FOLDER)
    out.write(TABLE, content, details)
    page = listing_page.build_page(results, problems, target / FOLDER, summary, options.n)
    out.write(PAGE, page, details)
    say(f"{summary}; {target / PAGE} shows all to approve")
    if not len(progress):
        raise BadData(f"no image could be made: {summary}", f"see {target / TABLE}")
    return [*paths, *out.close()]


def read_shop(
    options: Options, table: Path, out: Output, target: Path
) -> tuple[ListingTable, list[image_files.ImageFile]]:
    """The products of the table, and the files of the folder of photos."""
    if not table.is_file():
        raise MissingInput(f"--table={options.table} does not exist", "name a table of products")
    folder = Path(os.path.expanduser(options.images)) if options.images else table.parent
    if not folder.is_dir():
        raise MissingInput(f"--images={folder} is no folder", "name the folder of the photos")
    files = image_files.list_every_file((str(folder),), out, target, (TABLE, PAGE), FOLDER)
    own_paths = {target.resolve() / FOLDER}
    folders = list(dict.fromkeys([folder, table.parent]))
    photos = [file.name for file in files if file.is_image]
    listing = read_products(table, folders, options.sku, options.colours, own_paths, photos)
    for note in listing.notes:
        say(f"the table: {note}")
    return listing, files


def collect_image_options(options: Options) -> ImageOptions:
    """The options that change the images."""
    return ImageOptions(
        options.profile, tuple(dict.fromkeys(options.sizes)), options.side,
        backgrounds.parse_background(options.background), options.shadow,
        tuple(dict.fromkeys(options.colours)), options.format, options.quality, options.metadata,
    )  # fmt: skip


def describe_origin(options: Options) -> str:
    """The options that change an image of any row, and the content of the files that they name."""
    names = ("profile", "sizes", "side", "background", "shadow", "colours", "format", "quality",
             "metadata", "cutout")  # fmt: skip
    values = {name: getattr(options, name) for name in names}
    for name in ("background", "model"):
        path = Path(os.path.expanduser(getattr(options, name)))
        values[f"{name}_file"] = hash_file(path) if path.is_file() else ""
    return json.dumps(values, sort_keys=True)


def hash_file(path: Path) -> str:
    """RejectedItem for what is no regular file."""
    return hashlib.sha256(decode.read_regular(path)).hexdigest()


def make_all(
    jobs: Sequence[PhotoJob],
    options: ImageOptions,
    progress: BatchProgress,
    segmenter: Segmenter,
    origin: str,
) -> None:
    """Make the images of each photo that is not done, NUM_WORKERS photos at a time."""
    num_done = 0

    def format_progress(n: int) -> str:
        return f"{n} of {len(jobs)} photos, {num_done} of them done before"

    with futures.ThreadPoolExecutor(NUM_WORKERS) as pool:
        tasks: collections.deque[futures.Future] = collections.deque()
        for job in image_files.each_file(jobs, format_progress):
            row = dataclasses.astuple(job.product)[:-1]  # without the paths of the other photos
            key = hashlib.sha256(json.dumps([origin, row, job.name]).encode()).hexdigest()
            entry = {"line": job.product.line, "key": key}
            files = job.list_files(options)
            try:
                entry["inputs"] = {"photo": hash_file(job.path)}
            except RejectedItem as refusal:
                progress.record_refusal(files[0], str(refusal), entry)
                continue
            first_line = progress.get_line(files[0]) or {}
            needed_files = files[:1] if "refused" in first_line else files
            if all(progress.is_done(file, key, entry["inputs"]) for file in needed_files):
                num_done += 1
                continue
            while len(tasks) >= NUM_WORKERS:
                tasks.popleft().result()
            tasks.append(pool.submit(make_photo, job, options, progress, segmenter, entry))
        for task in tasks:
            task.result()


def make_photo(
    job: PhotoJob,
    options: ImageOptions,
    progress: BatchProgress,
    segmenter: Segmenter,
    entry: listing_page.Entry,
) -> None:
    """Make and write the images of one photo, or the reason why there are none."""
    try:
        for image in make_images(job, options, segmenter):
            if image.refusal:
                progress.record_refusal(image.file, image.refusal, entry)
            else:
                progress.write_image(image.file, image.content, entry | image.details)
    except RejectedItem as refusal:
        progress.record_refusal(job.list_files(options)[0], str(refusal), entry)
    except MemoryError:
        reason = "too large: not enough memory"
        progress.record_refusal(job.list_files(options)[0], reason, entry)


def summarise(
    results: Sequence[tuple[PhotoJob, list[listing_page.Entry]]],
    problems: Sequence[ListingProblem],
) -> str:
    """As in "38 of 40 photos ready, 1 doubtful: unsure 1; refused: broken 1"."""
    states = collections.Counter(listing_page.find_state(entries) for _, entries in results)
    summary = f"{states['good']} of {len(results)} photos ready, {states['doubt']} doubtful"
    findings = collections.Counter(
        finding.partition(":")[0]
        for _, entries in results
        for finding in {f: None for entry in entries for f in entry.get("findings", ())}
    )
    summary += f": {format_counts(findings)}" if findings else ""
    refusals = collections.Counter(
        entry["refused"].partition(":")[0]
        for _, entries in results
        for entry in entries
        if "refused" in entry
    )
    summary += f"; refused: {format_counts(refusals)}" if refusals else ""
    reasons = collections.Counter(problem.reason.partition(":")[0] for problem in problems)
    return summary + (f"; problems: {format_counts(reasons)}" if reasons else "")


def format_counts(counts: collections.Counter) -> str:
    return ", ".join(f"{key} {n}" for key, n in counts.most_common())
