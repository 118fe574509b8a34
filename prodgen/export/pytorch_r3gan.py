"""The generator of r3gan; export/pytorch_module.py puts it below the layers."""

import torch
import torch.nn.functional as F

from prodgen.export.pytorch_layers import Network, to_levels


class Model(Network):
    def generate(self, z, label, attributes, known):
        """Images uint8 [b, H, W, C] of latents."""
        condition = self.embed(label, attributes, known)
        # A learned constant, whose channels are scaled by a linear map of the latent.
        x = (
            self.weights["start"].permute(2, 0, 1)
            * self.dense(torch.cat([z, condition], 1), "first")[:, :, None, None]
        )
        for stage, blocks in enumerate(self.architecture["blocks"]):
            if stage:
                if f"change{stage}/kernel" in self.weights:
                    x = self.conv(x, f"change{stage}")
                x = self.double(x)
            for block in range(blocks):
                x = self.block(x, f"block{stage}_{block}", condition)
        half = self.architecture["half"]
        return to_levels(self.conv_up(x, "head") if half else self.conv(x, "head"))

    def double(self, x):
        """Twice the side, through the filter [1, 3, 3, 1]."""
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device) / 4
        kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])

    def block(self, x, name, condition):
        """A block of two convolutions, or of three with a grouped one in the middle."""
        h = F.leaky_relu(self.conv(x, f"{name}/first"), 0.2)
        if self.architecture["group"]:
            groups = h.shape[1] // self.architecture["group"]
            h = F.leaky_relu(self.conv(h, f"{name}/middle", groups), 0.2)
        if f"{name}/film/kernel" in self.weights:
            h = h * (1 + self.dense(condition, f"{name}/film")[:, :, None, None])
        return x + self.conv(h, f"{name}/last")
