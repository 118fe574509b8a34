"""The text of pytorch_model.py: layers, the networks of a family, and loading, in one file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FILE = "pytorch_model.py"
MAX_LINES = 150  # of the file
NETWORK_FILES = {"vae": "vae", "vaegan": "vae", "dcgan": "dcgan", "r3gan": "r3gan"}


def build_torch_module(family: str) -> str:
    """The module for a family: Python that needs torch and safetensors, and no prodgen.

    It is the docstring of pytorch_layers.py, and then the imports and definitions of the three
    files in turn.
    """
    names = ("layers", NETWORK_FILES[family], "loading")
    sources = [(Path(__file__).parent / f"pytorch_{name}.py").read_text("utf-8") for name in names]
    docstring = ast.get_docstring(ast.parse(sources[0]), clean=False)
    definitions = (_definitions(source) for source in sources)
    return "\n\n\n".join([f'"""{docstring}"""\n\n{_imports(sources)}', *definitions]) + "\n"


def _imports(sources: list[str]) -> str:
    """The imports of all files but those of prodgen: the standard library's, then others."""
    groups = {True: set(), False: set()}
    for node in (node for source in sources for node in ast.parse(source).body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            is_from = isinstance(node, ast.ImportFrom)
            package = (node.module if is_from else node.names[0].name).split(".")[0]
            if package != "prodgen":
                groups[package in sys.stdlib_module_names].add((is_from, ast.unparse(node)))
    lines = [[text for _, text in sorted(groups[is_standard])] for is_standard in (True, False)]
    return "\n\n".join("\n".join(group) for group in lines)


def _definitions(source: str) -> str:
    """The source from its first class or function on."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    first = next(node for node in ast.parse(source).body if isinstance(node, kinds))
    return "\n".join(source.splitlines()[first.lineno - 1 :]).rstrip()
