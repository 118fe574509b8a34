"""A batch that is stopped between any two writes continues, and never takes a user's file."""

import os

import pytest

from prodgen.apps.common.batch_progress import BatchProgress
from prodgen.core.errors import UsageError

FILES = ["a_000.png", "b_000.png", "c_000.png"]


def make_missing(folder):
    """Make all images that are not done, as one command does."""
    progress = BatchProgress(folder, FILES)
    for file in FILES:
        if not progress.is_done(file, "key", {}):
            progress.write_image(file, file.encode(), {"key": "key", "line": 2})
    progress.close()


def read_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class EndOfProcess(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("is_cut_short", [False, True])
@pytest.mark.parametrize("num_writes", range(12))
def test_a_batch_that_is_killed_at_any_write_ends_with_the_same_bytes(
    tmp_path, monkeypatch, num_writes, is_cut_short
):
    make_missing(tmp_path / "whole")
    if is_cut_short:  # an image to be made again, whose line is there
        make_missing(tmp_path / "out")
        (tmp_path / "out" / "b_000.png").write_bytes(b"cut")
    steps = iter(range(num_writes))

    def stop_before(call):
        def step(*args, **kwargs):
            if next(steps, None) is None:
                raise EndOfProcess
            return call(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop_before(os.replace))
        patch.setattr(BatchProgress, "_append_line", stop_before(BatchProgress._append_line))
        try:
            make_missing(tmp_path / "out")
        except EndOfProcess:
            # The manifest's own draft; the process that is killed cannot remove it.
            for draft in (tmp_path / "out").glob(".manifest*"):
                draft.unlink()
    make_missing(tmp_path / "out")
    assert read_files(tmp_path / "out") == read_files(tmp_path / "whole")


def test_a_users_own_problems_are_not_overwritten(tmp_path):
    (tmp_path / "problems.csv").write_text("mine")
    with pytest.raises(UsageError, match="problems.csv exists, and this mode did not write it"):
        make_missing(tmp_path)


def test_a_users_file_is_refused_after_a_stop(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            BatchProgress, "_append_line", lambda *args: (_ for _ in ()).throw(EndOfProcess)
        )
        with pytest.raises(EndOfProcess):
            make_missing(tmp_path)
    (tmp_path / "a_000.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="did not write it"):
        make_missing(tmp_path)
    assert (tmp_path / "a_000.png").read_bytes() == b"mine"


@pytest.mark.parametrize("text", ['{"file": "a_000.png"}\n', "my notes\n"])
def test_a_manifest_of_another_program_is_refused(tmp_path, text):
    (tmp_path / "manifest.jsonl").write_text(text)
    with pytest.raises(UsageError, match="not written by this program"):
        make_missing(tmp_path)
    assert (tmp_path / "manifest.jsonl").read_text() == text


def test_a_first_line_that_was_cut_short_is_no_reason_to_refuse(tmp_path):
    (tmp_path / "manifest.jsonl").write_text('{"file": "a_0')
    make_missing(tmp_path)
    assert (tmp_path / "c_000.png").exists()
