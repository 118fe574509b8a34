"""Whether a run is fit for what a mode does with it: a caution with the reason, or a refusal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from prodgen.apps.common.option_groups import CommonOptions
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.core.errors import MissingRunData, UsageError

if TYPE_CHECKING:
    from prodgen.evaluation.fitness import Fitness

STRICT_HELP = "Refuse what the run is unfit for, with exit code 2, instead of a caution."
MAX_CATEGORIES = 6  # of which a caution is printed


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitnessOptions(CommonOptions):
    """Of a mode that asks whether the run is fit for it."""

    strict: bool = option(False, STRICT_HELP)


def check_fitness(
    measure: Callable[[], Fitness], use: str, strict: bool, out: Output | None = None
) -> str:
    """Say that the run is unfit, or fit with limits, for a use of evaluation.fitness.USES.

    measure: `Model.measure_fitness` of the run. Returned are the level and its reason, which also
    go into the manifest of `out`; "" where the run is fit. UsageError where it is unfit and
    `strict` is set, and where it cannot be measured.
    """
    from prodgen.evaluation import fitness

    try:
        verdict = measure().uses[use]
    except MissingRunData as error:
        if strict:
            raise UsageError(
                f"whether the run is fit for {fitness.USES[use]} cannot be measured: "
                f"{error.message}",
                "leave --strict out, or say where the images are with --data_path",
            ) from None
        say(f"caution: what the run is fit for is not known: {error.message}")
        return ""
    if verdict.level == fitness.FIT:
        return ""
    words = "unfit for" if verdict.level == fitness.UNFIT else "fit with limits for"
    sentence = f"this run is {words} {fitness.USES[use]}: {verdict.reason}"
    if strict and verdict.level == fitness.UNFIT:
        raise UsageError(
            sentence,
            "train longer, or on more images of the same kind; or leave --strict out",
        )
    say(f"caution: {sentence}")
    entry = f"{verdict.level}: {verdict.reason}"
    if out is not None:
        out.add_to_entries(fitness=entry)
    return entry


def describe_categories(measure: Callable[[], Fitness], names: set[str]) -> list[str]:
    """A sentence for each of these categories that the run is unfit for, the first ones."""
    from prodgen.evaluation import fitness

    try:
        verdicts = measure().categories
    except MissingRunData:
        return []
    poor = [name for name in sorted(names) if name in verdicts]
    poor = [name for name in poor if verdicts[name].level == fitness.UNFIT]
    return [f"this run does not draw {name!r}: {verdicts[name].reason}" for name in poor][
        :MAX_CATEGORIES
    ]
