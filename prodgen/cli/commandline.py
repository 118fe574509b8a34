"""Flags to config, and errors to exit codes: what both entry points share.

The config is an ml_collections file, read by its config_flags. Left alone, config_flags ends a typo
with a traceback and accepts `nan`: names and values are checked here by prodgen/config/fields.py.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from prodgen.config import renames
from prodgen.config.fields import FIELDS
from prodgen.config.identity import fingerprint
from prodgen.config.lookup import flatten, is_read, refuse_unread
from prodgen.config.overrides import parse as parse_value
from prodgen.config.overrides import put, validate
from prodgen.core.errors import ProdgenError, StorageError, UsageError

BEGUN = time.monotonic()  # when the command began, nearly: this is the first thing it imports


def run(main: Callable[[list[str]], None], argv: Sequence[str]) -> int:
    """Run a command and return its exit code; whatever goes wrong ends in one clear line."""
    quiet_platform()
    try:
        main(list(argv))
        return 0
    except ProdgenError as error:
        return _finish(error)
    except KeyboardInterrupt:
        print("prodgen: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader went away: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _finish(StorageError.of(error))
    except Exception as error:  # a defect of ours: the traceback, then the line
        traceback.print_exc()
        return _finish(ProdgenError(f"{type(error).__name__}: {error}", "report it with the above"))


def _finish(error: ProdgenError) -> int:
    print(error.line(), file=sys.stderr, flush=True)
    return error.code


def quiet_platform() -> None:
    """Spare a machine without an accelerator two false alarms on standard error.

    JAX's CUDA plug-in prints a traceback at every start, and XLA an error for each program that
    comes from the compile cache: it does not find two of its own tuning hints, `prefer-no-gather`
    and `prefer-no-scatter`, among the processor's features. What the user has set stays.
    """
    nvidia = any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"))
    tpu = importlib.util.find_spec("libtpu") is not None
    if nvidia or tpu or sys.platform != "linux":
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "JAX_PLATFORMS" in os.environ:
        return
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "jax" in sys.modules:  # it has read its environment already, but started no backend yet
        sys.modules["jax"].config.update("jax_platforms", "cpu")


def parse_flags(argv: Sequence[str]) -> None:
    """Let absl read the flags of a program without a config; mistakes are UsageErrors."""
    if {"--help", "-help", "-h"} & set(argv):
        print(sys.modules["__main__"].__doc__, flags.FLAGS.main_module_help(), sep="\n")
        raise SystemExit(0)
    try:
        rest = flags.FLAGS(list(argv))
    except flags.Error as error:
        raise UsageError(
            str(error).replace("\n", " "), f"{argv[0]} --help lists the flags"
        ) from None
    if len(rest) > 1:
        raise UsageError(f"unexpected argument {rest[1]!r}", "write flags as --name=value")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What `--config` names: FILE[:PRESET], and the validated, locked config with its overrides."""

    name: str
    config: ConfigDict


def parse_training(argv: Sequence[str], flags_of: flags.FlagValues, help_text: str) -> Experiment:
    """Parse the command line of run_train.py: `flags_of` takes the program's own flags.

    `--config` and its overrides are read by ml_collections' config_flags. UsageError for whatever
    is wrong; --help prints `help_text` and leaves with 0.
    """
    if {"--help", "-help", "-h"} & set(argv):
        print(help_text, flags_of.get_help(), sep="\n")
        raise SystemExit(0)
    from ml_collections import config_flags  # run_sample.py does not pay for it

    try:
        argv = flags_of.read_flags_from_files(list(argv))  # --flagfile
    except flags.Error as error:
        raise UsageError(str(error), "name a file of flags, one on each line") from None
    name, overrides, rest = split_config(argv)
    if not name:
        raise UsageError("no --config was given", "add --config=configs/vae.py")
    path, _, preset = name.partition(":")
    _check_file(path)
    for field, text in overrides:
        parse_value(field, text)  # UsageError for an unknown name or a value that is not allowed
    # config_flags wants --config before its overrides, and a preset, "" for none.
    words = [f"--config={path}:{preset}", *(f"--config.{f}={text}" for f, text in overrides)]
    argv = [rest[0], *words, *rest[1:]]
    config_flags.DEFINE_config_file("config", sys_argv=argv, flag_values=flags_of)
    unparsed = _parse(flags_of, argv, path)
    if len(unparsed) > 1:
        raise UsageError(f"unexpected argument {unparsed[1]!r}", "write flags as --name=value")
    before = {field: flags_of[f"config.{field}"].default for field, _ in overrides}
    return Experiment(name, _apply_overrides(flags_of.config, path, dict(overrides), before))


