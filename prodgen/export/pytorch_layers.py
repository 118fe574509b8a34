"""A model of prodgen in PyTorch, float32. It needs torch and safetensors only.

    model = load("FOLDER")                                  # .to("cuda") moves it
    images = model.generate(z, label, attributes, known)    # uint8 [b, H, W, C]

z is float32 [b, Z], normal; label int64 or int32 [b], -1: unknown; attributes float32 [b, A] and
known bool [b, A]: which of them count. export.json says what categories and columns mean.
"""

import torch
import torch.nn.functional as F
from torch import nn


def read_squares(image):
    """uint8 [b, H, W, C] -> [b, 4C, H/2, W/2] in [-1, 1]: 2x2 squares of pixels as channels."""
    b, h, w, c = image.shape
    x = image.float().reshape(b, h // 2, 2, w // 2, 2, c) / 127.5 - 1
    return x.permute(0, 2, 4, 5, 1, 3).reshape(b, 4 * c, h // 2, w // 2)


def to_levels(image):
    """Images [b, C, H, W] in [-1, 1] -> uint8 [b, H, W, C]."""
    return (image.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)


class Network(nn.Module):
    """Layers by the names of their weights; convolutions are [out, in, rows, columns]."""

    def __init__(self, weights, architecture):
        super().__init__()
        self.architecture = architecture
        arrays = {
            name: (value.permute(3, 2, 0, 1) if value.ndim == 4 else value).float().contiguous()
            for name, value in weights.items()
        }
        self.weights = nn.ParameterDict(arrays).requires_grad_(False)

    def dense(self, x, name):
        x = x @ self.weights[f"{name}/kernel"]
        return x + self.weights[f"{name}/bias"] if f"{name}/bias" in self.weights else x

    def conv(self, x, name, groups=1):
        kernel, bias = self.weights[f"{name}/kernel"], self.weights.get(f"{name}/bias")
        return F.conv2d(x, kernel, bias, padding=kernel.shape[2] // 2, groups=groups)

    def conv_down(self, x, name):
        """A 4x4 convolution of stride 2, of which the kernel is stored as 2x2 over squares."""
        kernel = self.weights[f"{name}/Conv_0/kernel"]
        o, c = kernel.shape[0], kernel.shape[1] // 4
        kernel = kernel.reshape(o, 2, 2, c, 2, 2).permute(0, 3, 4, 1, 5, 2).reshape(o, c, 4, 4)
        return F.conv2d(x, kernel, self.weights[f"{name}/Conv_0/bias"], stride=2, padding=1)

    def conv_up(self, x, name):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"), name)

    def residual(self, x, name, condition=None):
        """A block of two convolutions; with conditions, these scale and shift the middle."""
        h = self.conv(F.silu(x), f"{name}/first")
        if f"{name}/film/kernel" in self.weights:
            scale, shift = self.dense(condition, f"{name}/film")[:, :, None, None].chunk(2, 1)
            h = h * (1 + scale) + shift
        return x + self.conv(F.silu(h), f"{name}/last")

    def embed(self, label, attributes, known):
        """The embedding [b, E] of category and attributes; E is 0 in a model without conditions."""
        if not self.architecture["condition"]:
            return attributes[:, :0]
        classes = torch.arange(self.architecture["classes"], device=label.device)
        one_hot, flag = (label[:, None] == classes).float(), (label >= 0).float()[:, None]
        x = torch.cat([one_hot, flag, attributes * known, known.float()], 1)
        x = self.dense(F.silu(self.dense(x, "embedding/Dense_0")), "embedding/Dense_1")
        scale, bias = (self.weights[f"embedding/LayerNorm_0/{key}"] for key in ("scale", "bias"))
        return F.layer_norm(x, x.shape[1:], scale, bias, 1e-6)


class Classifier(Network):
    def forward(self, image):
        """uint8 [b, H, W, C] -> logits of categories and columns [b, K + A], features [b, 128]."""
        x, stage = self.conv(read_squares(image), "stem"), 0
        while True:
            if f"block{stage}/first/kernel" in self.weights:
                x = self.residual(x, f"block{stage}")
            stage += 1
            if f"down{stage}/Conv_0/kernel" not in self.weights:
                break
            x = self.conv_down(F.silu(x), f"down{stage}")
        features = F.silu(self.dense(F.silu(x).mean((2, 3)), "features"))
        return self.dense(features, "head"), features
