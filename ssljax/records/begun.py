"""What a run's directory records so that the run can be resumed: the config and data it was started with, and what was
evaluated. Each is kept in a file, the first two also in the checkpoints of every stage."""

import shutil
from pathlib import Path

from absl import logging

from ssljax.processes import hosts
from ssljax.storage import files

EVALUATION = {'seed': int, 'partition': dict, 'ways': dict}
DECISIONS = {'decisions': list, 'trials': int, 'seconds': files.NUMBER}
KEYS = {'config': {'name': str, 'data': dict, 'transfer': dict}, 'data': {'shape': list, 'train': str}}
ADVICE = (
    'it records the {} that the run was started with. Restore it from a copy, or delete it and rerun: the '
    'stages already trained are then checked against the current one'
)


@hosts.by_first
def stored(workdir: Path, what: str) -> dict | None:
    """The 'config' or the 'data' that a run was begun with, or None if it has not begun. Without the file, what a
    stage's checkpoint says.

    Raises:
      files.Damaged: the file is not as it was written.
    """
    path = workdir / f'{what}.json'
    with files.advising(ADVICE.format(what)):
        found = files.read_json(path, KEYS[what])
    return meta(workdir).get(what) if found is None else found


def meta(workdir: Path) -> dict:
    """What the first readable checkpoint of a stage says; {} if there is none."""
    for pattern in ('seed*/*/model/0/meta/metadata', 'seed*/*/checkpoints/*/meta/metadata'):
        for path in sorted(workdir.glob(pattern)):
            try:
                found = files.read_json(path, {'config': dict, 'data': dict})
            except files.Damaged:
                continue
            if found:
                return found
    return {}


@hosts.by_first
def trained(workdir: Path) -> bool:
    """Whether anything in a directory depends on the config of its run: a checkpoint, a finished stage, a result or a
    decision of tuning."""
    kept = ['result.json', 'tuning/*', 'seed*/evaluation.json']
    kept += [f'seed*/*/{name}' for name in ('done.json', 'model/[0-9]*', 'checkpoints/[0-9]*')]
    return any(True for pattern in kept for _ in workdir.glob(pattern))


@hosts.only_first
def clear(workdir: Path, names=('config.json', 'data.json', 'data.npz')) -> None:
    """Removes what is left of a run that ended before it had trained anything: its config, what it read, and the
    folders of its seeds, with their label sets."""
    for name in names:
        (workdir / name).unlink(missing_ok=True)
    for folder in workdir.glob('seed*'):
        shutil.rmtree(folder, ignore_errors=True)


@hosts.by_first
def any_stage(workdir: Path) -> bool:
    """Whether training has begun in a directory."""
    return any(workdir.glob('seed*/*/metrics.jsonl'))


@hosts.by_first
def decisions(path: Path) -> dict | None:
    """What tuning decided for a run, or None if that is still to be decided.

    Raises:
      files.Damaged, FileNotFoundError: it is damaged or missing although training has begun. Deciding again could
        decide otherwise.
    """
    training = any_stage(path.parent.parent)
    again = (
        'the stages already started depend on it, and tuning again could decide differently. Restore it from a '
        'copy, or give another --workdir'
    )
    try:
        found = files.read_json(path, DECISIONS)
    except files.Damaged as e:
        if training:
            raise files.Damaged(path, e.why, again) from e
        files.set_aside(path, e.why)
        logging.warning('%s is damaged: tuning again.', path)
        return None
    if found is None and training:
        raise FileNotFoundError(f'{path} is missing: {again}.')
    return found


@hosts.by_first
def evaluation(directory: Path) -> dict | None:
    """The record of a seed that was evaluated, or None; a damaged one is set aside."""
    path = directory / 'evaluation.json'
    try:
        return files.read_json(path, EVALUATION)
    except files.Damaged as e:
        logging.warning('%s; evaluating this seed again with the same weights, which reads the test split again.', e)
        files.set_aside(path, e.why)
    return None


@hosts.by_first
def figures(directory: Path) -> bool:
    """Whether a seed's figures.npz is there and whole; a damaged one is set aside."""
    path, why = directory / 'figures.npz', 'is missing'
    try:
        if files.read_npz(path) is not None:
            return True
    except files.Damaged as e:
        files.set_aside(path, e.why)
        why = 'is damaged'
    logging.warning('%s %s: rebuilding it from the same weights; accuracies do not change.', path, why)
    return False
