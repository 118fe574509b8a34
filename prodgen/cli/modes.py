"""The command line of run_sample.py: which mode, its options, and `--help` by mode. No JAX."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from prodgen.cli import options
from prodgen.config import registry
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling, to_british

DEFAULT_MODE = "grid"
GENERAL = {  # flags of the program itself -> help; a mode without a run reads --out alone
    "mode": "What to make.",
    "workdir": "The run's folder.",
    "out": "The file to write, or the folder: a name without a suffix is a folder and is created. "
    "Default: in the run's folder, or here without a run.",
}
HELP_FLAGS = {"--help", "-help", "-h", "--helpfull", "--helpshort"}


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of run_sample.py. options: of the mode's class; workdir, out: None by default."""

    mode: str
    options: Any
    workdir: Path | None = None
    out: Path | None = None


def module_of(mode: str) -> ModuleType:
    """The file of a mode; UsageError for a name that is not known. It imports no JAX."""
    return registry.find(registry.MODES, find_spelling(mode, registry.MODES), "--mode")


def parse(argv: Sequence[str]) -> Command:
    """The command that `argv` (with the program's name first) stands for.

    UsageError for an unknown mode or flag, a value that is not allowed, a flag that the mode does
    not read, a missing --workdir, or what the mode's own check refuses.
    """
    argv = [argv[0], *(_british_flag(word) for word in argv[1:])]
    mode = find_spelling(_mode_of(argv), registry.MODES)
    cls = module_of(mode).Options
    values = flags.FlagValues()
    for name, words in GENERAL.items():
        default = DEFAULT_MODE if name == "mode" else ""
        flags.DEFINE_string(name, default, words, flag_values=values)
    options.define_flags(cls, values)
    try:
        rest = values(argv)
    except flags.UnrecognizedFlagError as error:
        raise _refuse_flag(error.flagname, mode) from None
    except flags.Error as error:
        raise _refuse_value(str(error).replace("\n", " "), cls, mode) from None
    if len(rest) > 1:
        raise UsageError(f"unexpected argument {rest[1]!r}", "write flags as --name=value")
    workdir, out = (Path(text) if text else None for text in (values.workdir, values.out))
    if workdir and cls.run == "none":
        raise UsageError(f"--workdir is not read by --mode={mode}", "leave it out")
    chosen = options.build(cls, values)
    chosen.check(workdir)
    if workdir is None and cls.run == "needed":
        raise UsageError("no --workdir was given", "name a folder of run_train.py")
    if workdir is None and cls.run == "optional":
        for name in cls.read_with_run:
            if values[name].present:
                raise UsageError(f"--{name} has no effect without --workdir", "leave it out")
    find_target(mode, chosen.output, out, workdir)
    return Command(mode, chosen, workdir, out)


def _british_flag(word: str) -> str:
    """`--color=x` -> `--colour=x`; values stay as they are."""
    name, equals, value = word.partition("=")
    return to_british(name) + equals + value if word.startswith("-") else word


def _mode_of(argv: Sequence[str]) -> str:
    """The value of the last --mode."""
    mode = DEFAULT_MODE
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and name == "mode":
            mode = value if equals else following
    return mode


def find_target(mode: str, default: str, out: Path | None, workdir: Path | None) -> Path:
    """The file or folder that a mode writes: --out, or `default` in the run's folder, or here.

    A `default` with a suffix is one file; --out may then be a file of that kind or a folder, which
    need not exist. Without a suffix it is a folder. A name is that of a folder where it exists as
    one, or has no suffix of letters. UsageError where --out is neither.
    """
    name, place = Path(default), out or (workdir or Path()) / default
    is_file = place.suffix[1:].isalpha() and not place.is_dir()
    if not name.suffix:
        if is_file or place.is_file():
            raise UsageError(
                f"--out={place} is a file; --mode={mode} writes a folder",
                f"name one, as --out={place.with_suffix('')}_{mode}",
            )
        return place
    if place.is_file() if not is_file else place.suffix.lower() != name.suffix:
        raise UsageError(
            f"--out={place} is not a {name.suffix} file",
            f"name one, as --out={place.with_suffix(name.suffix)}, or a folder",
        )
    return place if is_file else place / name.name


def _refuse_value(message: str, cls: type, mode: str) -> UsageError:
    """The error for a value that absl does not take, with what is allowed."""
    match = re.match(r"flag --(\w+)=(.*?): ", message)
    option = next((o for o in options.options_of(cls) if match and o.name == match[1]), None)
    next_step = f"run_sample.py --mode={mode} --help lists the flags"
    if option is None:
        return UsageError(message, next_step)
    kind = {bool: "true or false", int: "a whole number"}.get(option.kind, "a number")
    allowed = " ".join(filter(None, [kind, option.describe()]))
    return UsageError(f"--{match[1]}={match[2]} is not allowed: it must be {allowed}", next_step)


def _refuse_flag(name: str, mode: str) -> UsageError:
    """The error for a flag that the mode does not read: who reads it, or that nobody does."""
    readers = [
        other
        for other in registry.MODES
        if any(
            name in (one.name, f"no{one.name}" if one.kind is bool else one.name)
            for one in options.options_of(module_of(other).Options)
        )
    ]
    if readers:
        return UsageError(
            f"--{name} is not read by --mode={mode}",
            f"leave it out; it is read by {', '.join(readers)}",
        )
    known = {one.name for m in registry.MODES for one in options.options_of(module_of(m).Options)}
    hint = registry.nearest(name, [*GENERAL, *known]).partition("?")[0]
    did_you_mean = f"; {hint}?" if hint.startswith("did you mean") else ""
    return UsageError(
        f"--{name} is not a flag of run_sample.py{did_you_mean}",
        f"run_sample.py --mode={mode} --help lists the flags",
    )


def help_page(argv: Sequence[str]) -> str | None:
    """The help of the mode in argv, all modes' first lines without one; None if none was asked."""
    if not HELP_FLAGS & set(argv):
        return None
    mode = find_spelling(_mode_of(argv), registry.MODES)
    module = module_of(mode)
    names = [name for name in GENERAL if name != "workdir" or module.Options.run != "none"]
    general = "\n".join(f"  --{name}\n      {GENERAL[name]}" for name in names)
    page = f"{module.__doc__.strip()}\n\nFlags of --mode={mode}:\n{general}\n"
    page += options.help_text(module.Options)
    if any(word.lstrip("-").partition("=")[0] == "mode" for word in argv[1:]):
        return page
    return f"{modes_page()}\n\n{page}"


def modes_page() -> str:
    """Every mode and the first line of its file."""
    lines = ["Modes (--mode=NAME --help lists the flags of one):"]
    lines += [f"  {name:<16}{summary(name)}" for name in registry.MODES]
    return "\n".join(lines)


def summary(mode: str) -> str:
    """The first sentence of a mode's file, without its flag."""
    first = module_of(mode).__doc__.strip().splitlines()[0]
    return first.partition(": ")[2]
