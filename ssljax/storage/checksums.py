"""Checksums of a directory's files: Orbax and its storage do not notice a flipped bit in the values of weights."""

import zlib
from pathlib import Path

from ssljax.storage import files
from ssljax.storage.disk import disk_errors

NAME = 'checksums.json'


def write(directory) -> None:
    """Notes the size and CRC-32 of every file under `directory` in its checksums.json."""
    with disk_errors(directory):
        found = {name: _of(path) for name, path in _files(Path(directory)).items()}
    files.write_json(Path(directory) / NAME, found)


def verify(directory) -> bool:
    """Whether checksums were noted; if they were, all files are as they were then.

    Raises:
      files.Damaged: one is not; the message names it.
      OSError: there is no permission to read one.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise files.Damaged(directory, 'it is not a directory')
    noted, found = files.read_json(directory / NAME), _files(directory)
    if noted is not None and not (noted and all(isinstance(v, list) and len(v) == 2 for v in noted.values())):
        raise files.Damaged(directory / NAME, 'it has no checksums')
    for path in found.values() if noted is None else ():
        with disk_errors(path), open(path, 'rb'):
            continue
    for name, (size, crc) in (noted or {}).items():
        if name not in found:
            raise files.Damaged(directory / name, 'it is missing')
        with disk_errors(found[name]):
            if found[name].stat().st_size != size:
                raise files.Damaged(found[name], f'it has {found[name].stat().st_size} bytes, not {size}')
            if _of(found[name])[1] != crc:
                raise files.Damaged(found[name], 'its content does not match its checksum')
    return noted is not None


def _files(directory: Path) -> dict:
    paths = sorted(p for p in directory.rglob('*') if p.is_file() and p != directory / NAME)
    return {str(p.relative_to(directory)): p for p in paths}


def _of(path: Path) -> list:
    size = crc = 0
    with files.bad_sectors(path), open(path, 'rb') as f:
        while block := f.read(2**22):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return [size, f'{crc:08x}']
