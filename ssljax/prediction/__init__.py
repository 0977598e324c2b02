"""What a trained model says about image files: a row for each, in a table on disk or in memory."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import trained
from ssljax.model import BATCH
from ssljax.prediction import inputs, sorting, writers
from ssljax.prediction.decoding import batches
from ssljax.processes import preempt
from ssljax.progress import say
from ssljax.storage import files, paths
from ssljax.targets.multilabel import parsed

NONE = 'none of the classes'
BROKEN = 'the model gives no probabilities for it (NaN): its weights or its calibration are broken'


class Predictions(NamedTuple):
    """What was predicted, an entry for each input, in order.

    paths: as they were given, or found in a folder. labels: the class with the highest probability or, for a
    multi-label model, those above its threshold, such as 'a;b' (';': none); '' where there is an error. probabilities:
    float32 [N, K], calibrated; NaN where there is an error. unlike: bool [N], images unlike those that the model was
    trained on. features: float32 [N, D], or None if they were not asked for. errors: why an image cannot be read or
    predicted, or ''. out: the table, or None.
    """

    classes: tuple
    paths: list[str]
    labels: list[str]
    probabilities: np.ndarray
    unlike: np.ndarray
    features: np.ndarray | None
    errors: list[str]
    out: Path | None = None

    def __repr__(self):
        return f'<Predictions of {self.summary()}>'

    def summary(self) -> str:
        """How many there are of each label, unlike images and errors, in a few lines."""
        good = len(self.errors) - sum(map(bool, self.errors))
        lines = [f'{len(self.errors):,} image{"s" * (len(self.errors) != 1)}, {good:,} predicted']
        counts = Counter(name for label in self.labels for name in _parts(label, self.classes))
        lines += [f'  {label}: {n:,}' for label, n in counts.most_common(20)]
        if len(counts) > 20:
            lines.append(f'  and {len(counts) - 20} more classes')
        if n := int(self.unlike.sum()):
            lines.append(f'{n:,} unlike the training images (column unlike): their labels are unreliable')
        if n := len(self.errors) - good:
            first = next(i for i, error in enumerate(self.errors) if error)
            lines.append(f'{n:,} cannot be read, such as {self.paths[first]!r} ({self.errors[first]})')
        return '\n'.join(lines)


def predict(
    run,
    path,
    out: str | Path = '',
    *,
    way: str = '',
    seed: int | None = None,
    top: int = 1,
    embed: bool = False,
    copy_to: str | Path = '',
    overwrite: bool = False,
    batch_size: int = BATCH,
) -> Predictions:
    """Predicts image files, each with a row of its own, whether it can be read or not.

    Args:
      run: a run, one of its stages, what `Model.save` wrote, or a Model.
      path: image files, folders or archives of them, or lists (.txt, .csv with a column `path`); one or several.
      out: the table to write: .csv, .json or .parquet, with the columns path, label, confidence, unlike, label_2 and
        confidence_2 and so on, p_CLASS for each class, and error; for a multi-label model without those of confidence
        and further labels; '' writes none.
      way, seed: which model of a run, as for `load`.
      top: how many of the likeliest labels are columns.
      embed: also features, which are written beside `out` as NAME.npy, float32 [N, D].
      copy_to: a new folder that gets a copy of each image in a folder of its label, or of each of its labels.
      overwrite: `out`, and the features beside it, may replace files.
      batch_size: images that are predicted at once.

    Raises:
      FileNotFoundError, FileExistsError, ValueError: an argument is wrong; the message says what to give.
      OSError: the disk is full, or cannot be read or written to.
    """
    found = run if hasattr(run, 'outputs') else trained.load(run, way=way, seed=seed)
    if not found.classes and not embed:
        raise ValueError(
            f'{run} ({found.way}) is a backbone without a classifier, which only has features: ask for them with '
            '--embed, or load one of the ways that were trained on labels.'
        )
    if found.shape[:2] == (1, 1):
        raise ValueError(
            f'{run} was trained on points, not on images: give them to Model.predict as an array uint8 '
            f'[N, {", ".join(map(str, found.shape))}].'
        )
    if embed and not found.embeds:
        raise ValueError(
            f'{run} was exported as a program that gives no features: leave --embed out, export it again with '
            '--features, or give the run that it is from.'
        )
    if top > 1 and found.multilabel:
        raise ValueError(
            f'top={top}, but {run} is a multi-label model, which gives an image all labels above a threshold: leave '
            'top out; the columns p_CLASS have every probability.'
        )
    if top < 1 or batch_size < 1:
        raise ValueError(f'top={top}, batch_size={batch_size}: both must be 1 or more.')
    top = min(top, max(len(found.classes), 1))
    target = Path(paths.expand(out)) if out else None
    if target:
        writers.check(target, overwrite)
    beside = target.with_suffix('.npy') if target and embed else None
    if beside:
        writers.check_free(beside, overwrite)
    given = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    groups = inputs.find(given)
    if target and any(os.path.exists(target) and os.path.samefile(target, paths.expand(one)) for one in given):
        raise ValueError(f'--out={target} is one of the inputs, which it would replace: give another --out.')
    copies = sorting.begin(copy_to, found.classes) if copy_to else None
    total = sum(len(group.inputs) for group in groups)
    if not total:
        raise ValueError('There are no images: give at least one.')
    names = _columns(found, top)
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(writers.Table(target, names)) if target else None
        parts = list(_predicted(found, groups, total, top, embed, table, copies, batch_size))
        said, probabilities, unlike, seen, errors = zip(*parts)
        features = _joined(seen, errors) if embed else None
        if beside:
            files.write_npy(beside, features)
    if copies:
        sorting.end(copies)
    return Predictions(
        tuple(found.classes),
        [one.name for group in groups for one in group.inputs],
        [label for part in said for label in part],
        np.concatenate(probabilities),
        np.concatenate(unlike),
        features,
        [error for part in errors for error in part],
        target,
    )


def _predicted(found, groups, total, top, embed, table, copies, batch_size) -> Iterator[tuple]:
    """(labels, probabilities, unlike, features or None, errors) of each batch, whose rows `table` gets."""
    counter, done = say.Counter('predicting images', total), 0
    readers = [group.reader for group in groups for _ in range(0, len(group.inputs), batch_size)]
    for reader, batch in zip(readers, batches(groups, found.fit, found.shape, batch_size)):
        preempt.check()
        n, good = len(batch.inputs), np.array([not error for error in batch.errors])
        p, distance, features = np.full((n, len(found.classes)), np.nan, np.float32), np.zeros(n, np.float32), None
        if good.any():
            outputs = found.outputs(batch.images, batch_size)
            features = outputs.features
            if found.classes:
                sound = np.isfinite(outputs.probabilities).all(axis=1)
                for i in np.flatnonzero(good)[~sound]:
                    batch.errors[i] = BROKEN
                good[good] = sound
                p[good] = outputs.probabilities[sound]
                features = None if features is None else features[sound]
            if found.calibration is not None:
                distance[good] = found.calibration.distance(features)
        unlike = distance > found.calibration.limit if found.calibration is not None else np.zeros(n, bool)
        order = np.argsort(-np.nan_to_num(p), axis=1, kind='stable')[:, :top]
        said = found.labels(np.nan_to_num(p)) if found.classes else [''] * n
        labels = [label if ok else '' for label, ok in zip(said, good)]
        if table:
            table.rows(_rows(found, batch, p, labels, order, unlike, good))
        if copies:
            sorting.copy(copies, batch, [_parts(label, found.classes) for label in labels], reader)
        done += n
        counter.at(done)
        yield labels, p, unlike, features if embed else None, batch.errors
    counter.end()


def _parts(label: str, classes) -> list[str]:
    """The classes that a label names; [NONE] if a multi-label model finds none, [] if there is an error."""
    if not label or label in classes:
        return [label] * bool(label)
    return list(parsed(label)) or [NONE]


def _columns(found, top: int) -> dict:
    names: dict = {'path': str}
    classes = found.classes
    if classes and found.multilabel:
        names |= {'label': str, 'unlike': bool}
        names |= {f'p_{name}': float for name in classes}
    elif classes:
        names |= {'label': str, 'confidence': float, 'unlike': bool}
        for i in range(2, top + 1):
            names |= {f'label_{i}': str, f'confidence_{i}': float}
        names |= {f'p_{name}': float for name in classes}
    return names | {'error': str}


def _rows(found, batch, p, labels, order, unlike, good) -> list[dict]:
    rows = []
    for i, one in enumerate(batch.inputs):
        row: dict = {'path': one.name}
        if found.classes:
            flag = bool(unlike[i]) if good[i] and found.calibration is not None else None
            row['label'] = labels[i] or None
            for place, k in enumerate([] if found.multilabel else order[i].tolist()):
                end = f'_{place + 1}' if place else ''
                row[f'label{end}'] = str(found.classes[k]) if good[i] else None
                row[f'confidence{end}'] = float(p[i, k]) if good[i] else None
            row['unlike'] = flag
            row |= {f'p_{name}': float(x) if good[i] else None for name, x in zip(found.classes, p[i])}
        rows.append(row | {'error': batch.errors[i] or None})
    return rows


def _joined(features, errors) -> np.ndarray:
    """float32 [N, D], NaN where there is an error."""
    width = next((part.shape[1] for part in features if part is not None), 0)
    whole = []
    for part, why in zip(features, errors):
        rows = np.full((len(why), width), np.nan, np.float32)
        if part is not None:
            rows[[not error for error in why]] = part
        whole.append(rows)
    return np.concatenate(whole)
