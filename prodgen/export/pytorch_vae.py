"""The networks of vae and vaegan; export/pytorch_module.py puts them below the layers."""

import torch
import torch.nn.functional as F

from prodgen.export.pytorch_layers import Network, from_levels, squares_to_channels, to_levels


class Model(Network):
    def prior(self, condition):
        """Mean and log variance of the codes; 0 where they are standard normal."""
        if not self.architecture["has_conditional_prior"]:
            return torch.zeros(()), torch.zeros(())
        x = self.dense(F.silu(self.dense(condition, "prior/Dense_0")), "prior/Dense_1")
        mean, log_variance = x.chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)

    def blocks(self, x, name, stage, condition):
        for block in range(self.architecture["blocks"][stage]):
            x = self.residual(x, f"{name}/block{stage}_{block}", condition)
        return x

    def generate(self, z, label, attributes, known):
        """Images uint8 [b, H, W, C] of latents."""
        condition = self.embed(label, attributes, known)
        mean, log_variance = self.prior(condition)
        x = mean + torch.exp(0.5 * log_variance) * z
        if condition is not None:
            x = torch.cat([x, condition], 1)
        side, widths = self.architecture["side"], self.architecture["widths"]
        x = self.dense(x, "decoder/start").reshape(-1, side, side, widths[-1]).permute(0, 3, 1, 2)
        for stage in reversed(range(len(widths))):
            x = self.blocks(x, "decoder", stage, condition)
            if stage:
                x = self.conv_up(x, f"decoder/up{stage}")
        return to_levels(self.mean_image(self.conv_up(F.silu(x), "decoder/head")))

    def mean_image(self, output):
        """The expected image of the likelihood, in [-1, 1]."""
        likelihood = self.architecture["likelihood"]
        if likelihood == "bernoulli":
            return 2 * torch.sigmoid(output) - 1
        if likelihood == "logistic":
            # Each value of a pixel has components of a weight, a mean and a scale.
            components, (b, _, h, w) = self.architecture["components"], output.shape
            output = output.reshape(b, -1, components, 3, h, w)
            weights, means = torch.softmax(output[:, :, :, 0], 2), output[:, :, :, 1].clamp(-1, 1)
            return (weights * means).sum(2)
        return output

    def encode(self, image, label, attributes, known):
        """Mean and log variance [b, Z] of the latents of images uint8 [b, H, W, C]."""
        condition = self.embed(label, attributes, known)
        x = self.conv(squares_to_channels(from_levels(image)), "encoder/stem")
        for stage in range(len(self.architecture["widths"])):
            if stage:
                x = self.conv_down(x, f"encoder/down{stage}")
            x = self.blocks(x, "encoder", stage, None)
        x = F.silu(x).permute(0, 2, 3, 1).flatten(1)
        if condition is not None:
            x = torch.cat([x, condition], 1)
        code_mean, code_log_variance = self.dense(x, "encoder/head").chunk(2, 1)
        mean, log_variance = self.prior(condition)
        z_mean = (code_mean - mean) * torch.exp(-0.5 * log_variance)
        return z_mean, code_log_variance.clamp(-14, 10) - log_variance
