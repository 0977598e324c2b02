"""Names of files: which are images, how one is shown, and how one is written on a line of a list."""

import json
import os
import re

EXTENSIONS = frozenset('.jpg .jpeg .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .jfif'.split())
_DRIVE = re.compile('[A-Za-z]:')
_COMMENT = re.compile(r'\s*(#.*)?', re.DOTALL)


def is_image(name):
    """Whether a file's extension is that of an image."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def is_junk(name):
    """Whether a file or folder is hidden, or what a system leaves behind."""
    return any(part.startswith('.') or part in ('__MACOSX', 'lost+found') for part in name.split('/'))


def relative(name):
    """An archive entry's path, with '/' and without empty parts; None where it leads out of the archive: an absolute
    path, one with a drive letter, or one with '..'."""
    name = name.replace('\\', '/')
    parts = name.split('/')
    if name.startswith('/') or _DRIVE.match(name) or '..' in parts:
        return None
    return '/'.join(part for part in parts if part not in ('', '.'))


def to_line(name):
    """A name as a line of a list: as it is, or as a JSON string where a reader could take it for something else."""
    odd = '#' in name or name != name.strip() or name[:1] in ('', '"', '\ufeff') or name.startswith('./')
    return json.dumps(name) if odd or not name.isprintable() else name


def from_line(line):
    """(name, True) of a JSON string that a comment may follow; (the line, False) where there is none."""
    if line.lstrip().startswith('"'):
        text = line.lstrip()
        try:
            name, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return line, False
        if _COMMENT.fullmatch(text[end:]):
            return name, True
    return line, False
