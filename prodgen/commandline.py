"""Flags to config, and errors to exit codes: what both entry points share.

The config is an ml_collections file. Its overrides are read here and not by config_flags, which
looks at the process's own arguments, ends a typo with a traceback and lets `nan` through.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from prodgen import config as configs
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


def parse_flags(argv: list[str]) -> None:
    """Let absl read `argv` (after `split` took the config out); mistakes are UsageErrors."""
    if {"--help", "-help", "-h"} & set(argv):
        print(sys.modules["__main__"].__doc__, flags.FLAGS.main_module_help(), sep="\n")
        raise SystemExit(0)
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        raise UsageError(
            str(error).replace("\n", " "), f"{argv[0]} --help lists the flags"
        ) from None
    if len(rest) > 1:
        raise UsageError(f"unexpected argument {rest[1]!r}", "write flags as --name=value")


def split(argv: list[str]) -> tuple[str, list[tuple[str, str]], list[str]]:
    """Take `--config=...` and `--config.a.b=...` out of argv: (config, overrides, the rest)."""
    chosen, overrides, rest = "", [], [argv[0]]
    words = iter(argv[1:])
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or (name != "config" and not name.startswith("config.")):
            rest.append(word)
            continue
        if not equals:
            value = next(words, "")
            if not value or value.startswith("--"):
                raise UsageError(f"--{name} needs a value", f"write --{name}=...")
        if name == "config":
            chosen = value
        else:
            overrides.append((name.removeprefix("config."), value))
    return chosen, overrides, rest


def read_config(chosen: str, overrides: Sequence[tuple[str, str]] = ()) -> ConfigDict:
    """The validated, locked config of FILE[:PRESET] with overrides applied in order."""
    path, _, preset = chosen.partition(":")
    if not path:
        raise UsageError("no --config was given", "add --config=configs/vae.py")
    config = _get_config(Path(path), preset)
    for field, text in overrides:
        configs.put(config, field, configs.parse(field, text))
    return configs.validate(config).lock()


def _get_config(path: Path, preset: str) -> ConfigDict:
    if not path.is_file():
        known = sorted(str(p) for p in Path("configs").glob("*.py") if p.name != "base.py")
        raise UsageError(f"--config={path} is not a file", f"try one of {', '.join(known)}")
    spec = importlib.util.spec_from_file_location("prodgen_config", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.get_config(preset)
    except ProdgenError:
        raise
    except Exception as error:
        line = _last_line(error, path)
        raise UsageError(f"{path}:{line}: {type(error).__name__}: {error}") from None


def _last_line(error: Exception, path: Path) -> int:
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
    return inside[-1] if inside else 0


def default_workdir(chosen: str, config: ConfigDict, origin: str = "") -> Path:
    """runs/<file>[-<preset>]-<fingerprint>[-from-<origin>]: the same command finds its run again.

    `origin` is the fingerprint of the run whose weights it starts from.
    """
    path, _, preset = chosen.partition(":")
    parts = [Path(path).stem, *([preset] if preset else []), configs.fingerprint(config)]
    parts += ["from", origin] if origin else []
    return Path("runs") / "-".join(parts)
