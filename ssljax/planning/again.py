"""The trainings of a learning curve: scratch and the best way again, with a share of the labels, after the run."""

import sys

from ssljax import experiment, seeds, stages, ways
from ssljax.planning.budget import FIGURES, PAGE
from ssljax.processes import hosts, preempt
from ssljax.progress import minutes, say
from ssljax.records import begun, identity
from ssljax.storage import files

WITHIN = 1.25  # times the longest training so far must be left for a further one


def cells(run, labels: dict, best: str, metric: str) -> dict:
    """Trains with fewer labels as long as there is time: for one seed after the other, every share of its labels.

    Each label set is a subset of its seed's; pretrained backbones are those of the run. What is finished is kept in
    WORKDIR/curve/LABELS/seedN.

    Args:
      run: stages.Context, all of whose seeds are trained.
      labels: {seed: how many labelled images it has}.
      best: the way beside scratch, or '' for none.
      metric: of the test images.

    Returns:
      {way: {labels: {seed: value on test}}}.
    """
    config = run.config
    shares = [share for share in sorted(config.answer.curve, reverse=True)]
    found: dict = {}
    longest, last = 0.0, FIGURES if config.evaluate.figures else PAGE
    wanted = ('scratch', best) if best else ('scratch',)
    for seed, count in labels.items():
        for share in shares:
            few = round(share * count)
            place = run.workdir / f'curve/{few}/seed{seed}'
            record = begun.evaluation(place / f'seed{seed}')
            if record is None and few < len(run.source.classes):
                continue
            if record is None:
                if longest and WITHIN * longest + last > minutes.left(config, run.workdir):
                    print(f'note: no time for {few} labels with seed {seed}', file=sys.stderr)
                    return found
                began = hosts.now()
                say.status(f'seed {seed} · learning curve: {" and ".join(wanted)} with {few} labels')
                record = _train(run, place, seed, few, wanted)
                longest = max(longest, hosts.now() - began)
            for way in wanted:
                value = record['ways'].get(way, {}).get('test', {}).get(metric)
                if value is not None:
                    found.setdefault(way, {}).setdefault(few, {})[seed] = value
    return found


def _train(run, place, seed: int, few: int, wanted) -> dict:
    """The record of one seed, trained with `few` labels in `place`."""
    preempt.check()
    config = run.config.copy_and_resolve_references()
    pretrained = 'pretrain' in run.methods and any(ways.needs_pretraining(config, way) for way in wanted)
    config.update(name='curve', seeds=(seed,))
    config.data.labels = str(few)
    config.transfer.ways = wanted
    config.pretrain.method = 'none'
    config.variants = tuple(v for v in config.variants if v[0] in wanted)
    if pretrained:
        config.transfer.checkpoint = str(run.workdir / f'seed{stages.pretraining_seed(run.config, seed)}/pretrain')
    config.evaluate.update(knn=0, probe=False, random=False, figures=False, reference=0)
    with files.lock(place):
        identity.claim(config, place)
        cell = experiment.prepare(config, place, run.source, quiet=True)
        shared = {kind: method for kind, method in run.methods.items() if kind != 'pretrain'}
        cell = cell._replace(methods=shared, programs=run.programs)
        return seeds.evaluate_seed(cell, seed)
