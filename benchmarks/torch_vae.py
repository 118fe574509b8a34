"""The VAE of prodgen/models/vae.py in PyTorch with standard layers, for throughput.py."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from prodgen.models.stages import stage_resolutions
from prodgen.models.vae import EMBEDDING_SIZE


class Residual(nn.Module):
    def __init__(self, channels: int, condition: int = 0):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(condition, 2 * channels) if condition else None

    def forward(self, x, condition=None):
        h = self.first(F.silu(x))
        if self.film is not None:
            scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return x + self.last(F.silu(h))


class Up(nn.Module):
    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class VAE(nn.Module):
    def __init__(self, config, spec):
        super().__init__()
        model, stages = config.model, stage_resolutions(spec.resolution // 2)
        widths = [min(model.width * 2**i, model.max_width) for i in range(len(stages))]
        blocks = [model.blocks if side <= model.block_side else 0 for side in stages]
        self.latent, self.side, self.top = model.latent, stages[-1], widths[-1]
        self.classes, self.columns = len(spec.classes), spec.num_columns
        inputs = self.classes + 1 + 2 * self.columns
        self.embed = nn.Sequential(
            nn.Linear(inputs, EMBEDDING_SIZE),
            nn.SiLU(),
            nn.Linear(EMBEDDING_SIZE, EMBEDDING_SIZE),
            nn.LayerNorm(EMBEDDING_SIZE),
        )
        down = [nn.Conv2d(4 * spec.channels, widths[0], 3, padding=1)]
        for i, width in enumerate(widths):
            down += [nn.Conv2d(widths[i - 1], width, 4, 2, 1)] if i else []
            down += [Residual(width) for _ in range(blocks[i])]
        self.down = nn.Sequential(*down)
        flat = self.side**2 * self.top
        self.head = nn.Linear(flat + EMBEDDING_SIZE, 2 * self.latent)
        self.start = nn.Linear(self.latent + EMBEDDING_SIZE, flat)
        up = []
        for i in reversed(range(len(widths))):
            up += [Residual(widths[i], EMBEDDING_SIZE) for _ in range(blocks[i])]
            up += [Up(widths[i], widths[i - 1])] if i else []
        self.up = nn.ModuleList(up)
        self.out = Up(widths[0], spec.channels)
        self.prior = nn.Sequential(
            nn.Linear(EMBEDDING_SIZE, 2 * EMBEDDING_SIZE),
            nn.SiLU(),
            nn.Linear(2 * EMBEDDING_SIZE, 2 * self.latent),
        )

    def forward(self, image, rows):
        known_flags = rows["known"].float()
        label = F.one_hot(rows["label"].long().clamp(min=0), self.classes).float()
        flag = (rows["label"] >= 0).float()[:, None]
        parts = [label * flag, flag, rows["attributes"] * known_flags, known_flags]
        condition = self.embed(torch.cat(parts, dim=1))
        h = self.down(F.pixel_unshuffle(image, 2))
        h = self.head(torch.cat([F.silu(h).flatten(1), condition], dim=1))
        code, encoder_log_variance = h.chunk(2, dim=1)
        center, log_scale = self.prior(condition).chunk(2, dim=1)
        mean = (code - center) * (-0.5 * log_scale).exp()
        log_variance = encoder_log_variance - log_scale
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        code = center + (0.5 * log_scale).exp() * z
        x = self.start(torch.cat([code, condition], dim=1)).view(-1, self.top, self.side, self.side)
        for layer in self.up:
            x = layer(x, condition) if isinstance(layer, Residual) else layer(x)
        return self.out(F.silu(x)), mean, log_variance


def compute_loss(net, rows, layout):
    """The loss of a batch with a calibrated decoder (see prodgen/steps/vae.py)."""
    image = rows["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
    image = image.contiguous(memory_format=layout)
    output, mean, log_variance = net(image, rows)
    error = (output - image).square().flatten(1).sum(1)
    size = image[0].numel()
    sigma2 = (error.mean() / size).detach()
    nll = error / (2 * sigma2) + size / 2 * math.log(2 * math.pi) + size / 2 * sigma2.log()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return (nll + kl).mean()
