"""Self-tuning: before training, short runs on the first seed's training and validation images decide batch size,
learning rate, regularisation, the options of semi-supervised methods and the duration. The test split is not given to
anything in here."""

import sys
from pathlib import Path

from ssljax import verbs

verbs.begin_package('tune')  # before the imports, which take seconds

from ssljax.data import sources  # noqa: E402
from ssljax.records import begun, identity  # noqa: E402
from ssljax.settings import checks  # noqa: E402
from ssljax.storage import files  # noqa: E402
from ssljax.tune import decision, phases  # noqa: E402


def tuned(config, workdir, source):
    """`config` with the decisions in `workdir`; if there are none, they are made now and written there.

    Files: WORKDIR/tuning/decisions.json (see `decision.record`) and tuned.py, a config that needs no tuning.

    Args:
      config: the run's config, with `tuning`.
      workdir: the run's folder.
      source: sources.Source.

    Raises:
      ValueError: no image for validation.
      preempt.Preempted: the run was asked to stop; rerunning starts tuning over.
    """
    place = Path(workdir) / 'tuning'
    record = begun.decisions(place / 'decisions.json')
    if record is None:
        record = phases.decide(config, Path(workdir), source._replace(test=None))
        changed = decided(config, record['decisions'])
        files.write_atomically(place / 'tuned.py', decision.recipe(changed, record['decisions'], place / 'tuned.py'))
        files.write_json(place / 'decisions.json', record)
        print(f'tuned in {record["seconds"]:.0f} s with {record["trials"]} short runs: {place}', file=sys.stderr)
    return decided(config, record['decisions'])


def decided(config, decisions: list[dict]):
    """The config with the decisions of a record and, if tuning.compare is set, a variant WAY_untuned of each tuned way,
    in which what was changed for it is as before."""
    new = decision.apply(config, decisions)
    if not (config.tuning.compare and decisions):
        return new
    before = {d['field']: decision.get(config, d['field']) for d in decisions if d['value'] != d['before']}
    tuned = {}
    for way in phases.tunable(config):
        foreign = 'transfer.scratch.' if phases.prefix(way) == 'semi' else 'semi.'
        if own := tuple((field, value) for field, value in before.items() if not field.startswith(foreign)):
            tuned[way] = own
    new.variants = (*config.variants, *((f'{way}_untuned', way, own) for way, own in tuned.items()))
    ways = config.transfer.ways
    new.transfer.ways = tuple(name for w in ways for name in ((w, f'{w}_untuned') if w in tuned else (w,)))
    return new


def run(config, workdir) -> None:
    """Tunes without training; `ssljax train` with --config.tune=True and the same workdir continues from there.

    Raises:
      ValueError, OSError: something the user can fix.
      preempt.Preempted: the run was asked to stop.
    """
    config = config.copy_and_resolve_references()
    config.tune, workdir = True, Path(workdir)
    config = identity.as_begun(config, workdir)
    checks.check(config)
    with files.lock(workdir):
        identity.claim(config, workdir)
        tuned(config, workdir, sources.load(config.data))
    print(workdir / 'tuning/tuned.py')
