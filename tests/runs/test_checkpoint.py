"""Saved, verified, pruned, damaged, restored."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.core import failpoints, files, folders
from prodgen.core.errors import BadCheckpoint, MissingInput, StorageError
from prodgen.runs import checkpoint, checkpoint_files
from tests.tiny import close


def make_tree(value):
    return {"a": jnp.full((3, 4), float(value)), "b": {"n": jnp.asarray(value, jnp.int32)}}


HERE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
ABSTRACT_TREE = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=HERE), make_tree(0)
)


def save_checkpoints(run, scores, keep=2, keep_best=1):
    manager = checkpoint.CheckpointManager(run, keep, keep_best)
    for step, score in scores.items():
        manager.save(step, make_tree(step), score)
    manager.wait()
    return manager


def test_the_newest_and_the_best_are_kept(tmp_path):
    save_checkpoints(tmp_path, {1: 5.0, 2: 9.0, 3: 1.0, 4: 2.0, 5: None})
    assert checkpoint.list_steps(tmp_path) == [2, 4, 5]
    assert checkpoint.find_best_step(tmp_path) == 2
    for selector, step in (("best", 2), (None, 2), ("latest", 5), ("4", 4)):
        opened_step, state = checkpoint.open_step(tmp_path, selector, ABSTRACT_TREE)
        assert opened_step == step
        close(state, make_tree(step), 0.0)


def test_the_snapshot_is_of_the_moment(tmp_path):
    """The step that follows may overwrite the buffers while the background still writes."""
    manager = checkpoint.CheckpointManager(tmp_path, 2, 1)
    advance = jax.jit(lambda t: jax.tree.map(lambda x: x + 1, t), donate_argnums=0)
    state = {"w": jnp.zeros((400, 400))}
    for step in range(1, 6):
        state = advance(state)
        manager.save(step, state, None)
    manager.wait()
    abstract_state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=HERE), state
    )
    for step in checkpoint.list_steps(tmp_path):
        assert (
            np.asarray(checkpoint.restore_step(tmp_path, step, abstract_state)["w"]) == step
        ).all()


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [damage_truncate, damage_flip, lambda path: path.unlink()])
def test_every_damaged_file_is_noticed_and_the_one_before_is_used(tmp_path, damage):
    save_checkpoints(tmp_path, {1: None, 2: None})
    files = [
        p for p in (tmp_path / "checkpoints" / "2").rglob("*") if p.is_file() and p.stat().st_size
    ]
    assert len(files) > 2
    damage(files[len(files) // 2])
    with pytest.raises(BadCheckpoint, match="failed verification"):
        checkpoint.open_step(tmp_path, "latest", ABSTRACT_TREE)
    messages = []
    step, state = checkpoint.CheckpointManager(tmp_path, 2, 1).restore(
        ABSTRACT_TREE, messages.append
    )
    assert step == 1 and "checkpoint 2 failed verification" in messages[0]
    close(state, make_tree(1), 0.0)
    assert (tmp_path / "checkpoints" / "corrupt-2").exists()
    assert checkpoint.list_steps(tmp_path) == [1]


def test_all_damaged_is_an_error_and_no_fresh_start(tmp_path):
    save_checkpoints(tmp_path, {1: None, 2: None})
    for step in (1, 2):
        damage_flip(next((tmp_path / "checkpoints" / str(step)).rglob("manifest.ocdbt")))
    manager = checkpoint.CheckpointManager(tmp_path, 2, 1)
    for _ in range(2):  # also when asked again
        with pytest.raises(BadCheckpoint, match="corrupt-1"):
            manager.restore(ABSTRACT_TREE, lambda text: None)


def test_without_its_manifest_a_checkpoint_never_was(tmp_path):
    save_checkpoints(tmp_path, {1: None, 2: None})
    (tmp_path / "checkpoints" / "2.sha256.json").unlink()
    (tmp_path / "checkpoints" / "3.orbax-checkpoint-tmp").mkdir()
    manager = checkpoint.CheckpointManager(tmp_path, 2, 1)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["1", "1.sha256.json"]
    assert manager.restore(ABSTRACT_TREE, print)[0] == 1


def test_nothing_saved(tmp_path):
    assert checkpoint.CheckpointManager(tmp_path, 2, 1).restore(ABSTRACT_TREE, print) is None
    with pytest.raises(MissingInput, match="no finished checkpoint"):
        checkpoint.open_step(tmp_path, None, ABSTRACT_TREE)
    save_checkpoints(tmp_path, {1: None})
    with pytest.raises(MissingInput, match="no checkpoint '7'"):
        checkpoint.open_step(tmp_path, "7", ABSTRACT_TREE)


def test_other_leaves_are_named(tmp_path):
    save_checkpoints(tmp_path, {1: None})
    other = {
        "a": jax.ShapeDtypeStruct((3, 5), jnp.float32, sharding=HERE),
        "c": ABSTRACT_TREE["b"]["n"],
    }
    with pytest.raises(BadCheckpoint) as error_info:
        checkpoint.restore_step(tmp_path, 1, other)
    for part in ("missing c int32[]", "extra b/n int32[]", "a float32[3, 4] -> float32[3, 5]"):
        assert part in str(error_info.value)


def test_a_failed_write_surfaces_with_the_last_good_step(tmp_path, monkeypatch):
    manager = save_checkpoints(tmp_path, {1: None})

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    manager.save(2, make_tree(2), None)
    manager.wait()
    monkeypatch.setattr(folders, "hash_file", full)
    manager.save(3, make_tree(3), None)
    with pytest.raises(StorageError, match="No space left on device"):
        manager.wait()
    assert manager.describe_last_good().startswith("last good checkpoint: step 2")


def test_a_disk_without_space_for_three_states_is_reported(tmp_path, monkeypatch):
    """The tree has 52 bytes: 12 float32 and one int32."""
    manager = save_checkpoints(tmp_path, {1: None})
    messages = []
    for free_bytes in (156, 155):
        monkeypatch.setattr(
            files.shutil, "disk_usage", lambda path, free=free_bytes: SimpleNamespace(free=free)
        )
        assert manager.restore(ABSTRACT_TREE, messages.append)[0] == 1
    (message,) = messages
    assert message.startswith("WARNING") and "0.0 MB are advised" in message


def test_a_failed_save_surfaces_without_waiting_for_the_next(tmp_path):
    manager = checkpoint.CheckpointManager(tmp_path, 2, 1)
    failpoints.activate({failpoints.VARIABLE: "save.before_hash:1:raise:EIO"})
    try:
        manager.save(1, make_tree(1), None)
        with pytest.raises(StorageError, match="Input/output error"):
            while True:
                manager.raise_if_failed()
    finally:
        failpoints.activate({})
    manager.close()
    assert checkpoint.list_steps(tmp_path) == []


def test_the_manifest_records_score_and_hashes(tmp_path):
    save_checkpoints(tmp_path, {1: 0.5})
    record = json.loads((tmp_path / "checkpoints" / "1.sha256.json").read_text())
    assert record["score"] == 0.5 and record["step"] == 1
    assert record["leaves"] == {"a": "float32[3, 4]", "b/n": "int32[]"}
    assert all(len(value) == 64 for value in record["files"].values())


def test_an_unreadable_older_record_does_not_stop_the_run(tmp_path):
    manager = save_checkpoints(tmp_path, {1: 5.0, 2: 1.0})
    (tmp_path / "checkpoints" / "1.sha256.json").write_text("")
    assert (
        checkpoint_files.read_score(tmp_path, 1) is None
        and checkpoint.find_best_step(tmp_path) == 2
    )
    manager.save(3, make_tree(3), 2.0)
    manager.wait()
    assert checkpoint.find_best_step(tmp_path) == 3
