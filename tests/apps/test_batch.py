"""--mode=batch: killed and restarted it redoes nothing, and ends with the same bytes."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

import prodgen
from prodgen import provenance
from prodgen.apps import batch, ledger, request
from prodgen.errors import BadData, UsageError
from prodgen.model import Model
from tests.tiny import vae_run

TABLE = """name,category,photo,attributes,seed,count,size,background,edit,strength,keep
reds,disc,,colour=red,3,70,,,,,
large,square,,,1,2,64,,,,
wrong,triangle,,,,,,,,,
mine,,photo.png,,2,3,,,vary,0.6,category
reds,disc,,,,,,,,,
"""


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return vae_run(tmp_path_factory.mktemp("runs") / "run", store, 60)


@pytest.fixture
def shop(store, tmp_path, monkeypatch):
    """A folder with a table and the photo that it names."""
    monkeypatch.setattr(Model, "store", lambda self: store)
    picture = store.fetch(store.ids("test")[:1])["image"][0]
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "requests.csv").write_text(TABLE)
    return tmp_path


def ask(run, shop, out, **options):
    return request.run(request.Request(
        workdir=run, mode="batch", out=shop / out, table=str(shop / "requests.csv"), steps=4,
        **options,
    ))  # fmt: skip


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(run, shop, monkeypatch, capsys):
    ask(run, shop, "whole")
    whole = content(shop / "whole")
    assert len(whole) == 75 + 2
    done = []

    def dies(self, file, *given):
        if len(done) == 40:
            raise KeyboardInterrupt
        done.append(file)
        return put(self, file, *given)

    put = ledger.Ledger.put
    monkeypatch.setattr(ledger.Ledger, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        ask(run, shop, "parts")
    monkeypatch.setattr(ledger.Ledger, "put", put)
    before = {p: p.stat().st_mtime_ns for p in (shop / "parts").glob("*.png")}
    (shop / "parts" / sorted(done)[0]).write_bytes(b"cut short")
    capsys.readouterr()
    ask(run, shop, "parts")
    assert content(shop / "parts") == whole
    assert "39 pictures are there, 36 are to be made" in capsys.readouterr().err
    kept = [p for p, time in before.items() if p.stat().st_mtime_ns == time]
    assert len(kept) == 39


def test_each_picture_is_the_runs_own_and_says_so(run, shop):
    ask(run, shop, "out")
    model = prodgen.load(run)
    expected = model.sample(70, seed=3, label="disc", attributes={"colour": "red"})
    for k in (0, 63, 64, 69):
        shown = np.asarray(Image.open(shop / "out" / f"reds_{k:03d}.png"))
        np.testing.assert_array_equal(shown, expected[k])
    assert Image.open(shop / "out" / "large_001.png").size == (64, 64)
    assert provenance.is_generated(shop / "out" / "reds_000.png")
    lines = [json.loads(line) for line in (shop / "out" / "manifest.jsonl").open()]
    assert [line["file"] for line in lines][:2] == ["reds_000.png", "reds_001.png"]
    assert len(lines) == 75 and lines[0]["label"] == "disc" and len(lines[0]["latent"]) == 4
    assert {line["of"] for line in lines if line["file"].startswith("mine")} == {"photo.png"}


def test_bad_rows_are_told_by_line_and_stop_nothing(run, shop):
    ask(run, shop, "out", guard=False)
    text = (shop / "out" / "problems.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["line"] for row in rows] == ["4", "6"]
    assert "disc, square" in rows[0]["problem"] and "'reds' already" in rows[1]["problem"]


def test_a_changed_row_is_made_anew_and_the_others_stay(run, shop):
    (shop / "requests.csv").write_text("name,seed\na,1\nb,1\n")
    ask(run, shop, "out")
    first = content(shop / "out")
    (shop / "requests.csv").write_text("name,seed\nb,1\na,2\n")
    times = (shop / "out" / "b_000.png").stat().st_mtime_ns
    ask(run, shop, "out")
    second = content(shop / "out")
    assert first["a_000.png"] != second["a_000.png"] and first["b_000.png"] == second["b_000.png"]
    assert (shop / "out" / "b_000.png").stat().st_mtime_ns == times


def test_copies_of_training_pictures_are_refused(run, shop, store, monkeypatch):
    copy = store.fetch(store.ids("train")[:1])["image"][0]
    made = Model.decode

    def copies(self, z, conditions=None):
        pictures = made(self, z, conditions).copy()
        pictures[0] = copy
        return pictures

    monkeypatch.setattr(Model, "decode", copies)
    (shop / "requests.csv").write_text("name,count\na,3\n")
    ask(run, shop, "out")
    assert not (shop / "out" / "a_000.png").exists() and (shop / "out" / "a_001.png").exists()
    assert "a copy of training picture" in (shop / "out" / "problems.csv").read_text()


def test_a_users_own_files_are_left_alone(run, shop):
    (shop / "requests.csv").write_text("name\na\n")
    (shop / "out").mkdir()
    (shop / "out" / "a_000.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="did not write it"):
        ask(run, shop, "out")
    assert (shop / "out" / "a_000.png").read_bytes() == b"mine"


def test_a_table_without_a_good_row_is_an_error(run, shop):
    (shop / "requests.csv").write_text("category\ntriangle\n")
    with pytest.raises(BadData, match="no picture"):
        ask(run, shop, "out")


def test_latents_of_many_seeds_are_those_of_each(run):
    model = prodgen.load(run)
    found = batch.latents_of(model)([5, 5, 9], [0, 3, 1])
    expected = [model.latents(np.array([i]), s)[0] for s, i in ((5, 0), (5, 3), (9, 1))]
    np.testing.assert_array_equal(found, expected)


def test_a_product_goes_onto_the_background_asked_for(store):
    picture = store.fetch(store.ids("test")[:1])["image"][0]
    shown = batch.finished(np.repeat(np.repeat(picture, 4, 0), 4, 1), 0, "#203a5f")
    np.testing.assert_array_equal(shown[0, 0], [0x20, 0x3A, 0x5F])
    np.testing.assert_array_equal(shown[32, 32], picture[8, 8])
