"""The tables of a study: numbers, and texts that are special in LaTeX or Markdown."""

import math

import pytest

from prodgen.experiments import study_tables, study_text
from prodgen.experiments.comparison import compare_cells
from prodgen.experiments.study import Cell
from tests.experiments.test_study_page import make_observation

CELLS = [Cell(i, f"beta={b}", {"beta": b}, {"loss.beta": float(b)}) for i, b in enumerate("15")]


def rows_of(values_by_cell):
    observations = [
        make_observation(index=10 * cell + seed, cell=cell, seed=seed, psnr=value)
        for cell, values in enumerate(values_by_cell)
        for seed, value in enumerate(values)
    ]
    costs = study_tables.average_costs(observations)
    return study_tables.results_rows(compare_cells(CELLS, observations, "val/psnr"), CELLS, costs)


def test_a_row_has_the_mean_with_its_t_interval_and_the_difference_with_the_best():
    first, second = rows_of([[20.0, 21.0, 22.0, 23.0, 24.0], [21.0, 22.1, 22.9, 24.0, 25.0]])
    # The t quantile of 4 degrees of freedom is 2.7764: 22 +- 2.7764 * sqrt(2.5 / 5).
    assert first[:3] == ("beta=1", "5", "22.0 (20.0 to 24.0)")
    assert first[4] == "1.6" and first[8] == "1 min"  # sqrt(2.5); 1/60 device hours
    assert first[5].startswith("-1.0 (") and second[5] == "best mean"


def test_a_run_that_diverged_is_named_and_its_cell_has_no_mean():
    row = rows_of([[20.0, math.nan, 22.0], [21.0, 22.0, 23.0]])[0]
    assert row[1:3] == ("2 + 1 diverged", "-")


def test_sampling_seeds_of_a_run_do_not_count_its_cost_again():
    runs = [
        make_observation(index=0, sampling_seed=0, device_hours=1.0),
        make_observation(index=0, sampling_seed=1, device_hours=1.0),
        make_observation(index=1, seed=1, device_hours=4.0),
    ]
    assert study_tables.average_costs(runs) == {0: 2.5}


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("50 % of a_b & c#d", r"50 \% of a\_b \& c\#d"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("$x^2$ ~ <y>\n", r"\$x\textasciicircum{}2\$ \textasciitilde{} \textless{}y\textgreater{}"),
        ("[x]", "{[}x{]}"),  # after the end of a row, \\ [x] would be a length
    ],
)
def test_latex_prints_special_characters(text, latex):
    assert study_text.escape_latex(text) == latex


def test_a_latex_table_has_a_minus_sign_in_numbers_only():
    rows = [("beta=-1", "-2.0 (-3.0 to -1.0)", "-")]
    table = study_tables.build_latex_table(("cell", "mean", "p"), rows, "A_B", "tab:x_y")
    assert "beta=-1 & $-$2.0 ($-$3.0 to $-$1.0) & - \\\\" in table
    assert r"\caption{A\_B}" in table and r"\label{tab:x-y}" in table


def test_a_markdown_cell_stays_one_cell():
    table = study_tables.build_markdown_table(("cell", "p"), [("a|b\n<c> *d*", "-")])
    assert table.splitlines() == ["| cell | p |", "|---|---|", r"| a\|b \<c\> \*d\* | - |"]
    assert study_text.escape_markdown("1. x") == r"1\. x"


def test_short_names_differ_where_names_differ():
    level = "a very long text of a level "
    cells = [Cell(i, f"axis={level}{i}{level}", {"axis": f"{level}{i}{level}"}, {}) for i in (0, 1)]
    names = study_tables.short_names(cells, 20)
    assert len(set(names.values())) == 2 and max(map(len, names.values())) <= 20
    assert study_tables.short_names(CELLS, 20) == {0: "beta=1", 1: "beta=5"}


def test_metrics_have_their_unit_and_extractor():
    assert study_text.label_metric("val/psnr") == "Reconstruction, PSNR (dB)"
    label = study_text.label_metric("evaluate/classifier/frechet")
    assert label == "Frechet distance, classifier features"


def test_digits_follow_from_the_spread():
    assert study_text.choose_digits([1500.0], [9.0]) == 1
    assert study_text.choose_digits([0.123456], []) == 4
    assert study_text.choose_digits([math.nan], [math.nan]) == 0
    assert study_text.format_number(-0.004, 2) == "0.00"
