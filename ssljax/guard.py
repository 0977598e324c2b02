"""Guards against silent failure: a run that cannot end well stops with a diagnosis and the batch at which it showed."""

import math
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ssljax.devices import sharding
from ssljax.losses import relative_std, unit
from ssljax.processes import hosts
from ssljax.storage import files

NEVER = np.iinfo(np.int32).max


NOT_FINITE = 'the loss or its gradient is not finite: lower optim.lr, or set optim.clip or optim.warmup'


class Stopped(ValueError):
    """A guard stopped a stage; the message says why, what helps, and where the batch is.

    Attributes:
      stage: the stage's name, that of its folder; '' if it had not begun.
      kind: 'diverged', 'collapsed' or 'stopped'.
      step: the steps that were done.
      title: what the message begins with: the seed and the stage, or ''.
    """

    def __init__(self, message: str, *, stage: str = '', kind: str = 'stopped', step: int = 0, title: str = ''):
        super().__init__(f'{title}, {message}' if title else message)
        self.stage, self.kind, self.step, self.title = stage, kind, step, title


class Leak(Stopped):
    """Labels that should be hidden reach a loss: no part of the run can be trusted."""


def first_bad(bad, step, metrics: dict):
    """The first step whose loss or gradient is not finite, int32, NEVER while there is none.

    Args:
      bad: the same for the steps before.
      step: this step.
      metrics: of this step, {name: (sum, count)} with 'loss' and 'grad_norm'.
    """
    fine = jnp.isfinite(metrics['loss'][0]) & jnp.isfinite(metrics['grad_norm'][0])
    return jnp.where(fine, bad, jnp.minimum(bad, step))


def not_finite(means: dict, bad: int) -> str:
    """A diagnosis, or '' if every loss and gradient since the last look was finite."""
    if bad == NEVER and math.isfinite(means['loss']):
        return ''
    return NOT_FINITE


def not_moving(means: dict, trained: set, rate: float, early: bool) -> str:
    """A diagnosis where parameters that should train had no gradient or no update in any step since the last look.

    Args:
      means: with 'grad/<part>' and 'update/<part>' of each part of the parameters.
      trained: the parts that the optimiser's rules do not freeze.
      rate: the learning rate of the last step.
      early: only the backbone is looked at; a method may hold other parts back at first.
    """
    for part in sorted(trained):
        if early and part != 'backbone':
            continue
        if means[f'grad/{part}'] == 0:
            return f'no gradient reaches the parameters of {part!r}: is the loss constant, or the part unused?'
        if rate > 0 and means[f'update/{part}'] == 0:
            return f'the parameters of {part!r} do not change: check optim.lr, optim.rules and gradient clipping'
    return ''


def idle(means: dict) -> str:
    """A diagnosis where unlabelled images had no effect, or a bad one, in all steps since the last look; '' if all is
    well, or the method has no unlabelled loss.

    Args:
      means: with 'unlabeled', the loss; of some methods 'coverage', the share of the images that count, and
        'top_class', the share of the class that is predicted most often.
    """
    if 'unlabeled' not in means:
        return ''
    if means.get('coverage') == 0:
        return (
            'no unlabelled image is used, because none is predicted confidently enough, so this trains on labels '
            'alone: lower the threshold of the method, train longer, or start from the supervised weights '
            '(semi.start=scratch)'
        )
    if means['unlabeled'] == 0:
        return (
            'the unlabelled loss is exactly 0: are both views of an image the same? Check semi.augment and '
            'semi.strong, and the weight of the loss'
        )
    if means.get('top_class', 0) > 0.98:
        return (
            'nearly all unlabelled images are predicted as one class: lower optim.lr or the weight of the unlabelled '
            'loss, raise the threshold, or start from the supervised weights (semi.start=scratch)'
        )
    return ''


def idle_since(rows: list[dict], step: int) -> bool:
    """Whether `idle` had a diagnosis in every row of training of a metrics.jsonl after this step."""
    looks = [row for row in rows if row['step'] > step and 'train/loss' in row]
    return all(idle({k.removeprefix('train/'): v for k, v in row.items()}) for row in looks)


