"""The package graph has no circle, TensorFlow is imported in one package, names are the field's."""

import ast
import graphlib
import re
import subprocess
import sys

from tests import call_chain
from tests.tiny import ROOT

ARROWS = {  # the packages that each package imports; docs/architecture.md draws them
    "core": "",
    "catalogue": "",
    "config": "core",
    "models": "core parallel",
    "optim": "core",
    "parallel": "core",
    "cli": "config core",
    "photo": "config core",
    "augment": "config core",
    "runs": "config core parallel",
    "losses": "core models",
    "report": "config core runs",
    "data": "catalogue config core photo",
    "metrics": "core models photo",
    "steps": "augment config core losses metrics models optim parallel",
    "evaluation": "config core data losses metrics models parallel report runs",
    "trainer": "cli core data evaluation parallel report runs steps",
    "planning": "core data models parallel report runs trainer",
    "editing": "config core data evaluation losses metrics models photo runs",
    "model": "config core data editing evaluation runs",
    "export": "config core data editing evaluation metrics model models parallel photo report runs "
    "steps",
    "library": "config core editing evaluation model",
    "shop": "apps config core metrics photo",
    "apps": "augment catalogue cli config core data editing evaluation export metrics model "
    "parallel photo report runs",
    "programs": "apps cli config core parallel planning report runs trainer",
    "experiments": "cli config core data evaluation parallel report runs",
    "launch": "cli core experiments parallel",
}
FREE_OF_JAX = {"core", "catalogue", "config", "cli", "photo"}
NEED_JAX = {"rng", "trees"}  # of core
# Words that name an action and not a thing, beside those that end in "ed".
PARTICIPLES = {
    *("told", "found", "said", "taken", "heard", "drawn", "made", "seen", "given", "kept"),
    *("shown", "known", "laid", "cut", "put", "left", "held", "gone", "done", "written"),
    *("chosen", "brought", "bought", "sold", "learnt", "spelt", "begun", "met", "sent", "spent"),
    *("built", "lost", "caught", "taught", "thought", "worn", "torn", "shot", "sunk", "split"),
}
# Those that are nouns or terms here: a side, a part of the data, which attributes are known, what a
# test expects; two names of the face of studies, `Study(fixed=...)` and `run --failed`; and two
# Flax modules, whose names are part of every checkpoint.
NOUNS = {
    "fixed",
    "failed",
    "left",
    "split",
    "SPLIT",
    "Split",
    "known",
    "expected",
    "EXPECTED",
    "Grouped",
    "Phased",
}


def package(path):
    return path.relative_to(ROOT / "prodgen").parts[0].removesuffix(".py")


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


def test_the_package_graph_is_the_one_that_is_drawn():
    imported_packages = {package(path): set() for path in modules()}
    for path in modules():
        for module, _ in imports(path):
            parts = module.split(".")
            if parts[0] == "prodgen" and len(parts) > 1 and parts[1] != "__version__":
                imported_packages[package(path)].add(parts[1])
    imported_packages = {name: below - {name} for name, below in imported_packages.items()}
    assert imported_packages == {name: set(below.split()) for name, below in ARROWS.items()}


def test_the_package_graph_has_no_circle():
    graph = {name: set(below.split()) for name, below in ARROWS.items()}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)  # or CycleError


def test_the_documentation_draws_the_package_graph():
    graph = {name: set(below.split()) for name, below in ARROWS.items()}

    def reachable(name):
        return graph[name].union(*(reachable(below) for below in graph[name]))

    page = (ROOT / "docs/architecture.md").read_text()
    diagram = page.split("```mermaid")[1].split("```")[0]
    shortest = {
        (name, below)
        for name in graph
        for below in graph[name]
        if not any(below in reachable(other) for other in graph[name] - {below})
    }
    assert set(re.findall(r"(\w+) --> (\w+)", diagram)) == shortest


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
        free = package(path) in FREE_OF_JAX or (package(path) == "data" and path.stem != "resident")
        if free and path.stem not in NEED_JAX:
            names = {module.split(".")[0] for module, _ in imports(path, top_level_only=True)}
            assert not names & {"jax", "flax", "optax", "orbax"}, path
            below = {m.split(".")[-1] for m, _ in imports(path, top_level_only=True)}
            assert not below & NEED_JAX, path


def test_a_mode_is_imported_without_jax():
    code = (
        "import sys; from prodgen.cli import modes; from prodgen.config import registry\n"
        "for name in registry.MODES: modes.import_mode(name)\n"
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


def test_no_two_files_have_one_name():
    mirrors = {"vae", "classifier"}  # a network, and the module that trains it
    names = [path.stem for path in modules() if path.stem not in {"__init__", "__main__"}]
    assert {name for name in names if names.count(name) > 1} <= mirrors


def bound_names(tree):
    """Names of functions, classes, arguments and assignments of a file."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.alias, ast.ExceptHandler)):
            yield (node.asname if isinstance(node, ast.alias) else node.name) or ""


def is_participle(name):
    word = name.strip("_").lower()
    is_regular = word.isalpha() and len(word) > 4 and word.endswith("ed")
    return word in PARTICIPLES or (is_regular and word not in {"embed", "speed"})


def test_a_participle_is_no_name():
    folders = (ROOT / name for name in ("prodgen", "configs", "tests", "benchmarks"))
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py"))):
        names = set(bound_names(ast.parse(path.read_text())))
        assert {name for name in names if is_participle(name)} <= NOUNS, path


def test_no_import_has_another_name_because_a_variable_has_its_own():
    """A module has another name only where the community writes it so."""
    customary_names = {"np", "jnp", "nn", "ocp", "tf", "tfds", "plt"}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.asname for alias in node.names if alias.asname != alias.name}
                modules_only = {name for name in names if name and name.islower()}
                assert modules_only <= customary_names, path


def test_the_way_from_a_mode_or_a_step_to_its_numbers_is_short():
    graph = call_chain.call_graph()
    roots = call_chain.roots(graph)
    assert {root.split(".")[1] for root in roots} == {"apps", "steps"}
    for root in roots:
        chain = call_chain.longest_chain(graph, root)
        assert len(chain) - 1 <= call_chain.MAX_HOPS, "\n  ".join(chain)


def test_call_chains_are_followed_through_the_registry_and_by_reference():
    """The deepest chain is known to pass all of these."""
    graph = call_chain.call_graph()
    assert "prodgen.steps.gan.make_generate" in graph["prodgen.model.Model.generator"]
    assert "prodgen.data.chunks._build_item" in graph["prodgen.data.chunks.build_parallel"]
    assert "prodgen.photo.matte.refine" in graph["prodgen.photo.background_removal.cut_out"]


def test_entry_points_hold_flags_only():
    for path in ROOT.glob("run_*.py"):
        assert path.read_text().count("\n") < 80, path


def test_no_unsafe_loading():
    for path in [*modules(), *ROOT.glob("run_*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, path
        # core/weights.py resolves the names in a pickle to classes that do nothing.
        if path != ROOT / "prodgen" / "core" / "weights.py":
            assert "pickle" not in {module.split(".")[0] for module, _ in imports(path)}, path
