"""The command line of run_sample.py: the mode, its options, and the help of each mode. No JAX."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from prodgen.cli import options
from prodgen.cli.commandline import HELP_FLAGS
from prodgen.config import package_models, registry
from prodgen.core.errors import UsageError
from prodgen.core.mirror import open_folder
from prodgen.core.remote_files import is_remote
from prodgen.core.spelling import find_spelling, to_british

DEFAULT_MODE = "grid"
GENERAL_FLAGS = {  # flags of the program itself -> help; --workdir only for modes that take a run
    "mode": "What to make.",
    "workdir": "The run's folder, gs://BUCKET/FOLDER, a folder of --mode=export, or a model of the "
    f"package: {', '.join(package_models.PACKAGE_MODELS)}.",
    "out": "The file or folder to write. A name without a suffix is a folder, which is created. "
    "Default: in the run's folder, or in the current folder without a run.",
}


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of run_sample.py. options: an instance of the mode's Options class.

    package_model: the model of the package that takes the place of a run, by name; "" for none.
    """

    mode: str
    options: Any
    workdir: Path | None = None
    out: Path | None = None
    package_model: str = ""

    @property
    def place(self) -> Path | None:
        """The folder of the run or of the package's model that the mode opens."""
        return package_models.FOLDER / self.package_model if self.package_model else self.workdir


def import_mode(mode: str) -> ModuleType:
    """Import the module of a mode, without JAX; UsageError for an unknown mode."""
    return registry.resolve(registry.MODES, find_spelling(mode, registry.MODES), "--mode")


def parse_command(argv: Sequence[str]) -> Command:
    """Parse the command line; argv starts with the program's name.

    UsageError for an unknown mode or flag, an invalid value, a flag that the mode does not read, a
    missing --workdir, and everything that the mode's own `check` refuses.
    """
    # American spellings of a flag's name are accepted; its value stays as it is.
    argv = list(argv)
    for i, argument in enumerate(argv[1:], start=1):
        name, equals, value = argument.partition("=")
        if re.fullmatch(r"--?\w+", name):  # no file that begins with a dash
            argv[i] = to_british(name) + equals + value
    mode = find_spelling(_find_mode_name(argv), registry.MODES)
    cls = import_mode(mode).Options
    values = flags.FlagValues()
    for name, help_text in GENERAL_FLAGS.items():
        default = DEFAULT_MODE if name == "mode" else ""
        flags.DEFINE_string(name, default, help_text, flag_values=values)
    options.define_flags(cls, values)
    try:
        positionals = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        raise _make_flag_error(error.flagname, mode) from None
    except flags.Error as error:
        raise _make_value_error(str(error).replace("\n", " "), cls, mode) from None
    if positionals:
        raise UsageError(f"unexpected argument {positionals[0]!r}", "write flags as --NAME=VALUE")
    _refuse_repeated_path(argv, cls, mode)
    name = ""
    if package_models.find_model(values.workdir):
        name = values.workdir
    elif not values.workdir and cls.run == "needed":
        name = cls.package_model
    workdir = open_folder(values.workdir) if values.workdir and not name else None
    if is_remote(values.out):
        raise UsageError(f"--out={values.out} is not a local path", "name a local file or folder")
    out = Path(values.out) if values.out else None
    if values.workdir and cls.run == "none":
        raise UsageError(f"--workdir is not read by --mode={mode}", "leave it out")
    mode_options = options.build_options(cls, values)
    command = Command(mode, mode_options, workdir, out, name)
    mode_options.check(command.place)
    if command.place is None and cls.run == "needed":
        raise UsageError("no --workdir was given", "name a folder of run_train.py")
    if command.place is None and cls.run == "optional":
        for name in cls.read_with_run:
            if values[name].present:
                raise UsageError(f"--{name} has no effect without --workdir", "leave it out")
    resolve_out_path(mode, mode_options.output, out, workdir)
    return command


def _refuse_repeated_path(argv: Sequence[str], cls: type, mode: str) -> None:
    """UsageError for two flags of paths where the mode takes one: absl keeps the last."""
    for option in options.list_options(cls):
        flag = re.compile(rf"--?{option.name}(=|$)")
        is_path = option.name in ("images", "input") and not option.repeat
        if is_path and sum(bool(flag.match(argument)) for argument in argv[1:]) > 1:
            raise UsageError(
                f"--{option.name} is there twice, and --mode={mode} takes one", "leave one out"
            )


