"""--mode=export: the run as files for other programs, and for prodgen itself.

A folder with the weights (safetensors), programs for JAX (StableHLO), PyTorch and ONNX, a model
card and a data card, and checksums. Other programs need no prodgen to use it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from prodgen.apps.common.option_groups import PriorOptions, RunDataOptions
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option

if TYPE_CHECKING:
    from prodgen.model import Model

PARTS = ("generator", "encoder", "classifier")
FORMATS = ("safetensors", "stablehlo", "pytorch", "onnx")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, PriorOptions):
    """Of --mode=export."""

    output = "export"

    parts: tuple[str, ...] = option(
        (), "What is exported. Default: all that the run has.", choices=PARTS
    )
    formats: tuple[str, ...] = option(
        (),
        "Programs for JAX (stablehlo), PyTorch and ONNX; safetensors: the weights alone. Default: "
        "all whose packages are installed.",
        choices=FORMATS,
    )
    dtype: str = option(
        "float32", "Type of the weights in the files; float16 halves their size.",
        choices=("float32", "float16"),
    )  # fmt: skip
    licence: str = option(
        "",
        "Licence of the weights, as spdx.org/licenses names it. Default: Apache-2.0 for a run on "
        "the embedded catalogue, else `other`.",
    )


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write the folder, after its own check has passed."""
    from prodgen.export import export_folder

    folder = out.locate(options.output)
    request = export_folder.ExportRequest(
        options.parts, options.formats, options.dtype, options.licence
    )
    export_folder.check_request(model, folder, request)
    reference = export_folder.open_classifier(model, options.parts, say)
    fitness = export_folder.read_fitness(model, say)
    return export_folder.write_export(model, folder, request, reference, fitness, say)
