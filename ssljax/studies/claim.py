"""Who computes what: claims in a directory that many workers, on one machine or several, share.

A claim is a file that only one worker can create (O_EXCL, which is atomic on local disks, NFS from version 3, Lustre
and the like; a mounted bucket decides when the file is closed, and says ESTALE to the second). Its holder writes a new
beat into it every few seconds; a claim whose beat stands still is dead, and another worker takes the job over by
creating the claim's next generation, which again only one can do. So no clock is compared between machines. For a
worker on the same host it is known at once whether it lives.
"""

import contextlib
import errno
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path

from ssljax.processes import hosts
from ssljax.storage import files

BEAT, PATIENCE = 5.0, 60.0  # seconds


class Claims:
    """The claims under `directory`, as one worker sees them."""

    def __init__(self, directory, *, beat: float = BEAT, patience: float = PATIENCE):
        self.directory, self.beat, self.patience = Path(directory), beat, patience
        self.worker = f'{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}'
        self._seen: dict = {}

    @contextlib.contextmanager
    def hold(self, job: str):
        """Yields whether this worker has the job now; gives it up at the end. Processes that are one run are one
        worker."""
        path = hosts.told(self._take, job)
        if path is None or not hosts.first():
            yield path is not None
            return
        ended = threading.Event()
        thread = threading.Thread(target=self._keep, args=(path, ended), daemon=True)
        thread.start()
        try:
            yield True
        finally:
            ended.set()
            thread.join()
            self._write(path, beat=-1)

    def _take(self, job: str) -> Path | None:
        self.directory.mkdir(parents=True, exist_ok=True)
        mine = self._generations(job)
        if mine and self._lives(mine[-1]):
            return None
        path = self.directory / f'{job}.{len(mine)}'
        try:
            with open(path, 'x') as f:
                json.dump(self._says(0), f)
                f.flush()
                os.fsync(f.fileno())
        except OSError as e:
            if e.errno in (errno.EEXIST, errno.ESTALE):
                return None  # another was quicker
            raise
        return path

    def _generations(self, job: str) -> list[Path]:
        found: list = []
        while (path := self.directory / f'{job}.{len(found)}').exists():
            found.append(path)
        return found

    def _lives(self, path: Path) -> bool:
        text = path.read_text(errors='replace')
        try:
            content = json.loads(text)
        except ValueError:
            content = {}  # just created, or its worker died in between
        if not isinstance(content, dict) or content.get('host') and not {'pid', 'began'} <= content.keys():
            content = {}
        if content.get('beat') == -1:
            return False
        if content.get('host') == socket.gethostname() and not _runs(content['pid'], content['began']):
            return False
        now = time.monotonic()
        before, since = self._seen.get(path, (None, now))
        if before != text:
            self._seen[path] = (text, now)
            return True
        return now - since < self.patience

    def _keep(self, path: Path, ended: threading.Event) -> None:
        count = 0
        while not ended.wait(self.beat):
            count += 1
            with contextlib.suppress(OSError):  # a full disk or a network that is down for a moment
                self._write(path, beat=count)

    def _write(self, path: Path, beat: int) -> None:
        files.write_json(path, self._says(beat))

    def _says(self, beat: int) -> dict:
        pid = os.getpid()
        return {'worker': self.worker, 'host': socket.gethostname(), 'pid': pid, 'began': _began(pid), 'beat': beat}


def _runs(pid: int, began) -> bool:
    """Whether the process that had this pid at that time still runs on this host."""
    if began is None:
        return True  # unknown: wait for its beat
    return _began(pid) == began


def _began(pid: int):
    """When a process began, in ticks since this host's start, with the boot's id; None if the system does not say or
    there is no such process."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return None
    return None if fields[0] == 'Z' else f'{boot} {fields[19]}'
