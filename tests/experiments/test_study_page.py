"""The report of a study: what it says of results, of missing runs, and of texts of the user."""

import io
import math
import re

import pytest
from PIL import Image

from prodgen.experiments import curve_figures, figures, sheets, study_page
from prodgen.experiments.comparison import compare_cells
from prodgen.experiments.results import Observation
from prodgen.experiments.study import Cell, Study

COMMANDS = {"plan": "python -m prodgen.experiments plan", "run": "python -m x run --jobs=2 && y"}
CELLS = [
    Cell(2 * i + j, f"beta={b}, size={s}", {"beta": b, "size": s}, {})
    for i, b in enumerate(("1", "5"))
    for j, s in enumerate(("<8>", "16"))
]


def make_observation(index=0, cell=0, seed=0, sampling_seed=0, psnr=20.0, **fields):
    defaults = {
        "metrics": {"val/psnr": psnr}, "specs": {}, "intervals": {}, "curves": {},
        "seconds": 60.0, "device_hours": 1 / 60, "folder": "", "command": f"train --seed={seed}",
    }  # fmt: skip
    return Observation(index, cell, seed, sampling_seed, **{**defaults, **fields})


def make_study(**fields):
    defaults = {
        "question": "Does <beta> cost & blur?", "base": "configs/vae.py:quick",
        "axes": {"beta": {"loss.beta": [1, 5]}, "size": {"model.width": [8, 16]}},
        "metrics": ["val/psnr"], "expectation": "PSNR falls by 1 dB.",
    }  # fmt: skip
    return Study(**{**defaults, **fields})


def make_observations(num_seeds=5, **fields):
    return [
        make_observation(
            index=cell.index * num_seeds + seed, cell=cell.index, seed=seed,
            psnr=20.0 + 2 * cell.index + 0.1 * (seed * (cell.index + 2) % 5),
            curves={"val/psnr": [(320.0, 10.0 + seed), (640.0, 20.0 + cell.index)]},
            folder=f"runs/{cell.index}-{seed}", **fields,
        )
        for cell in CELLS
        for seed in range(num_seeds)
    ]  # fmt: skip


def write_sheet(folder, colour, step):
    path = folder / "samples" / f"step_{step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (600, 900), colour).save(path)
    return path


def test_the_report_holds_question_verdict_table_figures_links_and_commands(tmp_path):
    observations = make_observations()
    (tmp_path / "runs/0-0").mkdir(parents=True)
    (tmp_path / "runs/0-0/report.html").write_text("")
    paths = study_page.write_report(
        make_study(), CELLS, observations[:-1], tmp_path, 20, COMMANDS, {(3, 4): "exit code 65"}
    )
    assert [path.name for path in paths[:3]] == ["study.html", "study.md", "study.tex"]
    page = paths[0].read_text()
    assert "19 of 20 runs are finished." in page and "PSNR falls by 1 dB." in page
    assert "Does &lt;beta&gt; cost &amp; blur?" in page and "<8>" not in page
    assert "inconclusive: 4 seeds of (beta=5, size=16)" in page and "exit code 65" in page
    assert '<a href="runs/0-0/report.html">report</a>' in page and "no folder here" in page
    assert "python -m x run --jobs=2 &amp;&amp; y" in page and "train --seed=4" in page
    kinds = {"intervals", "interactions", "curves", "pareto", "tuning"}
    assert {path.name for path in paths[3:]} == {f"val-psnr_{kind}.png" for kind in kinds}
    assert page.count("data:image/png") == 5 and not re.search('src="(?!data:)', page)
    assert "(<figures/val-psnr_pareto.png>)" in paths[1].read_text()
    assert paths[1].read_text().endswith("run --jobs=2 && y\n```\n")
    assert "beta=5, size=16 & 4 &" in paths[2].read_text()


def test_a_study_without_results_says_so(tmp_path):
    page = study_page.write_report(make_study(), CELLS, [], tmp_path, 20, {})[0].read_text()
    assert "0 of 20 runs are finished." in page and "No finished run has val/psnr." in page
    assert "there are no samples to show" in page


def test_runs_count_once_for_all_their_sampling_seeds():
    runs = [make_observation(index=0, sampling_seed=s) for s in range(3)]
    assert study_page.describe_progress(runs, 1) == "All 1 runs are finished."


def test_sheets_are_the_last_ones_of_the_lowest_seed_that_every_cell_has(tmp_path):
    observations = make_observations(num_seeds=2)
    colours = ["red", "lime", "blue", "yellow"]
    for o in observations:
        if (o.cell, o.seed) != (0, 0):  # seed 0 has no folder in one cell
            write_sheet(tmp_path / o.folder, "black", 100)
            write_sheet(tmp_path / o.folder, colours[o.cell] if o.seed == 1 else "black", 200)
    (text,) = sheets.build_sheets(CELLS, observations, tmp_path)
    assert text.count("data:image/jpeg") == 4 and "seed 1, step 200" in text
    assert "seed 0, step" not in text and "step 100" not in text


def test_a_sheet_is_cut_and_reduced(tmp_path):
    content = sheets.compress_sheet(write_sheet(tmp_path, "red", 1), 10_000)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (480, 600) and len(content) < 10_000  # height / width is 1.25


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_figures_of_values_that_are_not_finite(value):
    """A cell without a mean leaves the others; only such cells leave nothing to draw."""
    some = [make_observation(0, 0, 0, psnr=value), make_observation(1, 1, 0, psnr=20.0)]
    comparison, costs = compare_cells(CELLS, some, "val/psnr"), {0: 1.0, 1: 1.0}
    assert figures.plot_intervals(comparison, CELLS).startswith(b"\x89PNG")
    assert figures.plot_pareto(comparison, CELLS, costs) is None
    comparison = compare_cells(CELLS, some[:1], "val/psnr")
    assert figures.plot_intervals(comparison, CELLS) is None
    assert figures.plot_interactions(comparison, CELLS) is None
    assert curve_figures.plot_tuning(comparison, CELLS, costs) is None
    assert curve_figures.plot_curves(CELLS, some, "val/psnr") is None


def test_the_heat_map_averages_over_other_axes():
    means = {0: 1.0, 1: 2.0, 2: 3.0, 3: math.nan}
    levels = {"beta": ["1", "5"], "size": ["<8>", "16"]}
    table = figures._average_by_levels(CELLS, means, levels, ("size", "beta"))
    assert table[0].tolist() == [1.0, 3.0] and table[1, 0] == 2.0 and math.isnan(table[1, 1])


def test_a_figure_has_the_same_bytes_each_time():
    comparison = compare_cells(CELLS, make_observations(), "val/psnr")
    assert figures.plot_intervals(comparison, CELLS) == figures.plot_intervals(comparison, CELLS)