def _find_mode_name(argv: Sequence[str]) -> str:
    """The value of the last --mode, which absl cannot parse before the mode's flags are known."""
    mode = DEFAULT_MODE
    for argument, next_argument in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == "mode":
            mode = value if equals else next_argument
    return mode


def resolve_out_path(mode: str, default: str, out: Path | None, workdir: Path | None) -> Path:
    """The file or folder that a mode writes: --out, else `default` in the workdir or here.

    `default` with a suffix is one file; then --out may be a file with that suffix, or a folder,
    which need not exist. `default` without a suffix is a folder. --out is a folder where one of
    that name exists, or where it has no suffix of letters. UsageError where --out does not fit.
    """
    default_path, path = Path(default), out or (workdir or Path()) / default
    has_file_name = path.suffix[1:].isalpha() and not path.is_dir()
    if not default_path.suffix:
        if has_file_name or path.is_file():
            raise UsageError(
                f"--out={path} is a file; --mode={mode} writes a folder",
                f"name one, as --out={path.with_suffix('')}_{mode}",
            )
        return path
    has_other_suffix = has_file_name and path.suffix.lower() != default_path.suffix
    if has_other_suffix or (path.is_file() and not has_file_name):
        raise UsageError(
            f"--out={path} is not a {default_path.suffix} file",
            f"name one, as --out={path.with_suffix(default_path.suffix)}, or a folder",
        )
    return path if has_file_name else path / default_path.name


def _make_value_error(message: str, cls: type, mode: str) -> UsageError:
    """The error for a value that absl rejects, with the allowed values. message: absl's."""
    match = re.match(r"flag --(\w+)=(.*?): ", message)
    option = next((o for o in options.list_options(cls) if match and o.name == match[1]), None)
    next_step = f"run_sample.py --mode={mode} --help lists the flags"
    if option is None:
        return UsageError(message, next_step)
    kind = {bool: "true or false", int: "a whole number"}.get(option.kind, "a number")
    rule = " ".join(filter(None, [kind, option.describe()]))
    return UsageError(f"--{match[1]}={match[2]} is not allowed: it must be {rule}", next_step)


def _make_flag_error(name: str, mode: str) -> UsageError:
    """The error for a flag that the mode does not read: it names the modes that do, if any."""
    readers = [
        other
        for other in registry.MODES
        if any(
            name in (opt.name, f"no{opt.name}" if opt.kind is bool else opt.name)
            for opt in options.list_options(import_mode(other).Options)
        )
    ]
    if readers:
        return UsageError(
            f"--{name} is not read by --mode={mode}",
            f"leave it out; it is read by {', '.join(readers)}",
        )
    names = {
        opt.name for m in registry.MODES for opt in options.list_options(import_mode(m).Options)
    }
    hint = registry.suggest_names(name, [*GENERAL_FLAGS, *names]).partition("?")[0]
    did_you_mean = f"; {hint}?" if hint.startswith("did you mean") else ""
    return UsageError(
        f"--{name} is not a flag of run_sample.py{did_you_mean}",
        f"run_sample.py --mode={mode} --help lists the flags",
    )


def format_help(argv: Sequence[str]) -> str | None:
    """The help text for argv, or None where it has no help flag.

    With --mode: the flags of that mode. Without: a list of all modes and the default mode's flags.
    """
    if not HELP_FLAGS & set(argv):
        return None
    mode = find_spelling(_find_mode_name(argv), registry.MODES)
    module = import_mode(mode)
    names = [name for name in GENERAL_FLAGS if name != "workdir" or module.Options.run != "none"]
    general = "\n".join(f"  --{name}\n      {GENERAL_FLAGS[name]}" for name in names)
    page = f"{module.__doc__.strip()}\n\nFlags of --mode={mode}:\n{general}\n"
    page += options.format_flags_help(module.Options)
    if any(argument.lstrip("-").partition("=")[0] == "mode" for argument in argv[1:]):
        return page
    lines = ["Modes (--mode=NAME --help lists the flags of one):"]
    lines += [f"  {name:<16}{summarise_mode(name)}" for name in registry.MODES]
    return "\n".join(lines) + f"\n\n{page}"


def summarise_mode(mode: str) -> str:
    """The first line of a mode's docstring, without the leading "--mode=NAME: "."""
    first_line = import_mode(mode).__doc__.strip().splitlines()[0]
    return first_line.partition(": ")[2]
