"""Trained models on disk: which of them a run has, and which one is chosen."""

import errno
from pathlib import Path
from statistics import fmean

from ssljax import calibration, exported, exporting, metrics, model_json
from ssljax.buckets import fetch
from ssljax.devices import platform
from ssljax.model import Model
from ssljax.records import begun
from ssljax.storage import checkpoint, files, paths
from ssljax.text.wording import nearest


def load(path, way: str = '', seed: int | None = None) -> Model:
    """The trained model of a run, of one of its stages, of a directory that `Model.save` wrote, or of a file that
    `Model.export` wrote.

    For a run it is, of all ways and seeds, the classifier with the highest top-1 on validation, mAP for multi-label
    images, or whatever else config.select names, and of equals the one whose way is the highest on average over seeds:
    the test split has no part in the choice. A run that trained no classifier gives its pretrained backbone.

    Args:
      path: a directory, or a file with its JSON beside it; either may be on a bucket.
      way: take this way of a run, 'pretrain' for the pretrained backbone.
      seed: take this seed of a run.

    Raises:
      FileNotFoundError: there is no trained model; the message says what is there.
      ValueError: no such way or seed, or a file is damaged.
    """
    platform.enter()
    path = Path(paths.expand(fetch.local(path)))
    if path.is_file():
        if way or seed is not None:
            raise ValueError(f'{path} holds one model: way and seed only apply to a run.')
        found, info = exporting.read(path)
        return exported.of_file(found, info, exporting.calibration_of(path, info))
    if (path / 'model').is_dir() or (path / model_json.NAME).is_file():
        if way or seed is not None:
            raise ValueError(f'{path} holds one model: way and seed only apply to a run.')
        return _open(path, '')
    config = _config(path)
    metric = _selected(path, config)
    found = _stages(path, config, metric)
    if not found:
        checkpoint.load_variables(path)  # says what is there instead
        raise FileNotFoundError(errno.ENOENT, f'{path} has no finished stage of a run')
    return _open(*_choose(path, found, way, seed, metric))


def _config(path: Path) -> dict:
    """The config that a run was started with; if its file is gone, the one in a stage's checkpoint."""
    return files.read_json(path / 'config.json') or begun.meta(path).get('config') or {}


def _selected(path: Path, config: dict) -> str:
    """The metric that a run selects by."""
    known = (files.read_json(place) or {} for place in sorted(path.glob(f'seed*/*/{model_json.NAME}')))
    return metrics.selected(config.get('select', 'top1'), any(info.get('multilabel') for info in known))


def _stages(path: Path, config: dict, metric: str) -> dict:
    """{(seed, way): (directory, the metric on validation; None for a pretraining)} of the finished stages of a run, in
    order."""
    found = {}
    ways = [*config.get('transfer', {}).get('ways', ()), 'pretrain']
    for folder in sorted(path.glob('seed*'), key=lambda p: (len(p.name), p.name)):
        for way in ways:
            directory = folder / way
            record = files.read_json(directory / 'done.json', {'val': dict})
            if record and (directory / 'model').is_dir() and folder.name[4:].isdigit():
                value = None if way == 'pretrain' else record['val'].get(metric)
                found[int(folder.name[4:]), way] = directory, value
    if config.get('pretrain', {}).get('shared') and (one := found.get((config['seeds'][0], 'pretrain'))):
        found |= {(seed, 'pretrain'): one for seed, _ in found}
    return found


def _choose(path: Path, found: dict, way: str, seed: int | None, metric: str) -> tuple[Path, str]:
    """(directory of the stage, why it was chosen)."""
    ways, seeds = list(dict.fromkeys(w for _, w in found)), list(dict.fromkeys(s for s, _ in found))
    if way and way not in ways:
        has = ', '.join(ways)
        raise ValueError(f'{path} has no trained model of the way {way!r}{nearest(way, ways)} (it has {has}).')
    if seed is not None and seed not in seeds:
        raise ValueError(f'{path} has no seed {seed} (it has {", ".join(map(str, seeds))}).')
    asked = [way] if way else [w for w in ways if w != 'pretrain'] or ways
    wanted = {(s, w): v for (s, w), v in found.items() if w in asked and seed in (None, s)}
    if not wanted:
        raise ValueError(f'{path} has no trained model of the way {way!r} with seed {seed}.')
    known = {k: -1.0 if v is None else v for k, (_, v) in wanted.items()}
    means = {w: fmean(v for k, v in known.items() if k[1] == w) for _, w in known}
    best = max(known, key=lambda k: (known[k], means[k[1]]))
    directory, value = wanted[best]
    if value is None:
        return directory, f'the pretrained backbone of seed {directory.parent.name[4:]}'
    of = f'of {len(wanted)} trained classifiers' if len(wanted) > 1 else 'the only one asked for'
    if (equal := sum(v == known[best] for v in known.values())) > 1:
        several = len(means) > 1 and len({k[0] for k in known}) > 1
        of += f' ({equal} reach it{f"; {best[1]} is the highest of them on average over seeds" * several})'
    return directory, f'the highest {metrics.TITLES[metric]} on validation, {100 * value:.2f}%, {of}'


def _open(directory: Path, chosen: str) -> Model:
    """The model of a stage's directory, or of one that `Model.save` wrote."""
    variables, meta = checkpoint.load_variables(directory)
    info = model_json.read(directory)
    run = directory.parent.parent
    if info is None and 'model' in meta:
        raise FileNotFoundError(errno.ENOENT, f'{directory / model_json.NAME} is missing: save the model again')
    if info is None:  # of an earlier version
        record = files.read_json(directory / 'done.json', {'val': dict, 'steps': int, 'best_step': int})
        if record is None:
            raise FileNotFoundError(errno.ENOENT, f'{directory} is not finished: rerun its command')
        info = model_json.describe(meta, record, files.read_json(run / 'result.json', {'data': dict}))
    if 'test' not in info['metrics']:
        evaluation = files.read_json(directory.parent / 'evaluation.json', {'ways': dict}) or {'ways': {}}
        found = evaluation['ways'].get(info['way'], {})
        info = info | {'metrics': info['metrics'] | {k: found[k] for k in ('val', 'test') if k in found}}
    return Model(variables, info, chosen, calibration.load(directory))
