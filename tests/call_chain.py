"""The longest chain of calls from a mode or a training step down to its numbers.

    python -m tests.call_chain            prints the longest chain, and how long each root's is

Calls are resolved from the source: functions of the same module, imported functions, functions of
imported modules, methods of `self`, and classes (their __init__ or __post_init__). A call of an
attribute of another object leads to the functions of that name in the modules and classes that a
table of config/registry.py lists. Otherwise it leads to the one method of that name in prodgen,
unless a field or an object of another library has the name, too. A function counts once in a chain.
"""

import ast
import functools
import io
import re
import sys
from pathlib import Path

import numpy as np
import optax
from flax import linen as nn
from PIL import Image

ROOT = Path(__file__).parents[1]
NAME_PATH = re.compile(r"[\w.]+")
MAX_HOPS = 12  # calls from a root to the deepest function
# An attribute of one of them is meant rather than a method of prodgen with the same name.
FOREIGN_TYPES = (
    np.ndarray, io.BufferedReader, Path, dict, str, bytes, Image.Image, nn.Module,
    optax.GradientTransformation, re.Match,
)  # fmt: skip


def module_name(path: Path) -> str:
    """prodgen/steps/vae.py -> prodgen.steps.vae."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_modules() -> dict[str, ast.Module]:
    paths = sorted((ROOT / "prodgen").rglob("*.py"))
    return {module_name(path): ast.parse(path.read_text()) for path in paths}


def definitions(modules: dict[str, ast.Module]) -> dict[str, tuple[ast.AST, str, str]]:
    """{qualified name: (the function, its module, its class or "")}; nested functions belong to
    the function that holds them."""
    functions = {}
    for module, tree in modules.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                functions[f"{module}.{node.name}"] = (node, module, "")
            elif isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef):
                        name = f"{module}.{node.name}.{member.name}"
                        functions[name] = (member, module, node.name)
    return functions


def imported_names(tree: ast.AST) -> dict[str, str]:
    """{name in the file: the module or the member that it stands for}."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
    return names


def annotations(function: ast.AST) -> list[ast.AST]:
    """The types that a function states of its arguments, its result and its variables."""
    nodes = list(ast.walk(function))
    types = [node.annotation for node in nodes if isinstance(node, (ast.arg, ast.AnnAssign))]
    types += [node.returns for node in nodes if isinstance(node, ast.FunctionDef)]
    return [node for node in types if node is not None]


def registered_modules(modules: dict[str, ast.Module]) -> set[str]:
    """Modules and classes that a table of the registry names; modes are roots instead."""
    strings = (
        node.value
        for node in ast.walk(modules["prodgen.config.registry"])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    targets = {text.replace(":", ".") for text in strings if text.startswith("prodgen.")}
    return {name for name in targets if not name.startswith("prodgen.apps.")}


@functools.cache
def call_graph() -> dict[str, set[str]]:
    """{function: functions that it calls}."""
    modules = read_modules()
    functions = definitions(modules)
    registry_targets = registered_modules(modules)
    by_name: dict[str, set[str]] = {}  # what a call of an attribute of an object may lead to
    methods: dict[str, set[str]] = {}
    for name, (function, module, owner) in functions.items():
        if f"{module}.{owner}".rstrip(".") in registry_targets:
            by_name.setdefault(function.name, set()).add(name)
        if owner:
            methods.setdefault(function.name, set()).add(name)
    for name, candidates in methods.items():
        if len(candidates) == 1:
            by_name.setdefault(name, candidates)
    fields = {
        node.target.id
        for tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    for name in list(by_name):
        if name in fields or any(hasattr(foreign_type, name) for foreign_type in FOREIGN_TYPES):
            del by_name[name]

    def member(target: str) -> set[str]:
        """A function, or what calling a class runs."""
        candidates = (target, f"{target}.__init__", f"{target}.__post_init__")
        return {name for name in candidates if name in functions}

    graph = {}
    for name, (function, module, owner) in functions.items():
        names = imported_names(modules[module])
        callees: set[str] = set()
        # A function that is passed on counts as called; a property, too. A type does not.
        types = {id(node) for root in annotations(function) for node in ast.walk(root)}
        for target in (node for node in ast.walk(function) if id(node) not in types):
            if isinstance(target, ast.Name):
                callees |= member(names.get(target.id, f"{module}.{target.id}"))
            elif isinstance(target, ast.Attribute):
                # The result of a call, as in f(x).g, is an unknown object.
                path = ast.unparse(target.value)
                root, _, rest = path.partition(".") if NAME_PATH.fullmatch(path) else ("", "", "")
                base = (
                    f"{module}.{owner}" if root == "self" else names.get(root, f"{module}.{root}")
                )
                callees_of_target = member(".".join(filter(None, (base, rest, target.attr))))
                is_unknown = not callees_of_target and root not in names
                callees |= by_name.get(target.attr, set()) if is_unknown else callees_of_target
        graph[name] = callees - {name}
    return graph


def longest_chain(graph: dict[str, set[str]], root: str) -> list[str]:
    """The functions of the longest way down from `root`, each once."""
    sys.setrecursionlimit(10_000)

    @functools.cache
    def below(name: str) -> tuple[str, ...]:
        if name in active:
            return ()
        active.add(name)
        chains = [below(callee) for callee in sorted(graph[name])]
        active.discard(name)
        return (name, *max(chains, key=len, default=()))

    active: set[str] = set()
    return list(below(root))


def roots(graph: dict[str, set[str]]) -> list[str]:
    """The `run` of every mode, and what a step module offers."""
    return [
        name
        for name in graph
        if (name.startswith("prodgen.apps.") and name.count(".") == 3 and name.endswith(".run"))
        or (name.startswith("prodgen.steps.") and name.split(".")[-1].startswith("make_"))
    ]


def main() -> None:
    graph = call_graph()
    chains = sorted((longest_chain(graph, root) for root in roots(graph)), key=len)
    for chain in chains:
        print(f"{len(chain) - 1:3d} {chain[0]}")
    print(*chains[-1], sep="\n  ")


if __name__ == "__main__":
    main()
