"""--mode=evaluate: generated pictures against real ones that their generator never saw.

Evaluated are a run's samples (--workdir), or images that any other program made (--images, compared
with --reference or with a run's data; apps/common/image_folders.py). Extractors: `pixels`;
`classifier`, the reference classifier, trained on the data's own labels with a seed that training
has not used; and those that --extractors names besides. Writes evaluation.json and two sheets, and
the report: the run's report.html, or evaluation.html where there is no run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from prodgen.apps.common.options import MAX_IMAGES, ExtractorOptions, RunOptions, SeedOptions
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core.errors import UsageError

if TYPE_CHECKING:
    from prodgen.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions, SeedOptions, ExtractorOptions):
    """Of --mode=evaluate."""

    run = "optional"

    n: int = option(1000, "Held-out images to compare with, at most.", low=1, high=MAX_IMAGES)
    images: str = option("", "Images of another program: a folder.")
    reference: str = option(
        "", "Real images to compare --images with: a folder, a table, or a config (FILE.py:PRESET)."
    )

    @property
    def output(self) -> str:
        return "judged/evaluation.json" if self.images else "evaluation.json"

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if self.reference and not self.images:
            raise UsageError("--reference has no effect without --images", "add --images=FOLDER")
        if workdir is None and not self.images:
            raise UsageError("no --workdir was given", "name a run, or --images")


def run(model: Model | None, options: Options, out: Output) -> list[Path]:
    """Write the evaluation, its sheets and its report; the paths written."""
    from prodgen.apps.common import offline_evaluation

    return offline_evaluation.evaluate(model, options, out)
