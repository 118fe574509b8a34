"""The generator of dcgan; export/pytorch_module.py puts it below the layers."""

import torch
import torch.nn.functional as F

from prodgen.export.pytorch_layers import Network, to_levels


class Model(Network):
    def generate(self, z, label, attributes, known):
        """Images uint8 [b, H, W, C] of latents."""
        condition = self.embed(label, attributes, known)
        side, widths = self.architecture["side"], self.architecture["widths"]
        x = F.relu(self.dense(torch.cat([z, condition], 1), "first"))
        x = x.reshape(-1, side, side, widths[0]).permute(0, 3, 1, 2)
        for stage in range(1, len(widths)):
            x = F.relu(self.conv_transposed(x, f"up{stage}"))
        return to_levels(torch.tanh(self.conv(x, "head")))

    def conv_transposed(self, x, name):
        """A transposed 5x5 convolution of stride 2, to twice the side."""
        kernel = self.weights[f"{name}/kernel"].transpose(0, 1).flip(2, 3)
        x = F.conv_transpose2d(x, kernel, self.weights[f"{name}/bias"], stride=2, padding=1)
        return x[:, :, :-1, :-1]
