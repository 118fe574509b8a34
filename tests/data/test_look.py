"""The look at the data before training: what is printed, and that nothing else is done."""

import re
from pathlib import Path

import pytest

import run_train
from prodgen.core.errors import BadData


@pytest.fixture
def look(tmp_path, monkeypatch, capsys):
    """look(*flags): the lines that run_train.py --look prints, run in an empty folder."""
    root = run_train.__file__.removesuffix("run_train.py")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*overrides, preset="folder"):
        flags = [f"--config.data.{text}" for text in (f"cache_dir={tmp_path / 'c'}", *overrides)]
        run_train.main(
            ["run_train.py", f"--config={root}configs/vae.py:{preset}", *flags, "--look"]
        )
        assert not list((tmp_path / "here").iterdir())
        return capsys.readouterr().out.splitlines()

    return run


def test_a_look_prints_the_reading_the_counts_and_the_remarks(look, fill, tmp_path):
    for name, count in (("train/hats", 4), ("train/bags", 3), ("test/hats", 2), ("extra", 1)):
        fill(tmp_path / "shop" / name, count, start=sum(map(ord, name)))
    for _ in range(2):  # also from the cache
        lines = look(f"path={tmp_path / 'shop'}", "resolution=16", "validation=0")
        assert lines[0] == "How the folder was read"
        assert "    shop/  10 images" in lines and "      train/  7 images, split train" in lines
        assert "images of each split: 7 train, 0 validation, 2 test; 1 refused" in lines
        assert "  hats: 4 train, 0 validation, 2 test" in lines
        assert any(re.match(r"remark: .*outside the splits.*extra/ \(1\)", line) for line in lines)
        report = lines[-1].removeprefix("data report: ")
        assert "How the folder was read" in Path(report).read_text()


def test_the_reading_is_printed_also_where_the_images_do_not_suffice(look, tmp_path, capsys):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "bad.jpg").write_text("<html>")
    with pytest.raises(BadData, match="0 usable images of 1"):
        look(f"path={tmp_path / 'shop'}")
    assert "1 file refused (not a picture" in capsys.readouterr().out


def test_a_look_at_the_catalogue_has_no_reading(look):
    lines = look("size=64", "resolution=16", preset="quick")
    assert "images of each split: 52 train, 6 validation, 6 test; 0 refused" in lines
    assert not any(line.startswith("How ") for line in lines)
