"""The floors of the house: imports go down only, and TensorFlow lives in one room."""

import ast
import subprocess
import sys

from tests.tiny import ROOT

FLOORS = [  # from the ground up; within a floor only the pairs of ALLOWED
    {
        "core",
        "errors",
        "types",
        "config",
        "cli",
        "arrays",
        "torch_file",
        "rng",
        "trees",
        "images",
        "decode",
        "provenance",
    },  # fmt: skip
    {"workdir", "photo", "models", "augment", "parallel", "report", "optim", "checkpoint"},
    {"data", "losses", "metrics"},
    {"steps"},
    {"run", "home", "evaluate", "judge", "trainer"},
    {"model"},
    {"editing"},
    {"apps", "experiments"},
]
# Rooms of one floor that may look at each other, always in this direction.
ALLOWED = {
    ("checkpoint", "workdir"), ("report", "workdir"),
    ("trainer", "run"), ("trainer", "evaluate"), ("trainer", "home"),
}  # fmt: skip
FREE_OF_JAX = {
    "core", "errors", "types", "config", "cli", "arrays", "torch_file", "workdir", "decode",
    "photo", "provenance", "images",
}  # fmt: skip


def room(path):
    return path.relative_to(ROOT / "prodgen").parts[0].removesuffix(".py")


def floor(name):
    return next(i for i, floor in enumerate(FLOORS) if name in floor)


def modules():
    return [
        p
        for p in sorted((ROOT / "prodgen").rglob("*.py"))
        if p.parent != ROOT / "prodgen" or p.stem != "__init__"
    ]


def imports(path, top_level_only=False):
    """(module, line) of every import of a file."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, node.lineno
            if node.module == "prodgen":
                yield from ((f"prodgen.{alias.name}", node.lineno) for alias in node.names)


def test_imports_go_down_only():
    wrong = []
    for path in modules():
        here = room(path)
        for module, line in imports(path):
            parts = module.split(".")
            if parts[0] != "prodgen" or len(parts) == 1 or parts[1] == "__version__":
                continue
            there = parts[1]
            same = here == there or floor(here) == 0 == floor(there) or (here, there) in ALLOWED
            if not same and floor(there) >= floor(here):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, wrong


def test_every_room_stands_on_a_floor():
    known = set().union(*FLOORS)
    assert {room(path) for path in modules()} <= known


def test_tensorflow_is_imported_only_in_data_and_only_inside_functions():
    for path in [*modules(), *ROOT.glob("run_*.py")]:
        heavy = {"tensorflow", "tensorflow_datasets", "clu"}
        for module, line in imports(path):
            if module.split(".")[0] in heavy:
                assert path.parent.name == "data", f"{path}:{line}"
        top = {module.split(".")[0] for module, _ in imports(path, top_level_only=True)}
        assert not top & heavy, path


def test_the_ground_floor_and_the_data_sources_need_no_jax():
    for path in modules():
        free = room(path) in FREE_OF_JAX or (room(path) == "data" and path.stem != "resident")
        if free:
            names = {module.split(".")[0] for module, _ in imports(path, top_level_only=True)}
            assert not names & {"jax", "flax", "optax", "orbax"}, path
            below = [m for m, _ in imports(path, top_level_only=True) if m.startswith("prodgen.")]
            assert not {m.split(".")[1] for m in below} & {"rng", "trees"}, path


def test_a_mode_is_imported_without_jax():
    code = (
        "import sys; from prodgen.cli import modes; from prodgen.config import registry\n"
        "for name in registry.MODES: modes.module_of(name)\n"
        "assert not {'jax', 'flax', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_files_and_functions_stay_readable():
    for path in modules():
        text = path.read_text()
        assert text.count("\n") <= 350, path
        assert path.stem not in {"utils", "helpers", "common", "misc"}, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                assert length <= 80, f"{path}:{node.lineno} {node.name} has {length} lines"


def test_entry_points_hold_flags_only():
    for path in ROOT.glob("run_*.py"):
        assert path.read_text().count("\n") < 80, path


def test_no_unsafe_loading():
    for path in [*modules(), *ROOT.glob("run_*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, path
        assert "pickle" not in {module.split(".")[0] for module, _ in imports(path)}, path
