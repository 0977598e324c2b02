"""The plan of a run that plans itself: WORKDIR/plan.json, what was asked and chosen, and WORKDIR/plan.py."""

from pathlib import Path

from ssljax import config as configs
from ssljax.planning import make, recipe
from ssljax.planning.rules import Asked
from ssljax.records import begun
from ssljax.settings import schema
from ssljax.storage import files

KEYS = {'asked': dict, 'config': dict, 'decisions': list}
FREE = ('name', 'published', 'save_every', 'save_keep', 'log_every')  # may differ when a run is resumed


def asked(given: dict, minutes: float, flips: str) -> Asked:
    """What a plan is asked for, checked.

    Raises:
      ValueError: no source, no time, or an unknown field.
    """
    known = configs.definitions()
    for field in given:
        if field not in known or field.startswith(('plan.', 'answer.')):
            raise ValueError(f'a plan does not take the field {field!r}: leave it out.')
    if not given.get('data.source'):
        raise ValueError('say which images: --config.data.source=folder:photos, or another source.')
    if not 0 < minutes <= 1e6:
        raise ValueError(f'minutes is {minutes:g}: give how long the whole command may take, such as 30.')
    if flips not in ('auto', 'yes', 'no'):
        raise ValueError(f'flips is {flips!r}: it must be auto, yes or no.')
    return Asked(float(minutes), flips, given)


def of_config(config) -> Asked:
    """What a config asks a plan for."""
    return asked({field: get(config, field) for field in config.plan.given}, config.plan.minutes, config.plan.flips)


def get(config, field: str):
    """The value of a dotted field."""
    for part in field.split('.'):
        config = config[part]
    return config


def stored(config, workdir: Path):
    """The config that was planned in a work directory, or None if there is none yet.

    Raises:
      ValueError: what is asked for now is not what was asked for then; or the plan is damaged or missing although
        training has begun.
    """
    path = workdir / 'plan.json'
    new = _plain(of_config(config))
    try:
        found = files.read_json(path, KEYS)
    except files.Damaged as e:
        if begun.trained(workdir):
            advice = 'the stages already started were trained by it: restore it, or give another --workdir'
            raise files.Damaged(path, e.why, advice) from e
        files.set_aside(path, e.why)
        return None
    if found is None:
        if begun.trained(workdir):
            raise ValueError(f'{workdir} holds a run that was not planned: give another --workdir.')
        return None
    old = found['asked']
    changed = [
        f'{field}: {old.get(field)!r} -> {new.get(field)!r}'
        for field in {**old, **new}
        if old.get(field) != new.get(field) and field not in FREE
    ]
    if changed:
        raise ValueError(
            f'{workdir} holds a plan for something else ({"; ".join(changed[:6])}). Give another --workdir, or the '
            'same command to go on with it.'
        )
    return schema.restored(found['config'])


def keep(config, workdir: Path, plan: make.Plan):
    """Writes a plan; returns the config to train with."""
    planned = plan.config()
    record = {
        'asked': _plain(of_config(config)),
        'config': schema.to_dict(planned),
        'fingerprint': plan.fingerprint._asdict(),
        'decisions': [d._asdict() for d in plan.decisions],
        'notes': plan.notes,
        'seconds': plan.seconds,
        'speeds': {name: speed._asdict() for name, speed in plan.times.speeds.items()},
    }
    path = workdir / 'plan.py'
    files.write_atomically(path, recipe.text(plan, path))
    files.write_json(workdir / 'plan.json', record)
    print(recipe.table(plan), flush=True)
    print(f'Plan: {path}\n', flush=True)
    return planned


def _plain(asked: Asked) -> dict:
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in asked.given.items()}
    return {'minutes': asked.minutes, 'flips': asked.flips} | values
