"""Processes that decode image files: threads that decode small ones wait for Python's lock longer than they decode.

python -m ssljax.data.decoders NUMBER     (started by `decode_into` and `call`; from stdin to stdout)

Pixels come back through memory that both processes have mapped, a file without a name, whose descriptor is NUMBER.
"""

import functools
import math
import mmap
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import zlib

import numpy as np
from absl import logging

from ssljax.data import decode
from ssljax.data.memory import cores
from ssljax.processes import preempt

_KEPT = 32 << 20  # bytes that glibc keeps for the next image, which would otherwise be given back and taken anew
_MOST = 16  # processes: by then this one has enough to do with what they decode
_starting, _here = threading.Lock(), threading.Lock()


def number():
    """How many threads should call `decode_into` or `call` at a time."""
    return min(cores(), _MOST)


def decode_into(images, keys, reader, fit, crcs=None):
    """Reads and decodes files in a separate process; in this one while those start.

    Args:
      images: uint8 [n, H, W, C], written to.
      keys: where the n files are, for `reader`.
      reader: from a key to the bytes of a file; picklable.
      fit: decode.Fit.
      crcs: uint32 [n], written to, or None: CRC-32 of the files.

    Returns:
      bool [n], false where a file cannot be read, is corrupt or has another shape: `images` and `crcs` are undefined
      there.
    """
    return _apart('decode_into', lambda: _decode(images, keys, reader, fit, crcs), images, keys, reader, fit, crcs)


def call(work, *arguments):
    """work(*arguments) in a separate process; in this one while those start. All of it must be picklable; an error in
    `work` ends the process."""
    return _apart('call', lambda: work(*arguments), work, *arguments)


def _apart(method: str, here, *arguments):
    """What the method of an idle process returns; without one, here()."""
    with _starting:
        idle = _processes()
    try:
        process = idle.get_nowait()
    except queue.Empty:
        with _here:
            return here()
    try:
        found = getattr(process, method)(*arguments)
    except (OSError, EOFError) as e:
        logging.warning('A process that decodes images has died (%s); continuing without it.', e)
        return _apart(method, here, *arguments)
    idle.put(process)
    return found


@functools.cache
def _processes():
    """The idle processes. They are added when they are ready, and end when this process does, however that ends."""
    idle = queue.SimpleQueue()
    for _ in range(number()):
        threading.Thread(target=lambda: idle.put(_Process()), daemon=True).start()
    return idle


class _Process:
    def __init__(self):
        """Returns when it is ready."""
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        kept = {f'MALLOC_{name}_THRESHOLD_': str(_KEPT) for name in ('TRIM', 'MMAP')}
        environment = kept | os.environ | {'PYTHONPATH': paths, 'OPENBLAS_NUM_THREADS': '1'}
        self._file = (
            os.fdopen(os.memfd_create('images'), 'wb') if hasattr(os, 'memfd_create') else tempfile.TemporaryFile()
        )
        number, pipe = self._file.fileno(), subprocess.PIPE
        command = [sys.executable, '-P', '-m', __name__, str(number)]
        alone = dict(start_new_session=True)  # out of the terminal's reach: no signal comes while it starts
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, pass_fds=[number], **alone)
        self._pixels = _Pixels(number)
        self._process.stdout.read(1)

    def decode_into(self, images, keys, reader, fit, crcs):
        if os.fstat(self._file.fileno()).st_size < images.nbytes:
            self._file.truncate(images.nbytes)
        request = images.shape, keys, reader, fit, crcs is not None
        pickle.dump(request, self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        good = np.empty(len(keys), bool)
        for array in (good,) if crcs is None else (good, crcs):
            if self._process.stdout.readinto(array.data.cast('B')) < array.nbytes:
                raise EOFError(f'code {self._process.wait()}')
        images[...] = self._pixels.array(images.shape)
        return good

    def call(self, work, *arguments):
        pickle.dump((work, *arguments), self._process.stdin, pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)


class _Pixels:
    """The memory that two processes share."""

    def __init__(self, number: int):
        """number: the file's descriptor."""
        self._number, self._map = number, b''

    def array(self, shape):
        """Its first bytes, uint8 of a shape that the file is large enough for."""
        size = math.prod(shape)
        if len(self._map) < size:
            self._map = mmap.mmap(self._number, 0)
        return np.frombuffer(self._map, np.uint8, size).reshape(shape)


def _decode(images, keys, reader, fit, crcs):
    good = np.zeros(len(keys), bool)
    for i, (key, out) in enumerate(zip(keys, images)):
        try:
            data = reader(key)
            image = decode.decode(data, *fit, out=out)
        except Exception:  # Pillow raises almost anything on a damaged file
            continue
        if image.shape == out.shape:
            good[i] = True
            if image is not out:
                out[...] = image
            if crcs is not None:
                crcs[i] = zlib.crc32(data)
    return good


def _serve(requests, answers, pixels):
    """Says that it is ready, and answers until there are no more requests; pixels: _Pixels."""
    answers.write(b'.')
    answers.flush()
    while requests.peek(1):
        request = pickle.load(requests)
        if callable(request[0]):
            pickle.dump(request[0](*request[1:]), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            continue
        shape, keys, reader, fit, wants_crcs = request
        crcs = np.zeros(len(keys), np.uint32) if wants_crcs else None
        answers.write(_decode(pixels.array(shape), keys, reader, fit, crcs))
        if wants_crcs:
            answers.write(crcs)
        answers.flush()


if __name__ == '__main__':
    for signum in preempt.SIGNALS:  # meant for the process that asks
        signal.signal(signum, signal.SIG_IGN)
    try:
        _serve(sys.stdin.buffer, sys.stdout.buffer, _Pixels(int(sys.argv[1])))
    except BrokenPipeError:  # nobody asks any more
        os._exit(1)
