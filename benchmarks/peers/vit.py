"""ViT without a class token, and MAE's decoder (Dosovitskiy et al. 2021; He et al. 2022)."""

import torch
from torch import nn
from torch.nn import functional as F


def positions(side: int, width: int) -> torch.Tensor:
    """[side * side, width]: sines and cosines of the row in one half, of the column in the other."""
    rate = 10000 ** (-torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side)[:, None] * rate
    code = torch.cat([angle.sin(), angle.cos()], 1)
    return torch.cat([code.repeat_interleave(side, 0), code.repeat(side, 1)], 1)


def patches(x: torch.Tensor, side: int) -> torch.Tensor:
    """[B, C, H, W] -> [B, N, side * side * C]."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(b, -1, side * side * c)


class Block(nn.Module):
    """Attention and two dense layers, pre-norm."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU('tanh'), nn.Linear(4 * width, width))

    def forward(self, x):
        b, n, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, width)
        x = x + self.out(y)
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Patches [B, N, P], of which `keep` [B, n] are read -> [B, n, width]."""

    def __init__(self, job):
        super().__init__()
        self.embed = nn.Linear(3 * job.patch**2, job.width)
        self.register_buffer('place', positions(job.size // job.patch, job.width))
        self.blocks = nn.Sequential(*(Block(job.width, job.heads) for _ in range(job.depth)))
        self.norm = nn.LayerNorm(job.width, 1e-6)

    def forward(self, x, keep):
        x = x.gather(1, keep[:, :, None].expand(-1, -1, x.shape[2]))
        return self.norm(self.blocks(self.embed(x) + self.place[keep]))


class Decoder(nn.Module):
    """Encoded patches [B, n, c] and their places [B, n] -> the pixels of all, [B, N, P]."""

    def __init__(self, job):
        super().__init__()
        width, depth, heads = job.decoder
        self.embed, self.token = nn.Linear(job.width, width), nn.Parameter(0.02 * torch.randn(width))
        self.register_buffer('place', positions(job.size // job.patch, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.pixels = nn.LayerNorm(width, 1e-6), nn.Linear(width, 3 * job.patch**2)

    def forward(self, x, keep):
        x = self.embed(x)
        whole = self.token.to(x.dtype).expand(len(x), len(self.place), -1)
        whole = whole.scatter(1, keep[:, :, None].expand(-1, -1, x.shape[2]), x)
        return self.pixels(self.norm(self.blocks(whole + self.place)))
