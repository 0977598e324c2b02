"""A contact sheet: small pictures side by side, each with two lines of text below it, as a PNG."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssljax.text.literal import line

SIDE = 96  # pixels of a tile
_WIDTH, _GAP, _TEXT, _FONT = 1120, 10, 30, 10


class Tile(NamedTuple):
    """image: uint8 [h, w] or [h, w, C]. name: of a file; only its end is shown if it is too long. note: the other
    line."""

    image: np.ndarray
    name: str
    note: str = ''


def draw(blocks) -> bytes:
    """A PNG of [(title, groups)], each group a list of Tiles that are kept together; '' is no title."""
    # matplotlib's font: it has Latin, Greek, Cyrillic, Hebrew and Arabic letters
    font = ImageFont.truetype(Path(_data_path()) / 'fonts/ttf/DejaVuSans.ttf', _FONT)
    places, height = _laid_out(blocks)
    page = Image.new('RGB', (_WIDTH, height), 'white')
    pen = ImageDraw.Draw(page)
    for x, y, content in places:
        if isinstance(content, str):
            pen.text((x, y), _fitted(content, font, _WIDTH - 2 * _GAP), 'black', font)
            continue
        tile = _tile(content.image)
        page.paste(tile, (x + (SIDE - tile.width) // 2, y + (SIDE - tile.height) // 2))
        for i, text in enumerate((_fitted(content.name, font, SIDE, end=True), _fitted(content.note, font, SIDE))):
            pen.text((x, y + SIDE + 2 + 13 * i), text, '#333333', font)
    buffer = io.BytesIO()
    page.save(buffer, 'PNG', optimize=True)
    return buffer.getvalue()


def picture(image: np.ndarray) -> Image.Image:
    """A Pillow image of uint8 [H, W] or [H, W, C] of any number of channels."""
    if image.ndim == 3 and image.shape[2] == 2:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], axis=2)
    return Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image).convert('RGB')


def _data_path() -> str:
    from ssljax.report.canvas import matplotlib  # half a second to import

    return matplotlib.get_data_path()


def _tile(image) -> Image.Image:
    """The picture, no side longer than SIDE; a small one is enlarged by a whole factor."""
    tile = picture(image)
    if max(tile.size) > SIDE:
        tile.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    factor = max(1, SIDE // max(tile.size))
    return tile.resize((tile.width * factor, tile.height * factor), Image.Resampling.NEAREST)


def _laid_out(blocks):
    """([(x, y, title or Tile)], height)."""
    places, y = [], _GAP
    for title, groups in blocks:
        if title:
            places.append((_GAP, y, title))
            y += 20
        x = _GAP
        for tiles in groups:
            width = len(tiles) * (SIDE + 3)
            if x > _GAP and x + width > _WIDTH - _GAP:
                x, y = _GAP, y + SIDE + _TEXT + _GAP
            for tile in tiles:
                places.append((x, y, tile))
                x += SIDE + 3
            x += 2 * _GAP
        y += SIDE + _TEXT + 2 * _GAP
    return places, y


def _fitted(text, font, width, end=False):
    """The text, cut to a width in pixels: at its end, or with `end` at its start."""
    text = line(text)
    if font.getlength(text) <= width:
        return text
    shown = lambda text: f'…{text}' if end else f'{text}…'
    while text and font.getlength(shown(text)) > width:
        text = text[1:] if end else text[:-1]
    return shown(text)
