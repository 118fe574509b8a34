"""Which accelerators this machine has, without a library that would start them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

NVIDIA_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")  # dxg: Windows' subsystem for Linux
PCI_FOLDER = Path("/sys/bus/pci/devices")
GOOGLE_PCI_VENDOR = "0x1ae0"
# Google's virtual disks and network cards have the same vendor; a PCI class begins with its kind.
PCI_DISK, PCI_NETWORK = "0x01", "0x02"


def has_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is there."""
    return any(Path(name).exists() for name in NVIDIA_FILES)


def has_tpu() -> bool:
    """Whether there is a TPU and the package libtpu; plans need the package alone."""
    return importlib.util.find_spec("libtpu") is not None and any(
        _read(folder / "vendor") == GOOGLE_PCI_VENDOR
        and not _read(folder / "class").startswith((PCI_DISK, PCI_NETWORK))
        for folder in PCI_FOLDER.glob("*")
    )


def _read(file: Path) -> str:
    """The text of a file of the system; "" where it has none."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
