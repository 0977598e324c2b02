"""What a work directory is bound to: the config and the data that it was begun with, the same in all processes."""

from pathlib import Path

from ssljax import config as configs
from ssljax.processes import hosts
from ssljax.records import begun, recorded
from ssljax.settings import schema
from ssljax.storage import files

COPIES = 3  # the schema from which on copies stay on one side


def as_begun(config, workdir: Path):
    """The config under today's names, with the rules of the version that `workdir` was begun with if that is an earlier
    one."""
    try:
        old = hosts.told(files.read_json, workdir / 'config.json') or {}
        choose, number = old['data']['choose'], old.get('schema', 1)
    except (OSError, ValueError, TypeError, KeyError):
        return config  # none, or a damaged one, which `claim` reports
    if number < COPIES and config.data.copies == 'together':
        config = config.copy_and_resolve_references()
        config.data.copies = 'anywhere'
    if choose == config.data.choose == 'typical':
        config = config.copy_and_resolve_references()
        schema.renamed(config.data)
    return config


def agree(what: str, found: dict) -> None:
    """Raises ValueError, in all processes of a run, if one has another config or other data than the first: each would
    train a network of its own, and none would notice.

    Args:
      what: 'config' or 'data'.
      found: what this process has, plain.
    """
    first, *others = hosts.gather(found)
    title, advice = ('a different config', 'command') if what == 'config' else ('different data', 'images and labels')
    for i, other in enumerate(others, 1):
        if lines := configs.differences(first, other):
            lines = lines if what == 'config' else [line.split(':')[0] for line in lines]
            error = ValueError(
                f'process {i} of {len(others) + 1} has {title} from process 0 ({"; ".join(lines[:4])}): give every '
                f'process the same {advice}.'
            )
            error.__dict__['told'] = not hosts.first()  # the first process prints it
            raise error


@hosts.by_first
def claim(config, workdir: Path) -> None:
    """Stores the config in a new workdir, or in one in which nothing has been trained; refuses one in which another
    config has begun."""
    new = schema.to_dict(config)
    old, kept = begun.stored(workdir, 'config'), (workdir / 'config.json').exists()
    if old is not None and not kept and config.tune:
        old = None  # the config in the stages includes what was tuned
    if old is not None and not kept:  # a study gives its cells a checkpoint that their config does not name
        old['transfer']['checkpoint'] = new['transfer']['checkpoint']
    changed = schema.changes(old, new) if old is not None else []
    if not any(workdir.glob('seed*/evaluation.json')) and not (workdir / 'result.json').exists():
        late = [line for line in changed if line.split(':')[0] in schema.LATE]
        changed, kept = [line for line in changed if line not in late], kept and not late
    if changed and not begun.trained(workdir):
        begun.clear(workdir)
        old = None
    elif changed:
        raise ValueError(
            f'{workdir} holds a run with a different config ({"; ".join(changed[:8])}). '
            'Give another --workdir, or the same config to continue it.'
        )
    if old is None or not kept or old['seeds'] != new['seeds']:
        files.write_json(workdir / 'config.json', new)


@hosts.by_first
def bound(config, workdir: Path, source, new: dict) -> tuple[dict | None, dict]:
    """(what `workdir` was begun with, what to record from now on), from recorded.summary. If nothing has been trained
    there, it is bound to no data: label sets that were drawn from other data are removed.

    Raises:
      ValueError: what was trained there was trained with other data.
    """
    old = begun.stored(workdir, 'data')
    if old is None:
        return None, new
    try:
        return old, recorded.check(old, new, source, workdir, config.data.source)
    except ValueError:
        if begun.trained(workdir):
            raise
    begun.clear(workdir, ('data.json', 'data.npz'))
    return None, new
