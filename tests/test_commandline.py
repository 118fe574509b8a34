"""Errors of a user: exit codes and the last line, before JAX is loaded; help and modes."""

import dataclasses
import errno
import json
import os
import subprocess
import sys

import pytest

from prodgen.apps.common.option_groups import CommonOptions, RunOptions
from prodgen.cli import commandline, modes, reference
from prodgen.cli.options import list_options
from prodgen.config import registry
from prodgen.core.errors import StorageError, UsageError
from tests.tiny import ROOT

# Runs commands of one program in one interpreter: [exit code, last line of standard error] of each.
COMMANDS = """
import contextlib, importlib, io, json, sys
sys.path.insert(0, sys.argv[1])
program = importlib.import_module(sys.argv[2])
from prodgen.cli import commandline
results = []
for argv in json.loads(sys.stdin.read()):
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        code = commandline.run(program.main, [sys.argv[2] + ".py", *argv])
    results.append([code, (stream.getvalue().splitlines() or [""])[-1]])
heavy = [name for name in ("jax", "tensorflow") if name in sys.modules]
print(json.dumps([results, heavy]))
"""


def run_commands(program, commands):
    """[[exit code, last line], ...] of the commands, and the heavy packages that were loaded."""
    process = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(ROOT), program],
        input=json.dumps(commands), cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(process.stdout.splitlines()[-1])


