"""The minutes of a run that has a time limit (config.answer.minutes): whether something more still fits."""

import math
from pathlib import Path

from ssljax.processes import hosts
from ssljax.progress import elapsed
from ssljax.storage import files

RESERVE = 0.08  # of the time, for evaluation and report


def left(config, workdir) -> float:
    """Seconds left of it, over all processes that worked on the run; inf if there is no limit."""
    minutes = config.answer.minutes
    return 60 * minutes - elapsed.total(workdir)[1] if minutes else math.inf


@hosts.by_first
def seed_fits(config, workdir, seed: int) -> bool:
    """Whether there is time for the stages of a further seed, taken to last as long as those of the others did on
    average; one that has begun always goes on."""
    workdir = Path(workdir)
    if not config.answer.minutes or any((workdir / f'seed{seed}').glob('*/*')):
        return True
    seconds: dict = {}
    for path in workdir.glob('seed*/*/done.json'):
        if config.pretrain.shared and path.parent.name == 'pretrain':
            continue
        seconds.setdefault(path.parent.parent.name, []).append(float((files.read_json(path) or {}).get('seconds', 0)))
    mean = sum(map(sum, seconds.values())) / max(len(seconds), 1)
    return mean + RESERVE * 60 * config.answer.minutes <= left(config, workdir)
