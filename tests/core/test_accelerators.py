"""Recognising a TPU by its entry on the PCI bus."""

import pytest

from prodgen.core import accelerators


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], False),
        ([("0x8086", "0x060000")], False),
        ([("0x8086", "0x060000"), ("0x1ae0", "0x088000")], True),
        # The network card and the disk of a virtual machine without a TPU.
        ([("0x1ae0", "0x020000"), ("0x1ae0", "0x010802")], False),
    ],
)
def test_a_tpu_is_a_device_of_google_that_is_no_disk_and_no_network(
    entries, expected, tmp_path, monkeypatch
):
    for i, (vendor, kind) in enumerate(entries):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "vendor").write_text(f"{vendor}\n")
        (tmp_path / str(i) / "class").write_text(f"{kind}\n")
    monkeypatch.setattr(accelerators, "PCI_FOLDER", tmp_path)
    monkeypatch.setattr(accelerators.importlib.util, "find_spec", lambda name: object())
    assert accelerators.has_tpu() is expected
    monkeypatch.setattr(accelerators.importlib.util, "find_spec", lambda name: None)
    assert not accelerators.has_tpu()
