"""What both entry points share: flags to config, and errors to exit codes.

The config is a file of ml_collections, parsed by its config_flags. That parser ends a typing error
with a traceback and accepts `nan`, so names and values are checked here first, against
prodgen/config/fields.py.
"""

from __future__ import annotations

import dataclasses
import io
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from absl import flags
from ml_collections import ConfigDict

from prodgen.cli import config_files
from prodgen.config import renames
from prodgen.config.fields import FIELDS
from prodgen.config.identity import compute_fingerprint
from prodgen.config.lookup import flatten, is_read, refuse_unread_fields
from prodgen.config.overrides import parse_value, set_field, validate
from prodgen.core import failpoints
from prodgen.core.accelerators import has_gpu, has_tpu
from prodgen.core.errors import ProdgenError, StorageError, UsageError
from prodgen.core.file_names import format_name
from prodgen.core.thread_errors import collect_thread_errors

HELP_FLAGS = {"--help", "-help", "-h", "--helpfull", "--helpshort"}
COMMANDS = {"run_train.py": "prodgen-train", "run_sample.py": "prodgen-sample"}  # where installed
SETTING = re.compile(r"(?<![\w.-])config\.(?=[\w.]+=)")  # in an advice, as in config.a.b=VALUE
START_TIME_S = time.monotonic()  # about when the command began: this module is imported first


def run_program(main: Callable[[list[str]], None], argv: Sequence[str]) -> NoReturn:
    """Run a command as `run` does, and end the process with its exit code.

    Nothing follows an error's line: what other threads print after it goes nowhere.
    """
    with collect_thread_errors() as tracebacks:
        code = run(main, argv, tracebacks)
        if code == 0:  # no error has named the cause of these
            print(*tracebacks, sep="", end="", file=sys.stderr, flush=True)
        try:
            sys.stdout.flush()
        except OSError as error:
            _discard(sys.stdout)
            if code == 0 and not isinstance(error, BrokenPipeError):
                code = _print_error(StorageError.from_os_error(error))
        if code:
            _discard(sys.stderr)
    sys.exit(code)


def run(
    main: Callable[[list[str]], None], argv: Sequence[str], tracebacks: Sequence[str] = ()
) -> int:
    """Run a command and return its exit code; every error ends in one line on standard error.

    tracebacks: of other threads; they are printed where the error is a defect of prodgen.
    """
    quiet_platform()
    # A path that standard output cannot encode is no error: its bytes stay, else it is escaped.
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf_8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf_8 else "backslashreplace")
    try:
        failpoints.activate(os.environ)
        main(list(argv))
        return 0
    except (Exception, KeyboardInterrupt) as error:
        return report_error(error, argv, tracebacks)


