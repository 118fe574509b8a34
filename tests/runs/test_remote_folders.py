"""A run's folder on an object store: the lock, the local copy, checkpoints in the store.

The store is a fake of Google Cloud Storage (tests/fake_gcs.py): TensorStore itself writes to it.
"""

import errno
import json
import os

import pytest

from prodgen.core import mirror
from prodgen.core.errors import BadCheckpoint, StorageError, UsageError, WorkdirError
from prodgen.core.remote_files import RemoteFolder
from prodgen.runs import checkpoint, folder_session, remote_lock
from prodgen.runs.folder_session import hold_workdir
from prodgen.runs.remote_lock import RemoteLock
from tests import fake_gcs
from tests.runs.test_checkpoint import ABSTRACT_TREE, make_tree, save_checkpoints
from tests.tiny import close

URI = "gs://bucket/runs/vae"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote_lock, "SETTLE_S", 0.0)
    with fake_gcs.serve() as (bucket, url):
        for name, value in fake_gcs.environment(url).items():
            monkeypatch.setenv(name, value)
        fake_gcs.install()
        yield bucket


def forget_copy(tmp_path):
    """As on another machine: nothing is there."""
    (tmp_path / "cache").rename(tmp_path / f"cache{len(list(tmp_path.iterdir()))}")


def test_a_copy_has_what_the_store_has(bucket, tmp_path):
    path = mirror.locate(URI)
    assert path.stat().st_mode & 0o777 == 0o700 and mirror.find_uri(path) == URI
    (path / "config.json").write_text("{}")
    (path / "samples").mkdir()
    (path / "samples" / "1.png").write_bytes(b"png")
    (path / ".config.json.7").write_bytes(b"draft")
    mirror.publish(path)
    assert sorted(bucket.objects) == ["runs/vae/config.json", "runs/vae/samples/1.png"]

    # Only what has changed is transferred, in both directions.
    bucket.requests.clear()
    (path / "config.json").write_text('{"a": 1}')
    mirror.publish(path)
    assert bucket.requests == [("POST", "runs/vae/config.json")]
    forget_copy(tmp_path)
    copy = mirror.open_folder(URI)
    assert (copy / "config.json").read_text() == '{"a": 1}'
    assert (copy / "samples" / "1.png").read_bytes() == b"png"
    bucket.requests.clear()
    mirror.open_folder(URI)
    assert not [name for method, name in bucket.requests if method == "READ"]


def test_what_another_machine_wrote_replaces_the_copy(bucket):
    path = mirror.locate(URI)
    (path / "metrics.jsonl").write_text("old")
    (path / "report.html").write_text("of a run that was never uploaded")
    RemoteFolder(URI).write("metrics.jsonl", b"new")
    mirror.Mirror(path).download()
    assert (path / "metrics.jsonl").read_text() == "new"
    assert not (path / "report.html").exists()


def test_checkpoints_are_written_verified_and_pruned_in_the_store(bucket, tmp_path):
    path = mirror.locate(URI)
    save_checkpoints(path, {1: 5.0, 2: 9.0, 3: 1.0, 4: 2.0})
    assert checkpoint.list_steps(path) == [2, 3, 4]
    names = {name.split("/")[3] for name in bucket.objects}
    assert names == {"2", "2.sha256.json", "3", "3.sha256.json", "4", "4.sha256.json"}
    assert not (path / "checkpoints").exists()

    # Another machine verifies and restores them; a damaged one falls back.
    forget_copy(tmp_path)
    path = mirror.locate(URI)
    assert checkpoint.find_damage(path, 4) is None
    step, state = checkpoint.open_step(path, "best", ABSTRACT_TREE)
    assert step == 2
    close(state, make_tree(2), 0.0)
    name = next(name for name in bucket.objects if name.startswith("runs/vae/checkpoints/4/d/"))
    content, generation = bucket.objects[name]
    bucket.objects[name] = content[:-1] + bytes([content[-1] ^ 1]), generation
    messages = []
    manager = checkpoint.CheckpointManager(path, 2, 1)
    step, state = manager.restore(ABSTRACT_TREE, messages.append)
    assert step == 3 and "4/d/" in messages[0] and "sha256 mismatch" in messages[0]
    close(state, make_tree(3), 0.0)
    assert any(name.startswith("runs/vae/checkpoints/corrupt-4/d/") for name in bucket.objects)
    manager.save(4, make_tree(4), None)  # the same step can be written again
    manager.wait()
    assert checkpoint.list_steps(path)[-1] == 4 and checkpoint.find_damage(path, 4) is None


def test_an_unfinished_checkpoint_is_deleted_and_all_damaged_is_an_error(bucket):
    path = mirror.locate(URI)
    save_checkpoints(path, {1: None, 2: None})
    del bucket.objects["runs/vae/checkpoints/2.sha256.json"]
    manager = checkpoint.CheckpointManager(path, 2, 1)
    assert not [name for name in bucket.objects if "/checkpoints/2/" in name]
    del bucket.objects["runs/vae/checkpoints/1/manifest.ocdbt"]
    for _ in range(2):
        with pytest.raises(BadCheckpoint, match="gs://bucket/runs/vae/checkpoints .*corrupt-1"):
            manager.restore(ABSTRACT_TREE, lambda text: None)


