"""Every field that a run can have, with its default. A config file imports `base` and overrides."""

import difflib
import json
import re

from ml_collections import ConfigDict


def base() -> ConfigDict:
    """The complete config of a run: data -> pretrain -> transfer -> evaluate. Amounts of images are strings:
    '1000' (a count), '10/class', '2.5%' or 'all'. Each pretext task's own options are the sub-dict
    `pretrain.<method>`, declared beside the task."""
    from ssljax import methods  # not at the top: methods read configs, and import flax

    config = ConfigDict(
        dict(
            name='run',
            seeds=(0,),  # each seed has its own label set, initial weights and batch order
            tune=False,  # before training, short runs decide what `tuning` says
            tuning=dict(
                minutes=10.0,  # in all; a hard limit
                decide=('batch_size', 'rate', 'regularisation', 'options', 'duration'),
                trials=40,  # settings that a search tries for one way, at most
                eta=3,  # successive halving: the best of so many train so many times as long
                augment=(),  # pipelines to choose from, from weak to strong; (): some that suit the image's size
                batch_max=1024,
                images=5000,  # of validation, at most
                compare=True,  # the tuned ways are trained as they were given, too, as variants
            ),
            data=dict(
                source='digits',  # digits | circles | tfds:NAME | folder:PATH | npz:PATH | synthetic:HxWxC:K
                data_dir='',  # where TensorFlow Datasets keeps prepared data
                manual_dir='',  # where TensorFlow Datasets finds what was downloaded by hand
                image_size=0,  # 0: as stored
                channels=0,  # 0: as stored; 1, 3 or 4 converts
                labels='all',  # the label budget, or list:PATH, a file that names the labelled images
                choose='random',  # random (stratified) | typical (they represent the rest: data/pick.py)
                features='',  # typical: a workdir or stage of another run, whose pretrained backbone is looked with
                pool=0,  # how many of the other training images are used, without labels; 0: all
                val='10%',  # carved from the training labels, unless the source brings its own
                test='20%',  # only where the source has no test split
                unlabeled='',  # a further folder: or npz: path of unlabelled images
                range='auto',  # of files of more than 8 bits a channel, what becomes 0 to 255: auto (by a sample of the
                # training files) | full (of each file's type) | LOW,HIGH
                max_pixels=100_000_000,  # an image that declares more is not decoded
                corrupt='skip',  # skip | refuse
                path='auto',  # auto | resident | stream
                cache='',  # a directory where image files are kept decoded (uint8) for this and later runs; '': none
            ),
            backbone=dict(
                name='cnn',
                blocks=4,  # nin: 3 to 5
                stem='auto',  # auto | cifar | imagenet
                dtype='float32',  # of the computation: float32 | bfloat16
                conv='auto',  # auto | xla | fast
                norm='batch',  # conv9, mlp: batch | weight | none; the others have what their papers have
                dropout=True,  # conv9: whether features are dropped in training; the others drop none
                width=0,  # features of a layer; 0: cnn 16, vit 64, conv9 96, mlp 128, wrn28_2 32 (its group1)
                depth=0,  # blocks; 0: cnn 2, vit 4, mlp 3, wrn28_2 4 (of each group)
                heads=4,  # vit: of the attention; a divisor of the width
                patch=4,  # vit: pixels a side of a patch; a divisor of the image's
            ),
            pretrain=dict(
                stage(epochs=10.0),
                method='rotation',
                augment='',
                batch_size=128,
                layer='',  # the named layer that the task's heads sit on; '' is the last
                hidden=(),  # widths of dense layers under the pretext task's own logits
                pool='avg',  # avg | flatten | gridN, of that layer
                watch=1000,  # images of validation for nearest neighbours and spread at each evaluation; 0: none
                collapse=0.01,  # the spread of features or embeddings under which the run stops; 0: never
                **methods.options(),
            ),
            semi=dict(  # a way that is the name of a semi-supervised method: labelled and unlabelled images at once
                stage(epochs=10.0),
                start='random',  # random | pretrained (the backbone) | scratch (the outcome of that way)
                augment='',  # weak, of unlabelled images; '': as transfer.augment, which labelled ones have
                strong='',  # of the views that are held to the prediction for a weak one
                ema=0.999,  # decay of the averaged weights, which are evaluated; 0: none. The GANs keep none
                idle=0.25,  # share of the steps after which an unlabelled loss without effect stops the run; 0: never
                batch_size=64,  # unlabelled images a step, and generated ones
                labeled_batch_size=0,  # 0: all labelled images where they are no more than batch_size, else batch_size
                **methods.semi_options(),
            ),
            transfer=dict(
                ways=('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage'),
                checkpoint='',  # a workdir or stage of another run; '' is this run's own pretraining
                layer='',  # the named layer that the head is put on; '' is the last
                hidden=(),  # () is a linear head; (200, 200) an mlp of three dense layers
                pool='avg',  # avg | flatten | gridN, of the tapped layer
                augment='',
                mixup=0.0,  # alpha of the Beta distribution that labelled images are mixed by; 0: none
                dropout=0.0,  # share of the head's input that is dropped in training
                batch_size=64,
                frozen=stage(epochs=20.0, rules='backbone/.*=0; .*=1'),  # head only
                scratch=stage(),  # no duration: as long as frozen and second together
                finetune=stage(lr=0.01),  # likewise
                second=stage(epochs=20.0, lr=0.01),  # two_stage: all weights, after frozen
            ),
            evaluate=dict(
                batch_size=500,
                knn=20,  # neighbours; 0: none
                probe=True,  # a linear probe for every named layer
                random=True,  # neighbours and probe of the backbone before any training, too
                probe_pool='grid4',
                probe_l2=(1e-4, 1e-3, 1e-2, 1e-1),
                figures=True,
                best_on_test=False,  # also look at test at every evaluation, as tables do that select on it
            ),
            study=dict(  # of ssljax.study: each budget x pretraining x way x seed is a cell
                labels=(),  # label budgets; (): data.labels alone
                pretrained=(),  # (name, ((field of pretrain, value), ...)) of each pretraining; (): this config's own
                reference='scratch',  # the way that the others are held against
                sweep='',  # ablations: settings of config fields, as --sweep has them
                together=0,  # seeds of a cell that are trained at once where that is faster, at most; 0: all
                keep=False,  # whether the weights of finished cells are kept; those of pretrainings are
            ),
            log_every=50,  # steps
            save_every=60.0,  # seconds between checkpoints inside a stage
            steps_per_call=0,  # 0: 1 on a CPU, 10 on an accelerator
            variants=(),  # (name, way, ((field, value), ...)): a further way, trained as that one with other fields
            published=(),  # (way, top-1 in percent, setting, source) to print beside the results
        )
    )
    config.semi.optim.update(name='adamw', lr=3e-4, b1=0.5, weight_decay=0.0)  # DCGAN's Adam
    return config


