"""Snapshots: a folder on a bucket as it was at one moment, never a mixture of two.

A snapshot is an object .ssljax/snapshots/NUMBER.json with the name, key, size, CRC-32 and time of every file, written
when all of them are there. Files of checkpoints never change and lie under their own names. What does change, such as
metrics.jsonl, lies under a name with its checksum, so that a later version leaves earlier snapshots as they are; a copy
under its own name is for people. The last two snapshots are kept.
"""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from absl import logging

from ssljax.buckets.store import Store, Taken, of_file  # noqa: F401  (snapshot.Taken)
from ssljax.storage import files

OWN = '.ssljax'
SNAPSHOTS = f'{OWN}/snapshots'
VERSIONS = f'{OWN}/versions'
FIXED = re.compile(r'(?:.*/)?(?:model|checkpoints)/\d+/.+')  # of a checkpoint, which is complete when it has this name
LEFT_OUT = re.compile(r'\.lock|\.shared|\..*\.\d{1,9}|.*\.damaged\d*|.*orbax-checkpoint-tmp.*')  # any part of a path


class Entry(NamedTuple):
    """A file of a snapshot: its key on the bucket, size, CRC-32 and time in ns."""

    key: str
    size: int
    crc: int
    time: int


class Snapshot(NamedTuple):
    """The files {name: Entry} of the snapshot `number`; 0 with no file is what a new run begins with."""

    number: int = 0
    files: dict[str, Entry] = {}


def path_of(number: int) -> str:
    """The name of a snapshot's object."""
    return f'{SNAPSHOTS}/{number:09d}.json'


def numbers(store: Store) -> list[int]:
    """The numbers of the snapshots that are there, the newest first."""
    found = (Path(name).stem for name in store.names(SNAPSHOTS))
    return sorted((int(stem) for stem in found if stem.isdigit()), reverse=True)


def read(store: Store, number: int) -> Snapshot | None:
    """A snapshot, or None if it is not as it was written."""
    try:
        value = json.loads((store.read(path_of(number)) or b'').decode())
        if value.pop(files.CHECKSUM) != files.checksum(value):
            return None
        return Snapshot(number, {name: Entry(*entry) for name, entry in value['files'].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def whole(store: Store, there: list[int]):
    """Those of the snapshots with these numbers that are as they were written, the newest first."""
    for number in there:
        if found := read(store, number):
            yield found
        else:
            logging.warning('%s/%s is damaged: using the snapshot before it.', store.url, path_of(number))


def newest(store: Store) -> Snapshot | None:
    """The newest whole snapshot, or None if there is none."""
    return next(whole(store, numbers(store)), None)


def listed(directory: Path) -> dict:
    """{name: path} of the files in a folder that belong in a snapshot."""
    found = {}
    for place, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not LEFT_OUT.fullmatch(name)]
        for name in names:
            path = Path(place, name)
            if not LEFT_OUT.fullmatch(name) and path.is_file() and not path.is_symlink():
                found[path.relative_to(directory).as_posix()] = path
    return found


def take(store: Store, directory: Path, last: Snapshot, before: Snapshot, number: int) -> Snapshot:
    """Copies a folder to the bucket as the snapshot `number`, after `last`, which is returned if nothing has changed;
    `before`, the one before that, is removed.

    Raises:
      Taken: somebody else has made the snapshot of this number.
      BucketError: the bucket cannot be used; existing snapshots are as they were.
    """
    entries: dict[str, Entry] = {}
    fixed, changing = {}, {}
    for name, path in sorted(listed(directory).items()):
        known, stat = last.files.get(name), path.stat()
        if FIXED.fullmatch(name):
            if known and (known.size, known.time) == (stat.st_size, stat.st_mtime_ns):
                entries[name] = known
                continue
            size, crc = of_file(path)
            entries[name] = Entry(name, size, crc, stat.st_mtime_ns)
            fixed[name] = path
            continue
        content = path.read_bytes()  # it may be written to meanwhile
        size, crc = of_file(content)
        entries[name] = Entry(f'{VERSIONS}/{name}.{crc:08x}-{size}', size, crc, stat.st_mtime_ns)
        if known is None or known.key != entries[name].key:
            changing[name] = content
    if entries == last.files:
        return last
    store.upload(fixed)
    for name, content in changing.items():
        store.write(entries[name].key, content)
    found = Snapshot(number, entries)
    value = {'number': found.number, 'files': {name: list(entry) for name, entry in entries.items()}}
    text = json.dumps(value | {files.CHECKSUM: files.checksum(value)})
    store.write(path_of(found.number), text.encode(), new=True)
    for name, content in changing.items():
        store.write(name, content)
    forget(store, before, keep=(last, found))
    return found


def forget(store: Store, old: Snapshot, keep: tuple) -> None:
    """Removes a snapshot and its objects that those to keep do not have."""
    needed = {entry.key for one in keep for entry in one.files.values()} | {name for one in keep for name in one.files}
    if old.number:
        store.remove([path_of(old.number)])
        gone = {entry.key for entry in old.files.values()} | set(old.files)
        store.remove(sorted(gone - needed))


def sweep(store: Store, keep: tuple) -> None:
    """Removes what is left of interrupted uploads and of snapshots that are no longer kept."""
    needed = {entry.key for one in keep for entry in one.files.values()} | {path_of(one.number) for one in keep}
    ours = (n for n in store.names() if FIXED.fullmatch(n) or n.startswith((VERSIONS, SNAPSHOTS)))
    store.remove(sorted(set(ours) - needed))


def restore(store: Store, snapshot: Snapshot, directory: Path) -> Snapshot:
    """Makes a folder equal to a snapshot. Unchanged files are not read again; what is damaged or missing on the bucket
    is left out, with a warning, of the folder and of the snapshot that is returned."""
    here, kept = listed(directory), {}
    for name, path in here.items():
        if name not in snapshot.files:
            path.unlink()
    for name, entry in snapshot.files.items():
        path = directory / name
        if name not in here or of_file(path) != (entry.size, entry.crc):
            if (found := store.download(entry.key, path)) != (entry.size, entry.crc):
                path.unlink(missing_ok=True)
                why = 'it is missing' if found is None else 'its content does not match its checksum'
                logging.warning('%s/%s is damaged (%s): going on without it.', store.url, entry.key, why)
                continue
            os.utime(path, ns=(entry.time, entry.time))
        kept[name] = entry
    return Snapshot(snapshot.number, kept)
