"""A seed's labelled, unlabelled and validation images: drawn once, and kept in its folder."""

import contextlib
import functools
import sys
from pathlib import Path

from absl import logging

from ssljax import config as configs
from ssljax import evaluation
from ssljax.data import names as naming
from ssljax.data import partition as partitions
from ssljax.data import pick, readable, sources
from ssljax.evals import embed
from ssljax.processes import hosts
from ssljax.progress import say
from ssljax.settings import schema
from ssljax.settings.resolve import Decision
from ssljax.storage import checkpoint, files
from ssljax.transfer import held_layers


def rows(config, source, represent, seed: int, directory: Path) -> partitions.Partition:
    """The Partition of one seed, with the label set that `represent`, from `representative`, chooses. `directory` gets
    it as partition.npz and, where images have names, those of the labelled ones as labels.txt, which
    --config.data.labels=list:PATH can read.

    Raises:
      ValueError, FileNotFoundError: as `partition.partition`; or the backbone of data.features does not suit these
        images.
    """
    path, names = directory / 'partition.npz', source.train.names()
    if (found := stored(path, len(source.train.labels))) is not None:
        if names:
            _list(directory / 'labels.txt', listing(names, found))
        return found
    budget, val = amounts(config, source, seed)
    carved = val not in ('', '0') and source.train.groups is None and config.data.copies == 'together'
    copied = source.train.copied() if carved else None
    found = partitions.partition(
        source.train.labels, len(source.classes), budget=budget, val=val, seed=seed, classes=source.classes,
        names=names, represent=represent and functools.partial(represent, seed=seed), pool=config.data.pool,
        around=sources.around(config.data), groups=source.train.groups, copied=copied,
        sets=source.sets,
    )  # fmt: skip
    if brought(source):
        print(f'seed {seed}: {told(config, source, found, (budget, val))}', file=sys.stderr)
    if names:
        files.write_atomically(directory / 'labels.txt', listing(names, found))
    check_same(directory, found)
    partitions.save(path, found, train=source.train.digest(), seed=seed)
    return found


def brought(source) -> int:
    """How many images a source brings that have no labels."""
    return len(source.unlabeled) if source.unlabeled is not None else 0


def amounts(config, source, seed: int) -> tuple[str, str]:
    """(data.labels, data.val) as they are drawn with a seed.

    If a source brings images without labels, it has no more labels than those of the others, and a total such as '50',
    which a recipe may have for other data, does not stop a run that has fewer: it then takes all and, if a total for
    validation leaves too few, the default share. A study's budgets stay what they are called.
    """
    budget, val = config.data.labels, '0' if source.val is not None else config.data.val
    if not brought(source) or config.study.labels:
        return budget, val
    labels = source.train.labels[source.train.labels >= 0]
    if val.strip().isdecimal() and int(val) > len(labels) - int((source.targets.counts(labels) > 0).sum()):
        val = configs.base().data.val
    if budget.strip().isdecimal():
        found = partitions.partition(
            source.train.labels, len(source.classes), budget='all', val=val, seed=seed, groups=source.train.groups,
            sets=source.sets,
        )  # fmt: skip
        budget = 'all' if int(budget) > len(found.labeled) else budget
    return budget, val


def decided(config, source) -> list[Decision]:
    """What `amounts` uses in place of the config's values, with the reason."""
    fields = ('data.labels', config.data.labels), ('data.val', config.data.val if source.val is None else '0')
    return [
        Decision(field, value, f'{given} were asked for, but fewer images are labelled')
        for (field, given), value in zip(fields, amounts(config, source, config.seeds[0]))
        if value != given
    ]


def told(config, source, found, drawn) -> str:
    """How many images are labelled, for validation and unlabelled, and what would change that; drawn: from
    `amounts`."""
    count, val, unlabeled = len(found.labeled), len(found.val), len(found.unlabeled) + brought(source)
    available = int((source.train.labels >= 0).sum()) - val
    labels, why = f'data.labels={config.data.labels!r}', ''
    if drawn[0] != config.data.labels:
        why = ', but there are no more'
    elif count < available:
        labels, why = f'{labels} of {available:,}', "; 'all' uses all"
    fewer = f', which is too many: {drawn[1]}' if drawn[1] != config.data.val and val else ''
    said = f'{count:,} labelled images ({labels}{why})'
    said += f', {val:,} for validation (data.val={config.data.val!r}{fewer})' if val else ''
    return f'{said}, {unlabeled:,} without labels'


