"""What a running training appends to its files."""

import json
import struct
import threading

import pytest

from prodgen.config import flatten
from prodgen.report.writer import MetricsWriter, open_writer
from tests.tiny import tiny

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def read_events(path):
    """The events of a TFRecord file: length, its checksum, the record, its checksum."""
    data, events = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        events.append(event_pb2.Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    return events


def test_metrics_reach_both_files_at_once_and_no_thread_writes_them(tmp_path):
    threads = threading.active_count()
    writer = MetricsWriter(tmp_path, 4, use_tensorboard=True)
    writer.write_metrics(5, {"loss": 0.25, "d/loss": 2})
    assert threading.active_count() == threads
    # Before it is closed: a run that is killed keeps its lines.
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 5, "loss": 0.25, "d/loss": 2.0}]
    version, restart, start, *values = read_events(next((tmp_path / "tensorboard").iterdir()))
    assert version.file_version == restart.file_version == "brain.Event:2"
    assert start.step == 5 and start.session_log.status == event_pb2.SessionLog.START
    scalars = [(event.step, event.summary.value[0]) for event in values]
    assert [(step, v.tag, v.simple_value) for step, v in scalars] == [
        (5, "loss", 0.25), (5, "d/loss", 2.0),
    ]  # fmt: skip
    writer.close()


def test_a_new_run_writes_its_hyperparameters_once_beside_the_same_records(tmp_path):
    hparams_pb2 = pytest.importorskip("tensorboardX.proto.plugin_hparams_pb2")
    config = tiny(train__tensorboard=True)
    metrics = {"loss": 0.25, "val/elbo": -3.0}
    for step in (0, 4):  # a new run, and the same one continued
        folder = tmp_path / str(step)
        folder.mkdir()
        writer = open_writer(folder, step, config, "val/elbo", print)
        writer.write_metrics(step + 1, metrics)
        writer.close()
    events, continued_events = (
        read_events(next((tmp_path / step / "tensorboard").iterdir())) for step in "04"
    )
    parts = {}
    for event in events[3:-2]:
        (value,) = event.summary.value
        assert value.metadata.plugin_data.plugin_name == "hparams"
        content = value.metadata.plugin_data.content
        parts[value.tag] = hparams_pb2.HParamsPluginData.FromString(content)
    experiment, start, end = parts.values()
    assert list(parts) == [
        "_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info",
    ]  # fmt: skip
    assert [info.name.tag for info in experiment.experiment.metric_infos] == ["val/elbo"]
    written_fields = {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in start.session_start_info.hparams.items()
    }
    assert written_fields == flatten(config)
    assert end.HasField("session_end_info")
    # All else is as without them.
    for scalars in (events[-2:], continued_events[3:]):
        values = [event.summary.value[0] for event in scalars]
        assert {value.tag: value.simple_value for value in values} == metrics
    assert len(continued_events) == 5