def last_evaluation(rows: list[dict]) -> dict | None:
    """The metrics of the last evaluation among the rows of a metrics.jsonl, or None."""
    found = [row for row in rows if 'val/loss' in row]
    return {k.removeprefix('val/'): v for k, v in found[-1].items()} if found else None


def unselective(means: dict) -> str:
    """A warning if a method that selects has used every unlabelled image since the last look; or ''. Adaptive
    thresholds begin like this. means: as for `idle`."""
    if means.get('coverage') != 1:
        return ''
    return (
        'every unlabelled image is used, wrong guesses included: the threshold filters nothing; raise it if the '
        'accuracy on validation falls'
    )


def hidden(labels) -> None:
    """Raises Leak if an image that should be unlabelled has a label, so that a loss could use it.

    labels: [N] int, -1 where unknown."""
    if known := int((np.asarray(labels) >= 0).sum()):
        raise Leak(
            f'{known} of {len(labels)} unlabelled images carry their label into the training step, where the loss '
            'could use it: hide them (Split.hide) before they become a feed.'
        )


def spread(features) -> dict[str, float]:
    """How far apart features are.

    Args:
      features: [N, D] float32.

    Returns:
      {'std': `losses.relative_std`; 'rank': the effective rank of the centred unit-length features, exp(entropy of
      the normalised singular values) (Roy & Vetterli 2007; Garrido et al. 2023)}.
    """
    x = np.asarray(unit(jnp.asarray(features)), np.float64)
    x = x - x.mean(0)
    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    p = values / max(values.sum(), 1e-12)
    return {'std': float(relative_std(jnp.asarray(features))), 'rank': float(np.exp(-np.sum(p * np.log(p + 1e-12))))}


def stop(directory, batch: dict, step: int, title: str, diagnosis: str, kind: str = 'stopped'):
    """Saves the batch of a step as offending_batch.npz, and in stopped.json what `heed` reads; raises Stopped.

    With a title the message is printed at once, for other stages may follow.
    """
    directory = Path(directory)
    files.write_npz(directory / 'offending_batch.npz', {**sharding.fetch(batch), 'step': np.asarray(step)})
    kind = 'diverged' if diagnosis == NOT_FINITE else kind
    files.write_json(directory / 'stopped.json', {'kind': kind, 'step': step + 1, 'why': diagnosis})
    try:
        heed(directory, title)
    except Stopped as error:
        if title:
            print(f'\n{error}', file=sys.stderr, flush=True)
        raise


def heed(directory, title: str) -> None:
    """Raises Stopped again if the stage in `directory` was stopped before: the same command would train it the same
    way."""
    directory = Path(directory)
    if found := hosts.told(files.read_json, directory / 'stopped.json'):
        why = found['why'] + '.' * (not found['why'].endswith('?'))
        message = f'step {found["step"]}: {why} The batch is in {directory / "offending_batch.npz"}.'
        raise Stopped(message, stage=directory.name, kind=found['kind'], step=found['step'], title=title)


def entry(error: Stopped, name: str) -> dict:
    """What result.json says of the way or pretraining `name` that has no result because a guard stopped it, or stopped
    what it starts from: {'kind', 'why', 'step'}; the kind is one of Stopped's or 'not trained'."""
    if error.stage not in ('', name):
        return unstarted(error.stage, {'kind': error.kind, 'why': str(error)})
    return {'kind': error.kind, 'why': str(error).removeprefix(f'{error.title}, '), 'step': error.step}


def unstarted(first: str, reason: dict) -> dict:
    """The entry of a way that starts from `first`, which has the entry `reason`."""
    what = 'the pretraining' if first == 'pretrain' else first
    verb = {'stopped': 'was stopped', 'not trained': 'was not trained'}.get(reason['kind'], reason['kind'])
    return {'kind': 'not trained', 'why': f'starts from {what}, which {verb}', 'step': 0}


def refuse(stopped: dict, name: str, title: str = '') -> None:
    """Raises Stopped if `stopped`, {name: entry}, contains the way or pretraining `name`."""
    if found := stopped.get(name):
        raise Stopped(found['why'], stage=name, kind=found['kind'], step=found['step'], title=title)
