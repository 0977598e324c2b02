"""How long training takes, and how long it may still take."""

import time


class Timer:
    """Seconds of training without compilation, evaluation and saving: the first lap after a start is not counted
    towards the rate."""

    def __init__(self, progress: dict | None = None):
        before = progress or {'seconds': 0, 'timed_seconds': 0, 'timed_steps': 0}
        self.seconds, self.timed = float(before['seconds']), float(before['timed_seconds'])
        self.steps = int(before['timed_steps'])
        self.mark: float | None = None
        self.at = 0
        self.begun = time.monotonic()
        self.pauses: list = []

    def start(self, step: int) -> None:
        """Notes that work other than training, an evaluation or saving, has ended."""
        self.pauses.append(time.monotonic() - self.begun)
        self.mark, self.at = time.monotonic(), step

    def lap(self, step: int) -> None:
        """Notes that the device has finished `step`."""
        now = time.monotonic()
        if self.mark is not None and step > self.at:
            self.timed += now - self.mark
            self.steps += step - self.at
        self.seconds += now - self.begun
        self.mark, self.at, self.begun = now, step, now

    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.timed if self.timed else 0.0

    def left(self, steps: int, evaluations: int) -> float | None:
        """Seconds that these steps and evaluations may take; None while no rate is known."""
        pause = min(self.pauses[1:], default=0.0)  # the first one compiles
        return steps / self.rate() + evaluations * pause if self.rate() else None

    def state(self) -> dict:
        """For a checkpoint."""
        return {'seconds': self.seconds, 'timed_seconds': self.timed, 'timed_steps': self.steps}
