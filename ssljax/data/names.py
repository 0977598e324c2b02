"""Names of files: which are images, how one is shown, and how one is written on a line of a list."""

import json
import os
import re

from ssljax.data import formats

EXTENSIONS = frozenset('.jpg .jpeg .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .jfif'.split()) | set(formats.ENDINGS)
ARCHIVES = frozenset('.zip .tar .tgz .gz .tbz .tbz2 .bz2 .txz .xz .7z .rar .zst'.split())
# Pictures all the same: a class with only these is not passed over.
UNREADABLE = frozenset('.avif .jxl .jp2 .svg .dng .cr2 .nef .raw .psd .nii .exr .hdr .tga'.split())
# Of files that are not images: they are not opened to find out.
_OTHER = (*ARCHIVES, *UNREADABLE, *(
    '.txt .csv .tsv .json .jsonl .xml .html .htm .md .rst .pdf .yaml .yml .ini .toml .cfg .log .py .ipynb .js .css '
    '.sh .npy .npz .pt .pth .h5 .hdf5 .mat .pkl .parquet .db .sqlite .mp4 .avi .mov .mkv .mp3 .wav .doc .docx .xls '
    '.xlsx .ppt .pptx .url .lnk'.split()
))  # fmt: skip
HIDDEN = 'hidden files, or what a system leaves behind'
HEAD = 132  # bytes that identify an image
_MAGIC = re.compile(
    rb'\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|BM....\0\0\0\0|P[1-6]\s', re.DOTALL
)
_DRIVE = re.compile('[A-Za-z]:')
_COMMENT = re.compile(r'\s*(#.*)?', re.DOTALL)


class Sniffer:
    """Recognises images without a known extension by their first bytes. Few files of each extension, and in all, are
    opened if none of them is an image.

    Attributes:
      found: names of the images.
    """

    EACH, ALL = 64, 512  # files that are opened without finding an image

    def __init__(self):
        self.found, self._missed, self._hits = [], {}, set()

    def is_image(self, name, head) -> bool:
        """Whether a file is an image; head: () -> its first HEAD bytes, called only if needed."""
        ending = os.path.splitext(name)[1].lower()
        if ending in EXTENSIONS or ending in _OTHER:
            return ending in EXTENSIONS
        ending = '' if ending[1:].isdecimal() else ending  # a number after a dot
        missed = self._missed.get(ending, 0), sum(self._missed.values())
        if ending not in self._hits and (missed[0] >= self.EACH or missed[1] >= self.ALL):
            return False
        try:
            start = head()
            good = bool(_MAGIC.match(start) or formats.of(start))
        except Exception:  # a damaged archive may raise almost anything
            good = False
        if good:
            self.found.append(name)
            self._hits.add(ending)
        else:
            self._missed[ending] = self._missed.get(ending, 0) + 1
        return good


def is_junk(name):
    """Whether a file or folder is hidden, or what a system leaves behind."""
    return any(part.startswith('.') or part in ('__MACOSX', 'lost+found') for part in name.split('/'))


def relative(name):
    """An archive entry's path, with '/' and without empty parts; None if it leads out of the archive: an absolute path,
    one with a drive letter, or one with '..'."""
    name = name.replace('\\', '/')
    parts = name.split('/')
    if name.startswith('/') or _DRIVE.match(name) or '..' in parts:
        return None
    return '/'.join(part for part in parts if part not in ('', '.'))


def to_line(name):
    """A name as a line of a list: as it is, or as a JSON string if a reader could take it for something else."""
    odd = '#' in name or name != name.strip() or name[:1] in ('', '"', '\ufeff') or name.startswith('./')
    return json.dumps(name) if odd or not name.isprintable() else name


def from_line(line):
    """(name, True) from a JSON string that a comment may follow; (the line, False) if there is none."""
    if line.lstrip().startswith('"'):
        text = line.lstrip()
        try:
            name, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return line, False
        if _COMMENT.fullmatch(text[end:]):
            return name, True
    return line, False
