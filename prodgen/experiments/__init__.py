"""Studies: ablations that others can run again, from one file to a table with intervals.

A study file, configs/studies/NAME.py, returns a `Study` from `get_study`. The commands of
`python -m prodgen.experiments` plan it, run it, and report on it (docs/studies.md).
"""

from prodgen.experiments.study import Study

__all__ = ["Study", "load"]


def load(path):
    """The finished runs of a study as columns: {name: array [N]} (results.py:load_columns).

    `path` is the folder of a study, or a file of its results.
    """
    from prodgen.experiments.results import load_columns

    return load_columns(path)
