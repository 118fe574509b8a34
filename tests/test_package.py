"""prodgen as an installed package: dependencies, version, configs, commands, the wheel."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

import prodgen
from prodgen.cli import commandline
from tests.tiny import ROOT, TINY, make_disc_photo

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of a VAE of a few thousand weights, without the fields that it does not read.
FIELDS = {"data.size": 64} | {k: v for k, v in TINY.items() if not k.startswith("loss.gan_")}


def required_packages(lines, python, platform):
    """{package: (its pin, its extras)} of lines of requirements, on a Python and a platform."""
    environment = {"python_version": python, "sys_platform": platform}
    pins = {}
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = requirement.name.lower()
            pin, extras = pins.get(name, (str(requirement.specifier), set()))
            assert pin == str(requirement.specifier), line
            pins[name] = (pin, extras | requirement.extras)
    return pins


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.14"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_requirements_are_the_dependencies_with_dev_and_cuda(python, platform):
    text = (ROOT / "requirements.txt").read_text()
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    extras = PROJECT["optional-dependencies"]
    declared_lines = [*PROJECT["dependencies"], *extras["dev"], *extras["cuda"]]
    required_pins = required_packages(filter(None, lines), python, platform)
    assert required_pins == required_packages(declared_lines, python, platform)
    assert required_pins["jax"][1] == ({"cuda"} if platform == "linux" else set())
    # A pin that stands in two extras is one pin; so is one that an advice of the program names.
    everything = [*declared_lines, *(line for extra in extras.values() for line in extra)]
    required_packages(everything, python, platform)


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert "version" not in citation and citation["license"] == PROJECT["license"]
    files = [ROOT / "setup.py", ROOT / "pyproject.toml", ROOT / "CITATION.cff", ROOT / "README.md"]
    assignments = re.compile(rf"""(?:version|release)\s*[:=]\s*["']?{prodgen.__version__}\b""")
    assert not [file for file in files if assignments.search(file.read_text())]


READ_CONFIGS = """
import json, sys
from prodgen.cli import commandline
results = []
for name in json.loads(sys.stdin.read()):
    try:
        config = commandline.read_config(name)
        workdir = commandline.derive_workdir(commandline.Experiment(name, config))
        results.append([str(workdir), config.to_dict()])
    except commandline.UsageError as error:
        results.append([error.message, error.next_step])
print(json.dumps(results))
"""


def read_installed_configs(site, folder, *names):
    """What an installed package, in the folder `site`, reads for configs in a current folder."""
    process = subprocess.run(
        [sys.executable, "-c", READ_CONFIGS], input=json.dumps(names), cwd=folder, text=True,
        capture_output=True, check=True, env=os.environ | {"PYTHONPATH": str(site)},
    )  # fmt: skip
    return json.loads(process.stdout)


def test_an_installed_package_reads_its_own_configs_and_those_of_the_current_folder(tmp_path):
    site, here = tmp_path / "site", tmp_path / "here"
    (site / "prodgen").mkdir(parents=True)
    for path in [*(ROOT / "prodgen").iterdir(), ROOT / "configs"]:
        (site / "prodgen" / path.name).symlink_to(path)
    (here / "configs").mkdir(parents=True)
    (here / "configs" / "shop.py").write_text("LATENT = 7\n")
    (here / "configs" / "mine.py").write_text(
        "from configs import gan, shop\n\n\ndef get_config(preset=''):\n"
        "    config = gan.get_config(preset)\n    config.model.latent = shop.LATENT\n"
        "    return config\n"
    )
    mine, quick, unknown = read_installed_configs(
        site, here, "configs/mine.py:quick", "configs/vae.py:quick", "configs/nope.py"
    )
    # A folder of another program, whose base config has the same name.
    (here / "configs" / "base.py").write_text("")
    (gan,) = read_installed_configs(site, here, "configs/gan.py:quick")
    for name, result in (("vae.py:quick", quick), ("gan.py:quick", gan)):
        config = commandline.read_config(f"{ROOT}/configs/{name}")
        workdir = commandline.derive_workdir(commandline.Experiment(f"configs/{name}", config))
        assert result == [str(workdir), config.to_dict()]
    gan[1]["model"]["latent"] = 7
    assert mine[0].startswith("runs/mine-quick-") and mine[1] == gan[1]
    assert unknown[0] == "the config 'configs/nope.py' is not a file"
    assert "configs/mine.py" in unknown[1] and "configs/vae.py" in unknown[1]


def test_an_installed_command_is_named_in_its_help_and_advice():
    text = "python run_train.py --config=a.py, then run_sample.py --mode=grid"
    assert commandline.name_commands(text, ["/usr/bin/run_train.py"]) == text
    for name in ("/venv/bin/prodgen-train", "prodgen-sample"):
        assert commandline.name_commands(text, [name]) == (
            "prodgen-train --config=a.py, then prodgen-sample --mode=grid"
        )


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the source, which stays as it is."""
    base = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("prodgen", "configs"):
        shutil.copytree(ROOT / name, base / "source" / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, base / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", base, base / "source"]
    subprocess.run(command, check=True)
    return next(base.glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory):
    """The folder of the commands in a new environment, which finds dependencies in this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel]
    subprocess.run(command, check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in ("prodgen", "configs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".jsonl"
    ]
    expected_names = {re.sub("^configs/", "prodgen/configs/", file) for file in files}
    information = f"prodgen-{prodgen.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(information)} == expected_names


@pytest.mark.slow
def test_the_commands_train_and_sample_in_an_empty_folder(scripts, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    folder = tmp_path / "shop"
    folder.mkdir()

    def run(*command, code=0):
        process = subprocess.run(
            [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert process.returncode == code, process.stderr
        return process.stdout + process.stderr

    train, sample = scripts / "prodgen-train", scripts / "prodgen-sample"
    code = "import prodgen; print(prodgen.__file__, prodgen.__version__)"
    file, version = run(scripts / "python", "-c", code).split()
    assert file.startswith(str(scripts.parent)) and version == prodgen.__version__

    # The folder of a run is that of the same command in a checkout.
    overrides = [(path, str(value)) for path, value in FIELDS.items()]
    config = commandline.read_config(f"{ROOT}/configs/vae.py:quick", overrides)
    workdir = commandline.derive_workdir(commandline.Experiment("configs/vae.py:quick", config))
    run(train, "--config=configs/vae.py:quick", *(f"--config.{p}={text}" for p, text in overrides))
    assert [path.name for path in (folder / "runs").iterdir()] == [workdir.name]

    # Command and script draw the same sheet.
    run(sample, "--mode=grid", f"--workdir={workdir}", "--out=grid.png")
    script = [sys.executable, ROOT / "run_sample.py", "--mode=grid", f"--workdir={workdir}"]
    run(*script, "--out=script.png")
    assert (folder / "grid.png").read_bytes() == (folder / "script.png").read_bytes()

    # Without a run, and what the commands are called.
    Image.fromarray(make_disc_photo(120, 90)).save(folder / "photo.png")
    run(sample, "--mode=cutout", "--images=photo.png", "--cutout=plain", "--out=cut")
    assert Image.open(folder / "cut" / "cut" / "photo.png").mode == "RGBA"
    assert "python run" not in run(train, "--help") and "prodgen-train" in run(train, "--help")
    assert "prodgen-sample --mode=grid --help lists" in run(sample, "--wrokdir=x", code=2)
