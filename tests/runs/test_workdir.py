"""A run's folder: what may be continued in it, and what is refused."""

import json

import pytest

from prodgen.cli import commandline
from prodgen.core.errors import MissingInput, UsageError
from prodgen.core.files import read_checksummed, write_checksummed
from prodgen.runs.workdir import (
    advise_on_moved_images,
    check_data,
    check_origin,
    read_record,
    record_devices,
    update_config,
    write_record,
)
from tests.tiny import tiny


def start_run(path, origin):
    path.mkdir()
    data = {"digest": "d", "counts": {}, "spec": {}}
    write_record(path, tiny(), data, {"fingerprint": origin} if origin else {})
    return path


def test_a_run_goes_on_only_from_the_weights_it_began_with(tmp_path):
    donor = start_run(tmp_path / "donor", "")
    fingerprint = read_record(donor)["fingerprint"]
    fresh, tuned_run = start_run(tmp_path / "fresh", ""), start_run(tmp_path / "tuned", fingerprint)
    check_origin(tmp_path / "absent", donor)
    check_origin(fresh, None)
    check_origin(tuned_run, donor)
    with pytest.raises(UsageError, match=f"random weights, not with those of run {fingerprint}"):
        check_origin(fresh, donor)
    with pytest.raises(UsageError, match=f"those of run {fingerprint}, not with random weights"):
        check_origin(tuned_run, None)


def test_a_file_as_a_workdir_is_refused_as_a_file(tmp_path):
    (tmp_path / "run.zip").write_bytes(b"x")
    with pytest.raises(MissingInput, match="run.zip is a file"):
        read_record(tmp_path / "run.zip")


def test_runs_from_other_weights_have_folders_of_their_own():
    plain = commandline.derive_workdir(commandline.Experiment("configs/vae.py:quick", tiny()))
    tuned_path = commandline.derive_workdir(
        commandline.Experiment("configs/vae.py:quick", tiny()), "0123abcd"
    )
    assert tuned_path.name == f"{plain.name}-from-0123abcd"


def test_what_a_continued_run_changed_is_noted(tmp_path):
    path = start_run(tmp_path / "run", "0123abcd")
    new_config = tiny(data__cache_dir="elsewhere")
    update_config(path, new_config)
    record = json.loads((path / "config.json").read_text())
    assert record["config"]["data"]["cache_dir"] == "elsewhere"
    assert record["init_from"] == {"fingerprint": "0123abcd"} and record["data"]["digest"] == "d"


def test_a_sealed_file_knows_when_it_is_damaged(tmp_path):
    path = tmp_path / "kept"
    assert read_checksummed(path) is None
    for content in (b"", b"weights"):
        write_checksummed(path, content)
        assert read_checksummed(path) == content
    path.write_bytes(path.read_bytes()[:-1] + b"z")
    assert read_checksummed(path) is None
    path.write_bytes(b"short")
    assert read_checksummed(path) is None


def test_moved_images_lead_to_the_command_that_continues_the_run(tmp_path):
    """The default folder of a run depends on data.path: the advice names both."""
    path = start_run(tmp_path / "run", "")
    for workdir, field, advice in (
        (path, "path", f"--workdir={path} --config.data.path=FOLDER_OR_TABLE"),
        (path, "downloads", f"--workdir={path} --config.data.downloads=FOLDER_OR_TABLE"),
        (path, None, "look"),  # the catalogue has no images of its own
        (tmp_path / "new", "path", "look"),
    ):
        with pytest.raises(MissingInput) as error, advise_on_moved_images(workdir, field):
            raise MissingInput("there is no folder x", "look")
        assert error.value.next_step.endswith(advice)


def test_changed_images_lead_to_a_new_run_from_these_weights(tmp_path):
    path = start_run(tmp_path / "run", "")
    check_data(path, "d")
    with pytest.raises(UsageError, match="other images") as error:
        check_data(path, "e")
    assert f"--init_from={path}" in error.value.next_step
    assert "another --workdir" in error.value.next_step


def test_a_change_of_devices_is_noted_with_its_step(tmp_path):
    write_record(tmp_path, tiny(), {"digest": "d"}, {})
    eight = {"devices": 8, "kind": "cpu", "processes": 1}
    four = {"devices": 4, "kind": "cpu", "processes": 2}
    assert record_devices(tmp_path, 0, eight) == {}
    assert record_devices(tmp_path, 20, eight) == eight  # a restart on the same ones
    assert record_devices(tmp_path, 40, four) == eight
    history = read_record(tmp_path)["devices"]
    assert history == [{"step": 0, **eight}, {"step": 40, **four}]
