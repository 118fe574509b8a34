"""A run whose own images were moved, changed or lost: said before any work, with the way on."""

import os
import shutil

import jax
import pytest

import prodgen.model
from prodgen.apps.common import runner
from prodgen.apps.common.output import refuse_read_only
from prodgen.cli import modes
from prodgen.core import rng
from prodgen.core.cache import cached_tree, has_tree
from prodgen.core.errors import MissingRunData, UsageError, WorkdirError
from prodgen.data import prepare
from prodgen.editing.inversion import Inverter
from prodgen.evaluation import classifier as reference
from prodgen.models import classifier
from prodgen.runs.run import get_step_module
from tests.tiny import tiny, write_noisy_shop, write_run


@pytest.fixture(scope="module")
def shop_run(tmp_path_factory):
    """The folder of an untrained VAE on 24 noisy images, which were moved from images to moved."""
    root = tmp_path_factory.mktemp("shop")
    write_noisy_shop(root / "images", 24, 16)
    config = tiny(data__source="folder", data__path=str(root / "images"))
    with config.unlocked():
        config.data.cache_dir, config.data.workers = str(root / "cache"), 1
    store = prepare.open_or_prepare(config.data)
    init = jax.jit(lambda key: get_step_module(config).init(config, store.spec, key))
    write_run(root / "run", store, config, init(rng.key(0, "init")), 0)
    net = classifier.build(store.spec)
    params = net.init(jax.random.key(0), classifier.dummy_image(store.spec))["params"]
    reference.save_to_run(root / "run", jax.device_get(params), {"sha256": ""})
    (root / "images").rename(root / "moved")
    return root / "run"


def test_moved_images_are_used_from_where_they_are_now(shop_run):
    root = shop_run.parent
    with pytest.raises(MissingRunData, match=f"are gone: there is no folder {root}") as error:
        prodgen.model.load(shop_run).store()
    assert error.value.code == 66
    assert error.value.next_step == (
        "put them back, or say where they are with prodgen.load(workdir, data_path=FOLDER_OR_TABLE)"
    )
    model = prodgen.model.load(shop_run, data_path=root / "moved")
    assert model.store().digest() == model.run.record["data"]["digest"]


def test_other_images_are_refused_and_too_few_before_they_are_prepared(shop_run, tmp_path):
    shutil.copytree(shop_run.parent / "moved", tmp_path / "other")
    first, second, *_ = sorted((tmp_path / "other" / "bags").iterdir())
    shutil.copy(second, first)
    with pytest.raises(MissingRunData, match="have changed since it was trained") as error:
        prodgen.model.load(shop_run, data_path=tmp_path / "other").store()
    assert error.value.next_step.endswith(f"run_train.py with --init_from={shop_run}")
    for path in (tmp_path / "other").rglob("*.png"):  # the files are there, but no images
        path.write_text("moved")
    with pytest.raises(MissingRunData, match="are gone: 0 usable images of 24"):
        prodgen.model.load(shop_run, data_path=tmp_path / "other").store()
    first.unlink()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MissingRunData, match="23 are there"):
        patch.setattr(prepare, "open_or_prepare", None)
        prodgen.model.load(shop_run, data_path=tmp_path / "other").store()


@pytest.mark.parametrize("mode", ["vary", "invert"])
def test_a_mode_says_before_any_work_that_the_images_are_gone(
    shop_run, mode, tmp_path, monkeypatch
):
    monkeypatch.setattr(Inverter, "__call__", None)  # the work
    photo = next((shop_run.parent / "moved" / "bags").iterdir())
    flags = [f"--workdir={shop_run}", f"--out={tmp_path / 'out'}", f"--input={photo}"]
    command = modes.parse_command(["run_sample.py", f"--mode={mode}", *flags])
    with pytest.raises(MissingRunData, match="are gone") as error:
        runner.run(command)
    assert error.value.next_step.endswith("say where they are with --data_path=FOLDER_OR_TABLE")


def test_a_data_path_is_refused_where_nothing_reads_it(shop_run, tmp_path):
    catalogue_run = shutil.copytree(shop_run, tmp_path / "run")
    text = (
        (shop_run / "config.json")
        .read_text()
        .replace('"source": "folder"', '"source": "catalogue"')
    )
    (catalogue_run / "config.json").write_text(text)
    with pytest.raises(UsageError, match="no data path is read"):
        prodgen.model.load(catalogue_run, data_path=shop_run.parent / "moved")
    with pytest.raises(UsageError, match="--data_path is not read by --mode=grid"):
        modes.parse_command(["run_sample.py", f"--workdir={shop_run}", "--data_path=x"])


def test_a_read_only_folder_is_refused_before_the_work_and_costs_no_cached_result(
    tmp_path, monkeypatch
):
    refuse_read_only(tmp_path / "new" / "folder")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(WorkdirError, match=f"{tmp_path} cannot be written") as error:
        refuse_read_only(tmp_path / "new" / "folder")
    assert error.value.code == 73 and "--out" in error.value.next_step
    # A folder that does not exist cannot be written by anybody.
    path = tmp_path / "absent" / "results.msgpack"
    assert cached_tree(path, "key", lambda: {"value": 3})["value"] == 3 and not has_tree(
        path, "key"
    )
    path.parent.mkdir()
    cached_tree(path, "key", lambda: {"value": 3})
    assert has_tree(path, "key") and not has_tree(path, "other")
    assert cached_tree(path, "key", None)["value"] == 3
