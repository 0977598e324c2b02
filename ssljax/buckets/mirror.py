"""A work directory on a bucket: the folder on this machine in which a run works, copied to the bucket when something is
complete, and restored from there if this machine has none or an older one."""

import contextlib
import os
import secrets
import sys
import threading
from pathlib import Path

from ssljax.buckets import snapshot
from ssljax.buckets.lease import Lease
from ssljax.buckets.store import BucketError, Store, Used, folder
from ssljax.processes import hosts, preempt
from ssljax.storage import files, paths

STATE = 'mirror.json'  # beside the local copy: whose it is, and the snapshot that it has

_open: dict = {}  # {local folder: Mirror} of this process


@contextlib.contextmanager
def opened(given, config):
    """The folder in which a run or study works, as a Path: `paths.workdir`, or for a URL its local copy. What is
    complete is copied to the bucket (`changed`), the rest at the end of the block.

    Of several processes, the first has the local copy, and does the copying; the others need not see it.

    Raises:
      BucketError: the bucket cannot be used, or another run is using it: at the start, before anything is computed. At
        the end: what was computed could not be copied.
    """
    if not paths.is_url(given):
        yield paths.workdir(given, config)
        return
    url = os.fspath(given).rstrip('/')
    place = folder(url, 'runs')
    with contextlib.ExitStack() as closing:
        closing.enter_context(files.lock(place))
        local = place / (url.rpartition('/')[2] or 'run')
        hosts.told(_begin, Store(url), place, local)
        try:
            yield local
        except BaseException:
            hosts.only_first(_end)(local, hush=True)
            raise
        hosts.only_first(_end)(local)


def _begin(store: Store, place: Path, local: Path) -> None:
    _open[local] = Mirror(store, place, local)


def _end(local: Path, hush: bool = False) -> None:
    if mirror := _open.pop(local, None):
        mirror.close(hush)


def changed(path) -> None:
    """Notes that something under a path is complete: if that is in the local copy of a bucket, it is copied there.

    Raises:
      BucketError: another run has taken the directory on the bucket.
    """
    path = Path(path).absolute()
    for local, mirror in list(_open.items()):
        if path.is_relative_to(local):
            mirror.save()


class Mirror:
    """The local copy of a directory on a bucket, equal to it or newer."""

    def __init__(self, store: Store, place: Path, local: Path):
        self.store, self.place, self.local = store, place, local
        self._lock, self._closed = threading.RLock(), False
        self._lost: BucketError | None = None
        state = files.read_json(place / STATE) or {}
        self.token = state.get('token') or secrets.token_hex(8)
        self._note(state.get('number', 0))
        self.lease = Lease(store, self.token, _say, self._gone)
        try:
            self._agree()
        except BaseException:
            self.lease.close()
            raise
        preempt.at_end(self.close)

    def _agree(self) -> None:
        """Of the two, the run continues from the one that is further on."""
        there = snapshot.numbers(self.store)
        whole = list(snapshot.whole(self.store, there))
        self.last, self.before = (*whole, snapshot.Snapshot(), snapshot.Snapshot())[:2]
        if self.number and not there:
            raise BucketError(
                f'{self.store.url} no longer has a run, but this machine has a copy of one that was there, '
                f'{self.local}: delete {self.place} to start anew, or copy its files elsewhere to keep them.'
            )
        if there and not whole:
            raise BucketError(f'{self.store.url}: all its snapshots ({snapshot.SNAPSHOTS}) are damaged: restore one of '
                              'them from a copy, or delete the directory to start anew.')  # fmt: skip
        if self.last.number > self.number or self.last.number and not self.local.is_dir():
            _say(f'{self.store.url}: going on from what is there (snapshot {self.last.number}), in {self.local}')
            self.last = snapshot.restore(self.store, self.last, self.local)
        self._note(max(self.number, *there, 0) if there else self.number)
        snapshot.sweep(self.store, keep=(self.last, self.before))

    def _note(self, number: int) -> None:
        self.number = number
        files.write_json(self.place / STATE, {'url': self.store.url, 'token': self.token, 'number': number})

    def _gone(self, error: BucketError) -> None:
        self._lost = error

    def save(self, must: bool = False) -> None:
        """Copies what is new; if the bucket refuses for the moment, that is a warning, unless it `must` be copied."""
        with preempt.hold(), self._lock:
            if self._closed or not self.local.is_dir():
                return
            if self._lost:
                raise self._lost
            try:
                self.lease.check()
                found = snapshot.take(self.store, self.local, self.last, self.before, self.number + 1)
            except snapshot.Taken as e:
                self._lost = Used(f'another run is using {self.store.url}: wait for it, or give another --workdir.')
                raise self._lost from e
            except Used:
                raise
            except BucketError as e:
                if must:
                    raise
                _say(f'warning: {e} It will be tried again when the run next saves.')
                return
            if found is not self.last:
                self.last, self.before = found, self.last
                self._note(found.number)

    def close(self, hush: bool = False) -> None:
        """Copies what is new, and lets others use the directory. hush: an error has been raised already."""
        with self._lock:
            if self._closed:
                return
            try:
                self.save(must=True)
                _say(f'copied to {self.store.url}')
            except BucketError as e:
                text = f'{e} All results are in {self.local}; the same command on this machine copies them.'
                if not hush:
                    raise BucketError(text) from e
                _say(f'warning: {text}')
            finally:
                self._closed = True
                with contextlib.suppress(BucketError):
                    self.lease.close()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
