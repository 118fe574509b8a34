"""Mode gate on images with one fault each: the table, the sheet, the mended copies."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from prodgen.apps.common import contact_sheet, gate_sheet
from prodgen.config import registry
from prodgen.core import pixels, provenance
from prodgen.core.errors import MissingInput, UsageError
from prodgen.metrics import marketplace
from tests.modes import run_mode
from tests.test_commandline import run_command


def disc(side, radius, right=0):
    """float [S, S, 1]: 1 on a sharp disc of `radius` pixels, `right` pixels beside the middle."""
    place = np.arange(side) + 0.5 - side / 2
    return np.clip(radius - np.hypot(place[:, None], place[None] - right) + 0.5, 0, 1)[..., None]


def packshot(side, radius, right=0):
    share = disc(side, radius, right)
    return np.rint(share * (60, 90, 150) + (1 - share) * 255).astype(np.uint8)


def save(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)


def run_gate(images, out, **options):
    return run_mode("gate", out=out, images=(str(images),), **options)


def read_table(out):
    with open(out / "gate.csv", encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def keys(row):
    return [reason.partition(":")[0] for reason in row["reasons"].split("; ") if reason]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with an image of every kind."""
    path = tmp_path_factory.mktemp("shop") / "pictures"
    save(path / "good.png", packshot(1000, 450))
    save(path / "small.png", packshot(200, 90))
    enlarged_image = Image.fromarray(packshot(250, 112)).resize(
        (1000, 1000), Image.Resampling.BICUBIC
    )
    save(path / "upscaled.png", np.asarray(enlarged_image))
    clear = np.uint8(np.rint(disc(1000, 450) * 255))
    save(path / "clear.png", np.dstack([packshot(1000, 450), clear]))
    save(path / "aside.jpg", packshot(1200, 450, right=-140), quality=95)
    save(path / "sub" / "aside.png", packshot(300, 90, right=40))
    (path / "text.png").write_text("no picture")
    (path / "price list.csv").write_text("a,b")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    save(path / "turned.jpg", np.full((40, 60, 3), 255, np.uint8), exif=exif)
    return path


@pytest.fixture(scope="module")
def gate_run(shop, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "gate"
    return out, run_gate(shop, out, repair=True)


def test_every_file_is_a_row_with_its_reasons(gate_run):
    rows = read_table(gate_run[0])
    assert {name: keys(row) for name, row in rows.items()} == {
        "aside.jpg": ["fill", "off_centre"],
        "clear.png": ["transparent"],
        "good.png": [],
        "price list.csv": ["unreadable"],
        "small.png": ["size"],
        "sub/aside.png": ["size", "fill", "off_centre"],
        "text.png": ["unreadable"],
        "turned.jpg": ["size", "no_product"],
        "upscaled.png": ["upscaled"],
    }
    for row in rows.values():
        assert row["verdict"] == ("fail" if keys(row) else "pass")
    assert "no JPEG, PNG" in rows["text.png"]["reasons"]


def test_measures_are_those_of_the_upright_image(gate_run):
    rows = read_table(gate_run[0])
    good = rows["good.png"]
    assert (good["width"], good["height"], good["fill"]) == ("1000", "1000", "0.9")
    assert (good["white_share"], good["off_centre"], good["evenness"]) == ("1.0", "0.0", "0.0")
    assert float(good["blur"]) < 0.5 and float(good["native"]) > 900
    assert float(rows["upscaled.png"]["native"]) == pytest.approx(250, rel=0.25)
    assert float(rows["sub/aside.png"]["off_centre"]) == pytest.approx(40 / 300, abs=0.004)
    assert (rows["turned.jpg"]["width"], rows["turned.jpg"]["height"]) == ("40", "60")
    assert rows["turned.jpg"]["fill"] == rows["text.png"]["width"] == ""


def test_images_that_can_be_mended_are_mended_and_checked_again(gate_run):
    out, files = gate_run
    rows = read_table(out)
    aside = rows["aside.jpg"]
    assert aside["mended"] == "mended/aside.png" and aside["mended_verdict"] == "pass"
    assert "re-centred" in aside["repair"] and "1200 x 1200 px to 100" in aside["repair"]
    assert marketplace.check(out / aside["mended"], "white_main").passes
    assert rows["clear.png"]["mended_verdict"] == "pass"
    assert rows["clear.png"]["repair"] == "transparency: composed on (255, 255, 255)"
    below = rows["sub/aside.png"]
    small = (
        "below the 1000 px of the profile; nothing is enlarged, so take or export a larger photo"
    )
    assert below["mended"] == below["mended_verdict"] == ""
    size = "200 x 200 px, as the product has 180"  # 180 / 0.9
    repairs = {name: row["repair"] for name, row in rows.items() if not row["mended"]}
    assert repairs == {
        "good.png": "",
        "price list.csv": "refused: no readable image",
        "small.png": f"refused: the repaired image would have 200 x 200 px, {small}",
        "sub/aside.png": f"refused: the repaired image would have {size}, {small}",
        "text.png": "refused: no readable image",
        "turned.jpg": "refused: no product was found",
        "upscaled.png": "nothing that can be mended",
    }
    mended_paths = {"mended/aside.png", "mended/clear.png"}
    paths = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert paths == mended_paths | {"gate.csv", "gate.html", "gate.png", "manifest.json"}
    assert {str(path.relative_to(out)) for path in files} == paths
    entries = json.loads((out / "manifest.json").read_text())["files"]
    assert set(entries) == paths - {"manifest.json"}
    assert entries["mended/aside.png"]["file"] == "aside.jpg"
    assert entries["gate.csv"]["profile"] == "white_main"


def test_the_same_command_gives_the_same_bytes_and_leaves_the_folder_unchanged(
    gate_run, shop, tmp_path
):
    before = {path: path.stat() for path in shop.rglob("*")}
    again = run_gate(shop, tmp_path / "gate", repair=True)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in gate_run[1]]
    assert {path: path.stat().st_mtime_ns for path in shop.rglob("*")} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


