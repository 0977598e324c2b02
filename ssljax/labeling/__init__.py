"""Which images to label next, and a page to label them on."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssljax import trained
from ssljax.labeling import choosing, pool
from ssljax.progress import say
from ssljax.storage import files, paths
from ssljax.text.literal import clean

SHOWN = 200  # pictures of the contact sheet, at most
COLUMNS = 'path', 'why', 'label', 'confidence'


class Suggestion(NamedTuple):
    """What to label, most useful first.

    paths: of the images, as the data set names them. rows: int64 [n], their places in `pool.unlabeled`. why: a reason
    each. labels, confidence: the model's prediction for each, '' and NaN for a backbone without a classifier; NaN for a
    multi-label prediction, which has no single confidence. out: the list that was written, or None.
    """

    paths: list[str]
    rows: np.ndarray
    why: list[str]
    labels: list[str]
    confidence: np.ndarray
    pool: pool.Pool
    out: Path | None

    @property
    def classes(self) -> tuple:
        return self.pool.classes

    def __repr__(self):
        first = f', first {self.paths[0]!r}' if self.paths else ''
        return f'<Suggestion of {len(self.paths)} of {len(self.pool.unlabeled):,} unlabelled images{first}>'


def label(
    run, count: int = 50, out: str | Path = '', *, by: str = 'auto', labels: str | Path = '', seed: int | None = None
) -> Suggestion:
    """Chooses which of the unlabelled images of a run to label next; no label that the run did not train on is read.

    Args:
      run: a run's folder. Its pretrained backbone gives the features of 'typical', its best classifier by validation
        what is 'uncertain'.
      count: how many, at most.
      out: the list to write, a CSV with the columns path, why, label and confidence, and beside it a contact sheet,
        NAME.png; '' writes none.
      by: 'typical', 'uncertain', or 'auto', which is 'typical' up to choosing.FEW labels per class (see choosing.py).
      labels: a CSV that the labelling page has written: the images in it are left out.
      seed: of the run, by default that of its best model.

    Raises:
      FileNotFoundError, FileExistsError, ValueError: an argument or a run that cannot be used; the message says why.
    """
    if by not in ('auto', *choosing.RULES):
        raise ValueError(f'by={by!r} is unknown: give auto, {" or ".join(choosing.RULES)}.')
    if count < 1:
        raise ValueError(f'count={count}: ask for one image or more.')
    target = Path(paths.expand(out)) if out else None
    if target and target.suffix != '.csv':
        raise ValueError(f'--out={target} must end in .csv: the list is a CSV.')
    if target and labels and target.absolute() == Path(paths.expand(labels)).absolute():
        raise ValueError(f'--out={target} is also the file of --labels: the list and the labels need a file each.')
    for there in (target, target.with_suffix('.png')) if target else ():
        if os.path.lexists(there):
            raise FileExistsError(f'{there} exists already: give another --out, or move it away.')
    best = trained.load(run, seed=seed)
    seed = best.info['seed'] if seed is None else seed
    found = pool.of(run, seed, best, pool.done(labels) if labels else frozenset())
    if by == 'auto':
        by = 'typical' if not best.classes or len(found.labeled) <= choosing.FEW * len(found.classes) else 'uncertain'
    if by == 'uncertain' and not best.classes:
        raise ValueError(f'{run} has no classifier that could be uncertain: use --by=typical.')
    viewer = _backbone(run, seed) or best if by == 'typical' else best
    say.status(f'features of {len(found.unlabeled):,} unlabelled images')
    seen = pool.outputs(viewer, found.unlabeled)
    known = pool.outputs(viewer, found.labeled).features
    threshold = best.threshold if best.multilabel else None
    rows, why = choosing.RULES[by](seen, known, min(count, len(found.unlabeled)), seed, threshold)
    told = pool.outputs(best, found.unlabeled.take(rows)).probabilities if best.classes else None
    say.status('')
    result = Suggestion(
        [found.names[row] for row in rows],
        rows,
        why,
        best.labels(told) if told is not None else [''] * len(rows),
        np.full(len(rows), np.nan, np.float32) if told is None or best.multilabel else told.max(1),
        found,
        target,
    )
    if target:
        _write(target, result)
    return result


def _backbone(run, seed: int):
    """The backbone that was pretrained without labels, or None."""
    try:
        return trained.load(run, way='pretrain', seed=seed)
    except (ValueError, FileNotFoundError):
        return None


def _write(target: Path, found: Suggestion) -> None:
    from ssljax import contact_sheet  # not at the top: it draws
    from ssljax.prediction.writers import Table

    kinds = {'path': str, 'why': str, 'label': str, 'confidence': float}
    with Table(target, kinds) as table:
        table.rows(
            [
                {'path': path, 'why': why, 'label': label or None, 'confidence': None if np.isnan(p) else float(p)}
                for path, why, label, p in zip(found.paths, found.why, found.labels, found.confidence)
            ]
        )
    images = found.pool.unlabeled.read(found.rows)
    names = [clean(path).rpartition('/')[2] for path in found.paths]
    tiles = [[contact_sheet.Tile(*shown)] for shown in zip(images[:SHOWN], names, map(str, range(1, SHOWN + 1)))]
    files.write_atomically(target.with_suffix('.png'), contact_sheet.draw([('', tiles)]))
