"""The flags of run_sample.py: what each may be, and which modes read it.

A flag that the mode does not read is refused rather than ignored. Imports no JAX: a mistake is
answered in a fraction of a second.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from absl import flags

from prodgen import tables
from prodgen.errors import UsageError

MAKING = ("grid", "images", "interpolate", "traverse", "directions", "sweep")
ROWS = ("interpolate", "traverse", "directions", "sweep")
USING = ("invert", "vary", "views")
READING = ("reconstruct", "augment_preview", *USING)
SHOWING = (*MAKING, *READING, "edit", "batch", "personalise", "compose")


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag. modes: those that read it, empty for all. low, high: of numbers, ends included;
    choices: of text."""

    name: str
    default: Any
    help: str
    modes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


FLAGS = (
    Flag("workdir", "", "The run's folder."),
    Flag("mode", "grid", f"What to make: {', '.join(tables.MODES)}."),
    Flag(
        "out", "", "File to write, or a folder that exists; a folder for modes of many pictures. "
        "Default: in the run's folder, without a run here.",
    ),
    Flag("seed", 0, "Which samples: latents and conditions follow from it.", low=0, high=2**31 - 2),
    Flag("step", "best", "Checkpoint: best, latest or a step."),
    Flag("n", 0, "How many pictures or rows; 0 is the mode's default.", low=0, high=1_000_000),
    Flag(
        "label", "", "The category wanted, or that --input shows.",
        (*MAKING, "reconstruct", *USING),
    ),
    Flag(
        "attributes", "", "Attributes wanted, as in colour=red,azimuth=30; mode sweep: colour=*.",
        (*MAKING, "reconstruct", *USING, "edit"),
    ),
    Flag(
        "temperature", 1.0, "Scale of the latents, the truncation: lower is plainer.", MAKING,
        low=0.0, high=10.0,
    ),
    Flag("frames", 12, "Pictures a row.", (*ROWS, "views", "edit"), low=2, high=240),
    Flag("input", "", "A picture or a folder of them; default: the test split.", READING),
    Flag(
        "extractors", [], f"Look with {', '.join(tables.EXTRACTORS)} too; NAME or NAME=FILE.",
        ("evaluate", "invert"),
    ),
    Flag(
        "images", "", "Pictures from anywhere: a folder.",
        ("evaluate", "gate", "cutout", "edit", "compose"),
    ),
    Flag(
        "reference", "", "Judge --images by this folder, table, or config (FILE.py:PRESET).",
        ("evaluate",),
    ),
    Flag(
        "steps", 0, "Steps that each picture is fitted in; 0 is 60.",
        (*USING, "edit", "batch", "personalise"),
        low=0, high=10_000,
    ),
    Flag(
        "strength", None, 
        "How far: vary, 0 gives the product back, 1 is a fresh sample (default 0.4); recolour, 1 "
        "is the whole way to the colour (default).",
        ("vary", "edit"), low=0.0, high=1.0,
    ),
    Flag("keep", ["category"], f"What is held: {', '.join(tables.KEEPS)}.", ("vary",)),
    Flag("guard", True, "Hold copies of training pictures back.", ("vary", "batch")),
    Flag("edit", "", f"What is changed: {', '.join(tables.EDITS)}.", ("edit",)),
    Flag("colour", "", "Edit recolour: a colour's name or #rrggbb.", ("edit",)),
    Flag(
        "method", "both", "Edit recolour: how.", ("edit",),
        choices=("classical", "generated", "both"),
    ),
    Flag("mask", "", "Edit inpaint: a picture, white where to fill.", ("edit",)),
    Flag("other", "", "Edit mix: the photo of another product.", ("edit",)),
    Flag("table", "", "A .csv of requests, a row each.", ("batch",)),
    Flag("products", 0, "How many pictures of --input; 0 is 4.", ("vary",), low=0, high=100_000),
    Flag(
        "history", "", "A CSV: product or picture, and weight or event (viewed, bought, returned).",
        ("personalise",),
    ),
    Flag("person", "", "Whose rows of --history, where it has a column person.", ("personalise",)),
    Flag(
        "exploration", 0.2, "0 trusts what is known of the taste, 1 tries what may be liked.",
        ("personalise",), low=0.0, high=1.0,
    ),
    Flag(
        "diversity", 0.85, "The least, as a share of unconditional samples'.", ("personalise",),
        low=0.0, high=1.0,
    ),
    Flag("profile", "white_main", "What is asked of pictures.", ("gate",), choices=tables.PROFILES),
    Flag("repair", False, "Write what can be mended, mended.", ("gate",)),
    Flag(
        "cutout", "plain", "How the product is told from its background.", ("cutout", "edit"),
        choices=tuple(tables.CUTOUTS),
    ),
    Flag("model", "", "The file u2netp.onnx of --cutout=neural.", ("cutout", "edit")),
    Flag("metadata", True, "Say in each PNG's text where the picture comes from.", SHOWING),
    Flag("mark", False, 'Mark pictures "AI-generated" in a corner, from 24 px a side.', SHOWING),
    Flag("layout", "banner", "What to compose.", ("compose",), choices=("banner", "sprites")),
    Flag("size", "square", "A banner's size: a name, as story, or WIDTHxHEIGHT.", ("compose",)),
    Flag(
        "background", "", "A colour's name or #rrggbb; cutout: or transparent, its default; "
        "compose, edit: or a file, by default white.", ("cutout", "compose", "edit"),
    ),
    Flag("text", "", "A banner's words.", ("compose",)),
    Flag("font", "", "Their font, a .ttf or .otf file.", ("compose",)),
    Flag("shadow", 0.4, "Strength of shadows.", ("compose", "edit"), low=0.0, high=1.0),
    Flag("recolour", [], "Colours to show each product in, as red,#203a5f.", ("compose",)),
    Flag("cell", 128, "A sprite's cell, pixels: a power of two.", ("compose",), low=16, high=1024),
    Flag("padding", 2, "Clear pixels around a sprite.", ("compose",), low=0, high=64),
    Flag("extrude", 0, "Times a sprite's edge is repeated.", ("compose",), low=0, high=16),
)  # fmt: skip


def define() -> None:
    """Make absl know the flags."""
    for flag in FLAGS:
        words = flag.help + (f" Modes: {', '.join(flag.modes)}." if flag.modes else "")
        match flag.default:
            case bool():
                flags.DEFINE_bool(flag.name, flag.default, words)
            case int():
                flags.DEFINE_integer(flag.name, flag.default, words, flag.low, flag.high)
            case float() | None:
                flags.DEFINE_float(flag.name, flag.default, words, flag.low, flag.high)
            case list():
                flags.DEFINE_list(flag.name, flag.default, words)
            case _ if flag.choices:
                flags.DEFINE_enum(flag.name, flag.default, flag.choices, words)
            case _:
                flags.DEFINE_string(flag.name, flag.default, words)


def check(mode: str, given: Collection[str]) -> None:
    """UsageError where there is no such mode, or where a flag was given that it does not read."""
    if mode not in tables.MODES:
        raise UsageError(f"--mode={mode} is not known; {tables.nearest(mode, tables.MODES)}")
    for flag in FLAGS:
        if flag.name in given and flag.modes and mode not in flag.modes:
            raise UsageError(
                f"--{flag.name} says nothing to --mode={mode}",
                f"leave it out; it is for {', '.join(flag.modes)}",
            )
