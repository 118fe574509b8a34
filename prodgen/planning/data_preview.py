"""run_train.py --look: what a run of a config would train on; no workdir is made."""

from __future__ import annotations

from ml_collections import ConfigDict

from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.data.look import print_data
from prodgen.report.writer import Console


def look(config: ConfigDict) -> None:
    """Print how the data are read, their splits and remarks."""
    console = Console()
    with handle_signals(stop_at_once):
        print_data(config.data, console.print_line, console.throttle_progress())
