"""What can be seen of a finding: small pictures of its images, and what is said about each."""

import numpy as np
from PIL import Image

from ssljax.audit.findings import Facts
from ssljax.contact_sheet import SIDE
from ssljax.targets.multilabel import NONE
from ssljax.text.literal import line

GROUPS, EACH = 12, 6  # groups or images of a finding, and images of a group, at most
SKIPPED = ('unreadable', 'left_out')  # there is nothing to see


def clusters(facts: Facts, finding, most: int = GROUPS) -> list:
    """[[(uint8 [h, w] or [h, w, 3], item of an image), ...] of each group or image]."""
    if finding.kind in SKIPPED:
        return []
    shown = []
    for item in finding.items[:most]:
        images = item['images'][:EACH] if 'images' in item else [item] if 'row' in item else []
        tiles = [(picture(facts.given, image['row']), image) for image in images]
        shown += [tiles] if tiles else []
    return shown


def picture(given, row: int):
    """uint8 [h, w] or [h, w, 3], SIDE pixels at most; gray if it can no longer be decoded."""
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
    label = 'none of the classes' if image['label'] == NONE else image['label']
    return ', '.join(line(part) for part in (image['split'], label) if part)