def report_error(error: BaseException, argv: Sequence[str], tracebacks: Sequence[str] = ()) -> int:
    """Print the line of an error that ends the command `argv`; its exit code."""
    if isinstance(error, ProdgenError):
        error.next_step = name_commands(fit_advice(error.next_step, argv), argv)
        return _print_error(error)
    if isinstance(error, KeyboardInterrupt):
        print("prodgen: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError):  # the reading program ended, as in `... | head`
        _discard(sys.stdout)
        return 0
    if isinstance(error, OSError):
        return _print_error(StorageError.from_os_error(error))
    # A defect of prodgen: its traceback, then the one line.
    print(*tracebacks, sep="", end="", file=sys.stderr)
    traceback.print_exception(error)
    return _print_error(
        ProdgenError(f"{type(error).__name__}: {error}", "report it with the above")
    )


def fit_advice(advice: str, argv: Sequence[str]) -> str:
    """An advice as the user of the command `argv` can follow it.

    Code that several programs share separates alternatives by "; or ", and writes the setting of a
    field as config.a.b=VALUE. A command that has a config takes that as a flag. Others have no
    fields: such an alternative is left out, unless there is no other.
    """
    if any(argument.startswith(("--config", "-config")) for argument in argv[1:]):
        return SETTING.sub("--config.", advice)
    ways = advice.split("; or ")
    return "; or ".join(way for way in ways if not SETTING.search(way)) or advice


def name_commands(text: str, argv: Sequence[str]) -> str:
    """A text with the programs' names as the user of the command `argv` types them.

    The texts name the scripts of a checkout. An installed package has commands in their place.
    """
    if Path(argv[0]).stem not in COMMANDS.values():
        return text
    for script, command in COMMANDS.items():
        text = text.replace(f"python {script}", command).replace(script, command)
    return text


def _print_error(error: ProdgenError) -> int:
    """Print the error's line and return its exit code."""
    print(format_name(error.format_line()), file=sys.stderr, flush=True)
    return error.code


def _discard(stream: TextIO) -> None:
    """Let what is still written to a standard stream go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def quiet_platform() -> None:
    """Avoid two false alarms on standard error on a machine without an accelerator.

    JAX's CUDA plug-in prints a traceback at every start. XLA prints an error for each program from
    the compile cache, because two of its own tuning hints, `prefer-no-gather` and
    `prefer-no-scatter`, are not among the processor's features. Settings of the user are kept.
    """
    if has_gpu() or has_tpu() or sys.platform != "linux":
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "JAX_PLATFORMS" not in os.environ:
        use_processor()


def use_processor() -> None:
    """Let JAX run on the processor, whatever devices this machine has, and XLA print errors only.

    It has an effect before JAX has started a backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "jax" in sys.modules:  # it has read the environment already
        sys.modules["jax"].config.update("jax_platforms", "cpu")


def parse_flags(argv: Sequence[str]) -> None:
    """Let absl parse the flags of a program without a config; UsageError for a wrong flag."""
    if HELP_FLAGS & set(argv):
        print(sys.modules["__main__"].__doc__, flags.FLAGS.main_module_help(), sep="\n")
        raise SystemExit(0)
    try:
        rest = flags.FLAGS(list(argv))
    except flags.Error as error:
        raise UsageError(
            str(error).replace("\n", " "), f"{argv[0]} --help lists the flags"
        ) from None
    if len(rest) > 1:
        raise UsageError(f"unexpected argument {rest[1]!r}", "write flags as --NAME=VALUE")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config file, FILE[:PRESET], and its validated, locked config with all overrides."""

    name: str
    config: ConfigDict


def parse_training(
    argv: Sequence[str], flag_values: flags.FlagValues, help_text: str
) -> Experiment:
    """Parse the command line of run_train.py.

    flag_values: defines the program's own flags and receives their values. ml_collections'
    config_flags parses `--config` and its overrides. UsageError for any wrong flag; --help prints
    `help_text` and exits with 0.
    """
    if HELP_FLAGS & set(argv):
        print(help_text, flag_values.get_help(), sep="\n")
        raise SystemExit(0)
    try:
        argv = flag_values.read_flags_from_files(list(argv))  # --flagfile
    except flags.Error as error:
        raise UsageError(str(error), "name a file of flags, one on each line") from None
    name, overrides, rest = split_config_flags(argv)
    if not name:
        raise UsageError("no --config was given", "add --config=configs/vae.py")
    return Experiment(name, _parse_config(name, overrides, rest, flag_values))


def read_config(name: str, overrides: Sequence[tuple[str, str]] = ()) -> ConfigDict:
    """The validated, locked config of FILE[:PRESET] with overrides (dotted path, text) applied."""
    return _parse_config(name, overrides, [""], flags.FlagValues())


def _parse_config(
    name: str,
    overrides: Sequence[tuple[str, str]],
    rest: Sequence[str],
    flag_values: flags.FlagValues,
) -> ConfigDict:
    """The config of FILE[:PRESET] with overrides; `rest`, the other arguments, are parsed too."""
    from ml_collections import config_flags  # slow to import, and run_sample.py does not need it

    path, _, preset = name.partition(":")
    file = config_files.locate_config(path)
    config_files.make_configs_importable(file)
    for field, text in overrides:
        parse_value(field, text)  # UsageError for an unknown field or an invalid value
    # config_flags needs --config before its overrides, and a preset, "" for none.
    config_argv = [f"--config={file}:{preset}", *(f"--config.{f}={t}" for f, t in overrides)]
    argv = [rest[0], *config_argv, *rest[1:]]
    config_flags.DEFINE_config_file("config", sys_argv=argv, flag_values=flag_values)
    positionals = _parse_flag_values(flag_values, argv, path)
    if len(positionals) > 1:
        raise UsageError(f"unexpected argument {positionals[1]!r}", "write flags as --NAME=VALUE")
    file_values = {field: flag_values[f"config.{field}"].default for field, _ in overrides}
    return _apply_overrides(flag_values.config, path, dict(overrides), file_values)


def _parse_flag_values(flag_values: flags.FlagValues, argv: list[str], path: str) -> list[str]:
    """Parse with absl and config_flags; their errors become UsageErrors.

    Returns the arguments that are not flags. path: the config file.
    """
    try:
        return flag_values(argv)
    except ProdgenError:
        raise
    except Exception as error:
        # absl and config_flags wrap some errors of the config file, even twice. Find the outermost
        # error that the file itself raised.
        cause: BaseException | None = error
        while cause and not (isinstance(cause, SyntaxError) or _find_file_lines(cause, path)):
            cause = cause.__context__
        if isinstance(error, flags.Error) and cause is None:
            raise UsageError(
                str(error).replace("\n", " "), f"{argv[0] or 'run_train.py'} --help lists the flags"
            ) from None
        raise make_config_error(path, cause or error) from None


def _apply_overrides(
    config: ConfigDict, file: str, overrides: dict[str, str], file_values: dict[str, Any]
) -> ConfigDict:
    """Apply the overrides and return the complete, valid config, in which every set field is read.

    file_values: the values that the file gives to the fields of `overrides`. UsageError for an
    override that no run reads, and for such a field of the file. A note on standard error names a
    field of the file that is no longer read because of an override.
    """
    for path, text in overrides.items():
        set_field(config, path, parse_value(path, text))
    refuse_unread_fields(config, overrides)
    values = flatten(config)
    values_without_overrides = values | file_values
    for path, field in FIELDS.items():
        is_set = path in values and path not in overrides and values[path] != field.default
        if not is_set or is_read(path, values):
            continue
        if not is_read(path, values_without_overrides):
            refuse_unread_fields(config, [path], f" of {file}")
        print(
            f"note: config.{path}={values[path]} of {file} has no effect with these overrides",
            file=sys.stderr,
        )
    return validate(config).lock()


def split_config_flags(argv: Sequence[str]) -> tuple[str, list[tuple[str, str]], list[str]]:
    """Separate the flags of the config from all other arguments.

    Returns the last `--config`, its overrides as (dotted path, text), and the other arguments with
    the program's name first. `--noconfig.a.b` means false. UsageError for a flag without a value.
    """
    name, overrides, rest, arguments = "", [], [argv[0]], iter(argv[1:])
    for argument in arguments:
        flag, equals, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or not re.fullmatch(r"config|(no)?config\..*", flag):
            rest.append(argument)
            continue
        if flag.startswith("no"):
            if equals:
                raise UsageError(f"--{flag} takes no value", f"write --{flag}")
            flag, value = flag.removeprefix("no"), "false"
        elif not equals:
            value = next(arguments, "")
            if not value or value.startswith("--"):
                raise UsageError(f"--{flag} needs a value", f"write --{flag}=...")
        if flag == "config":
            name = value
        else:
            overrides.append((flag.removeprefix("config."), value))
    return name, overrides, rest


def _find_file_lines(error: BaseException, path: str) -> list[int]:
    """The line numbers of the file `path` in the traceback of an error, outermost call first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.lineno or 0 for frame in frames if Path(frame.filename).name == Path(path).name]


def make_config_error(path: str, error: BaseException) -> UsageError:
    """The UsageError for an error in a config file, with the line of the file that raised it."""
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    else:
        line = (_find_file_lines(error, path) or [0])[-1]
    message = (str(error).splitlines() or [""])[0][:200]
    next_step = "correct the config file"
    for old_name, new_name in renames.RENAMED_FIELDS.items():
        if re.search(rf"['\"]{old_name.partition('.')[2]}['\"]", message):
            next_step = f"config.{old_name} has a new name: config.{new_name}"
    return UsageError(f"{path}:{line}: {type(error).__name__}: {message}", next_step)


def derive_workdir(experiment: Experiment, origin: str = "") -> Path:
    """The default workdir: runs/<file>[-<preset>]-<fingerprint>[-from-<origin>].

    The same command gives the same folder and so continues its run. origin: the fingerprint of the
    run whose weights it starts from.
    """
    path, _, preset = experiment.name.partition(":")
    parts = [Path(path).stem, *([preset] if preset else []), compute_fingerprint(experiment.config)]
    parts += ["from", origin] if origin else []
    return Path("runs") / "-".join(parts)
