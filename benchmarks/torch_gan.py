"""The GANs of prodgen/models/dcgan.py and r3gan.py in PyTorch, for throughput.py.

The networks have standard layers and are built from the fields of the Flax modules. PyTorch pads
convolutions of stride 2 on the other side than XLA's SAME. With kernels and images rotated by 180
degrees, both networks are the same function. Weights have PyTorch's initialisation.
"""

import itertools
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from prodgen.config import registry
from prodgen.core import trees
from prodgen.core.errors import UsageError
from prodgen.models import conditioning, dcgan, r3gan
from prodgen.runs.run import build_abstract_state, get_step_module

SUPPORTED_LOSSES = ("nonsaturating", "relativistic")
SUPPORTED_PENALTIES = ("none", "r1", "r2", "r1_r2")


class Embedding(nn.Sequential):
    def __init__(self, inputs: int, features: int):
        super().__init__(
            nn.Linear(inputs, features),
            nn.SiLU(),
            nn.Linear(features, features),
            nn.LayerNorm(features, eps=1e-6),
        )


class DCGANGenerator(nn.Module):
    def __init__(self, flax_module: dcgan.Generator, latent: int, inputs: int):
        super().__init__()
        self.shape = (flax_module.widths[0], flax_module.side, flax_module.side)
        self.embedding = Embedding(inputs, dcgan.EMBEDDING_SIZE) if flax_module.condition else None
        latent += dcgan.EMBEDDING_SIZE if flax_module.condition else 0
        self.first = nn.Linear(latent, math.prod(self.shape))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2, padding=2, output_padding=1)
            for a, b in itertools.pairwise(flax_module.widths)
        )
        self.head = nn.Conv2d(flax_module.widths[-1], flax_module.channels, 5, padding=2)

    def forward(self, z, conditions):
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(conditions)], dim=1)
        x = F.relu(self.first(z)).view(-1, *self.shape)
        for layer in self.up:
            x = F.relu(layer(x))
        return torch.tanh(self.head(x))


class DCGANDiscriminator(nn.Module):
    def __init__(self, flax_module: dcgan.Discriminator, channels: int, side: int, inputs: int):
        super().__init__()
        widths = (channels, *flax_module.widths)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in itertools.pairwise(widths)
        )
        flat = side**2 * widths[-1]
        self.logit = nn.Linear(flat, 1)
        self.embedding = Embedding(inputs, dcgan.EMBEDDING_SIZE) if flax_module.condition else None
        self.features = (
            nn.Linear(flat, dcgan.EMBEDDING_SIZE, bias=False) if flax_module.condition else None
        )

    def forward(self, x, conditions):
        for layer in self.down:
            x = F.relu(layer(x))
        x = x.flatten(1)
        logit = self.logit(x)[:, 0]
        if self.embedding is None:
            return logit
        projection = (self.features(x) * self.embedding(conditions)).sum(1)
        return logit + projection / math.sqrt(dcgan.EMBEDDING_SIZE)


class Block(nn.Module):
    def __init__(self, channels: int, group: int, condition: int = 0):
        super().__init__()
        inner = 2 * channels if group else channels
        self.middle = None
        if group:
            self.first = nn.Conv2d(channels, inner, 1)
            self.middle = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group)
            self.last = nn.Conv2d(inner, channels, 1, bias=False)
        else:
            self.first = nn.Conv2d(channels, inner, 3, padding=1)
            self.last = nn.Conv2d(inner, channels, 3, padding=1, bias=False)
        self.film = nn.Linear(condition, inner) if condition else None

    def forward(self, x, condition=None):
        h = F.leaky_relu(self.first(x), 0.2)
        if self.middle is not None:
            h = F.leaky_relu(self.middle(h), 0.2)
        if self.film is not None:
            h = h * (1 + self.film(condition)[:, :, None, None])
        return x + self.last(h)


class Resample(nn.Module):
    """Upsampling or downsampling by 2 with the filter [1, 3, 3, 1], as a depthwise convolution."""

    def __init__(self, channels: int, up: bool):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        self.register_buffer("kernel", torch.outer(taps, taps).repeat(channels, 1, 1, 1))
        self.convolve = F.conv_transpose2d if up else F.conv2d

    def forward(self, x):
        return self.convolve(x, self.kernel, stride=2, padding=1, groups=len(self.kernel))


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, bias=False)


