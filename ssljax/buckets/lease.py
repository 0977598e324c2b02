"""Who works in a directory on a bucket: a small object that is renewed, and expires once its owner is gone."""

import json
import os
import threading
import time
from collections.abc import Callable

from ssljax.buckets.snapshot import OWN
from ssljax.buckets.store import BucketError, Store, Taken, Used
from ssljax.processes import peers

NAME = f'{OWN}/lease.json'


class Lease:
    """The right to write to a store, until `close`.

    Args:
      token: of the local copy; whoever holds that folder's lock is the only one with it.
      lost: called, in a thread, with the error if another has taken the lease.

    Raises:
      Used: another run has it.
      BucketError: the bucket cannot be used.
    """

    def __init__(self, store: Store, token: str, say: Callable, lost: Callable):
        self.store, self.token, self._lost, self._end = store, token, lost, threading.Event()
        self._take(say)
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def _take(self, say: Callable) -> None:
        patience = peers.lost_after()
        if (owner := self.owner()) and owner[0] != self.token:
            self._probe()
            wait, seen = patience - self.store.age(NAME, f'{OWN}/probe'), owner
            if wait > 0:
                say(f'{self.store.url} was in use by {owner[1]} a moment ago: waiting {wait:.0f} s for it to end')
                time.sleep(wait)
            if (owner := self.owner()) and owner != seen:
                raise self._used(owner)
        try:
            self._write(new=owner is None)
        except Taken:
            raise self._used(self.owner()) from None

    def _probe(self) -> None:
        self.store.write(f'{OWN}/probe', b'')

    def _used(self, owner) -> Used:
        by = f' ({owner[1]})' if owner else ''
        return Used(f'another run is using {self.store.url}{by}: wait for it, or give another --workdir.')

    def owner(self) -> tuple | None:
        """(token, who in words, a number that each renewal changes) of the one who has the lease, or None."""
        try:
            value = json.loads(self.store.read(NAME) or b'null')
            return (value['token'], value['who'], value['turn']) if value else None
        except (ValueError, KeyError, TypeError):
            return '', 'an unknown process', 0

    def _write(self, new: bool = False) -> None:
        who = f'process {os.getpid()} on {peers.host()}'
        value = {'token': self.token, 'who': who, 'turn': time.time_ns()}
        self.store.write(NAME, json.dumps(value).encode(), new=new)

    def check(self) -> None:
        """Raises Used if another has taken it."""
        owner = self.owner()
        if owner is not None and owner[0] != self.token:
            raise self._used(owner)

    def _renew(self) -> None:
        while not self._end.wait(peers.lost_after() / 4):
            try:
                self.check()
                self._write()
            except Used as e:
                self._lost(e)
                return
            except BucketError:
                continue  # out of reach for the moment

    def close(self) -> None:
        """Gives the lease back."""
        self._end.set()
        self._thread.join()
        if (owner := self.owner()) and owner[0] == self.token:
            self.store.remove([NAME])