def run_command(program, *flags, cwd=ROOT):
    """(exit code, standard error's lines) of one command in a process of its own."""
    process = subprocess.run(
        [sys.executable, str(ROOT / program), *flags], cwd=cwd, capture_output=True, text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    return process.returncode, process.stderr.splitlines()


# A program whose threads fail after its error; argument: the error's class, "" for a success.
NOISY = """
import gc, sys, threading, time
sys.path.insert(0, sys.argv[1])
from prodgen.cli import commandline
from prodgen.core import errors

class Loud:
    def __del__(self):
        raise ValueError("a destructor failed")

def fail(seconds):
    time.sleep(seconds)
    raise ValueError("a thread failed")

def main(argv):
    Loud()
    first = threading.Thread(target=fail, args=(0,))
    first.start()
    first.join()
    threading.Thread(target=fail, args=(0.2,)).start()
    print("output")
    if argv[2]:
        raise getattr(errors, argv[2])("the cause", "the way on")

commandline.run_program(main, sys.argv)
"""


TRAIN_ERRORS = [
    ([], 2, "no --config was given"),
    (["--config=configs/nope.py"], 2, "is not a file"),
    (["--config=configs/vae.py:qiuck"], 2, "did you mean quick"),
    (["--config=configs/vae.py", "--config.trian.lr=1"], 2, "did you mean"),
    (["--config=configs/vae.py", "--config.train.num_steps=abc"], 2, "whole number"),
    (["--config=configs/vae.py", "--config.optim.lr=nan"], 2, "finite number"),
    (["--config.optim.lr=-1", "--config", "configs/vae.py"], 2, "from 0 to 10"),
    (["--config=configs/vae.py", "--config.data.resolution=48"], 2, "one of 16, 28"),
    (["--config=configs/vae.py", "--config.train.tensorboard"], 2, "needs a value"),
    (["--config=configs/vae.py", "--noconfig.train.tensorboard=true"], 2, "takes no value"),
    (["--config=configs/vae.py", "--wrokdir=x"], 2, "workdir"),
    (["--config=configs/vae.py", "stray"], 2, "unexpected argument"),
    (["--config=configs/vae.py:quick", "--config.loss.gamma=5"], 2,
     "config.loss.gamma is not read with config.model.name=vae; it is read with model.name dcgan"),
    (["--config=configs/gan.py", "--config.augment.travel=9"], 2, "config.augment.ada_images"),
    (["--config=configs/vae.py", "--init_from=nowhere"], 66, "holds no run"),
    (["--config=configs/vae.py:folder", "--config.data.path=nowhere", "--look"], 66, "no folder"),
    (["--config=configs/vae.py", "--workdir=LICENSE"], 73, "LICENSE is a file"),
    (["--config=configs/vae.py", "--workdir=/proc/nowhere"], 73, "not writable"),
    (["--config=configs/vae.py", "--config.data.source=catalog", "--workdir=LICENSE"], 73, "file"),
    (["--config=configs/vae.py", "--noconfig.train.tensorboard", "--workdir=LICENSE"], 73, "file"),
]  # fmt: skip
SAMPLE_ERRORS = [
    (["--mode=fit_prior"], 2, "no --workdir"),
    (["--workdir=nowhere"], 66, "holds no run"),
    (["--workdir=nowhere", "--mode=gird"], 2, "did you mean grid"),
    (["--workdir=nowhere", "--n=-3"], 2, "n"),
    (["--workdir=nowhere", "--frames=8"], 2,
     "--frames is not read by --mode=grid | next: leave it out; it is read by interpolate"),
    (["--wrokdir=nowhere"], 2, "did you mean workdir?"),
    (["--mode=gate"], 2, "name an image"),
    (["--mode=cutout"], 2, "name an image"),
    (["--mode=gate", "--images=x", "--cutout=plain"], 2, "it is read by cutout, edit"),
    (["--mode=gate", "--images=x", "--workdir=x"], 2, "--workdir is not read by --mode=gate"),
    (["--mode=cutout", "--images=x", "--cutout=magic"], 2, "grabcut"),
    (["--mode=cutout", "--images=x", "--cutout=plain", "--model=x"], 2, "it is read with --cut"),
    (["--mode=gate", "--images=x", "--profile=any"], 2, "white_main"),
    (["--mode=listing"], 2, "name a table of products"),
    (["--mode=listing", "--table=x", "--profile=amazn"], 2, "did you mean amazon"),
    (["--mode=compose"], 2, "name images"),
    (["--mode=compose", "--images=x", "--layout=poster"], 2, "sprites"),
    (["--mode=compose", "--images=x", "--cell=64"], 2, "it is read with --layout=sprites"),
    (["--mode=evaluate", "--images=x", "--images=y"], 2, "--images is there twice"),
    (["--mode=gate", "--images=x", "--mark"], 2, "--mark is not read by --mode=gate"),
    (["--mode=edit", "--images=x", "--edit=mix", "--other=y"], 2, "add --workdir=RUN"),
    (["--mode=edit", "--images=x", "--edit=background", "--color=red"], 2,
     "it is read with --edit=recolour"),
    (["--mode=edit", "--images=x", "--edit=recolor", "--color=tael"], 2, "did you mean teal"),
    (["--mode=vary", "--workdir=x", "--keep=color,shpe"], 2, "did you mean shape"),
    (["--mode=personalize"], 2, "no --history"),
    (["--mode=grid", "--workdir=x", "--attributes=red"], 2, "is not name=value"),
    (["--mode=grid", "--workdir=x", "--n=many"], 2, "it must be a whole number from 0 to 1,000,0"),
    (["--mode=grid", "--workdir=x", "--temperature=nan"], 2, "not a finite number"),
    (["--mode=grid", "--workdir=x", "--out=sheet.pgn"], 2, "is not a .png file"),
    (["--mode=vary", "--workdir=x", "--out=sheet.png"], 2, "--mode=vary writes a folder"),
    (["--mode=grid", "--workdir=x", "--step=abc"], 2, "--step=abc is not a checkpoint"),
    (["--mode=evaluate", "--workdir=x", "--extractors=home"], 2, "known: efficientnet_lite0"),
    (["--mode=edit", "--images=x", "--edit=background", "--step=latest"], 2, "without --workdir"),
    (["--mode=edit", "--images=x", "--edit=recolour", "--colour=red", "--method=classical",
      "--steps=7"], 2, "--steps has no effect with --method=classical"),
    (["--mode=grid", "--workdir=x", "--non"], 2, "--non is not a flag"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "cases"), [("run_train", TRAIN_ERRORS), ("run_sample", SAMPLE_ERRORS)]
)
def test_a_wrong_command_ends_with_one_line_before_jax_is_loaded(program, cases):
    results, heavy = run_commands(program, [flags for flags, _, _ in cases])
    assert heavy == []
    for (flags, code, message), (actual_code, line) in zip(cases, results, strict=True):
        assert actual_code == code, (flags, line)
        assert line.startswith("prodgen: ERROR ") and message in line, (flags, line)


def test_a_broken_config_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "broken.py"
    for text, message in (
        ("def get_config(preset):\n    return missing\n", "broken.py:2: NameError"),
        ("def get_config(preset):\n    return int('x')\n", "broken.py:2: ValueError"),
        ("def get_config(:\n", "broken.py:1: SyntaxError"),
        (
            "def get_config(preset):\n  try:\n    1 / 0\n  except ZeroDivisionError:\n"
            "    raise ValueError('set SHOP')\n",
            "broken.py:5: ValueError: set SHOP",
        ),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            commandline.read_config(f"{path}:p")


def test_help_lists_the_flags_of_one_mode(capsys):
    page = modes.format_help(["run_sample.py", "--mode=vary", "--help"])
    assert "--strength" in page and "0.4" in page and "shape, colour, category" in page
    assert "--layout" not in page and "--temperature" not in page
    all_modes = modes.format_help(["run_sample.py", "--help"])
    assert all(f"  {name}" in all_modes for name in registry.MODES)
    assert modes.format_help(["run_sample.py", "--mode=vary"]) is None
    with pytest.raises(SystemExit):
        commandline.parse_training(["run_train.py", "--help"], modes.flags.FlagValues(), "words")
    assert "words" in capsys.readouterr().out


def test_without_an_accelerator_jax_uses_the_cpu(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setattr(commandline, "has_gpu", lambda: False)
    monkeypatch.setattr(commandline, "has_tpu", lambda: False)
    commandline.quiet_platform()
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    commandline.quiet_platform()
    assert os.environ["JAX_PLATFORMS"] == "cuda"  # the user's setting is kept
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    commandline.quiet_platform()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_the_tables_in_the_docs_are_up_to_date():
    for file, tables in reference.TABLES.items():
        page = (ROOT / "docs" / file).read_text(encoding="utf-8")
        assert reference.update_page(page, tables) == page, "python -m prodgen.cli.reference"
    with pytest.raises(ValueError, match="are 0 times"):
        reference.update_page("a page", reference.TABLES["modes.md"])


NEW_MODE = '''"""--mode=count: how many images a folder holds."""

import dataclasses

from prodgen.apps.common.option_groups import CommonOptions
from prodgen.cli.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    images: str = option("", "A folder.")
    min_images: int = option(1, "Fewest images.", low=0)


def run(model, options, out):
    return [out.locate("count.json"), options.images, options.min_images]
'''


def test_a_new_mode_is_one_file_and_one_line_of_the_registry(tmp_path, monkeypatch):
    (tmp_path / "counting.py").write_text(NEW_MODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.MODES, "count", "counting")
    command = modes.parse_command(
        ["run_sample.py", "--mode=count", "--images=x", "--min_images=0", "--out=y"]
    )
    assert (command.options.images, command.options.min_images, str(command.out)) == ("x", 0, "y")
    assert "--min_images" in modes.format_help(["run_sample.py", "--mode=count", "--help"])
    with pytest.raises(UsageError, match="--strength is not read by --mode=count"):
        modes.parse_command(["run_sample.py", "--mode=count", "--strength=1"])
    with pytest.raises(UsageError, match="--min_images is not read by --mode=grid") as error:
        modes.parse_command(["run_sample.py", "--mode=grid", "--workdir=x", "--min_images=1"])
    assert "it is read by count" in error.value.next_step


def test_every_option_of_a_mode_has_a_help_text_and_an_allowed_default():
    for name in registry.MODES:
        module = modes.import_mode(name)
        assert issubclass(module.Options, CommonOptions) and callable(module.run)
        assert module.__doc__.startswith(f"--mode={name}: ")
        assert issubclass(module.Options, RunOptions) == (module.Options.run != "none")
        for opt in list_options(module.Options):
            assert opt.help.endswith("."), (name, opt.name)
            if opt.low is not None:
                assert opt.low <= opt.default <= opt.high, (name, opt.name)
            for other, values in opt.read_with.items():
                other_option = next(x for x in list_options(module.Options) if x.name == other)
                assert set(values) <= set(other_option.choices), (name, opt.name)


def test_choices_and_pairs_are_accepted_in_both_spellings():
    parse = lambda *flags: modes.parse_command(["run_sample.py", "--workdir=x", *flags]).options  # noqa: E731
    assert parse("--mode=vary", "--keep=color,shape").keep == ("colour", "shape")
    assert parse("--mode=vary", "--nomark", "--noguard").guard is False
    edit = parse("--mode=edit", "--images=x", "--edit=recolor", "--color=gray")
    assert (edit.edit, edit.colour) == ("recolour", ("gray",))
    assert parse("--attributes=color=red,azimuth=30").attributes == {
        "color": "red",
        "azimuth": "30",
    }
    command = modes.parse_command(
        ["run_sample.py", "--mode=compose", "--images=x", "--recolor=red,gray"]
    )
    assert command.options.recolour == ("red", "gray")
    flags = ["--images=a,b.jpg", "--images", "-gray,100%.jpg"]  # values stay as they are
    command = modes.parse_command(["run_sample.py", "--mode=compose", *flags])
    assert command.options.images == ("a,b.jpg", "-gray,100%.jpg")
    assert dataclasses.asdict(parse()) == dataclasses.asdict(modes.import_mode("grid").Options())


def test_flags_of_the_config_are_split_from_other_flags():
    name, overrides, rest = commandline.split_config_flags(
        ["p", "--config=a.py:q", "--workdir=w", "--config.a.b=1", "--config.c", "2", "-v"]
    )
    assert name == "a.py:q" and overrides == [("a.b", "1"), ("c", "2")]
    assert rest == ["p", "--workdir=w", "-v"]


@pytest.mark.parametrize(
    ("error", "stdout", "code", "line"),
    [
        ("StorageError", None, 74, "prodgen: ERROR storage: the cause | next: the way on"),
        ("UsageError", "/dev/full", 2, "prodgen: ERROR usage: the cause | next: the way on"),
        ("", "/dev/full", 74, "prodgen: ERROR storage: No space left on device | next: free disk"),
    ],
)
def test_nothing_but_the_one_line_is_printed_whatever_threads_do(error, stdout, code, line):
    if stdout and not os.path.exists(stdout):
        pytest.skip("this system has no /dev/full")
    with open(stdout or os.devnull, "w") as out:
        process = subprocess.run(
            [sys.executable, "-c", NOISY, str(ROOT), error], stdout=out, stderr=subprocess.PIPE,
            text=True, timeout=60, env=os.environ | {"PYTHONUNBUFFERED": ""},
        )  # fmt: skip
    lines = process.stderr.splitlines()
    assert process.returncode == code and lines[-1].startswith(line)
    if error:
        assert len(lines) == 1
    else:  # no error names the cause of what a thread printed before
        assert sum(text.startswith("ValueError: ") for text in lines) == 2


def test_a_system_error_is_followed_by_what_helps():
    for number, advice in (
        (errno.ENOSPC, "free disk space"), (errno.EFBIG, "free disk space"),
        (errno.EROFS, "make the file and its folder"), (errno.EACCES, "make the file and its fold"),
        (errno.ENOENT, "check that the path"), (errno.EIO, "check the disk"),
    ):  # fmt: skip
        error = StorageError.from_os_error(OSError(number, os.strerror(number), "run/x"))
        assert error.message == f"{os.strerror(number)} (run/x)"
        assert error.next_step.startswith(advice)
