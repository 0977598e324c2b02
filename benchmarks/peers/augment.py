"""Augmentation as a few tensor operations; images are [B, 3, H, W] float32 in [0, 1], each image has its own draw."""

import torch
from torch.nn import functional as F


def crop_flip(x, padding: int = 4):
    """A crop of the image padded by reflection, and a flip of every other one."""
    b, _, h, w = x.shape
    padded = F.pad(x, (padding,) * 4, mode='reflect').permute(0, 2, 3, 1)
    top, left = torch.randint(2 * padding + 1, (2, b, 1), device=x.device)
    rows, columns = top + torch.arange(h, device=x.device), left + torch.arange(w, device=x.device)
    columns = torch.where(torch.rand(b, 1, device=x.device) < 0.5, columns.flip(1), columns)
    image = torch.arange(b, device=x.device)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resized_crop(x, low: float):
    """A box of `low` to 1 of the area, and 3/4 to 4/3 as wide as high, drawn out to the image's size; flipped."""
    b = len(x)
    area, ratio, down, right, turn = torch.rand(5, b, device=x.device)
    area, ratio = low + (1 - low) * area, (3 / 4) ** (2 * ratio - 1)
    wide, high = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    zero = torch.zeros_like(wide)
    theta = torch.stack([
        torch.stack([torch.where(turn < 0.5, -wide, wide), zero, (2 * right - 1) * (1 - wide)], 1),
        torch.stack([zero, high, (2 * down - 1) * (1 - high)], 1),
    ], 1)  # fmt: skip
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def jitter(x, amount: float = 0.4, p: float = 0.8, gray: float = 0.2):
    """Brightness, contrast and saturation; some images become gray."""
    draw = lambda: 1 + amount * (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1)
    y = x * draw()
    mean = y.mean((1, 2, 3), keepdim=True)
    y = mean + draw() * (y - mean)
    luma = y.mean(1, keepdim=True)
    y = (luma + draw() * (y - luma)).clamp(0, 1)
    chance = torch.rand(2, len(x), 1, 1, 1, device=x.device)
    y = torch.where(chance[0] < p, y, x)
    return torch.where(chance[1] < gray, y.mean(1, keepdim=True), y)


def strong(x):
    """In place of RandAugment: crop, flip, jitter; then a square of half the side is painted over."""
    x = jitter(crop_flip(x), gray=0.0)
    b, _, h, w = x.shape
    y, x0 = torch.rand(2, b, 1, 1, device=x.device)
    rows = (torch.arange(h, device=x.device)[:, None] - y * h).abs() < h / 4
    columns = (torch.arange(w, device=x.device)[None, :] - x0 * w).abs() < w / 4
    return x.masked_fill((rows & columns)[:, None], 0.5)


def of(spec: str):
    """The augmentation that stands for one of ours (jobs.py)."""
    if 'color_jitter' in spec:
        return lambda x: jitter(resized_crop(x, 0.2))
    return (lambda x: resized_crop(x, 0.3)) if 'random_resized_crop' in spec else crop_flip
