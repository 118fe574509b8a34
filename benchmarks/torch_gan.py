"""The GANs of prodgen/models/dcgan.py and r3gan.py in PyTorch: what throughput.py compares to.

Textbook layers, built from the fields of our modules. Convolutions of stride 2 are padded as
PyTorch pads them, which is XLA's SAME seen in a mirror: turn kernels and pictures by half a turn
and the two networks are the same function. Weights start as PyTorch's layers start.
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

LOSSES = ("nonsaturating", "relativistic")
PENALTIES = ("none", "r1", "r2", "r1_r2")


class Embedding(nn.Sequential):
    def __init__(self, inputs: int, features: int):
        super().__init__(
            nn.Linear(inputs, features),
            nn.SiLU(),
            nn.Linear(features, features),
            nn.LayerNorm(features, eps=1e-6),
        )


class DCGANGenerator(nn.Module):
    def __init__(self, like: dcgan.Generator, latent: int, inputs: int):
        super().__init__()
        self.shape = (like.widths[0], like.side, like.side)
        self.embedding = Embedding(inputs, dcgan.EMBEDDING_SIZE) if like.condition else None
        latent += dcgan.EMBEDDING_SIZE if like.condition else 0
        self.first = nn.Linear(latent, math.prod(self.shape))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2, padding=2, output_padding=1)
            for a, b in itertools.pairwise(like.widths)
        )
        self.head = nn.Conv2d(like.widths[-1], like.channels, 5, padding=2)

    def forward(self, z, conditions):
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(conditions)], dim=1)
        x = F.relu(self.first(z)).view(-1, *self.shape)
        for layer in self.up:
            x = F.relu(layer(x))
        return torch.tanh(self.head(x))


class DCGANDiscriminator(nn.Module):
    def __init__(self, like: dcgan.Discriminator, channels: int, side: int, inputs: int):
        super().__init__()
        widths = (channels, *like.widths)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in itertools.pairwise(widths)
        )
        flat = side**2 * widths[-1]
        self.logit = nn.Linear(flat, 1)
        self.embedding = Embedding(inputs, dcgan.EMBEDDING_SIZE) if like.condition else None
        self.features = (
            nn.Linear(flat, dcgan.EMBEDDING_SIZE, bias=False) if like.condition else None
        )

    def forward(self, x, conditions):
        for layer in self.down:
            x = F.relu(layer(x))
        x = x.flatten(1)
        logit = self.logit(x)[:, 0]
        if self.embedding is None:
            return logit
        said = (self.features(x) * self.embedding(conditions)).sum(1)
        return logit + said / math.sqrt(dcgan.EMBEDDING_SIZE)


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
    """Doubling or halving through the filter [1, 3, 3, 1], as one depthwise convolution."""

    def __init__(self, channels: int, up: bool):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        self.register_buffer("kernel", torch.outer(taps, taps).repeat(channels, 1, 1, 1))
        self.convolve = F.conv_transpose2d if up else F.conv2d

    def forward(self, x):
        return self.convolve(x, self.kernel, stride=2, padding=1, groups=len(self.kernel))


def change(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 1, bias=False)


class R3GANGenerator(nn.Module):
    def __init__(self, like: r3gan.Generator, latent: int, inputs: int):
        super().__init__()
        size = r3gan.EMBEDDING_SIZE if like.condition else 0
        self.embedding = Embedding(inputs, size) if size else None
        self.first = nn.Linear(latent + size, like.widths[0], bias=False)
        self.start = nn.Parameter(torch.randn(1, like.widths[0], like.side, like.side))
        layers = []
        for stage, width in enumerate(like.widths):
            before = like.widths[max(stage - 1, 0)]
            layers += [change(before, width)] if before != width else []
            layers += [Resample(width, up=True)] if stage else []
            layers += [Block(width, like.group, size) for _ in range(like.blocks[stage])]
        self.layers = nn.ModuleList(layers)
        size = 3 if like.half else 1
        self.head = nn.Conv2d(like.widths[-1], like.channels, size, padding=size // 2)
        self.half = like.half

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
    def __init__(self, like: r3gan.Discriminator, channels: int, side: int, inputs: int):
        super().__init__()
        layers = [change(channels, like.widths[-1])]
        if like.half:
            stem = nn.Conv2d(4 * channels, like.widths[-1], 3, padding=1)
            layers = [nn.PixelUnshuffle(2), stem]
        for stage in reversed(range(len(like.widths))):
            width, after = like.widths[stage], like.widths[max(stage - 1, 0)]
            layers += [Block(width, like.group) for _ in range(like.blocks[stage])]
            layers += [Resample(width, up=False)] if stage else []
            layers += [change(width, after)] if after != width else []
        self.layers = nn.Sequential(*layers)
        c = like.widths[0]
        self.where = nn.Conv2d(c, c, side, groups=c, bias=False)
        self.features = nn.Linear(c, c if like.condition else 1, bias=False)
        self.embedding = Embedding(inputs, c) if like.condition else None

    def forward(self, x, conditions):
        features = self.features(self.where(self.layers(x)).flatten(1))
        if self.embedding is None:
            return features[:, 0]
        return (features * self.embedding(conditions)).sum(1) / math.sqrt(features.shape[1])


def networks(config, spec) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator of a config; AssertionError where they differ in size from ours.

    Both counts go to standard error.
    """
    g, d = get_step_module(config).build_networks(config, spec)
    makers = {
        "dcgan": (DCGANGenerator, DCGANDiscriminator),
        "r3gan": (R3GANGenerator, R3GANDiscriminator),
    }[config.model.name]
    inputs = conditioning.vector_size(spec)
    made = {
        "g": makers[0](g, config.model.latent, inputs),
        "d": makers[1](d, spec.channels, g.side, inputs),
    }
    ours = build_abstract_state(config, spec, None).nets
    for name, net in made.items():
        counts = trees.count_elements(ours[name].params), sum(p.numel() for p in net.parameters())
        print(f"{name}: {counts[0]} weights, in PyTorch {counts[1]}", file=sys.stderr, flush=True)
        assert counts[0] == counts[1], f"the two {name} differ in size: {counts}"
    return made["g"], made["d"]


