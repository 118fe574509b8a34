"""The notebook for newcomers runs from the first cell to the last."""

import os
import re
import sys

import pytest

from tests.test_docs import MAX_WORDS, OLD_WORDS, sentences
from tests.tiny import ROOT

NOTEBOOK = ROOT / "docs/notebooks/quickstart.ipynb"
MAX_BYTES = 500_000  # with its outputs
TIMEOUT_S = 1800  # of a cell
COMMAND = "#!{}\nfrom prodgen.programs.{} import run\n\nrun()\n"
RESULTS = (
    "quick_run/report.html", "photo.png", "turned/edit.csv", "quick_run/evaluation.json",
    "my_model/README.md", "my_model/generator.stablehlo", "my_model/SHA256SUMS",
)  # fmt: skip


def test_the_notebook_is_small_and_was_run_without_errors():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    notebook = nbformat.read(NOTEBOOK, 4)
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        assert cell.cell_type == "markdown" or cell.execution_count, cell.source
        assert all(one.output_type != "error" for one in outputs), cell.source
        assert "/tmp" not in str(outputs), cell.source


def test_its_text_is_plain_english_with_links_that_lead():
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "markdown":
            lengths = [len(re.findall(r"\w[\w'-]*", text)) for text in sentences(cell.source)]
            assert max(lengths, default=0) <= MAX_WORDS, cell.source
            assert not [word for word in OLD_WORDS if word in cell.source.lower()]
            for target in re.findall(r"\]\(([^)]+)\)", cell.source):
                assert "://" in target or (NOTEBOOK.parent / target).exists(), target


@pytest.mark.slow  # minutes: it trains, evaluates and exports
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    # The commands of an installed package, here from the sources.
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, module in (("prodgen-train", "training"), ("prodgen-sample", "sampling")):
        (bin_folder / name).write_text(COMMAND.format(sys.executable, module))
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_folder), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    notebook = nbformat.read(NOTEBOOK, 4)
    folder = tmp_path / "work"
    folder.mkdir()
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT_S, kernel_name="python3", resources=resources
    )
    client.execute()
    missing = [name for name in RESULTS if not (folder / name).is_file()]
    texts = "".join(
        one.get("text", "") for cell in notebook.cells for one in cell.get("outputs", [])
    )
    assert not missing, texts
    assert "equal: True" in texts
    pictures = sum(
        "image/png" in one.get("data", {})
        for cell in notebook.cells
        for one in cell.get("outputs", [])
    )
    assert pictures == 7
