"""The images of the findings side by side: as tiles of the page, and as one picture, findings.png."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssljax.audit.findings import Facts
from ssljax.literal import line
from ssljax.report.canvas import matplotlib

SIDE, GROUPS, EACH = 96, 12, 6  # pixels of a tile; groups or images of a finding, and images of a group, at most
SKIPPED = ('unreadable', 'left_out')  # there is nothing to see
_WIDTH, _GAP, _TEXT, _FONT = 1120, 10, 30, 10


def clusters(facts: Facts, finding, most: int = GROUPS) -> list:
    """What of a finding can be seen: [[(uint8 [h, w] or [h, w, 3], item of an image), ...] of each group or image]."""
    if finding.kind in SKIPPED:
        return []
    shown = []
    for item in finding.items[:most]:
        images = item['images'][:EACH] if 'images' in item else [item] if 'row' in item else []
        tiles = [(picture(facts.given, image['row']), image) for image in images]
        shown += [tiles] if tiles else []
    return shown


def picture(given, row: int):
    """uint8 [h, w] or [h, w, 3], SIDE pixels at most; gray where it cannot be decoded any more."""
    try:
        image = given.image(row, SIDE)
    except MemoryError:
        raise
    except Exception:  # Pillow raises almost anything
        return np.full((SIDE, SIDE), 128, np.uint8)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def last(image: dict) -> str:
    """The last part of a name."""
    return line(image['name']).rsplit('/', 1)[-1]


def where(image: dict) -> str:
    """'test, cat'"""
    return ', '.join(line(part) for part in (image['split'], image['label']) if part)


def sheet(blocks) -> bytes:
    """A PNG of [(title, clusters)]: each title above its groups, whose images stand together."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf', _FONT)
    places, height = _laid_out(blocks)
    page = Image.new('RGB', (_WIDTH, height), 'white')
    draw = ImageDraw.Draw(page)
    for kind, x, y, *content in places:
        if kind == 'title':
            draw.text((x, y), _fitted(content[0], font, _WIDTH - 2 * _GAP), 'black', font)
            continue
        array, image = content
        tile = Image.fromarray(array).convert('RGB')
        factor = max(1, SIDE // max(tile.size))
        tile = tile.resize((tile.width * factor, tile.height * factor), Image.Resampling.NEAREST)
        page.paste(tile, (x + (SIDE - tile.width) // 2, y + (SIDE - tile.height) // 2))
        for i, text in enumerate((last(image), where(image))):
            draw.text((x, y + SIDE + 2 + 13 * i), _fitted(text, font, SIDE), '#333333', font)
    buffer = io.BytesIO()
    page.save(buffer, 'PNG', optimize=True)
    return buffer.getvalue()


def _laid_out(blocks):
    """([('title', x, y, text) or ('tile', x, y, array, image)], height)."""
    places, y = [], _GAP
    for title, groups in blocks:
        places.append(('title', _GAP, y, title))
        x, y = _GAP, y + 20
        for tiles in groups:
            width = len(tiles) * (SIDE + 3)
            if x > _GAP and x + width > _WIDTH - _GAP:
                x, y = _GAP, y + SIDE + _TEXT + _GAP
            for array, image in tiles:
                places.append(('tile', x, y, array, image))
                x += SIDE + 3
            x += 2 * _GAP
        y += SIDE + _TEXT + 2 * _GAP
    return places, y


def _fitted(text, font, width):
    """The text, cut where it is longer than so many pixels."""
    text = line(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + '…') > width:
        text = text[:-1]
    return text + '…'
