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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from prodgen.config.identity import fingerprint
from prodgen.config.lookup import field_of, refuse_unread
from prodgen.config.overrides import parse as parse_value
from prodgen.config.overrides import put, validate
from prodgen.errors import ProdgenError, StorageError, UsageError

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
    name, overrides = _config_of(argv)
    if not name:
        raise UsageError("no --config was given", "add --config=configs/vae.py")
    _check_file(name)
    for field, _ in overrides:
        field_of(field)  # UsageError with the nearest name
    # config_flags wants --config before its overrides.
    ordered = [argv[0], f"--config={name}", *_without_config(argv)]
    config_flags.DEFINE_config_file("config", sys_argv=ordered, flag_values=flags_of)
    rest = _parse(flags_of, ordered, name, overrides)
    if len(rest) > 1:
        raise UsageError(f"unexpected argument {rest[1]!r}", "write flags as --name=value")
    return Experiment(name, _checked(flags_of.config, dict(overrides)))


def read_config(name: str, overrides: Sequence[tuple[str, str]] = ()) -> ConfigDict:
    """The validated, locked config of FILE[:PRESET] with overrides (dotted path, text) applied."""
    argv = ["", f"--config={name}", *(f"--config.{path}={text}" for path, text in overrides)]
    return parse_training(argv, flags.FlagValues(), "").config


def _parse(
    flags_of: flags.FlagValues, argv: list[str], name: str, overrides: Sequence[tuple[str, str]]
) -> list[str]:
    """Let absl and config_flags parse, with their errors as UsageErrors in our words."""
    try:
        return flags_of(argv)
    except ProdgenError:
        raise
    except flags.Error as error:
        for path, text in overrides:
            parse_value(path, text)  # the error of a value that is not allowed
        if "Error whilst parsing config file" not in str(error):
            raise UsageError(
                str(error).replace("\n", " "), f"{argv[0]} --help lists the flags"
            ) from None
        raise _config_error(name, _first_cause(error)) from None
    except Exception as error:  # whatever the config file raises
        raise _config_error(name, error) from None


def _checked(config: ConfigDict, overrides: dict[str, str]) -> ConfigDict:
    """The config with the overrides in their British spelling, complete, valid and all read."""
    for path, text in overrides.items():
        put(config, path, parse_value(path, text))
    refuse_unread(config, overrides)
    return validate(config).lock()


def split_config(argv: Sequence[str]) -> tuple[str, list[tuple[str, str]], list[str]]:
    """(the last `--config`, its overrides, all other arguments) of a program whose own flags absl
    reads apart; UsageError for a flag without value."""
    name, overrides = _config_of(argv)
    rest, words = [argv[0]], iter(argv[1:])
    for word in words:
        if not re.match(r"--?(no)?config(\.|=|$)", word):
            rest.append(word)
        elif "=" not in word and "noconfig" not in word:
            next(words)  # its value
    return name, overrides, rest


def _config_of(argv: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """The value of the last `--config` and all its overrides; UsageError for one without value."""
    name, overrides = "", []
    for flag, value in _config_words(argv):
        if not value or value.startswith("--"):
            raise UsageError(f"--{flag} needs a value", f"write --{flag}=...")
        if flag == "config":
            name = value
        else:
            overrides.append((flag.removeprefix("config."), value))
    return name, overrides


def _config_words(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(flag, value) of `--config`, `--config.a.b`, with the value after = or in the next word, and
    of `--noconfig.a.b`, which means false."""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        flag, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-") and flag.startswith("noconfig."):
            yield flag.removeprefix("no"), "false"
        elif word.startswith("-") and (flag == "config" or flag.startswith("config.")):
            yield flag, value if equals else following


def _without_config(argv: Sequence[str]) -> list[str]:
    """The arguments after the program's name, without `--config` itself."""
    words, skip = [], False
    for word in argv[1:]:
        if word.lstrip("-") == "config" and word.startswith("-"):
            skip = True
        elif skip:
            skip = False
        elif word.lstrip("-").partition("=")[0] != "config" or not word.startswith("-"):
            words.append(word)
    return words


def _check_file(name: str) -> None:
    path = Path(name.partition(":")[0])
    if not path.is_file():
        known = sorted(str(p) for p in Path("configs").glob("*.py") if p.name != "base.py")
        raise UsageError(f"--config={path} is not a file", f"try one of {', '.join(known)}")


def _first_cause(error: BaseException) -> BaseException:
    """What the config file raised: config_flags and absl wrap some errors twice."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _config_error(name: str, error: BaseException) -> UsageError:
    """The error of a config file, with the line of the file that raised it."""
    path = Path(name.partition(":")[0])
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    else:
        frames = traceback.extract_tb(error.__traceback__)
        inside = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
        line = inside[-1] if inside else 0
    return UsageError(f"{path}:{line}: {type(error).__name__}: {error}", "correct the config file")


def default_workdir(experiment: Experiment, origin: str = "") -> Path:
    """runs/<file>[-<preset>]-<fingerprint>[-from-<origin>]: the same command finds its run again.

    `origin` is the fingerprint of the run whose weights it starts from.
    """
    path, _, preset = experiment.name.partition(":")
    parts = [Path(path).stem, *([preset] if preset else []), fingerprint(experiment.config)]
    parts += ["from", origin] if origin else []
    return Path("runs") / "-".join(parts)