def test_the_log_is_in_the_store_before_the_checkpoint_counts(bucket):
    path = mirror.locate(URI)
    (path / "metrics.jsonl").write_text("lines up to step 1")
    save_checkpoints(path, {1: None})
    names = [name for method, name in bucket.requests if method == "POST"]
    assert names[-2:] == ["runs/vae/metrics.jsonl", "runs/vae/checkpoints/1.sha256.json"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of asyncio
def test_a_store_that_refuses_writes(bucket):
    """73 before the run starts, 74 with the last good checkpoint afterwards."""
    path = mirror.locate(URI)
    manager = save_checkpoints(path, {1: None})
    bucket.refusal = 403
    manager.save(2, make_tree(2), None)
    with pytest.raises(StorageError, match="to gs://bucket/runs/vae: Permission denied") as error:
        manager.wait()
    assert error.value.next_step.startswith("check the bucket, its permissions")
    assert manager.describe_last_good().startswith("last good checkpoint: step 1 at gs://bucket")
    with (
        pytest.raises(WorkdirError, match="gs://bucket/runs/vae is not writable"),
        hold_workdir(path),
    ):
        raise AssertionError("the folder is held")
    bucket.refusal = 0


def test_a_held_folder_is_refused_and_a_dead_holder_is_not(bucket, monkeypatch):
    folder = RemoteFolder(URI)
    first = RemoteLock(folder, renew_s=0.1)
    first.acquire(print)
    monkeypatch.setattr(remote_lock, "is_dead_here", lambda holder: False)
    second, messages = RemoteLock(folder, renew_s=0.1, dead_s=30.0), []
    with pytest.raises(WorkdirError, match=f"is in use by pid {os.getpid()} on host"):
        second.acquire(messages.append)
    assert "waiting for at most 30 s" in messages[0]
    first.release()
    assert bucket.objects == {}

    # A holder that does not renew its object is dead, and sees later that it lost the folder.
    dead = RemoteLock(folder, renew_s=1000.0)
    dead.acquire(print)
    second = RemoteLock(folder, renew_s=0.1, dead_s=0.5)
    second.acquire(messages.append)
    with pytest.raises(WorkdirError, match="is in use by"):
        dead.check()
    dead.release()
    second.check()
    second.release()
    assert bucket.objects == {}


def test_a_run_that_lost_its_folder_commits_nothing(bucket):
    path = mirror.locate(URI)
    with pytest.raises(WorkdirError, match="in use by another"), hold_workdir(path):
        manager = save_checkpoints(path, {1: None})
        record = {"holder": "another", "token": "another", "place": "", "pid": 1}
        bucket.objects["runs/vae/.lock"] = json.dumps(record).encode(), 10**6
        (path / "metrics.jsonl").write_text("lines of the run that lost it")
        manager.save(2, make_tree(2), None)
        manager.wait()
    assert checkpoint.list_steps(path) == [1]
    assert "runs/vae/metrics.jsonl" not in bucket.objects and "runs/vae/.lock" in bucket.objects


def test_a_holder_that_died_here_is_noticed_at_once(bucket):
    record = {"holder": "h", "token": "t", "place": remote_lock.describe_machine(), "pid": 2**22}
    RemoteFolder(URI).write(".lock", json.dumps(record).encode())
    path, messages = mirror.locate(URI), []
    with hold_workdir(path):
        folder_session.check_lock(path)
        (path / "report.html").write_text("made")
        with pytest.raises(WorkdirError, match="in use by pid"), hold_workdir(path):
            pass
    assert sorted(bucket.objects) == ["runs/vae/report.html"] and not messages


def test_other_stores_and_missing_packages_are_named(bucket, monkeypatch):
    with pytest.raises(UsageError, match="cannot be written to az://"):
        mirror.locate("az://container/run")
    with pytest.raises(UsageError) as error:
        mirror.locate("s3://bucket/run")
    assert error.value.next_step.startswith("pip install s3fs==")
    with (
        pytest.raises(WorkdirError, match="is not writable"),
        hold_workdir(mirror.locate("gs://absent/run")),
    ):
        pass


def test_a_store_that_does_not_answer_is_no_damage(bucket, monkeypatch):
    path = mirror.locate(URI)
    manager = save_checkpoints(path, {1: None})
    monkeypatch.setattr(RemoteFolder, "read", fail)
    with pytest.raises(OSError, match="no answer"):
        manager.restore(ABSTRACT_TREE, print)
    monkeypatch.undo()
    assert any(name.startswith("runs/vae/checkpoints/1/") for name in bucket.objects)
    assert "runs/vae/checkpoints/1.sha256.json" in bucket.objects


def fail(folder, name):
    raise OSError(errno.EIO, "no answer", name)