def stage(epochs=0.0, lr=0.05, rules='.*=1') -> ConfigDict:
    """How long and with which optimiser one stage trains. One of epochs, steps and examples is set."""
    return ConfigDict(
        dict(
            epochs=epochs,
            steps=0,
            examples=0,
            evals=20,  # evaluations on validation, evenly spaced
            patience=0,  # evaluations without a better one before the stage ends; 0: never
            label_smoothing=0.0,
            optim=dict(
                name='sgd',  # sgd | adamw
                lr=lr,
                momentum=0.9,
                nesterov=True,
                b1=0.9,
                b2=0.999,
                weight_decay=5e-4,
                decay='.*kernel=1; .*=0',  # regex=1 or 0: whether a weight decays; the first full match wins
                rules=rules,  # regex=factor of the learning rate; 0 freezes
                schedule='cosine',  # cosine | slow_cosine | constant | multistep
                warmup=0.0,  # share of the steps
                milestones=(0.3, 0.6, 0.8),  # multistep: shares of the steps
                gamma=0.2,  # multistep: factor at each milestone
                clip=0.0,  # global norm of the gradient; 0: none
            ),
        )
    )


def of_task(tasks: dict, task: str, name: str, **fields) -> ConfigDict:
    """`base` with the pretraining of one task of a recipe's table.

    Args:
      tasks: {task: (steps, {field of config.pretrain: value})}.
      task: one of them.
      name: the recipe's; the run is called <name>_<task>.
      **fields: of config.pretrain, for every task; its own go before them.

    Raises:
      ValueError: the table has no such task.
    """
    if task not in tasks:
        raise ValueError(f'no recipe for the task {task!r}{nearest(task, tasks)} (known: {", ".join(tasks)})')
    steps, own = tasks[task]
    c = base()
    c.name = f'{name}_{task.replace(" ", "")}'
    c.pretrain.update(method=task, steps=steps, epochs=0.0, evals=4, **fields)
    c.pretrain.update_from_flattened_dict(own)
    return c


def check(config) -> None:
    """Raises ValueError for what can be seen to be wrong before any data is read."""
    from ssljax import methods  # see base

    b = base()
    _one_of(config.data, 'data.corrupt', ('skip', 'refuse'))
    _one_of(config.data, 'data.path', ('auto', 'resident', 'stream'))
    _one_of(config.data, 'data.choose', ('random', 'typical'))
    if config.data.choose == 'typical' and not config.data.features:
        raise ValueError(
            'data.choose is typical, which compares images by a pretrained backbone: give one, for example '
            '--config.data.features=runs/simclr.'
        )
    if config.pretrain.method not in ('', 'none'):
        _duration('pretrain', config.pretrain)
    if set(config.transfer.ways) & {'frozen', 'random_frozen', 'two_stage'}:
        _duration('transfer.frozen', config.transfer.frozen)
    if 'two_stage' in config.transfer.ways:
        _duration('transfer.second', config.transfer.second)
    known = (*b.transfer.ways, *methods.SEMI)
    known = (*known, *_variants(config, known))
    for way in config.transfer.ways:
        if way not in known:
            raise ValueError(f'transfer.ways has {way!r}{nearest(way, known)} (known: {", ".join(known)})')
    for way, changed in (variant(config, way) for way in config.transfer.ways):
        if way in methods.SEMI:
            _duration('semi', changed.semi)
            _one_of(changed.semi, 'semi.start', ('random', 'pretrained', 'scratch'))
    trained = {variant(config, way)[0] for way in config.transfer.ways}
    if 'two_stage' in trained and 'frozen' not in config.transfer.ways:
        raise ValueError('transfer.ways has two_stage without frozen, its first stage: add frozen.')
    if config.tune:
        _tuning(config.tuning)
    if not config.seeds:
        raise ValueError('seeds is empty: give at least one, for example --config.seeds="(0,1,2)".')
    if len(set(config.seeds)) != len(config.seeds):
        raise ValueError(f'seeds are {tuple(config.seeds)}: each may stand once.')


