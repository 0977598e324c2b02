"""A set of labelled images, in memory or decoded when it is read."""

import hashlib

import numpy as np
from absl import logging

from ssljax.data import copies
from ssljax.data.memory import cores, empty_images, parallel


class ArrayImages:
    """Images in memory: uint8 [N, H, W, C]. Never written to: device arrays may share the memory.

    Attributes:
      shape: (H, W, C).
      readers: how many threads should read at a time.
    """

    def __init__(self, array):
        if array.ndim != 4 or array.dtype != np.uint8 or not 1 <= array.shape[3] <= 4:
            raise ValueError(
                f'Images must be uint8 [N, H, W, C] with 1 to 4 channels, got {array.dtype} {list(array.shape)}.'
            )
        self.shape = array.shape[1:]
        self.readers = cores()
        self.on_device, self.joined = {}, {}
        self._array = array

    def __len__(self):
        return len(self._array)

    def read(self, rows):
        """uint8 [n, H, W, C]."""
        return self._array[rows]

    def array(self):
        """All images, uint8 [N, H, W, C]."""
        return self._array

    def move(self, target):
        """Makes `target`, uint8 [N, H, W, C], the place where the images are."""
        target[...] = self._array
        self._array = target

    def in_memory(self):
        return True

    def undecoded(self):
        """None: they are decoded (encoded.FileImages.undecoded)."""

    def parts(self):
        """[(the set, its first row)] of the sets that this one joins."""
        return [(self, 0)]

    def stamps(self, rows):
        """A few bytes for each of `rows` that change with the content: SHA-256 of the pixels."""
        return [hashlib.sha256(np.ascontiguousarray(self._array[row])).digest() for row in rows]

    def encoded(self, rows):
        """b'' for each: images in memory have no files."""
        return (b'' for _ in rows)

    def names(self, rows):
        """None: images in memory have no names."""
        return None


class JoinedImages:
    """Several sets one after the other. Once in memory, the parts share the memory of the whole."""

    def __init__(self, parts):
        self.shape = parts[0].shape
        self.readers = max(part.readers for part in parts)
        self.on_device, self.joined = {}, {}
        self._parts = parts
        self._starts = np.cumsum([0] + [len(part) for part in parts])
        self._array = None

    def __len__(self):
        return int(self._starts[-1])

    def parts(self):
        """[(the set, its first row)] of the sets that this one joins."""
        return list(zip(self._parts, self._starts))

    def _by_part(self, rows):
        rows = np.asarray(rows)
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:]):
            inside = np.flatnonzero((rows >= start) & (rows < stop))
            if len(inside):
                yield part, inside, rows[inside] - start

    def read(self, rows):
        images = np.empty((len(rows), *self.shape), np.uint8)
        for part, inside, local in self._by_part(rows):
            images[inside] = part.read(local)
        return images

    def exact(self, rows):
        """As `read`, but no image stands for another (encoded.FileImages.exact)."""
        images = np.empty((len(rows), *self.shape), np.uint8)
        for part, inside, local in self._by_part(rows):
            images[inside] = getattr(part, 'exact', part.read)(local)
        return images

    def attempt(self, rows):
        """As encoded.FileImages.attempt."""
        images = np.empty((len(rows), *self.shape), np.uint8)
        for part, inside, local in self._by_part(rows):
            images[inside] = getattr(part, 'attempt', part.read)(local)
        return images

    def bad(self):
        """{row: why} of the images that are known to be corrupt."""
        parts = [(p, int(s)) for p, s in zip(self._parts, self._starts) if hasattr(p, 'bad')]
        return {start + row: why for part, start in parts for row, why in part.bad().items()}

    def checked(self, rows):
        """Whether each of `rows` is known to be corrupt or not."""
        return all(part.checked(local) for part, _, local in self._by_part(rows) if hasattr(part, 'checked'))

    def sound(self, rows):
        """As encoded.FileImages.sound."""
        return all(part.in_memory() or part.sound(local) for part, _, local in self._by_part(rows))

    def settled(self):
        """Whether all are known to be corrupt or not, and decoded."""
        return all(part.settled() for part in self._parts if hasattr(part, 'settled'))

    def refuses(self):
        """Whether a corrupt image is an error wherever it is read."""
        return all(part.refuses() for part in self._parts if hasattr(part, 'refuses'))

    def array(self):
        if self._array is None:
            self.move(empty_images(len(self), self.shape))
        return self._array

    def move(self, target):
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:]):
            part.move(target[start:stop])
        self._array = target

    def in_memory(self):
        return self._array is not None

    def stamps(self, rows):
        stamps = np.empty(len(rows), object)
        for part, inside, local in self._by_part(rows):
            stamps[inside] = part.stamps(local)
        return list(stamps)

    def encoded(self, rows):
        """The bytes of each image's file; b'' for one that has none."""
        for row in rows:
            ((part, _, local),) = self._by_part([row])
            yield from part.encoded(local)

    def names(self, rows):
        names = np.empty(len(rows), object)
        for part, inside, local in self._by_part(rows):
            own = part.names(local)
            if own is None:
                return None
            names[inside] = own
        return list(names)


