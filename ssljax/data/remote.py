"""Files on buckets, by TensorFlow's file systems: only gs://, as TensorFlow Datasets has no other when TensorFlow is
installed."""

import io

from ssljax.storage.paths import is_url  # noqa: F401  (remote.is_url)

AT_A_TIME = 32  # requests: each has a latency


def check(url: str, asked: str) -> None:
    """Raises ValueError if TensorFlow reads no such URLs; asked: the field that has it."""
    from tensorflow.io import gfile

    known = [f'{scheme}://' for scheme in gfile.get_registered_schemes() if scheme]
    if not url.startswith(tuple(known)):
        raise ValueError(
            f'{asked}={url!r}: TensorFlow cannot read such URLs, only {", ".join(sorted(known))}. Copy the data to a '
            'disk, or mount the bucket as a folder.'
        )


def size(url: str) -> int:
    """Bytes of a file. These functions raise TensorFlow's OpError if there is none."""
    from tensorflow.io import gfile

    return gfile.stat(url).length


def read_at(url: str, place: int, length: int) -> bytes:
    """`length` bytes of a file from `place` on, or fewer at its end."""
    from tensorflow.io import gfile

    with gfile.GFile(url, 'rb') as file:
        file.seek(place)
        return file.read(length)


def read(url: str) -> bytes | None:
    """A whole file, or None if there is none."""
    from tensorflow.io import gfile

    if not gfile.exists(url):
        return None
    with gfile.GFile(url, 'rb') as file:
        return file.read()


def write(url: str, content: bytes) -> None:
    """Writes a whole file."""
    from tensorflow.io import gfile

    with gfile.GFile(url, 'wb') as file:
        file.write(content)


def stream(url: str, block: int) -> io.BufferedReader:
    """A file to be read front to back, `block` bytes at a time."""
    from tensorflow.io import gfile

    class Raw(io.RawIOBase):
        def __init__(self):
            self.file = gfile.GFile(url, 'rb')

        def readable(self):
            return True

        def readinto(self, out):
            data = self.file.read(len(out))
            out[: len(data)] = data
            return len(data)

    return io.BufferedReader(Raw(), block)