def test_failing_images_come_first_on_the_sheet(gate_run):
    """Nine cells in two lines: green, the mark of good.png, is on the last one only."""
    sheet = np.asarray(Image.open(gate_run[0] / "gate.png").convert("RGB")).astype(int)
    green = (np.abs(sheet - contact_sheet.GREEN).max(axis=-1) == 0).nonzero()
    assert len(green[0]) > 50
    second_line = contact_sheet.HEADER_HEIGHT + gate_sheet.SIDE
    assert green[0].min() > second_line and green[1].max() < gate_sheet.SIDE + 2 * gate_sheet.GAP
    red = np.abs(sheet - contact_sheet.RED).max(axis=-1) == 0
    assert red[:second_line].sum() > 8 * 50 and not red[second_line + 80 :].any()


def test_the_page_shows_before_and_after(gate_run):
    page = (gate_run[0] / "gate.html").read_text()
    rows = page.split('<div class="row ')[1:]
    assert len(rows) == 9 and "src=http" not in page
    assert [row.split('"')[0] for row in rows] == sorted(
        (row.split('"')[0] for row in rows), key=("bad", "doubt", "good").index
    )
    (aside,) = [row for row in rows if "<b>aside.jpg</b>" in row]
    assert aside.count("data:image/jpeg") == 2 and "re-centred" in aside
    assert aside.startswith("good") and "after the repair: passes" in aside
    assert "85% to 100%" in page and "not the text of any marketplace" in page


def test_a_format_that_a_marketplace_refuses_becomes_png(tmp_path):
    save(tmp_path / "in" / "a.webp", packshot(1000, 450), lossless=True)
    run_gate(tmp_path / "in", tmp_path / "out", repair=True, profile="amazon")
    row = read_table(tmp_path / "out")["a.webp"]
    assert keys(row) == ["format"] and row["repair"] == "format: to PNG"
    assert row["mended_verdict"] == "pass" and row["notes"].startswith("recommended_size")
    assert "Seller Central" in (tmp_path / "out" / "gate.html").read_text()


def test_a_close_up_is_no_fault(tmp_path, capsys):
    y, x = np.mgrid[:1000, :1000]
    weave = 40 * np.sin(2 * np.pi * x / 16) * np.sin(2 * np.pi * y / 16)
    save(tmp_path / "in" / "cloth.png", np.uint8(np.array((90, 110, 150)) + weave[..., None]))
    run_gate(tmp_path / "in", tmp_path / "out", repair=True)
    row = read_table(tmp_path / "out")["cloth.png"]
    assert row["verdict"] == "close_up" and row["reasons"] == ""
    assert "refused: it is a close-up" in row["repair"]
    assert "0 of 1 pass white_main; 1 close-up" in capsys.readouterr().err


def test_a_sheet_holds_a_limited_number_of_thumbnails():
    sheet = gate_sheet.GateSheet(3)
    for i in range(5):
        sheet.add_image(f"{i}.png", np.full((20, 30, 1), 9, np.uint8), ())
        sheet.add_image(f"bad{i}.png", None, ("unreadable",))
    assert len(sheet._problem_cells) == len(sheet._other_cells) == 3
    one_line = gate_sheet.GateSheet(8)
    one_line.add_image("a.png", np.zeros((9, 400, 4), np.uint8), ("size",))
    assert sheet.draw("").size == one_line.draw("").size  # three cells, not six


