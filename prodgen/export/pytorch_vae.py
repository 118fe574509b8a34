"""The networks of vae and vaegan; export/pytorch_module.py puts them below the layers."""

import torch
import torch.nn.functional as F

from prodgen.export.pytorch_layers import Network, read_squares, to_levels


class Model(Network):
    def prior(self, condition):
        """Mean and log variance of the codes; 0 where they are standard normal."""
        if not self.architecture["has_conditional_prior"]:
            return torch.zeros(()), torch.zeros(())
        x = self.dense(F.silu(self.dense(condition, "prior/Dense_0")), "prior/Dense_1")
        mean, log_variance = x.chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)

    def generate(self, z, label, attributes, known):
        """Images uint8 [b, H, W, C] of latents."""
        condition = self.embed(label, attributes, known)
        mean, log_variance = self.prior(condition)
        x = torch.cat([mean + torch.exp(0.5 * log_variance) * z, condition], 1)
        side, widths = self.architecture["side"], self.architecture["widths"]
        x = self.dense(x, "decoder/start").reshape(-1, side, side, widths[-1]).permute(0, 3, 1, 2)
        for stage in reversed(range(len(widths))):
            for block in range(self.architecture["blocks"][stage]):
                x = self.residual(x, f"decoder/block{stage}_{block}", condition)
            if stage:
                x = self.conv_up(x, f"decoder/up{stage}")
        return to_levels(self.mean_image(self.conv_up(F.silu(x), "decoder/head")))

    def mean_image(self, output):
        """The expected image of the likelihood, in [-1, 1]."""
        likelihood = self.architecture["likelihood"]
        if likelihood == "logistic":  # components of a weight, a mean and a scale for each value
            x = output.unflatten(1, (-1, self.architecture["components"], 3))
            return (torch.softmax(x[:, :, :, 0], 2) * x[:, :, :, 1].clamp(-1, 1)).sum(2)
        return 2 * torch.sigmoid(output) - 1 if likelihood == "bernoulli" else output

    def encode(self, image, label, attributes, known):
        """Mean and log variance [b, Z] of the latents of images uint8 [b, H, W, C]."""
        condition = self.embed(label, attributes, known)
        x = self.conv(read_squares(image), "encoder/stem")
        for stage in range(len(self.architecture["widths"])):
            if stage:
                x = self.conv_down(x, f"encoder/down{stage}")
            for block in range(self.architecture["blocks"][stage]):
                x = self.residual(x, f"encoder/block{stage}_{block}")
        x = torch.cat([F.silu(x).permute(0, 2, 3, 1).flatten(1), condition], 1)
        code_mean, code_log_variance = self.dense(x, "encoder/head").chunk(2, 1)
        mean, log_variance = self.prior(condition)
        z_mean = (code_mean - mean) * torch.exp(-0.5 * log_variance)
        return z_mean, code_log_variance.clamp(-14, 10) - log_variance