class R3GANGenerator(nn.Module):
    def __init__(self, flax_module: r3gan.Generator, latent: int, inputs: int):
        super().__init__()
        size = r3gan.EMBEDDING_SIZE if flax_module.condition else 0
        self.embedding = Embedding(inputs, size) if size else None
        self.first = nn.Linear(latent + size, flax_module.widths[0], bias=False)
        self.start = nn.Parameter(
            torch.randn(1, flax_module.widths[0], flax_module.side, flax_module.side)
        )
        layers = []
        for stage, width in enumerate(flax_module.widths):
            before = flax_module.widths[max(stage - 1, 0)]
            layers += [conv1x1(before, width)] if before != width else []
            layers += [Resample(width, up=True)] if stage else []
            layers += [
                Block(width, flax_module.group, size) for _ in range(flax_module.blocks[stage])
            ]
        self.layers = nn.ModuleList(layers)
        size = 3 if flax_module.half else 1
        self.head = nn.Conv2d(flax_module.widths[-1], flax_module.channels, size, padding=size // 2)
        self.half = flax_module.half

    def forward(self, z, conditions):
        e = None
        if self.embedding is not None:
            e = self.embedding(conditions)
            z = torch.cat([z, e], dim=1)
        x = self.start * self.first(z)[:, :, None, None]
        for layer in self.layers:
            x = layer(x, e) if isinstance(layer, Block) else layer(x)
        return self.head(F.interpolate(x, scale_factor=2, mode="nearest") if self.half else x)


class R3GANDiscriminator(nn.Module):
    def __init__(self, flax_module: r3gan.Discriminator, channels: int, side: int, inputs: int):
        super().__init__()
        layers = [conv1x1(channels, flax_module.widths[-1])]
        if flax_module.half:
            stem = nn.Conv2d(4 * channels, flax_module.widths[-1], 3, padding=1)
            layers = [nn.PixelUnshuffle(2), stem]
        for stage in reversed(range(len(flax_module.widths))):
            width, after = flax_module.widths[stage], flax_module.widths[max(stage - 1, 0)]
            layers += [Block(width, flax_module.group) for _ in range(flax_module.blocks[stage])]
            layers += [Resample(width, up=False)] if stage else []
            layers += [conv1x1(width, after)] if after != width else []
        self.layers = nn.Sequential(*layers)
        c = flax_module.widths[0]
        self.pool = nn.Conv2d(c, c, side, groups=c, bias=False)
        self.features = nn.Linear(c, c if flax_module.condition else 1, bias=False)
        self.embedding = Embedding(inputs, c) if flax_module.condition else None

    def forward(self, x, conditions):
        features = self.features(self.pool(self.layers(x)).flatten(1))
        if self.embedding is None:
            return features[:, 0]
        return (features * self.embedding(conditions)).sum(1) / math.sqrt(features.shape[1])


def build_networks(config, spec) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of a config; both weight counts go to standard error.

    AssertionError where a network has another number of weights than the Flax network.
    """
    g, d = get_step_module(config).build_networks(config, spec)
    classes = {
        "dcgan": (DCGANGenerator, DCGANDiscriminator),
        "r3gan": (R3GANGenerator, R3GANDiscriminator),
    }[config.model.name]
    inputs = conditioning.vector_size(spec)
    nets = {
        "g": classes[0](g, config.model.latent, inputs),
        "d": classes[1](d, spec.channels, g.side, inputs),
    }
    flax_nets = build_abstract_state(config, spec, None).nets
    for name, net in nets.items():
        counts = (
            trees.count_elements(flax_nets[name].params),
            sum(p.numel() for p in net.parameters()),
        )
        print(f"{name}: {counts[0]} weights, in PyTorch {counts[1]}", file=sys.stderr, flush=True)
        assert counts[0] == counts[1], f"the two {name} differ in size: {counts}"
    return nets["g"], nets["d"]


def check_support(config) -> None:
    """Raise UsageError for settings that the PyTorch implementation does not support."""
    unsupported_settings = [
        f"config.{field}={value}"
        for field, value, choices in (
            ("augment.policy", config.augment.policy, ("none",)),
            ("loss.adversarial", config.loss.adversarial, SUPPORTED_LOSSES),
            ("loss.penalty", config.loss.penalty, SUPPORTED_PENALTIES),
            ("model.dtype", config.model.dtype, ("float32",)),
            ("model.spectral_norm", config.model.spectral_norm, (False,)),
            ("optim.name", config.optim.name, ("adam",)),
        )
        if value not in choices
    ]
    if unsupported_settings:
        names = ", ".join(unsupported_settings)
        raise UsageError(f"the comparison with PyTorch does not support {names}")


def encode_conditions(rows, classes: int, dropout: float):
    """The vector of prodgen/models/conditioning.py, hidden for a random share of the examples."""
    is_visible = torch.rand(len(rows["label"])) >= dropout
    label = torch.where(is_visible, rows["label"], -1)[:, None]
    known_flags = (rows["known"] & is_visible[:, None]).float()
    one_hot = (label == torch.arange(classes)).float()  # -1: all zero
    return torch.cat(
        [one_hot, (label >= 0).float(), rows["attributes"] * known_flags, known_flags], dim=1
    )


def make_losses(config):
    """((real, fake) -> loss of D, (real, fake) -> loss of G), of logits [B]."""
    if config.loss.adversarial == "relativistic":
        return (
            lambda real, fake: F.softplus(fake - real).mean(),
            lambda real, fake: F.softplus(real - fake).mean(),
        )
    s = config.loss.label_smoothing
    return (
        lambda real, fake: (
            (1 - s) * F.softplus(-real) + s * F.softplus(real) + F.softplus(fake)
        ).mean(),
        lambda real, fake: F.softplus(-fake).mean(),
    )


def make_update(config, spec, layout):
    """A function (d_steps + 1 batches, variant) -> loss: the step of prodgen/steps/gan.py.

    Values that change over the burn-in are constant here, since they do not affect the time.
    """
    check_support(config)
    g, d = (net.to(memory_format=layout) for net in build_networks(config, spec))
    ema_params = [p.detach().clone() for p in g.parameters()] if config.optim.ema_images else []
    rate, betas = config.optim.lr, (config.optim.b1, config.optim.b2)
    optimiser_g, optimiser_d = (
        torch.optim.Adam(net.parameters(), lr=rate, betas=betas, foreach=True) for net in (g, d)
    )
    loss_d, loss_g = make_losses(config)
    gamma = config.loss.gamma * config.loss.penalty_every

    def prepare_inputs(rows):
        image = rows["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
        conditions = encode_conditions(rows, len(spec.classes), config.model.condition_dropout)
        noise = torch.randn(len(image), config.model.latent)
        return image.contiguous(memory_format=layout), noise, conditions

    def apply_gradient(net, optimiser, loss):
        optimiser.zero_grad()
        loss.backward()
        if config.optim.clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.optim.clip, foreach=True)
        optimiser.step()

    def update_d(rows, has_penalty: bool):
        real, noise, conditions = prepare_inputs(rows)
        with torch.no_grad():
            inputs = {"real": real, "fake": g(noise, conditions)}
        penalty_inputs = registry.PENALTIES[config.loss.penalty] if has_penalty else ()
        logits, penalty = {}, 0.0
        for names in (penalty_inputs, tuple(name for name in inputs if name not in penalty_inputs)):
            if not names:
                continue
            images = torch.cat([inputs[name] for name in names])
            images.requires_grad_(names is penalty_inputs)
            output = d(images, conditions.repeat(len(names), 1))
            logits |= dict(zip(names, output.chunk(len(names)), strict=True))
            if names is penalty_inputs:
                (grad,) = torch.autograd.grad(output.sum(), images, create_graph=True)
                penalty = gamma / 2 * grad.square().sum() / len(real)
        loss = config.loss.alpha * (loss_d(logits["real"], logits["fake"]) + penalty)
        apply_gradient(d, optimiser_d, loss)
        return loss

    def update_g(rows):
        real, noise, conditions = prepare_inputs(rows)
        logits = None
        if config.loss.adversarial == "relativistic":
            with torch.no_grad():
                logits = d(real, conditions)
        d.requires_grad_(False)  # the gradients of its weights are not needed
        loss = loss_g(logits, d(g(noise, conditions), conditions))
        apply_gradient(g, optimiser_g, loss)
        d.requires_grad_(True)
        if ema_params:
            step_size = 1 - 0.5 ** (config.train.batch_size / config.optim.ema_images)
            with torch.no_grad():
                torch._foreach_lerp_(ema_params, list(g.parameters()), step_size)
        return loss

    def update(batches, variant: str) -> float:
        for rows in batches[:-1]:
            loss = update_d(rows, variant == "penalised")
        return float((update_g(batches[-1]) + loss).detach())

    return update