def test_a_rerun_within_the_folder_skips_what_it_wrote(tmp_path):
    save(tmp_path / "a.png", packshot(120, 30))
    for _ in range(2):
        run_gate(tmp_path, tmp_path / "gate", repair=True)
        assert list(read_table(tmp_path / "gate")) == ["a.png"]
    save(tmp_path / "gate" / "b.png", packshot(120, 30))  # the user's own, beside ours
    run_gate(tmp_path, tmp_path / "gate")
    assert list(read_table(tmp_path / "gate")) == ["a.png", "gate/b.png"]
    assert "repair" not in read_table(tmp_path / "gate")["a.png"]


def test_namesakes_do_not_overwrite_each_other(tmp_path):
    for name in ("a.png", "a.jpg", "A.webp", "sub/a.png"):
        save(tmp_path / "in" / name, packshot(1040, 430), lossless=True)
    run_gate(tmp_path / "in", tmp_path / "out", repair=True)
    mended_files = {name: row["mended"] for name, row in read_table(tmp_path / "out").items()}
    assert mended_files == {
        "A.webp": "mended/A.webp.png",
        "a.jpg": "mended/a.jpg.png",
        "a.png": "mended/a.png",
        "sub/a.png": "mended/sub/a.png",
    }
    assert all((tmp_path / "out" / name).is_file() for name in mended_files.values())


def test_one_file_is_enough(tmp_path, capsys):
    save(tmp_path / "one.png", packshot(120, 54))
    run_gate(tmp_path / "one.png", tmp_path / "out", profile="any_even")
    assert list(read_table(tmp_path / "out")) == ["one.png"]
    assert capsys.readouterr().err == "0 of 1 pass any_even; reasons: size 1\n"


def test_originals_are_not_overwritten(tmp_path):
    save(tmp_path / "gate.png", packshot(40, 18))
    with pytest.raises(UsageError, match="holds the images that are read"):
        run_gate(tmp_path, tmp_path)
    with pytest.raises(UsageError, match="holds the images that are read"):
        run_gate(tmp_path / "gate.png", tmp_path)
    save(tmp_path / "mended" / "sub" / "x.png", packshot(40, 18))
    with pytest.raises(UsageError, match="mended images go"):
        run_gate(tmp_path / "mended" / "sub", tmp_path)
    save(tmp_path / "other" / "x.png", packshot(40, 18))
    with pytest.raises(UsageError, match="a gate.png that this mode did not write"):
        run_gate(tmp_path / "other", tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        run_gate(tmp_path / "other", tmp_path / "gate.png")
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_without_images_is_missing_input(tmp_path):
    with pytest.raises(MissingInput, match="--images=.*nowhere does not exist"):
        run_gate(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(MissingInput, match="--images=.* holds no images"):
        run_gate(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="needs --images"):
        run_gate("", tmp_path / "out")


def test_the_flag_knows_the_profiles():
    assert tuple(marketplace.PROFILES) == registry.PROFILES


def test_the_command(tmp_path):
    save(tmp_path / "in" / "aside.png", packshot(150, 45, right=20))
    code, lines = run_command(
        "run_sample.py", "--mode=gate", "--images=in", "--repair", cwd=tmp_path
    )
    assert code == 0, lines
    assert lines[-1] == (
        "0 of 1 pass white_main; reasons: size 1, fill 1, off_centre 1; repairs refused 1, "
        "with the reason in gate.csv"
    )
    assert not (tmp_path / "gate" / "mended").exists()
    code, lines = run_command("run_sample.py", "--mode=gate", "--images=not", cwd=tmp_path)
    assert code == 66 and "ERROR missing-input: --images=not does not exist" in lines[-1]
    code, lines = run_command("run_sample.py", "--mode=gate", "--profile=shop", cwd=tmp_path)
    assert code == 2 and "white_main" in lines[-1]


def test_a_mended_copy_of_a_generated_image_states_it(tmp_path):
    shop = tmp_path / "pictures"
    shop.mkdir()
    picture = packshot(1200, 450, right=-140)
    (shop / "made.png").write_bytes(
        pixels.encode_png(picture, provenance.build_png_text("generated", "run 1"))
    )
    save(shop / "taken.png", picture)
    run_gate(shop, tmp_path / "out", repair=True)
    generated_flags = [provenance.is_generated(tmp_path / "out" / "mended" / f"{x}.png")
             for x in ("made", "taken")]  # fmt: skip
    assert generated_flags == [True, False]