def variant(config, name: str):
    """(the way that `name` is trained as, the config that it is trained with): a variant's, or the name and the config
    themselves."""
    for label, way, changes in config.variants:
        if label == name:
            config = config.copy_and_resolve_references()
            config.update_from_flattened_dict(dict(changes))
            return way, config
    return name, config


def _variants(config, ways) -> list[str]:
    """The names of the variants; raises ValueError for one that cannot be trained."""
    names, fields = [], [f for f in field_names(base()) if f.startswith(('transfer.', 'semi.'))]
    for entry in config.variants:
        if len(entry) != 3:
            raise ValueError(
                f'variants has {entry!r}; each is (name, way, ((field, value), ...)), for example '
                "('plain', 'scratch', (('transfer.augment', ''),))."
            )
        name, way, changes = entry
        if not re.fullmatch(r'[a-z][a-z0-9_]*', name) or name in (*ways, *names, 'pretrain', 'second'):
            raise ValueError(
                f'variants has the name {name!r}: a name has small letters, digits and _, stands once, and is no way.'
            )
        if way not in ways:
            raise ValueError(
                f'the variant {name} is of the way {way!r}{nearest(way, ways)} (known: {", ".join(ways)}).'
            )
        for field, _ in changes:
            if field not in fields:
                raise ValueError(
                    f'the variant {name} changes {field!r}{nearest(field, fields)}: it can change fields of transfer '
                    'and semi.'
                )
        names.append(name)
    return names


def _tuning(node):
    for field, least in (('minutes', 0.01), ('trials', 1), ('eta', 2), ('batch_max', 1), ('images', 1)):
        if node[field] < least:
            raise ValueError(f'tuning.{field} is {node[field]}; it must be at least {least}.')
    known = base().tuning.decide
    for name in node.decide:
        if name not in known:
            raise ValueError(f'tuning.decide has {name!r}{nearest(name, known)} (known: {", ".join(known)}).')


def _one_of(node, name, allowed):
    value = node[name.rsplit('.', 1)[-1]]
    if value not in allowed:
        raise ValueError(f'{name} is {value!r}; it can be {", ".join(allowed)}.')


def _duration(name, node):
    given = [k for k in ('epochs', 'steps', 'examples') if node[k]]
    if len(given) != 1 or node[given[0]] < 0:
        said = ', '.join(f'{k}={node[k]}' for k in ('epochs', 'steps', 'examples'))
        raise ValueError(
            f'{name} has {said}: exactly one of them gives the duration. '
            f'Set the others to 0, for example --config.{name}.epochs=0 --config.{name}.steps=1000.'
        )


def total_steps(node, *, images: int, batch_size: int) -> int:
    """Optimiser steps of a stage over `images` images; 0 where it has no duration."""
    if node.steps:
        return int(node.steps)
    return round((node.examples or node.epochs * images) / batch_size)


def stage_steps(config, kind: str, images: int) -> int:
    """Optimiser steps of a stage. 'scratch' and 'finetune' without a duration are as long as 'frozen' and 'second'
    together, so that every way that trains all weights takes the same number of steps."""
    if kind in ('pretrain', 'semi'):
        return total_steps(config[kind], images=images, batch_size=config[kind].batch_size)
    t = config.transfer
    steps = {k: total_steps(t[k], images=images, batch_size=t.batch_size) for k in (kind, 'frozen', 'second')}
    return max(steps[kind] or steps['frozen'] + steps['second'] * ('two_stage' in t.ways), 1)


def nearest(name: str, known) -> str:
    """'; did you mean x?' or '' for a misspelt name."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f'; did you mean {close[0]}?' if close else ''


def field_names(config, prefix='') -> list[str]:
    """Dotted names of all leaves: ['data.source', ...]."""
    names = []
    for key, value in config.items():
        names += field_names(value, f'{prefix}{key}.') if isinstance(value, ConfigDict) else [prefix + key]
    return names


def to_dict(config) -> dict:
    """Plain JSON-able dict, equal after a round trip through JSON."""
    return json.loads(json.dumps(config.to_dict()))


def differences(old: dict, new: dict, prefix='') -> list[str]:
    """Lines 'field: old -> new' for every leaf in which two plain dicts differ."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f'{prefix}{key}.')
        elif a != b:
            lines.append(f'{prefix}{key}: {a!r} -> {b!r}')
    return lines
