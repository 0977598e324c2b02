"""One place on a bucket: its objects by name, through fsspec."""

import contextlib
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from ssljax.storage.paths import is_url

DRIVERS = {'s3': 's3fs', 'gs': 'gcsfs', 'gcs': 'gcsfs'}
AT_A_TIME = 8  # objects that are copied at once


class BucketError(ValueError):
    """A bucket that cannot be used, as a message for the user."""


class Used(BucketError):
    """Another run is using the directory."""


class Taken(Exception):
    """An object of this name was there already."""


class Store:
    """The objects under a URL such as s3://BUCKET/runs/rotnet.

    Raises:
      BucketError: by all methods: there is no driver, the bucket refuses, or it cannot be reached.
    """

    def __init__(self, url: str):
        self.url = url.rstrip('/')
        scheme, _, root = self.url.partition('://')
        if not is_url(url) or not root.strip('/'):
            raise BucketError(f'{url!r} is not a place on a bucket: give a URL such as s3://BUCKET/runs/NAME.')
        self.root = root if scheme != 'file' else f'/{root.lstrip("/")}'
        with self._told('opened'):
            import fsspec  # not at the top: only those who use buckets need it

            options = {'auto_mkdir': True} if scheme == 'file' else {}
            self.fs = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)

    def read(self, name: str) -> bytes | None:
        """An object, or None if there is none."""
        with self._told('read'):
            try:
                return self.fs.cat_file(self._key(name))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes, new: bool = False) -> None:
        """Writes an object, whole or not at all; with `new`, raises Taken if there is one."""
        with self._told('written to'):
            try:
                self.fs.pipe_file(self._key(name), content, mode='create' if new else 'overwrite')
            except FileExistsError as e:
                raise Taken from e

    def names(self, under: str = '') -> dict:
        """{name: its size in bytes} of the objects under a prefix."""
        with self._told('listed'):
            try:
                found = self.fs.find(self._key(under), detail=True)
            except FileNotFoundError:
                return {}
            start = len(self.root.strip('/')) + 1
            return {key.strip('/')[start:]: entry['size'] for key, entry in found.items()}

    def age(self, name: str, of: str) -> float:
        """By how many seconds the object `name` is older than the object `of`, by the clock of the bucket."""
        with self._told('read'):
            return (self.fs.modified(self._key(of)) - self.fs.modified(self._key(name))).total_seconds()

    def stamp(self, name: str) -> str:
        """A string that changes when an object is replaced; '' if there is none."""
        with self._told('read'):
            try:
                entry = self.fs.info(self._key(name))
            except FileNotFoundError:
                return ''
            if entry.get('type') != 'file':
                return ''
            keys = 'size', 'ETag', 'etag', 'generation', 'mtime', 'created'
            return repr([str(entry[k]) for k in keys if k in entry])

    def upload(self, files: Mapping[str, Path]) -> None:
        """Writes {name: path of its content}, several at once."""
        if files:
            with self._told('written to'):
                keys = [self._key(name) for name in files]
                self.fs.put([str(path) for path in files.values()], keys, batch_size=AT_A_TIME)

    def download(self, name: str, path: Path) -> tuple | None:
        """Reads an object into a file; returns its (size, CRC-32), or None if there is no such object."""
        with self._told('read'):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.fs.get_file(self._key(name), str(path))
            except FileNotFoundError:
                path.unlink(missing_ok=True)
                return None
        return of_file(path)

    def remove(self, names) -> None:
        """Removes objects; those that are already gone are not an error."""
        with self._told('written to'):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    self.fs.rm_file(self._key(name))

    def _key(self, name: str) -> str:
        return f'{self.root}/{name}'.rstrip('/')

    @contextlib.contextmanager
    def _told(self, what: str):
        """Turns the errors of drivers, of every kind, their own and their libraries', into BucketError."""
        try:
            yield
        except (BucketError, Taken):
            raise
        except ImportError as e:
            driver = DRIVERS.get(self.url.split('://')[0], 'its driver')
            raise BucketError(f"{self.url} needs {driver}: pip install 'ssljax[buckets]'.") from e
        except Exception as e:
            said = re.sub(r'\s+', ' ', str(e)).strip().rstrip('.') or type(e).__name__
            raise BucketError(
                f'{self.url} cannot be {what} ({said[:300]}): check the name of the bucket, the credentials and the '
                'network.'
            ) from e


def of_file(path) -> tuple:
    """(size, CRC-32) of a file, or of bytes."""
    if isinstance(path, bytes):
        return len(path), zlib.crc32(path)
    size = crc = 0
    with open(path, 'rb') as f:
        while block := f.read(2**22):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return size, crc


def cache() -> Path:
    """Where the local copies are: SSLJAX_BUCKETS, or else ~/.cache/ssljax/buckets."""
    return Path(os.path.expanduser(os.environ.get('SSLJAX_BUCKETS') or '~/.cache/ssljax/buckets'))


def folder(url: str, kind: str) -> Path:
    """The folder of the local copy of a URL."""
    slug = re.sub(r'[^\w.-]+', '-', url)[-80:].strip('-.')
    return cache() / kind / f'{slug}-{zlib.crc32(url.rstrip("/").encode()):08x}'