def refuse(config) -> None:
    """UsageError where the config asks for more than is written here."""
    wrong = [
        f"config.{field}={value}"
        for field, value, allowed in (
            ("augment.policy", config.augment.policy, ("none",)),
            ("loss.adversarial", config.loss.adversarial, LOSSES),
            ("loss.penalty", config.loss.penalty, PENALTIES),
            ("model.dtype", config.model.dtype, ("float32",)),
            ("model.spectral_norm", config.model.spectral_norm, (False,)),
            ("optim.name", config.optim.name, ("adam",)),
        )
        if value not in allowed
    ]
    if wrong:
        raise UsageError(f"the comparison with PyTorch does not know {', '.join(wrong)}")


def conditions_of(rows, classes: int, dropout: float):
    """The vector of prodgen/models/conditioning.py, of a random share of the examples hidden."""
    seen = torch.rand(len(rows["label"])) >= dropout
    label = torch.where(seen, rows["label"], -1)[:, None]
    known = (rows["known"] & seen[:, None]).float()
    one_hot = (label == torch.arange(classes)).float()  # -1: all zero
    return torch.cat([one_hot, (label >= 0).float(), rows["attributes"] * known, known], dim=1)


def losses(config):
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
    """(d_steps + 1 batches, variant) -> loss: the training step of prodgen/steps/gan.py.

    What moves over the burn-in (learning rate, gamma, averaging) stands still: it costs nothing.
    """
    refuse(config)
    g, d = (net.to(memory_format=layout) for net in networks(config, spec))
    averaged = [p.detach().clone() for p in g.parameters()] if config.optim.ema_images else []
    rate, betas = config.optim.lr, (config.optim.b1, config.optim.b2)
    rule_g, rule_d = (
        torch.optim.Adam(net.parameters(), lr=rate, betas=betas, foreach=True) for net in (g, d)
    )
    loss_d, loss_g = losses(config)
    gamma = config.loss.gamma * config.loss.penalty_every

    def drawn(rows):
        image = rows["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
        conditions = conditions_of(rows, len(spec.classes), config.model.condition_dropout)
        noise = torch.randn(len(image), config.model.latent)
        return image.contiguous(memory_format=layout), noise, conditions

    def descend(net, rule, loss):
        rule.zero_grad()
        loss.backward()
        if config.optim.clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.optim.clip, foreach=True)
        rule.step()

    def update_d(rows, penalised: bool):
        real, noise, conditions = drawn(rows)
        with torch.no_grad():
            sides = {"real": real, "fake": g(noise, conditions)}
        steep = registry.PENALTIES[config.loss.penalty] if penalised else ()
        logits, penalty = {}, 0.0
        for names in (steep, tuple(name for name in sides if name not in steep)):
            if not names:
                continue
            pictures = torch.cat([sides[name] for name in names])
            pictures.requires_grad_(names is steep)
            found = d(pictures, conditions.repeat(len(names), 1))
            logits |= dict(zip(names, found.chunk(len(names)), strict=True))
            if names is steep:
                (slope,) = torch.autograd.grad(found.sum(), pictures, create_graph=True)
                penalty = gamma / 2 * slope.square().sum() / len(real)
        loss = config.loss.alpha * (loss_d(logits["real"], logits["fake"]) + penalty)
        descend(d, rule_d, loss)
        return loss

    def update_g(rows):
        real, noise, conditions = drawn(rows)
        logits = None
        if config.loss.adversarial == "relativistic":
            with torch.no_grad():
                logits = d(real, conditions)
        d.requires_grad_(False)  # its weights' gradients would be computed in vain
        loss = loss_g(logits, d(g(noise, conditions), conditions))
        descend(g, rule_g, loss)
        d.requires_grad_(True)
        if averaged:
            forget = 1 - 0.5 ** (config.train.batch_size / config.optim.ema_images)
            with torch.no_grad():
                torch._foreach_lerp_(averaged, list(g.parameters()), forget)
        return loss

    def update(batches, variant: str) -> float:
        for rows in batches[:-1]:
            loss = update_d(rows, variant == "penalised")
        return float((update_g(batches[-1]) + loss).detach())

    return update