@hosts.only_first
def _list(path: Path, content: bytes) -> None:
    if content == _content(path):
        return
    if path.exists():
        files.set_aside(path, 'it does not match the labelled images of partition.npz')
    files.write_atomically(path, content)


def listing(names, found) -> bytes:
    """The content of labels.txt."""
    return ''.join(f'{naming.to_line(names[row])}\n' for row in found.labeled).encode()


def _content(path) -> bytes | None:
    try:
        return files.read_bytes(path)
    except files.Damaged:
        return None


@hosts.by_first
def stored(path: Path, images: int) -> partitions.Partition | None:
    """The Partition in a file, or None if there is none or it is damaged; a damaged one is set aside.

    Args:
      images: how many the training split has.
    """
    try:
        files.read_npz(path)
        found = partitions.load(path)[0] if path.exists() else None
        if found and max((int(rows.max(initial=-1)) for rows in found), default=-1) >= images:
            raise files.Damaged(path, f'it has rows beyond the {images} training images')
    except files.Damaged as e:
        why = e.why
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        why = f'it is not a partition: {e}'
    else:
        return found
    logging.warning('%s is damaged (%s): drawing the label set again from config, data and seed.', path, why)
    files.set_aside(path, why)
    return None


@hosts.by_first
def check_same(directory: Path, found: partitions.Partition) -> None:
    """Raises ValueError if a set is not the one with which `directory` was evaluated before."""
    with contextlib.suppress(files.Damaged):
        before = (files.read_json(directory / 'evaluation.json') or {}).get('partition', {})
        for name, rows in found._asdict().items():
            if name in before and before[name]['hash'] != partitions.digest(rows):
                raise ValueError(
                    f'the {name} images of {directory} cannot be reproduced: those drawn now differ from those it was '
                    'evaluated with. Restore partition.npz, or the label list or backbone that they were chosen by, or '
                    'give another --workdir.'
                )


def representative(config, source, mesh):
    """(rows, count, seed) -> those of the training rows that represent the others, or None where config.data.choose
    is 'random'. The features, of the last layer of the backbone in config.data.features, are computed at the first
    call."""
    if config.data.choose == 'random':
        return None
    features = functools.cache(lambda: _features(config, source, mesh))

    def choose(rows, count, seed):
        found = features()
        rows = rows[~readable.is_bad(source.train.take(rows))]
        say.status(f'choosing {count} of {len(rows)} images to label')
        return rows[pick.typical(found[rows], count, seed)]

    return choose


def _features(config, source, mesh):
    variables, meta = checkpoint.load_variables(config.data.features)
    if config.data.choose == 'typical' and meta.get('stage', 'pretrain') != 'pretrain':
        raise ValueError(
            f'data.features={config.data.features} is the stage {meta["stage"]!r}, which was trained with labels, but '
            'data.choose=typical uses no labels: give the run, or its pretrain stage.'
        )
    if meta['data']['shape'] != list(source.shape):
        raise ValueError(
            f'data.features={config.data.features} was trained on images of shape {meta["data"]["shape"]}, but these '
            f'are {list(source.shape)}: set data.image_size and data.channels to match it, or give another run.'
        )
    trained = schema.restored(meta['config'])
    backbone = held_layers(trained.backbone, source.shape, variables['params']['backbone'])
    layer = trained.pretrain.layer or backbone.layers[-1][0]
    print(f'computing features of {len(source.train)} images to choose which to label', file=sys.stderr)
    layers = evaluation.pooled_layers(backbone, 'avg')
    shown = source.train.hide()  # a stream's corrupt images are only known once it has been read
    return embed.outputs(layers, variables, shown, batch_size=config.evaluate.batch_size, mesh=mesh)[layer]
