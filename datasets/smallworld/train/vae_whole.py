"""AutoencoderKLWan over whole sequences: the same weights and results as its chunk-by-chunk cache, but one
differentiable pass. The resampling layers are the only ones whose first frame is special."""

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders import autoencoder_kl_wan as wan


def _resample(self, x, feat_cache=None, feat_idx=None):
    b, c, t, h, w = x.shape
    if self.mode == "upsample3d" and t > 1:
        y = self.time_conv(x[:, :, 1:])  # sees nothing of the first frame
        y = y.reshape(b, 2, c, t - 1, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, c, 2 * (t - 1), h, w)
        x = torch.cat([x[:, :, :1], y], 2)
    t = x.shape[2]
    y = x.permute(0, 2, 3, 4, 1).reshape(b * t, h, w, c).permute(0, 3, 1, 2)  # channels last
    if self.mode.startswith("upsample"):
        y = F.conv2d(F.interpolate(y, scale_factor=2.0, mode="nearest-exact"), self.resample[1].weight,
                     self.resample[1].bias, padding=1)
    else:
        y = self.resample(y)
    y = y.permute(0, 2, 3, 1).reshape(b, t, y.shape[2], y.shape[3], y.shape[1])
    x = y.permute(0, 4, 1, 2, 3)
    if self.mode == "downsample3d" and t > 1:
        x = torch.cat([x[:, :, :1], self.time_conv(x)], 2)
    return x


torch._dynamo.config.recompile_limit = 64  # one for every width, with and without gradients


@torch.compile(dynamic=True)
def _norm_silu(rows, gamma):
    x = rows.float()
    x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-12) * gamma
    return (x * torch.sigmoid(x)).to(rows.dtype)


def _norm_conv(norm, conv, x):
    """conv(silu(norm(x))) in one pass over the activations and one padded copy; x channels last."""
    b, c, t, h, w = x.shape
    rows = x.permute(0, 2, 3, 4, 1).reshape(-1, c)
    y = _norm_silu(rows, norm.gamma.view(-1)).view(b, t, h, w, c)
    y = F.pad(y, (0, 0, 0, 0, 0, 0, 2, 0)).permute(0, 4, 1, 2, 3)
    return F.conv3d(y, conv.weight, conv.bias, padding=(0, 1, 1))


def _block(self, x, feat_cache=None, feat_idx=None):
    h = x if isinstance(self.conv_shortcut, torch.nn.Identity) else self.conv_shortcut(x)
    x = _norm_conv(self.norm1, self.conv1, x)
    return _norm_conv(self.norm2, self.conv2, x) + h


def whole_sequences():
    """From here on encoder and decoder of every AutoencoderKLWan take whole sequences."""
    wan.WanResample.forward = _resample
    wan.WanResidualBlock.forward = _block


def moments(vae, x):
    """x (B, 3, T, H, W) in -1..1 -> mean and log variance (B, z, (T-1)/4+1, H/8, W/8)."""
    return vae.quant_conv(vae.encoder(x)).chunk(2, dim=1)


def decode(vae, z):
    return vae.decoder(vae.post_quant_conv(z))
