"""Files that are written whole or not at all."""

import errno
import os

import pytest

from prodgen.core import files
from prodgen.core.files import write_atomically


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    for name in ("x" * 255, "\udcff" * 255):
        for content in (b"old", b"new"):
            write_atomically(tmp_path / name, content)
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_not_a_lock_that_is_held(tmp_path, monkeypatch, number):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    with open(tmp_path / "a", "w") as first, open(tmp_path / "a") as second:
        assert files.lock_file(first)
        with pytest.raises(BlockingIOError):
            files.lock_file(second)
        monkeypatch.setattr(files.fcntl, "flock", refuse)
        assert not files.lock_file(second)
