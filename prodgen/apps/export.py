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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, PriorOptions):
    """Of --mode=export."""

    output = "export"

    dtype: str = option(
        "float32", "Type of the weights in the files; float16 halves their size.",
        choices=("float32", "float16"),
    )  # fmt: skip


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write the folder."""
    from prodgen.export import run_files

    folder = out.locate(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    weights = model.generator[1]
    run_files.write_model(model.run, weights, folder, options.dtype)
    run_files.copy_run_files(model, folder, options.dtype)
    run_files.write_classifier(model.reference_classifier(say), folder, options.dtype)
    return run_files.seal(folder, {})
