"""Names of accelerators, and meshes over accelerators that are absent."""

import pytest

from prodgen.core.errors import UsageError
from prodgen.parallel import absent_devices, targets


@pytest.mark.parametrize(
    ("text", "devices", "hosts", "topology"),
    [
        ("h200", 1, 1, "1x1x1"),
        ("a100:8", 8, 1, "1x1x8"),
        ("l4:64", 64, 8, "1x8x8"),
        ("v5e", 1, 1, "v5e:1x1"),
        ("v5e:4x8", 32, 8, "v5e:4x8"),
        ("v5p", 4, 1, "v5:2x2x1"),
        ("v4:2x2x4", 16, 4, "v4:2x2x4"),
    ],
)
def test_a_target_names_devices(text, devices, hosts, topology):
    target = targets.parse_target(text)
    assert (target.num_devices, target.num_hosts) == (devices, hosts)
    assert target.topology == topology


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tpu", "h200, h100, a100, l4, v4, v5e, v5p, v6e"),
        ("h200:12", "multiple of 8"),
        ("h200:", "1 to 8 GPUs"),
        ("v5e:4", "2x2, 2x4, 4x4"),
        ("v5p:2x2", "2x2x1, 2x2x2"),
        ("h200,h200", "once"),
        ("h200,", "is not a known target"),
    ],
)
def test_another_target_is_refused_with_those_that_exist(text, reason):
    with pytest.raises(UsageError) as error_info:
        targets.parse_targets(text)
    assert error_info.value.code == 2
    assert reason in error_info.value.format_line()


def make_mesh(text):
    """The mesh of a target; the test is skipped where its plug-in is not installed."""
    target = targets.parse_target(text)
    try:
        absent_devices.check_plugin(target)
    except UsageError as error:
        pytest.skip(error.message)
    return absent_devices.make_absent_mesh(target)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("h100:16", "NVIDIA H100 80GB HBM3"), ("v4:2x2x2", "TPU v4"), ("v6e", "TPU v6 lite")],
)
def test_a_mesh_has_the_devices_and_hosts_of_its_target(text, kind):
    mesh, target = make_mesh(text), targets.parse_target(text)
    devices = list(mesh.devices.flat)
    assert mesh.size == target.num_devices
    assert len({device.process_index for device in devices}) == target.num_hosts
    assert {device.device_kind for device in devices} == {kind}


def test_a_slice_that_the_plugin_refuses_is_answered_with_the_shapes():
    with pytest.raises(UsageError, match="is not a slice of this TPU") as error_info:
        make_mesh("v5e:3x3")
    assert "4x8" in error_info.value.next_step


@pytest.mark.parametrize(("text", "package"), [("h200", "jax[cuda]"), ("v5e", "jax[tpu]")])
def test_an_absent_plugin_is_named(text, package, monkeypatch):
    monkeypatch.setattr(absent_devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as error_info:
        absent_devices.make_absent_mesh(targets.parse_target(text))
    assert package in error_info.value.next_step
