"""The options that several modes share. Imports no JAX: a usage error is answered at once."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core.errors import MissingInput, UsageError
from prodgen.editing import FIT_STEPS

MAX_SEED = 2**31 - 2  # the evaluation takes the two seeds after it as well
MAX_IMAGES = 1_000_000
SEVERAL_HELP = (
    "For several, repeat the flag or write commas between them: a path that exists is not split at "
    "its commas."
)
ATTRIBUTES_HELP = (
    "Attributes, as in colour=red,azimuth=30; in double quotes what has a comma of its own."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The base of every mode's Options. run: whether the mode needs, may take or takes no run."""

    run: ClassVar[Literal["needed", "optional", "none"]] = "none"
    output: ClassVar[str] = ""  # the file or folder that is written where --out names none
    read_with_run: ClassVar[tuple[str, ...]] = ("step",)  # an error without a run
    package_model: ClassVar[str] = (
        ""  # the package's model that serves a mode where no run is named
    )

    def check(self, workdir: Path | None) -> None:
        """UsageError or MissingInput for options that do not go together, before JAX is loaded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(CommonOptions):
    """Of a mode that opens a run."""

    run = "needed"

    step: str = option("best", "Checkpoint: best, latest or a step.")

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not re.fullmatch(r"best|latest|\d+", self.step):
            raise UsageError(
                f"--step={self.step} is not a checkpoint", "write best, latest or a step"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunDataOptions(RunOptions):
    """Of a mode that may read the images that the run was trained on."""

    read_with_run = ("step", "data_path")

    data_path: str = option(
        "", "The folder or table where the run's own images are now; default: where they were."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PngOptions(CommonOptions):
    """Of a mode whose PNG files say where their images come from."""

    metadata: bool = option(True, "Write into each PNG where the image comes from.")
    mark: bool = option(False, 'Mark images "AI-generated" in a corner, from 24 px a side.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedOptions(CommonOptions):
    """Of a mode that draws samples."""

    seed: int = option(0, "Seed of the latents and conditions.", low=0, high=MAX_SEED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionOptions(SeedOptions):
    """Of a mode that takes a category and attributes."""

    label: str = option("", "The category.")
    attributes: dict[str, str] = option({}, ATTRIBUTES_HELP)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PriorOptions(CommonOptions):
    """Of a mode that draws latents."""

    prior: str = option(
        "auto",
        "What a VAE's latents are drawn from: `base`, the prior of its training; `fitted`, that of "
        "--mode=fit_prior; `auto`: fitted where the run has it.",
        choices=registry.PRIOR_CHOICES,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions(RunOptions, ConditionOptions, PngOptions, PriorOptions):
    """Of a mode that samples a run."""

    package_model = "catalogue"

    temperature: float = option(
        1.0,
        "Scale of the latents (truncation): lower values give less varied images.",
        low=0.0,
        high=10.0,
    )


def images_option(word: str, default: str = "") -> Any:
    """The option of several paths. word: what a file is; default: what is taken otherwise."""
    help_text = f"A folder of {word}s, a single {word}, or several. {SEVERAL_HELP}"
    return option((), f"{help_text} Default: {default}." if default else help_text, repeat=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions(RunDataOptions, ConditionOptions, PngOptions):
    """Of a mode that takes a user's images, or those of the run's test split."""

    package_model = "catalogue_vaegan"

    input: tuple[str, ...] = images_option("image", "the run's test split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions(CommonOptions):
    """Of a mode that inverts photos."""

    steps: int = option(FIT_STEPS, "Optimisation steps of an inversion.", low=1, high=10_000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CutoutOptions(CommonOptions):
    """Of a mode that cuts the product out of a photo."""

    cutout: str = option(
        "auto", "How the product is separated from its background.",
        choices=tuple(registry.CUTOUTS),
    )  # fmt: skip
    model: str = option("", "The file u2netp.onnx.", read_with={"cutout": ("auto", "neural")})

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if self.cutout == "neural" and not self.model:
            raise MissingInput(
                "--cutout=neural needs its model file", "name the file u2netp.onnx with --model"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractorOptions(CommonOptions):
    """Of a mode that takes more extractors than its own."""

    extractors: tuple[str, ...] = option(
        (), f"More extractors: {', '.join(registry.EXTRACTORS)}; NAME or NAME=FILE."
    )

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        for text in self.extractors:
            name = text.partition("=")[0]
            if name not in registry.EXTRACTORS:
                hint = registry.suggest_names(name, registry.EXTRACTORS)
                raise UsageError(f"--extractors={text} is not known; {hint}", "write a known name")


def frames_option(default: int = 12):
    """The option `frames`: images of a row."""
    return option(default, "Images of a row.", low=2, high=240)
