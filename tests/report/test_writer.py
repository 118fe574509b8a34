"""What a running training appends to its files."""

import json
import struct
import threading

import pytest

from prodgen.report.writer import MetricsWriter

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
