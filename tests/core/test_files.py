"""Files that are written whole or not at all."""

from prodgen.core.files import write_atomically


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    for name in ("x" * 255, "\udcff" * 255):
        for content in (b"old", b"new"):
            write_atomically(tmp_path / name, content)
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2
