"""Inputs that people had trouble with, made by a program beside the project, where it is there."""

import importlib.util

import pytest

from tests.tiny import ROOT

PROGRAM = ROOT.parent / "shared" / "cases" / "make_cases.py"


def make_case(name, folder):
    """The folder of a case; the test is skipped where the program is absent."""
    if not PROGRAM.is_file():
        pytest.skip("the program that makes the cases is not here")
    spec = importlib.util.spec_from_file_location("make_cases", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    if not program.WHITE.is_dir():
        pytest.skip("the images of the cases are not here")
    getattr(program, name)(folder / name)
    return folder / name
