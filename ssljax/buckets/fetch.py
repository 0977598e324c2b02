"""What is only read from a bucket: a run, a directory or an object, as a local copy of it."""

import contextlib
import fcntl
import os
from pathlib import Path

from ssljax.buckets import snapshot
from ssljax.buckets.store import BucketError, Store, folder
from ssljax.storage import files, held, paths

SINGLE = '.zip', '.tar', '.tgz', '.tar.gz', '.npz'


def local(given):
    """The path of a copy on this machine if a URL is given; anything else as it is.

    For a run, or something in one, it is the newest snapshot; files that have not changed since the last call are not
    read again.

    Raises:
      BucketError: nothing is there, or the bucket cannot be read.
    """
    if not given or not paths.is_url(given):
        return given
    url = os.fspath(given).rstrip('/')
    if found := _in_run(url):
        return found
    parent, _, name = url.rpartition('/')
    store = Store(parent) if parent.partition('://')[2] else None
    if store and store.stamp(name):
        _object(store, f'{name}.json')
        return _object(store, name)
    return _directory(url)


def archive(given: str, asked: str) -> str:
    """`local`, for one object that holds images; raises BucketError for others. asked: what names it, for the
    message."""
    if not paths.is_url(given):
        return given
    if not given.lower().endswith(SINGLE):
        raise BucketError(
            f'{asked}: a folder of images on a bucket cannot be read, since every image would be a request: pack them '
            f'into one file ({", ".join(SINGLE)}) there, copy them to a disk, or mount the bucket as a folder.'
        )
    return str(local(given))


def published(path, given) -> str | Path:
    """Where a page drawn from `local(given)` is: on the bucket, if it can be copied there, else on this machine."""
    if not paths.is_url(given):
        return path
    with contextlib.suppress(BucketError):
        Store(given).write(Path(path).name, Path(path).read_bytes())
        return f'{given.rstrip("/")}/{Path(path).name}'
    return path


def _in_run(url: str) -> Path | None:
    """The copy of a run, or of something in it; None if the URL is in no run."""
    parts = url.partition('://')[2].split('/')
    for depth in range(len(parts), 1, -1):
        run = url.partition('://')[0] + '://' + '/'.join(parts[:depth])
        store = Store(run)
        if found := snapshot.newest(store):
            place = folder(run, 'read')
            with _alone(place):
                snapshot.restore(store, found, place / parts[depth - 1])
            return place.joinpath(*parts[depth - 1 :])
    return None


@contextlib.contextmanager
def _alone(place: Path):
    """Waits for other processes that read the same into this folder."""
    paths.make_folder(place, 'SSLJAX_BUCKETS')
    file = held.open_lock(place / held.LOCK)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _object(store: Store, name: str) -> Path | None:
    """The copy of one object, or None if there is none."""
    stamp = store.stamp(name)
    if not stamp:
        return None
    place = folder(store.url, 'read')
    path, noted = place / name, place / f'.{name}.stamp.json'
    with _alone(place):
        if not path.exists() or (files.read_json(noted) or {}).get('stamp') != stamp:
            store.download(name, path)
            files.write_json(noted, {'stamp': stamp})
    return path


def _directory(url: str) -> Path:
    store = Store(url)
    if not (names := store.names()):
        raise BucketError(f'there is nothing at {url}: check the name, and the --workdir that it was written with.')
    place = folder(url, 'read') / url.rpartition('/')[2]
    for name in names:
        store.download(name, place / name)
    return place
