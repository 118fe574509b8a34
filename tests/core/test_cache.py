"""Cached results: when they are computed, and when they are read."""

import numpy as np

from prodgen.core.cache import cached_bytes, cached_tree


def test_bytes_are_computed_once_and_again_where_the_file_is_damaged(tmp_path):
    path, calls = tmp_path / "new" / "result", []

    def compute():
        calls.append(1)
        return b"result"

    for _ in range(2):
        assert cached_bytes(path, compute) == b"result" and len(calls) == 1
    path.write_bytes(path.read_bytes()[:-1])
    assert cached_bytes(path, compute) == b"result" and len(calls) == 2


def test_bytes_are_computed_each_time_where_the_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert cached_bytes(tmp_path / "file" / "result", lambda: b"result") == b"result"


def test_a_tree_is_computed_again_for_another_key(tmp_path):
    path, calls = tmp_path / "tree", []

    def compute():
        calls.append(1)
        return {"params": {"kernel": np.full(3, float(len(calls)), np.float32)}}

    for key, count in (("a", 1), ("a", 1), ("b", 2), ("a", 3)):
        entry = cached_tree(path, key, compute)
        assert entry["key"] == key and len(calls) == count
        assert entry["params"]["kernel"].tolist() == [count] * 3
