"""The other processes of a run: seen to be alive, asked to stop together, and ended together.

Each process has a thread that writes a beat into the store of JAX's coordination service once a second; that of the
first reads those of all. A process whose beat stands still is lost, one that reaches no further point in its program
has stalled, and one that fails says so: the first then names it, and all end.

A signal to any process is noted in the store. The threads then exchange how many times their programs have asked
whether to stop, while none can ask again, and agree on the next time as that at which all stop: so all save the same
step. JAX's own preemption service does the same for SIGTERM alone, and cannot end a process in a compilation.
"""

import contextlib
import ctypes
import faulthandler
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

BEAT = 1.0  # seconds
GRACE = 8.0  # seconds without a beat after which one is lost once a call over the devices has failed
RESUME = 75  # EX_TEMPFAIL: rerun the same command to resume
STORE = 'ssljax'  # prefix of this package's keys in the store
HERE = f'{STORE}/peer/'
ASKED, VERDICT, AT = (f'{STORE}/{name}' for name in ('asked', 'verdict', 'at'))

AGAIN = 'The run ends here; rerun the same command to go on from the last checkpoint.'


class Stopping(NamedTuple):
    """How a program stops; set by `preempt`. learnt: notes that a signal has come to a process; saved: whether nothing
    is left to save; goodbye: says that a rerun resumes; patience: seconds that a program has to stop by itself."""

    learnt: Callable
    saved: Callable
    goodbye: Callable
    patience: float


stopping = Stopping(lambda: None, lambda: True, lambda: None, 1.0)  # for a program without preempt


def host() -> str:
    """The name of this machine."""
    return socket.gethostname()


def lost_after() -> float:
    """Seconds without a beat after which a process counts as lost."""
    return float(os.environ.get('SSLJAX_LOST_AFTER', 60))


def stalled_after() -> float:
    """Seconds in which no process gets any further, after which the run ends."""
    return float(os.environ.get('SSLJAX_STALLED_AFTER', 1800))


def watch(run: Any) -> 'Peers':
    """Starts the thread; run: this process, a hosts.Run."""
    found = Peers(run)
    found.thread.start()
    if run.index:
        found.explain_abort()
        threading.Thread(target=found.watch_first, daemon=True, name='first').start()
    return found


