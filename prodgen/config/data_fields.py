"""The fields of `config.data`, one row each, as in fields.py."""

from __future__ import annotations

from prodgen.config import registry
from prodgen.config.rules import Field, Rule, one_of

RESOLUTIONS = (16, 28, 32, 56, 64, 112, 128, 224, 256)  # pixels per side: 4 * 2^k and 7 * 2^k
MAX_SEED = 2**31 - 1

# Rules that several fields share, also in fields.py.
TEXT, SWITCH, COUNT = Rule(str), Rule(bool), Rule(int, 1)

FILE_SOURCES = {"data.source": ("folder", "table")}

DATA_FIELDS: dict[str, Field] = {
    "data.source": Field(
        "catalogue", one_of(*registry.SOURCES), "Where the images come from ([data.md](data.md))."
    ),
    "data.path": Field(
        "", TEXT, "The folder of images, or the `.csv`, `.tsv` or `.jsonl` file of a table.",
        (FILE_SOURCES,),
    ),
    "data.name": Field(
        "", TEXT, "The TensorFlow data set, such as `fashion_mnist`.", ({"data.source": ("tfds",)},)
    ),
    "data.resolution": Field(64, one_of(*RESOLUTIONS), "Pixels per side."),
    "data.channels": Field(0, one_of(0, 1, 3), "1: grey, 3: RGB, 0: as the images are."),
    "data.fit": Field(
        "pad", one_of("pad", "crop", "stretch"),
        "How an image becomes square: `pad` with its measured background colour, `crop` at the "
        "centre, or `stretch`.",
    ),
    "data.size": Field(
        4096, Rule(int, 16, 10_000_000), "How many products the catalogue renders.",
        ({"data.source": ("catalogue",)},),
    ),
    "data.seed": Field(
        0, Rule(int, 0, MAX_SEED),
        "Which products the catalogue renders; the seed of the run does not change the data.",
        ({"data.source": ("catalogue",)},),
    ),
    "data.downloads": Field(
        "", TEXT, "A folder with files that were downloaded by hand; nothing else is downloaded.",
        ({"data.source": ("tfds",)},),
    ),
    "data.cache_dir": Field(
        "~/.cache/prodgen/data", TEXT,
        "The folder of prepared data, or gs://BUCKET/FOLDER; it may be deleted.",
    ),
    "data.image_column": Field(
        "", TEXT, "The table's column with the path of the image; empty: detected.",
        ({"data.source": ("table",)},),
    ),
    "data.category_column": Field(
        "", TEXT, "The table's column with the category; empty: detected.",
        ({"data.source": ("table",)},),
    ),
    "data.root": Field(
        "", TEXT,
        "The folder that the table's paths are relative to, also those with a leading slash; "
        "empty: the table's folder.",
        ({"data.source": ("table",)},),
    ),
    "data.columns": Field(
        "", TEXT,
        "What columns of the table are, as in `price=number,sku=group,notes=ignore`; the others "
        "are detected. A name may have commas and equals signs, or stand in quotes.",
        ({"data.source": ("table",)},),
    ),
    "data.split_by": Field(
        "product", one_of("product", "image"),
        "`product`: images of one group, and near duplicates, are in the same split; `image`: only "
        "exact copies are.",
        (FILE_SOURCES,),
    ),
    "data.validation": Field(
        0.1, Rule(float, 0.0, 0.5), "Share of the images held out to choose checkpoints."
    ),
    "data.test": Field(
        0.1, Rule(float, 0.0, 0.5),
        "Share of the images held out for the final evaluation; an official test split is kept.",
    ),
    "data.max_pixels": Field(
        50_000_000, Rule(int, 256, 1_000_000_000),
        "A larger image is refused before it is decoded.",
    ),
    "data.cutout": Field(
        "none", one_of("none", *registry.CUTOUTS),
        "How photos become packshots on white ([using.md](using.md)).",
    ),
    "data.cutout_model": Field(
        "", TEXT, "The file `u2netp.onnx`.", ({"data.cutout": ("auto", "neural")},)
    ),
    "data.workers": Field(
        0, Rule(int, 0, 256), "Processes that prepare the data; 0: one for each core.",
        ({"data.source": ("catalogue", "folder", "table")},),
    ),
    "data.feed": Field(
        "auto", one_of("auto", *registry.FEEDS),
        "`resident`: in device memory; `tfdata`: on the host, by TensorFlow; `auto`: resident "
        "if the data take at most a quarter of the device memory.",
    ),
}  # fmt: skip