class Split:
    """N images with their labels. Splits made by `take` and `hide` share the images of the first one.

    Attributes:
      images: the set the rows belong to: ArrayImages, JoinedImages or encoded.FileImages.
      rows: int64 [N], rows of `images`.
      labels: int32 [N], -1 where unknown.
      groups: int64 [N], the same number for images that must stay together, such as those of one patient, -1 if one is
        alone; None if all are.
      contents: uint64 [N], a hash of each image, once `digest` was called.
      replaces: whether a corrupt image is replaced by another: only if all labels were hidden.
    """

    def __init__(self, images, labels, rows=None, replaces=False, groups=None):
        self.images, self.replaces, self.groups = images, replaces, groups
        self.rows = np.arange(len(images)) if rows is None else np.asarray(rows, np.int64)
        self.labels = np.asarray(labels, np.int32)
        self._compact = self._digest = self.contents = self._copied = None
        if self.labels.shape != self.rows.shape:
            raise ValueError(
                f'There must be one label per image, got labels of shape {list(self.labels.shape)} '
                f'for {len(self.rows)} images.'
            )

    def __len__(self):
        return len(self.rows)

    @property
    def shape(self):
        """(H, W, C) of one image."""
        return tuple(self.images.shape)

    @property
    def nbytes(self):
        """Size of the decoded uint8 set."""
        return len(self) * int(np.prod(self.shape))

    def read(self, indices):
        """Decoded images, uint8 [n, H, W, C]; `indices` count within this split.

        Raises:
          ValueError: an image is corrupt and config.data.corrupt is 'refuse' or the split does not replace it, or
            it has another size than the rest.
        """
        return self._read(self.rows[indices])

    def _read(self, rows):
        read = self.images.read
        return (read if self.replaces else getattr(self.images, 'exact', read))(rows)

    def take(self, indices):
        """The Split of the given rows; `indices` count within this split."""
        groups = None if self.groups is None else self.groups[indices]
        return Split(self.images, self.labels[indices], self.rows[indices], self.replaces, groups)

    def hide(self):
        """The same images with every label -1."""
        return Split(self.images, np.full(len(self), -1), self.rows, replaces=True, groups=self.groups)

    def relabel(self, labels):
        """The same images with other labels, [N] int."""
        return Split(self.images, labels, self.rows, self.replaces, self.groups)

    def names(self):
        """The images' names, [N] str, or None if they are not files."""
        return self.images.names(self.rows)

    def compact(self):
        """A Split in memory that holds only the images of this one; decoded once."""
        if self._compact is None:
            array = empty_images(len(self), self.shape)

            def run(start, stop):
                array[start:stop] = self._read(self.rows[start:stop])

            parallel(run, len(self), 64, self.images.readers, 'decoding images')
            self._compact = Split(ArrayImages(array), self.labels)
        return self._compact

    def copied(self):
        """bool [N]: whether another image here is a copy of it (copies.together); looked for once."""
        if self._copied is None:
            group = copies.together(self)
            self._copied = np.bincount(group, minlength=len(self))[group] > 1
        return self._copied

    def without(self, rows):
        """The Split of the other rows; which of them have copies is looked for once."""
        kept = np.setdiff1d(np.arange(len(self)), rows)
        rest = self.take(kept)
        rest._copied = None if self._copied is None else self._copied[kept]
        return rest

    def digest(self):
        """Hex SHA-256 of the content, the labels and their order.

        Arrays enter by their pixels; files by name, size and CRC-32 (see encoded.FileImages.stamps).
        """
        if self._digest is None:
            sha = hashlib.sha256(repr(self.shape).encode())
            sha.update(np.ascontiguousarray(self.labels, '<i4').tobytes())
            stamps = self.images.stamps(self.rows)
            for stamp in stamps:
                sha.update(stamp)
            hashes = (stamp if len(stamp) == 32 else hashlib.sha256(stamp).digest() for stamp in stamps)
            self.contents = np.frombuffer(b''.join(h[:8] for h in hashes), '<u8').astype(np.uint64)
            self._digest = sha.hexdigest()
        return self._digest


def concat(splits):
    """One Split from several, in the order given. Joining the same sets again gives the same joined set.

    Raises:
      ValueError: there is nothing to join, or the images differ in shape.
    """
    splits = list(splits)
    shapes = sorted({split.shape for split in splits})
    if len(shapes) != 1:
        raise ValueError(
            f'Only splits of one image shape can be joined, got {shapes}: '
            'set config.data.image_size and config.data.channels.'
        )
    sets = list({id(split.images): split.images for split in splits}.values())
    starts = np.cumsum([0] + [len(images) for images in sets])
    joined = sets[0]
    if len(sets) > 1:
        joined = sets[0].joined.setdefault(tuple(sets[1:]), JoinedImages(sets))
    start_of = {id(images): start for images, start in zip(sets, starts)}
    rows = np.concatenate([split.rows + start_of[id(split.images)] for split in splits])
    labels, replaces = np.concatenate([split.labels for split in splits]), all(split.replaces for split in splits)
    groups = None
    if any(split.groups is not None for split in splits):
        groups = np.concatenate([np.full(len(s), -1) if s.groups is None else s.groups for s in splits])
    return Split(joined, labels, rows, replaces, groups)


def apart(split, held, told=''):
    """A Split without the images that are in a group of `held`; told: whose they are, for a warning."""
    if split.groups is None or held.groups is None:
        return split
    out = np.isin(split.groups, held.groups[held.groups >= 0])
    if out.any() and told:
        logging.warning('%d unlabelled images are left out: they belong to %s.', out.sum(), told)
    return split.take(np.flatnonzero(~out)) if out.any() else split