def read_config(name: str, overrides: Sequence[tuple[str, str]] = ()) -> ConfigDict:
    """The validated, locked config of FILE[:PRESET] with overrides (dotted path, text) applied."""
    argv = ["", f"--config={name}", *(f"--config.{path}={text}" for path, text in overrides)]
    return parse_training(argv, flags.FlagValues(), "").config


def _parse(flags_of: flags.FlagValues, argv: list[str], path: str) -> list[str]:
    """Let absl and config_flags parse, with their errors as UsageErrors in our words."""
    try:
        return flags_of(argv)
    except ProdgenError:
        raise
    except Exception as error:
        cause = _error_of_file(error, path)
        if isinstance(error, flags.Error) and cause is None:
            raise UsageError(
                str(error).replace("\n", " "), f"{argv[0]} --help lists the flags"
            ) from None
        raise _config_error(path, cause or error) from None


def _apply_overrides(
    config: ConfigDict, file: str, overrides: dict[str, str], before: dict[str, Any]
) -> ConfigDict:
    """The config with the overrides, complete and valid; every field that is set is read.

    before: the overridden fields as the file had them. UsageError for an override, and for a field
    that the file sets, that no run reads. A field of the file that an override keeps from being
    read is said on standard error.
    """
    for path, text in overrides.items():
        put(config, path, parse_value(path, text))
    refuse_unread(config, overrides)
    values = flatten(config)
    of_file = values | before
    for path, field in FIELDS.items():
        is_set = path in values and path not in overrides and values[path] != field.default
        if not is_set or is_read(path, values):
            continue
        if not is_read(path, of_file):
            refuse_unread(config, [path], f" of {file}")
        print(
            f"note: config.{path}={values[path]} of {file} has no effect with these overrides",
            file=sys.stderr,
        )
    return validate(config).lock()


def split_config(argv: Sequence[str]) -> tuple[str, list[tuple[str, str]], list[str]]:
    """(the last `--config`, its overrides, all other arguments with the program's name first).

    An override is (dotted path, text); `--noconfig.a.b` means false. UsageError for one without a
    value.
    """
    name, overrides, rest, words = "", [], [argv[0]], iter(argv[1:])
    for word in words:
        flag, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not re.fullmatch(r"config|(no)?config\..*", flag):
            rest.append(word)
            continue
        if flag.startswith("no"):
            if equals:
                raise UsageError(f"--{flag} takes no value", f"write --{flag}")
            flag, value = flag.removeprefix("no"), "false"
        elif not equals:
            value = next(words, "")
            if not value or value.startswith("--"):
                raise UsageError(f"--{flag} needs a value", f"write --{flag}=...")
        if flag == "config":
            name = value
        else:
            overrides.append((flag.removeprefix("config."), value))
    return name, overrides, rest


def _check_file(name: str) -> None:
    if not Path(name).is_file():
        known = sorted(str(p) for p in Path("configs").glob("*.py") if p.name != "base.py")
        raise UsageError(f"--config={name} is not a file", f"try one of {', '.join(known)}")


def _error_of_file(error: BaseException | None, path: str) -> BaseException | None:
    """The outermost error of a chain that the config file raised; None where it raised none.

    config_flags and absl wrap some errors of the file twice.
    """
    while error is not None:
        if isinstance(error, SyntaxError) or _lines_of_file(error, path):
            return error
        error = error.__context__
    return None


def _lines_of_file(error: BaseException, path: str) -> list[int]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.lineno or 0 for frame in frames if Path(frame.filename).name == Path(path).name]


def _config_error(path: str, error: BaseException) -> UsageError:
    """The error of a config file, with the line of the file that raised it."""
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    else:
        line = (_lines_of_file(error, path) or [0])[-1]
    message, next_step = str(error).splitlines()[0][:200], "correct the config file"
    for old_name, new_name in renames.RENAMED_FIELDS.items():
        if re.search(rf"['\"]{old_name.partition('.')[2]}['\"]", message):
            next_step = f"config.{old_name} has a new name: config.{new_name}"
    return UsageError(f"{path}:{line}: {type(error).__name__}: {message}", next_step)


def default_workdir(experiment: Experiment, origin: str = "") -> Path:
    """runs/<file>[-<preset>]-<fingerprint>[-from-<origin>]: the same command finds its run again.

    `origin` is the fingerprint of the run whose weights it starts from.
    """
    path, _, preset = experiment.name.partition(":")
    parts = [Path(path).stem, *([preset] if preset else []), fingerprint(experiment.config)]
    parts += ["from", origin] if origin else []
    return Path("runs") / "-".join(parts)