class Peers:
    """The thread of one process.

    Attributes:
      points: how far this process has come in its program.
    """

    def __init__(self, run: Any):
        self.run, self.client, self.points, self.asks, self.at = run, run.client, 0, 0, 0
        self.lock, self.ended, self.wake = threading.Lock(), threading.Event(), threading.Event()
        self.asked, self.ending, self.rounds, self.beats, self.error = False, False, 0, 0, ''
        now = time.monotonic()
        self.suspicion, self.answered, self.judged = 0.0, now, now
        self.seen = {i: ('', now, f'process {i} of {run.count}') for i in range(run.count)}  # beat, since when, name
        self.moved: tuple = ((), now)
        self.thread = threading.Thread(target=self._watch, daemon=True, name='peers')

    # What the program calls.

    def agree(self) -> bool:
        """Whether all stop here; every process asks at the same points of its program."""
        self.points += 1
        with self.lock:  # held by the thread while it exchanges `asks`
            self.asks += 1
            return 0 < self.at <= self.asks

    def ask(self) -> None:
        """Notes that a signal has come to this process."""
        self.asked = True
        self.wake.set()

    def stop(self) -> None:
        """Notes that the program is done."""
        self.ended.set()
        self.wake.set()
        self.thread.join(2 * BEAT)

    def failed(self, text: str, told: bool, unexpected: bool) -> None:
        """Ends all processes; `text` is the message; if `told`, the first process has it, too. An `unexpected` error
        may come from a call over the devices that failed because another process is gone."""
        if unexpected and not told:
            self.suspicion = time.monotonic()
            time.sleep(min(GRACE, lost_after()) + 4 * BEAT)  # the threads find out whether one is
        if self.run.index == 0:
            self.ending = True
            self._end(text, 1)
        self.error = text
        self.wake.set()
        time.sleep(GRACE)  # the first has the same error, or learns of this one
        if not told:
            self._say(f'{self.run.name()} ({host()}): {text.lstrip()}')
        os._exit(1)

    def explain_abort(self) -> None:
        """JAX's client aborts a process at once if the first one is gone: this prints a line that says so, instead of
        the names of all loaded libraries. (Its callback for this cannot be called from Python with jax 0.10.)"""

        def handle(signum) -> None:  # called in the thread that aborts
            if self._answers() and time.monotonic() - self.answered < GRACE:
                faulthandler.dump_traceback(file=2)
                return  # and abort goes on
            self._first_lost()

        self._handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(handle)  # kept as long as it may be called
        ctypes.CDLL(None).signal(signal.SIGABRT, self._handler)

    def _answers(self) -> bool:
        host, _, port = self.run.coordinator.rpartition(':')
        try:
            socket.create_connection((host.strip('[]'), int(port)), 2 * BEAT).close()
        except OSError:
            return False
        return True

    def watch_first(self) -> None:
        """Runs in a thread of its own, since a call to a first process that stands still does not return."""
        before = time.monotonic()
        while not self.ended.wait(BEAT):
            now = time.monotonic()
            if now - before > GRACE:  # this process itself stood still
                self.answered = now
            if now - self.answered > lost_after():
                self._first_lost()
            before = now

    def _first_lost(self) -> None:
        seconds, name = time.monotonic() - self.answered, f'process 0 of {self.run.count} ({self.run.coordinator})'
        why = f'it has not answered for {seconds:.0f} s' if seconds > 3 * BEAT else 'its connection was closed'
        self._say(
            f'\n{self.run.name()} ({host()}): error: {name}, which keeps the others together, was lost: {why}. {AGAIN}'
        )
        os._exit(RESUME)

    # The thread.

    def _watch(self) -> None:
        while not self.ended.is_set():
            try:
                self._beat()
                self.answered = time.monotonic()
            except Exception:
                self._missed()
            self.wake.wait(BEAT)
            self.wake.clear()

    def _beat(self) -> None:
        self.beats += 1
        run, said = self.run, f'{self.beats}\n{self.points}\n{host()}\n{int(self.suspicion > 0)}\n{self.error}'
        self.client.key_value_set(f'{HERE}{run.index:06d}', said, True)
        if run.index == 0:
            self._judge()
        elif verdict := self._get(VERDICT):
            code, _, text = verdict.partition('\n')
            self._say(text)
            os._exit(int(code))
        if self.asked:
            self.client.key_value_set(ASKED, run.name(), True)
        if self.asked or self._get(ASKED):
            self._exchange()

    def _get(self, key: str) -> str:
        try:
            return self.client.key_value_try_get(key)
        except Exception as e:
            if 'NOT_FOUND' not in str(e):
                raise
            return ''

    def _judge(self) -> None:
        now, places = time.monotonic(), []
        if now - self.judged > GRACE:  # this process itself stood still
            self.seen = {i: (beat, now, name) for i, (beat, _, name) in self.seen.items()}
        self.judged = now
        for key, said in self.client.key_value_dir_get(HERE):
            i = int(key.rsplit('/', 1)[1])
            beat, points, host, suspects, error = said.split('\n', 4)
            places.append((int(points), i))
            if suspects == '1' and not self.suspicion:
                self.suspicion = now
            if beat != self.seen[i][0]:
                self.seen[i] = beat, now, f'process {i} of {self.run.count} ({host})'
            if error:
                time.sleep(2 * BEAT)
                if self.ending:  # this process has the same error, or another
                    return
                self._end(f'{self.seen[i][2]}: {error.lstrip()}', 1)
        patience = min(GRACE, lost_after()) if self.suspicion else lost_after()
        for _, since, name in self.seen.values():
            if now - since > patience:
                self._lost(f'{name} was lost: it has not been heard from for {now - since:.0f} s.')
        if places != self.moved[0]:
            self.moved = places, now
        elif now - self.moved[1] > stalled_after():
            self._stalled(places, now - self.moved[1])

    def _stalled(self, places: list, seconds: float) -> None:
        least = min(points for points, _ in places)
        behind = [self.seen[i][2] for points, i in places if points == least]
        named = ', '.join(behind) if len(behind) < len(places) else 'No process'
        verb = 'made no progress' if len(behind) < len(places) else 'made progress'
        faulthandler.dump_traceback(file=2)
        self._lost(f'{named} {verb} for {seconds / 60:.1f} minutes.')

    def _lost(self, text: str) -> None:
        self._end(f'\nerror: {text} {AGAIN}', RESUME)

    def _missed(self) -> None:
        """Ends this process once the store, which the first process keeps, has not answered for a while."""
        if self.run.index and not self.ended.is_set() and time.monotonic() - self.answered > min(GRACE, lost_after()):
            self._first_lost()

    def _exchange(self) -> None:
        """One round: all say how far they are; the first round sets where they stop."""
        stopping.learnt()
        self.rounds += 1
        if self.rounds > 1:
            self.ended.wait(stopping.patience)
        if self.ended.is_set():
            return
        key = f'{AT}/{self.rounds}'
        try:
            with self.lock:
                said = f'{self.asks} {int(stopping.saved())}'
                self.client.key_value_set(f'{key}/{self.run.index:06d}', said)
                self.client.wait_at_barrier(f'{key}-all', 1000 * round(lost_after()))
                found = [value.split() for _, value in self.client.key_value_dir_get(f'{key}/')]
                self.at = self.at or max(int(asks) for asks, _ in found) + 1
        except Exception:
            if not self.ended.wait(2 * BEAT):  # one that has left already has saved
                raise
            return
        if self.rounds > 1 and all(saved == '1' for _, saved in found):
            if self.run.index == 0:
                time.sleep(BEAT)  # the others end before the store does
                stopping.goodbye()
            os._exit(RESUME)

    # How it ends.

    def _say(self, text: str) -> None:
        if text:
            with contextlib.suppress(OSError):
                os.write(2, f'{text}\n'.encode(errors='replace'))

    def _end(self, text: str, code: int) -> None:
        """Ends this process, the first, and before it the others; text: the message."""
        self._say(text)
        with contextlib.suppress(Exception):
            self.client.key_value_set(VERDICT, f'{code}\n', True)
            time.sleep(2.5 * BEAT)
        os._exit(code)
