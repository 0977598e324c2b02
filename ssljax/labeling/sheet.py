"""A contact sheet: small pictures with their place in a list, as a PNG."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, CAPTION, ACROSS, MOST = 112, 8, 30, 10, 200  # pixels; pictures in a row; pictures


def draw(images, names) -> bytes:
    """PNG of uint8 images [N, H, W, C], the first MOST of them, with their number and the end of their name."""
    images, names = images[:MOST], names[:MOST]
    across = min(ACROSS, len(images))
    down = -(-len(images) // across)
    sheet = Image.new('RGB', (across * (TILE + GAP) + GAP, down * (TILE + CAPTION + GAP) + GAP), 'white')
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for i, (image, name) in enumerate(zip(images, names)):
        left, top = GAP + i % across * (TILE + GAP), GAP + i // across * (TILE + CAPTION + GAP)
        sheet.paste(_tile(image), (left, top))
        pen.text((left, top + TILE + 2), f'{i + 1}', fill='black', font=font)
        end = name.rpartition('/')[2]
        pen.text((left, top + TILE + 15), end if len(end) < 19 else f'…{end[-17:]}', fill='#555', font=font)
    out = io.BytesIO()
    sheet.save(out, 'PNG', optimize=True)
    return out.getvalue()


def picture(image: np.ndarray) -> Image.Image:
    """A Pillow image of uint8 [H, W, C] of any number of channels."""
    if image.shape[2] == 2:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], axis=2)
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert('RGB')


def _tile(image) -> Image.Image:
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
    square = Image.new('RGB', (TILE, TILE), '#eee')
    square.paste(picture(image).resize(size, how), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
    return square
