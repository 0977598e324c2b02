"""A set of encoded images: decoded when they are read, once into memory, or once on disk (cache.py)."""

import errno
import hashlib
import zlib

import numpy as np
from absl import logging
from PIL import UnidentifiedImageError

from ssljax.data import decode, decoders, depth, formats, kinds, remote
from ssljax.data.archive import Changed
from ssljax.data.memory import empty_images, parallel
from ssljax.data.shards import Table

_DIGEST_BYTES = 2 << 30
_LARGE = 8 << 20  # bytes of files that take longer to decode than processes to start


class FileImages:
    """Images that are decoded when they are read, or once and for all by `array` or `decode_all`.

    When `corrupt` is 'skip', `read` replaces a corrupt image by the next one with the same label: a stream of
    unlabelled images keeps the shape of its batches, at the price of one image that appears twice. `exact` never does;
    what is evaluated or has labels is read by it (readable.py). Each corrupt image is named in a warning, once.

    Args:
      files: Files.
      order: int64 [N], the files this set holds.
      labels: int32 [N].
      shape: (H, W, C) that every image must have after `decode.fit`.
      fit: decode.Fit.
      corrupt: 'skip' or 'refuse'.
      like: name of an image that has this shape, for messages.
    """

    def __init__(self, files, order, labels, *, shape, fit, corrupt, like):
        self.shape = tuple(shape)
        self.on_device, self.joined = {}, {}
        self._files, self._order, self._labels = files, np.asarray(order, np.int64), np.asarray(labels)
        self._fit, self.span = fit, fit.span
        self._corrupt, self._like = corrupt, like
        self._named, self._array, self._decoded, self._whole = set(), None, None, False
        self._crcs, self._bad, self._good = {}, {}, np.zeros(len(self._order), bool)
        # Threads would wait for Python's lock: small files are decoded faster by one thread than by two.
        large = sum(files.sizes[n] for n in self._order) >= _LARGE
        self.readers = decoders.number() if large else 1
        self._apart = files.portable and self.readers > 1
        if isinstance(files.keys, Table) and not files.portable:
            self.readers = remote.AT_A_TIME

    def __len__(self):
        return len(self._order)

    def _decode(self, row):
        """One image, uint8 [H, W, C], or the exception of a corrupt one."""
        if self._decoded is not None:
            why = self._decoded.corrupt.get(int(row))
            return self._cached([row])[0] if why is None else ValueError(why)
        return self._decode_file(row)

    def _decode_file(self, row):
        number = self._order[row]
        try:
            data = self._files.read(number)
            if self._files.crcs[number] is None:
                self._crcs[row] = zlib.crc32(data)
            image = decode.decode(data, *self._fit)
        except (MemoryError, Changed):
            raise
        except (depth.OtherDepth, formats.Missing) as e:
            raise ValueError(f'The image {self._files.names[number]!r} {e}.') from e
        except UnidentifiedImageError as e:
            return ValueError(decode.reason(e))
        except Exception as e:  # Pillow raises almost anything on a damaged file
            if isinstance(e, OSError) and e.errno in (errno.EMFILE, errno.ENFILE):
                raise
            if isinstance(e, OSError) and e.errno and row in self._crcs:
                raise Changed(
                    f'{self._files.names[number]!r} could be read before but no longer can be ({e.strerror}): restore '
                    'it and rerun the same command.'
                ) from e
            return e
        if image.shape != self.shape:
            raise ValueError(decode.mixed(self._like, self.shape, self._files.names[number], image.shape))
        return image

    def _cached(self, rows, out=None):
        """uint8 [n, H, W, C] from cache.Decoded; what is damaged there is decoded from its file."""
        images, damaged = self._decoded.take(rows, out)
        for i in damaged:
            image = self._decode_file(int(rows[i]))
            if isinstance(image, Exception):
                raise ValueError(f'{self._files.names[self._order[rows[i]]]!r} cannot be decoded again ({image}).')
            images[i] = image
        return images

    def _most(self, rows, images):
        """Puts most of the images of `rows` into `images`, from the cache, or decoded in other processes if that is
        faster; returns the places that are left to do."""
        if self._decoded is not None:
            self._cached(rows, images)
            return np.flatnonzero(np.isin(rows, list(self._decoded.corrupt)))
        if not self._apart or not len(rows):
            return range(len(rows))
        numbers = self._order[rows]
        keys = [self._files.keys[number] for number in numbers.tolist()]
        unknown = len(self._crcs) < len(self) and self._files.crcs[0] is None
        crcs = np.empty(len(rows), np.uint32) if unknown else None
        good = decoders.decode_into(images, keys, self._files.reader, self._fit, crcs)
        if unknown:
            self._crcs.update(zip(np.asarray(rows)[good].tolist(), crcs[good].tolist()))
        return np.flatnonzero(~good)

    def _refused(self, row, error):
        name = self._files.names[self._order[row]]
        if self._corrupt == 'refuse':
            return ValueError(
                f'The image {name!r} cannot be decoded ({error}): repair or remove it, or set '
                "config.data.corrupt='skip'."
            )
        if row not in self._named:
            self._named.add(row)
            logging.warning('Skipped the image %r, which cannot be decoded (%s).', name, error)
        return None

    def _one(self, row):
        image = self._decode(row)
        if not isinstance(image, Exception):
            return image
        self._bad[int(row)] = str(image)
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
        for i in self._most(rows, images):
            images[i] = self._one(rows[i])
        return images

    def exact(self, rows):
        """As `read`, but no image stands for another.

        Raises:
          ValueError: one of them cannot be decoded.
        """
        images = self.attempt(rows)
        for row in np.asarray(rows).tolist() if self._bad else ():
            if row in self._bad:
                raise ValueError(
                    f'The image {self._files.names[self._order[row]]!r} cannot be decoded ({self._bad[row]}): restore '
                    'or remove it; no other image may replace it here.'
                )
        return images

    def attempt(self, rows):
        """uint8 [n, H, W, C], 0 where an image is corrupt; `bad` then has it.

        Raises:
          ValueError: an image is corrupt and `corrupt` is 'refuse'.
        """
        rows = np.asarray(rows)
        if self._array is not None:
            return self._array[rows]
        if self._decoded is not None:
            return self._cached(rows)
        images = np.zeros((len(rows), *self.shape), np.uint8)
        left = set(np.asarray(self._most(rows, images)).tolist())
        for i, row in enumerate(rows.tolist()):
            image = self._decode(row) if i in left else None
            if isinstance(image, Exception):
                self._bad[row] = str(image)
                images[i] = 0
                if error := self._refused(row, image):
                    raise error
            elif image is not None:
                images[i] = image
            self._good[row] = row not in self._bad
        return images

    def bad(self):
        """{row: why} of the images that are known to be corrupt."""
        return dict(self._bad)

    def checked(self, rows):
        """Whether each of `rows` is known to be corrupt or not."""
        return all(self._good[row] or row in self._bad for row in np.asarray(rows).tolist())

    def sound(self, rows):
        """Whether each of `rows` is known to be whole though it was not decoded: so in prepared datasets, whose records
        were looked at once (shard_index.py)."""
        table = self._files.keys
        return isinstance(table, Table) and bool(np.all(table.about.kind[self._order[rows]] != kinds.OTHER))

    def settled(self):
        """Whether all are known to be corrupt or not, and decoded."""
        return self._decoded is not None or self._whole

    def refuses(self):
        """Whether a corrupt image is an error wherever it is read."""
        return self._corrupt == 'refuse'

    def decode_all(self):
        """Decodes everything into memory, in parallel; returns the good rows, int64 [n], sorted.

        Raises:
          ValueError: as for `decode_each`.
        """
        array = empty_images(len(self), self.shape)

        def put(start, images):
            array[start : start + len(images)] = images

        bad = self.decode_each(put)
        self._array, self._whole = array, True
        return np.setdiff1d(np.arange(len(self)), list(bad))

    def decode_each(self, put):
        """Decodes everything in pieces, in parallel; returns {row: exception} of the corrupt images.

        Args:
          put: called from several threads with the first row of a piece and its images, uint8 [n, H, W, C],
            0 where they are corrupt.

        Raises:
          ValueError: an image is corrupt and `corrupt` is 'refuse', all are, or one has another size or
            channels.
        """
        bad = {}

        def run(start, stop):
            images, rows = np.zeros((stop - start, *self.shape), np.uint8), range(start, stop)
            for i in self._most(rows, images):
                image = self._decode(rows[i])
                if isinstance(image, Exception):
                    bad[rows[i]] = image
                else:
                    images[i] = image
            put(start, images)

        parallel(run, len(self), 64, self.readers, 'decoding images')
        self._bad |= {row: str(why) for row, why in bad.items()}
        for row in sorted(bad):
            if error := self._refused(row, bad[row]):
                raise error
        if len(bad) == len(self) and bad:
            raise ValueError(
                f'None of the {len(self)} images can be decoded; the first is '
                f'{self._files.names[self._order[0]]!r} ({bad[0]}).'
            )
        return bad

    def use(self, decoded):
        """Takes every image from cache.Decoded instead of decoding it."""
        self._decoded, self.readers = decoded, 1
        self._bad |= decoded.corrupt
        for row, why in sorted(decoded.corrupt.items()):
            if error := self._refused(row, why):
                raise error

    def identity(self):
        """Hex SHA-256 of what the pixels depend on: names, sizes and CRC-32 of the files (see `stamps`; where these are
        known without reading, all of them), shape and fit, and the decoder's version."""
        known = [self._files.crcs[n] for n in self._order]
        sha = hashlib.sha256(f'({self.shape!r}, {self._fit.key()}, {decode.version()!r}, {known!r})'.encode())
        for stamp in self.stamps(range(len(self))):
            sha.update(stamp)
        return sha.hexdigest()

    def undecoded(self):
        """(folder.Files, int64 [N], the numbers of the images in it, decode.Fit), for code that decodes them in another
        way; None if they are decoded."""
        there = self._array is not None or self._decoded is not None
        return None if there else (self._files, self._order, self._fit)

    def parts(self):
        """[(the set, its first row)] of the sets that this one joins."""
        return [(self, 0)]

    def array(self):
        """All images, uint8 [N, H, W, C], decoded at the first call."""
        if self._array is None:
            self.move(empty_images(len(self), self.shape))
        return self._array

    def move(self, target):
        """Makes `target`, uint8 [N, H, W, C], the place where the images are kept."""
        if self._array is not None:
            target[...] = self._array
        else:

            def run(start, stop):
                target[start:stop] = self.read(range(start, stop))

            parallel(run, len(self), 64, self.readers, 'decoding images')
        self._array = target

    def in_memory(self):
        return self._array is not None

    def stamps(self, rows):
        """A few bytes for each of `rows` that change with the content: name, size and CRC-32 of the file.

        If the files are larger than 2 GiB together, the CRC enters for an even sample of about that much.
        """
        numbers = self._order[rows].tolist()
        total = sum(self._files.sizes[n] for n in numbers)
        every = -(-total // _DIGEST_BYTES) or 1

        def stamp(place, row, number):
            name, size, crc = self._files.names[number], self._files.sizes[number], 0
            if place % every == 0:
                crc = self._files.crcs[number]
                crc = self._crcs.get(row) if crc is None else crc
                if crc is None:
                    crc = self._crcs[row] = zlib.crc32(self._files.read(number))
            return f'{name}\0{size}\0{crc}\n'.encode('utf-8', 'surrogatepass')  # names may not be UTF-8

        return [stamp(*item) for item in zip(range(len(numbers)), rows, numbers)]

    def sizes(self, rows):
        """int64 [n]: bytes of the files."""
        return np.array([self._files.sizes[n] for n in self._order[rows]], np.int64)

    def encoded(self, rows):
        """The files' bytes, as they come; b'' for one that cannot be read."""
        for number in self._order[rows]:
            try:
                yield self._files.read(number)
            except (MemoryError, Changed):
                raise
            except Exception:  # a damaged archive raises almost anything
                yield b''

    def names(self, rows):
        """The files' names, with their path in the folder or archive."""
        return [self._files.names[n] for n in self._order[rows]]
