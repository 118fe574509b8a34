"""Where a config file lies: in the current folder, or among the configs that come with prodgen.

An installed package holds those of the checkout's folder `configs/` as `prodgen/configs/`. There a
config file's `from configs import base` works as in the checkout.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

from prodgen.core.errors import UsageError

CONFIGS = "configs"  # the folder's name, and that of the module which config files import from
PACKAGE_FOLDER = Path(__file__).parents[1]


def find_own_folder() -> Path:
    """The folder of the configs that come with prodgen, installed or in its checkout."""
    installed_folder = PACKAGE_FOLDER / CONFIGS
    return installed_folder if installed_folder.is_dir() else PACKAGE_FOLDER.parent / CONFIGS


def locate_config(path: str) -> Path:
    """The file of a config: `path` itself where it is a file, else prodgen's own configs/NAME.py.

    UsageError names the known configs where there is neither.
    """
    if Path(path).is_file():
        return Path(path)
    own_folder, parts = find_own_folder(), Path(path).parts
    if parts[:1] == (CONFIGS,) and ".." not in parts:
        own_file = own_folder.joinpath(*parts[1:])
        if own_file.is_file():
            return own_file
    names = {file.name for folder in (Path(CONFIGS), own_folder) for file in folder.glob("*.py")}
    files = [f"{CONFIGS}/{name}" for name in sorted(names - {"base.py"})]
    raise UsageError(
        f"the config {path!r} is not a file",
        f"name a config, as {', '.join(files)}" if files else "name a file FILE.py[:PRESET]",
    )


def make_configs_importable(file: Path) -> None:
    """Let the config `file` import from `configs`.

    One of prodgen's own imports its neighbours. Another one imports from `configs/` in the current
    folder first, then from prodgen's. Nothing changes where the import leads there already.
    """
    own_folder = find_own_folder().resolve()
    folders = [own_folder]
    if not file.resolve().is_relative_to(own_folder):
        here = Path(CONFIGS).resolve()
        folders = [here, own_folder] if here.is_dir() and here != own_folder else folders
    present_folders = [Path(place).resolve() for place in _list_search_places()]
    if present_folders[: len(folders)] == folders:
        return
    # Another package of this name, or none: a new module searches the folders in this order.
    for name in [name for name in sys.modules if name.partition(".")[0] == CONFIGS]:
        del sys.modules[name]
    spec = ModuleSpec(CONFIGS, None, is_package=True)
    rest = [place for place in present_folders if place not in folders]
    spec.submodule_search_locations = [str(place) for place in [*folders, *rest]]
    sys.modules[CONFIGS] = importlib.util.module_from_spec(spec)


def _list_search_places() -> list[str]:
    """The folders in which Python looks for the modules of `configs` now."""
    if CONFIGS in sys.modules:
        return list(getattr(sys.modules[CONFIGS], "__path__", []))
    spec = importlib.util.find_spec(CONFIGS)
    return list(spec.submodule_search_locations or []) if spec else []
