"""Image files: folders and archives of them, and their decoding."""

import io
import mmap
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image, ImageOps, UnidentifiedImageError

from ssljax.data.memory import empty_images, parallel

_EXTENSIONS = frozenset('.jpg .jpeg .png .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .jfif'.split())
_SPLITS = {'train': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val', 'test': 'test'}
_UNLABELED = ('unlabeled', 'unlabelled')
_MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}
_DIGEST_BYTES = 2 << 30


class Files(NamedTuple):
    """Encoded images.

    Attributes:
      names: path of each inside the folder or archive, with '/'.
      sizes: bytes of each.
      crcs: CRC-32 of each, or None where only reading it tells.
      read: from a number to the bytes; may be called from several threads.
      folders: the folders seen, empty ones included.
    """

    names: Sequence[str]
    sizes: Sequence[int]
    crcs: list
    read: Callable[[int], bytes]
    folders: Sequence[str] = ()


class FileImages:
    """Images that are decoded when they are read, or once and for all by `array` or `decode_all`.

    A corrupt image that was not dropped by `decode_all` (a set that is streamed is not decoded in advance)
    is replaced by the next image with the same label when `corrupt` is 'skip': the batch keeps its shape and
    each label stays right, at the price of one image that appears twice. Each is named in a warning, once.

    Args:
      files: Files.
      order: int64 [N], the files this set holds.
      labels: int32 [N].
      shape: (H, W, C) that every image must have after `fit`.
      size, channels: as for `fit`.
      corrupt: 'skip' or 'refuse'.
      like: name of an image that has this shape, for messages.
    """

    def __init__(self, files, order, labels, *, shape, size, channels, corrupt, like):
        self.shape = tuple(shape)
        self.on_device, self.joined = {}, {}
        self._files, self._order, self._labels = files, np.asarray(order, np.int64), np.asarray(labels)
        self._fit = size, channels
        self._corrupt, self._like = corrupt, like
        self._named, self._array = set(), None
        self._crcs = {}

    def __len__(self):
        return len(self._order)

    def _decode(self, row):
        """One image, uint8 [H, W, C], or the exception of a corrupt one."""
        number = self._order[row]
        try:
            data = self._files.read(number)
            if self._files.crcs[number] is None:
                self._crcs[row] = zlib.crc32(data)
            image = decode(data, *self._fit)
        except MemoryError:
            raise
        except Exception as e:  # Pillow raises almost anything on a damaged file
            return e
        if image.shape != self.shape:
            raise ValueError(_mixed(self._like, self.shape, self._files.names[number], image.shape))
        return image

    def _refused(self, row, error):
        name = self._files.names[self._order[row]]
        if isinstance(error, UnidentifiedImageError):
            error = 'it is no image of a known format'
        if self._corrupt == 'refuse':
            return ValueError(
                f"The image {name!r} cannot be decoded ({error}): mend or remove it, or set config.data.corrupt='skip'."
            )
        if row not in self._named:
            self._named.add(row)
            logging.warning('Skipped the image %r, which cannot be decoded (%s).', name, error)
        return None

    def _one(self, row):
        image = self._decode(row)
        if not isinstance(image, Exception):
            return image
        if error := self._refused(row, image):
            raise error
        same = np.flatnonzero(self._labels == self._labels[row])
        for other in np.roll(same, -1 - int(np.searchsorted(same, row)))[:-1]:
            replacement = self._decode(other)
            if not isinstance(replacement, Exception):
                return replacement
        raise ValueError(f'No image with the label of {self._files.names[self._order[row]]!r} can be decoded.')

    def read(self, rows):
        """uint8 [n, H, W, C]."""
        if self._array is not None:
            return self._array[rows]
        images = np.empty((len(rows), *self.shape), np.uint8)
        for i, row in enumerate(rows):
            images[i] = self._one(row)
        return images

    def decode_all(self):
        """Decodes everything into memory, in parallel; returns the good rows, int64 [n], sorted.

        Raises:
          ValueError: an image is corrupt and `corrupt` is 'refuse', all are, or one has another size or
            channels.
        """
        array = empty_images(len(self), self.shape)
        bad = {}

        def run(start, stop):
            for row in range(start, stop):
                image = self._decode(row)
                if isinstance(image, Exception):
                    bad[row] = image
                    array[row] = 0
                else:
                    array[row] = image

        parallel(run, len(self), 64)
        for row in sorted(bad):
            if error := self._refused(row, bad[row]):
                raise error
        if len(bad) == len(self) and bad:
            raise ValueError(
                f'None of the {len(self)} images can be decoded; the first is '
                f'{self._files.names[self._order[0]]!r} ({bad[0]}).'
            )
        self._array = array
        return np.setdiff1d(np.arange(len(self)), list(bad))

    def array(self):
        """All images, uint8 [N, H, W, C], decoded at the first call."""
        if self._array is None:
            self.move(empty_images(len(self), self.shape))
        return self._array

    def move(self, target):
        """Makes `target`, uint8 [N, H, W, C], the place where the images lie."""
        if self._array is not None:
            target[...] = self._array
        else:

            def run(start, stop):
                target[start:stop] = self.read(range(start, stop))

            parallel(run, len(self), 64)
        self._array = target

    def in_memory(self):
        return self._array is not None

    def stamps(self, rows):
        """A few bytes for each of `rows` that change with the content: name, size and CRC-32 of the file.

        Where the files are larger than 2 GiB together, the CRC enters for an even sample of about that much.
        """
        numbers = self._order[rows]
        total = sum(self._files.sizes[n] for n in numbers)
        every = -(-total // _DIGEST_BYTES) or 1

        def stamp(item):
            place, row = item
            number = self._order[row]
            name, size, crc = self._files.names[number], self._files.sizes[number], 0
            if place % every == 0:
                crc = self._files.crcs[number]
                crc = self._crcs.get(row) if crc is None else crc
                if crc is None:
                    crc = self._crcs[row] = zlib.crc32(self._files.read(number))
            return f'{name}\0{size}\0{crc}\n'.encode()

        return [stamp(item) for item in enumerate(rows)]

    def names(self, rows):
        """The files' names, with their path in the folder or archive."""
        return [self._files.names[n] for n in self._order[rows]]


def decode(data, size=0, channels=0):
    """Decodes one image file.

    Args:
      data: bytes of the file.
      size, channels: as for `fit`.

    Returns:
      uint8 [H, W, C].
    """
    image = Image.open(io.BytesIO(data))
    if size and image.format == 'JPEG':
        scale = size / min(image.size)
        # Decodes at 1/2, 1/4 or 1/8 what the resize would throw away; never below the size asked for.
        image.draft(None, (int(np.ceil(image.width * scale)), int(np.ceil(image.height * scale))))
    return fit(image, size, channels)


def fit(image, size=0, channels=0):
    """Turns a Pillow image upright, then to `channels`, then to `size`.

    Args:
      image: Pillow image; its EXIF orientation is applied. Palettes become RGB, or RGBA where transparent;
        16-bit grey keeps its upper 8 bits; CMYK and the like become RGB.
      size: the shorter side is resized to it with antialiasing and the centre square is kept; 0 keeps the
        size.
      channels: 1, 3 or 4; 0 keeps the channels.

    Returns:
      uint8 [H, W, C].
    """
    if not image.info.keys().isdisjoint(('exif', 'xmp', 'XML:com.adobe.xmp')) or image.format == 'TIFF':
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode not in ('L', 'LA', 'RGB', 'RGBA'):
        image = _plain(image)
    if channels and image.mode != _MODES[channels]:
        image = image.convert(_MODES[channels])
    if size and image.size != (size, size):
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _plain(image):
    if image.mode.startswith('I'):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in ('1', 'F'):
        return image.convert('L')
    if image.mode == 'La':
        return image.convert('LA')
    if image.mode in ('PA', 'RGBa') or (image.mode == 'P' and 'transparency' in image.info):
        return image.convert('RGBA')
    return image.convert('RGB')


def _mixed(first, shape, second, other):
    if shape[2] != other[2]:
        return (
            f'The images have different numbers of channels: {first!r} has {shape[2]}, '
            f'{second!r} has {other[2]}; '
            'config.data.channels=1 or 3 converts them all.'
        )
    return (
        f'The images have different sizes: {first!r} is {shape[0]}x{shape[1]}, {second!r} is '
        f'{other[0]}x{other[1]}; set config.data.image_size to resize and crop them all.'
    )


def probe(files, order, size, channels):
    """Shape (H, W, C) and name of the first image that can be decoded.

    Raises:
      ValueError: none can be.
    """
    error = None
    for number in order:
        try:
            return decode(files.read(number), size, channels).shape, files.names[number]
        except MemoryError:
            raise
        except Exception as e:
            error = error or e
    raise ValueError(
        f'None of the {len(order)} images can be decoded; the first is {files.names[order[0]]!r} ({error}).'
    )


def layout(files, path):
    """Reads splits and classes from folder names.

    Returns:
      classes, tuple of str, sorted; and {'train' | 'val' | 'test' | 'unlabeled': (files int64 [n], labels
      int32 [n])}. Where there are only 'train' and 'val', 'val' is returned as 'test'.

    Raises:
      ValueError: an image lies in no class folder, a class folder holds no image, and the like.
    """
    if not files.names:
        raise ValueError(f'There is no image in {path!r}; known are files that end in {" ".join(sorted(_EXTENSIONS))}.')
    names = [tuple(name.split('/')) for name in files.names]
    folders = {tuple(folder.split('/')) for folder in files.folders}
    folders |= {name[:i] for name in names for i in range(1, len(name))}
    top = {name[0] for name in names if len(name) > 1} | {folder[0] for folder in folders}

    strange = sorted(folder for folder in top if split_kind(folder) is None)
    train = [folder for folder in top if split_kind(folder) == 'train']
    if train and not strange:
        where = {}
        for folder in sorted(top):
            if split_kind(folder) in where:
                raise ValueError(
                    f'The folders {where[split_kind(folder)]!r} and {folder!r} in {path!r} are the same '
                    'split: keep one.'
                )
            where[split_kind(folder)] = folder
    elif train and not any(len(name) == 2 and name[0] in train for name in names):
        raise ValueError(
            f'Beside the split folder {train[0]!r} in {path!r} there is {strange[0]!r}, which is no '
            'split: allowed are train, val, test and unlabeled.'
        )
    elif top and not strange:
        raise ValueError(
            f'The folders {sorted(top)} in {path!r} have no train folder and no classes beside them: '
            'put one folder per class inside a folder called train.'
        )
    else:
        where = {'train': ''}

    found = {'unlabeled': []}
    for number, name in enumerate(names):
        split = 'train' if where == {'train': ''} else split_kind(name[0])
        inner = name if where == {'train': ''} else name[1:]
        if split == 'unlabeled' or (split == 'train' and len(inner) > 1 and split_kind(inner[0]) == 'unlabeled'):
            found['unlabeled'].append((number, None))
        elif len(inner) < 2 or len(name) < 2:
            raise ValueError(
                f'The image {files.names[number]!r} in {path!r} lies in no class folder: put it into a '
                "folder named after its class, or into one called 'unlabeled'."
            )
        else:
            found.setdefault(split, []).append((number, inner[0]))

    depth = 1 if where == {'train': ''} else 2
    full = {name[:depth] for name in names}
    for folder in sorted(folders):
        if len(folder) == depth and folder not in full and not any(split_kind(f) == 'unlabeled' for f in folder):
            raise ValueError(f'The class folder {"/".join(folder)!r} in {path!r} holds no image: fill or remove it.')
    for split in where:
        if split != 'unlabeled' and not found.get(split):
            raise ValueError(f'The split folder {where[split]!r} in {path!r} holds no labelled image.')
    classes = tuple(sorted({label for _, label in found['train']}))
    number_of = {name: i for i, name in enumerate(classes)} | {None: -1}
    splits = {}
    for split, items in found.items():
        unknown = sorted({label for _, label in items} - set(number_of))
        if unknown:
            raise ValueError(f'The class {unknown[0]!r} of the {split} split in {path!r} has no training images.')
        splits[split] = (
            np.array([n for n, _ in items], np.int64),
            np.array([number_of[label] for _, label in items], np.int32),
        )
    if 'val' in splits and 'test' not in splits:
        splits['test'] = splits.pop('val')
    return classes, splits


def split_kind(folder):
    """'train', 'val', 'test' or 'unlabeled' for a name of such a split, else None."""
    folder = folder.lower()
    return 'unlabeled' if folder in _UNLABELED else _SPLITS.get(folder)


def listing(path):
    """Lists the images of a folder, a .zip or a .tar (.tar.gz, .tgz and so on), sorted by name.

    One folder around everything is left out of the names.

    A compressed tar has no random access, so its files are held in memory as they are, encoded.

    Raises:
      FileNotFoundError: there is no such path.
      ValueError: it is no archive that can be read.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f'There is no folder or archive {path!r} (from {os.getcwd()!r}).')
    if os.path.isdir(path):
        entries, folders, read = _folder(path)
    else:
        try:
            if zipfile.is_zipfile(path):
                entries, folders, read = _zip(path)
            elif tarfile.is_tarfile(path):
                entries, folders, read = _tar(path)
            else:
                raise ValueError('it is neither')
        except (ValueError, zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as e:
            raise ValueError(f'{path!r} cannot be read as a folder, .zip or .tar of images: {e}.') from e
    entries = sorted((name.replace('\\', '/').removeprefix('./'), *rest) for name, *rest in entries)
    entries = [e for e in entries if not _junk(e[0]) and os.path.splitext(e[0])[1].lower() in _EXTENSIONS]
    folders = [f.replace('\\', '/').removeprefix('./').strip('/') for f in folders]
    keys = [e[3] for e in entries]
    folders = [f for f in folders if f and not _junk(f)]
    names = [e[0] for e in entries]
    top = {name.split('/')[0] for name in names + folders}
    if len(top) == 1 and split_kind(*top) is None and all(name.count('/') > 1 for name in names):
        names = [name.split('/', 1)[1] for name in names]
        folders = [f.split('/', 1)[1] for f in folders if '/' in f]
    return Files(
        names=names,
        sizes=[e[1] for e in entries],
        crcs=[e[2] for e in entries],
        read=lambda number: read(keys[number]),
        folders=folders,
    )


def _junk(name):
    return any(part.startswith('.') or part == '__MACOSX' for part in name.split('/'))


def _folder(path):
    entries, folders = [], []
    for parent, inside, files in os.walk(path, followlinks=True):
        inside[:] = sorted(f for f in inside if not _junk(f))
        relative = os.path.relpath(parent, path)
        prefix = '' if relative == '.' else relative.replace(os.sep, '/') + '/'
        folders += [prefix + f for f in inside]
        for name in files:
            full = os.path.join(parent, name)
            entries.append((prefix + name, os.path.getsize(full) if os.path.exists(full) else 0, None, full))

    def read(full):
        with open(full, 'rb') as f:
            return f.read()

    return entries, folders, read


def _zip(path):
    """`ZipFile.read` costs more than the decoding of a small image; the stored and deflated files are cut
    out here."""
    archive = zipfile.ZipFile(path)
    with open(path, 'rb') as f:
        content = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    entries, folders = [], []
    for i in archive.infolist():
        if i.is_dir():
            folders.append(i.filename)
        else:
            entries.append((i.filename, i.file_size, i.CRC, i))

    def read(i):
        if i.flag_bits & 1:
            raise ValueError('it is encrypted')
        if i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return archive.read(i)
        magic, name, extra = struct.unpack_from('<4s22xHH', content, i.header_offset)
        start = i.header_offset + 30 + name + extra
        data = content[start : start + i.compress_size]
        data = zlib.decompress(data, -15) if i.compress_type == zipfile.ZIP_DEFLATED else data
        if magic != b'PK\3\4' or zlib.crc32(data) != i.CRC:
            raise ValueError('its bytes do not match its CRC')
        return data

    return entries, folders, read


def _tar(path):
    with open(path, 'rb') as f:
        plain = f.read(2) not in (b'\x1f\x8b', b'BZ', b'\xfd7', b'\x28\xb5')
        content = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    entries, folders, held = [], [], {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                folders.append(member.name)
            elif member.isreg() and not _junk(member.name.removeprefix('./')):
                key = (member.offset_data, member.offset_data + member.size)
                if not plain and os.path.splitext(member.name)[1].lower() in _EXTENSIONS:
                    held[key] = archive.extractfile(member).read()
                entries.append((member.name, member.size, None, key))
    return entries, folders, (lambda key: content[slice(*key)]) if plain else held.__getitem__
