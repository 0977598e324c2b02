"""Every field of a run, with its default. A recipe imports `base` and overrides fields."""

import functools
import json

from ml_collections import ConfigDict

from ssljax import methods, metrics, models
from ssljax.data import pattern, sources
from ssljax.devices import fsdp
from ssljax.settings.fields import (
    BATCH,
    WIDEST,
    amount,
    are_changes,
    below_one,
    choice,
    entries,
    flag,
    form,
    is_published,
    many,
    name,
    of,
    path,
    pipeline,
    pool,
    real,
    rules,
    share,
    text,
    whole,
    widths,
)
from ssljax.text.wording import nearest, shown

KINDS = {'random_frozen': 'frozen', 'two_stage': 'second'}  # the kind of a way's stage, where their names differ
OPTIMISERS = 'sgd', 'adamw', 'lars', 'muon'
SCHEDULES = 'cosine', 'slow_cosine', 'constant', 'multistep', 'flat_linear'
TUNED = ('batch_size', 'rate', 'regularisation', 'options', 'duration')  # what tuning can decide
VARIANT = "(name, way, ((field, value), ...)), for example ('plain', 'scratch', (('transfer.augment', ''),))"


def base() -> ConfigDict:
    """The complete config of a run: data -> pretrain -> transfer -> evaluate. Amounts of images are strings:
    '1000' (a count), '10/class', '2.5%' or 'all'. Each pretext task's own options are the sub-dict
    `pretrain.<method>`, declared beside the task, as a backbone's are beside the backbone."""
    return ConfigDict(_defaults(fields()))


def fields() -> dict:
    """The tree of the config with a `fields.Field` for each of its fields: its default and what it may be. A plain
    value stands for a field of its type that is finite and not negative (`fields.of`)."""
    ways = ('random_frozen', 'scratch', 'frozen', 'finetune', 'two_stage')
    return dict(
        name=name('run'),
        # Each seed has its own label set, initial weights and batch order.
        seeds=many((0,), whole(0, 0, 2**32 - 1), 1, distinct=True),
        # The metric on validation by which weights and models are selected, and settings tuned; for multi-label images,
        # top1 stands for mAP.
        select=choice('top1', *dict.fromkeys(metrics.SELECT + metrics.SELECT_MULTILABEL)),
        tune=flag(False),  # before training, short runs choose what `tuning` lists
        tuning=dict(
            minutes=real(10.0, 0.01, 1e6),  # in total; a hard limit
            decide=many(TUNED, choice(TUNED[0], *TUNED), distinct=True),
            trials=whole(40, 1),  # settings tried for one way, at most
            eta=whole(3, 2, 1000),  # successive halving: the best 1 in `eta` trains `eta` times as long
            # Pipelines to choose from, from weak to strong; (): a default list for the image size.
            augment=many((), pipeline()),
            batch_max=whole(1024, 1, BATCH),
            images=whole(5000, 1),  # validation images used, at most
            compare=flag(True),  # the tuned ways are also trained untuned, as variants
        ),
        plan=dict(  # ssljax.planning: what is not given is chosen from the data, and measured, before training
            minutes=real(0.0, 0.0, 1e6),  # for the whole command; 0: the config is trained as it is
            flips=choice('auto', 'auto', 'yes', 'no'),  # whether an image and its mirror image may be of one class
            given=many((), text()),  # fields that stay as they are
        ),
        answer=dict(  # in words, at the end of a run: what helped, and what more labels would bring
            # Shares of the labels that scratch and the best way are trained with again; (): no learning curve.
            curve=many((), real(0.5, 0.001, 0.999), distinct=True),
            minutes=real(0.0, 0.0, 1e6),  # a further seed or training must fit in this to begin; 0: all are trained
        ),
        data=dict(
            source=sources.field('digits'),
            images=path(),  # for a CSV: the folder or archive that its paths are in; '': the CSV's own folder
            pattern=pattern.field(),  # for a folder: what its file names say, such as '{label}.{}.jpg'
            # Whether 'a;b' in a CSV is several classes (or rows of 0 and 1 in an .npz): auto (where there are any) |
            # yes | no (a semicolon belongs to the name of a class).
            multilabel=choice('auto', 'auto', 'yes', 'no'),
            # A CSV of labels for training images that came without; rows are appended to it.
            annotations=path(),
            data_dir=path(),  # where TensorFlow Datasets keeps prepared data
            manual_dir=path(),  # where TensorFlow Datasets finds manual downloads
            image_size=whole(0, 0, 2**14),  # 0: as stored
            # How an image becomes a square of that size: crop (the centre is kept) | pad (with black bars) | squash
            resize=choice('crop', 'crop', 'pad', 'squash'),
            channels=choice(0, 0, 1, 3, 4),  # 0: as stored; 1, 3 or 4 converts
            # The label budget, or list:PATH, a file that names the labelled images.
            labels=amount('all', everything=True, listed=True),
            # random (stratified) | typical (representative of the rest; a total, uses no labels) | typical_oracle
            # (the same within each class, using the class of every image): data/pick.py
            choose=choice('random', 'random', 'typical', 'typical_oracle'),
            features=path(),  # for both: a workdir or stage of another run, whose pretrained backbone gives features
            pool=whole(0),  # how many of the other training images are used, unlabelled; 0: all
            val=amount('10%', none=True),  # carved from the training labels, unless the source has its own
            test=amount('20%'),  # only where the source has no test split
            # Images with copies, where validation and test are carved from the rest: together (all are trained on, and
            # none is evaluated) | anywhere.
            copies=choice('together', 'together', 'anywhere'),
            unlabeled=sources.field(empty=True),  # an additional source of unlabelled images
            # The values that become 0 to 255 in files of more than 8 bits per channel: auto (from a sample of the
            # training files) | full (the range of each file's type) | LOW,HIGH.
            range=form('auto', r'auto|full|[^,;]+,[^,;]+', 'auto, full, or two numbers LOW,HIGH, such as 0,4095'),
            max_pixels=whole(100_000_000, 1),  # larger images are not decoded
            corrupt=choice('skip', 'skip', 'refuse'),
            path=choice('auto', 'auto', 'resident', 'stream'),
            cache=path(),  # a directory that keeps decoded images (uint8) for this and later runs; '': none
        ),
        backbone=models.options(),  # each backbone has those that its file declares
        pretrain=dict(
            _stage(epochs=10.0),
            method=text('rotation'),  # a pretext task, a sum such as rotation + 0.5*simclr, or none
            # One pretraining, with the first seed's images, for all seeds: it sees, without labels, images that other
            # seeds take for validation, but no test image.
            shared=flag(False),
            augment=pipeline(),
            batch_size=whole(128, 1, BATCH),
            layer=text(''),  # the named layer that the task's heads sit on; '' is the last
            hidden=widths(()),  # widths of dense layers below the pretext task's own logits
            pool=pool('avg'),  # of that layer
            watch=whole(1000),  # validation images for nearest neighbours and spread at each evaluation; 0: none
            collapse=real(0.01, 0.0, 1e3),  # the run stops if features or embeddings spread less; 0: never
            **methods.options(),
        ),
        semi=dict(  # for ways that are semi-supervised methods: labelled and unlabelled images at once
            _stage(epochs=10.0, b1=0.5, open=methods.OPEN),
            # random (or backbone.init_from's weights) | pretrained (the backbone) | scratch (the result of that way)
            start=choice('random', 'random', 'pretrained', 'scratch'),
            augment=pipeline(),  # weak, for unlabelled images; '': as transfer.augment, which labelled ones get
            strong=pipeline(),  # for the views trained towards the prediction for a weak one
            ema=below_one(0.999),  # decay of the averaged weights, which are evaluated; 0: none. GANs have their own
            # Labelled images and both views of the unlabelled ones pass through the network as one batch; otherwise the
            # weak views, which only give targets, do so separately and without a gradient, in less time.
            one_batch=flag(False),
            # Fraction of the steps for which the unlabelled loss may have no effect before the run stops; 0: no limit.
            idle=share(0.5),
            batch_size=whole(64, 1, BATCH),  # unlabelled images per step, and generated ones
            # 0: all labelled images if there are at most batch_size, else batch_size
            labeled_batch_size=whole(0, 0, BATCH),
            **methods.semi_options(),
        ),
        transfer=dict(
            ways=many(ways, form('scratch', '[a-z][a-z0-9_]*', 'the name of a way'), distinct=True),
            checkpoint=path(),  # a workdir or stage of another run; '' is this run's own pretraining
            layer=text(''),  # the named layer that the head sits on; '' is the last
            hidden=widths(()),  # () is a linear head; (200, 200) an mlp of three dense layers
            # Channels of a block of three convolutions below the pooling, RotNet's convolutional classifier; 0: none.
            conv=whole(0, 0, WIDEST),
            pool=pool('avg'),  # of the tapped layer
            augment=pipeline(),
            mixup=real(0.0, 0.0, 1000.0),  # alpha of the Beta distribution for mixing labelled images; 0: no mixup
            dropout=below_one(0.0),  # fraction of the head's input dropped in training
            head_norm=choice('none', 'none', 'weight'),  # of the last layer; weight: normalised weights, as in SGANs
            # For the loss on labelled images, also in semi-supervised ways: none | balanced (inverse to the number of
            # labelled images of a class) | effective (inverse to its effective number, with class_weights_beta).
            class_weights=choice('none', 'none', 'balanced', 'effective'),
            class_weights_beta=below_one(0.999),
            # tau: in training, tau times the log of a class's share of the labelled images is added to its logit; 0:
            # none, 1: for balanced accuracy.
            logit_adjustment=real(0.0, 0.0, 100.0),
            batch_size=whole(64, 1, BATCH),
            frozen=_stage(epochs=20.0, trained='backbone/.*=0; .*=1'),  # head only
            scratch=_stage(),  # no duration: as long as frozen and second together
            finetune=_stage(lr=0.01),  # likewise
            second=_stage(epochs=20.0, lr=0.01),  # two_stage: all weights, after frozen
        ),
        evaluate=dict(
            batch_size=whole(500, 1, BATCH),
            knn=whole(20, 0, 10**6),  # neighbours, and with them class means; 0: none
            probe=flag(True),  # a linear probe for every named layer
            random=flag(True),  # also neighbours and probe of the untrained backbone
            probe_pool=pool('grid4'),
            probe_l2=many((1e-4, 1e-3, 1e-2, 1e-1), real(1e-4, 0.0, 1e6), 1, distinct=True),
            figures=flag(True),
            # Training images kept as a reference, to flag images unlike them in predictions; 0: no calibration either.
            reference=whole(1000, 0, 10**6),
            positive=text(''),  # of two classes, the one sensitivity refers to; '': the rarer one in the test images
            best_on_test=flag(False),  # also read test at every evaluation, like papers that select on it
        ),
        study=dict(  # of ssljax.studies: each budget x pretraining x way x seed is a cell
            # Label budgets; (): data.labels alone.
            labels=many((), amount('all', everything=True, listed=True)),
            # Pretrainings; (): this config's own.
            pretrained=entries((), '(name, ((field of pretrain, value), ...))', _is_pretraining),
            reference=text('scratch'),  # the way that the others are compared with
            sweep=text('', 100_000),  # ablations: settings of config fields, as in --sweep
            together=whole(0),  # maximum number of seeds trained at once, if that is faster; 0: all
            keep=flag(False),  # keep the weights of finished cells; those of pretrainings are always kept
        ),
        fsdp=dict(  # for networks too large for one device
            # Devices over which each copy of the weights, of their averages and of the optimiser's state is sharded; 1:
            # every device has all.
            devices=whole(1, 1, 2**20),
            # regex=axis along which weights are sharded: its number, auto (the longest that divides evenly) or none;
            # the first full match wins.
            rules=rules('.*=auto', fsdp.read_axis, 'axis', 'each axis a whole number, auto or none'),
            least=whole(2**14),  # auto leaves weights with fewer elements whole
        ),
        tracker=choice('', '', 'wandb', 'mlflow'),  # also gets all metrics, if it is installed
        log_every=whole(50, 1),  # steps
        save_every=real(60.0),  # seconds between checkpoints inside a stage
        # How many checkpoints, the newest, a stage in training keeps; each also has the best weights so far.
        save_keep=whole(2, 1, 1000),
        steps_per_call=whole(0, 0, 10_000),  # 0: 1 on a CPU, 10 on an accelerator
        variants=entries((), VARIANT, _is_variant),  # an additional way: an existing one with changed fields
        published=entries((), '(way, top-1 in percent, setting, source)', is_published),  # to print next to the results
    )


def _is_pretraining(entry) -> bool:
    return len(entry) == 2 and isinstance(entry[0], str) and are_changes(entry[1])


def _is_variant(entry) -> bool:
    return len(entry) == 3 and all(isinstance(e, str) for e in entry[:2]) and are_changes(entry[2])


def stage(epochs=0.0, lr=0.05, rules='.*=1') -> ConfigDict:
    """How long and with which optimiser a stage trains. Exactly one of epochs, steps and examples is set."""
    return ConfigDict(_defaults(_stage(epochs, lr, rules)))


def _stage(epochs=0.0, lr=0.05, trained='.*=1', b1=0.9, open=None) -> dict:
    """The tree of a stage's fields, as `fields`. open: {field of optim: the value that leaves it to the method}."""
    optim = dict(
        name=choice('sgd', *OPTIMISERS),
        lr=real(lr, 1e-12, 1e38),  # float32 holds no more
        momentum=below_one(0.9),  # of sgd, lars and muon, and whether in Nesterov's form
        nesterov=flag(True),
        b1=below_one(b1),  # of adamw, and of muon for all but kernels; b2 likewise
        b1_rules=rules('', high=0.999),  # regex=b1, for parameters that have another one; the first full match wins
        b2=below_one(0.999),
        weight_decay=real(5e-4, 0.0, 1000.0),
        decay=rules('.*kernel=1; .*=0'),  # regex=1 or 0: whether a weight decays; the first full match wins
        rules=rules(trained),  # regex=factor of the learning rate; 0 freezes
        schedule=choice('cosine', *SCHEDULES),
        warmup=share(0.0),  # share of the steps
        milestones=many((0.3, 0.6, 0.8), share(0.5)),  # multistep, flat_linear (the first one): shares of the steps
        gamma=real(0.2, 1e-12, 1000.0),  # multistep: factor at each milestone
        clip=real(0.0),  # global norm of the gradient; 0: none
    )
    if open:  # auto, 0, -1 and auto leave these to the method
        optim |= dict(
            name=choice(open['name'], open['name'], *OPTIMISERS),
            lr=real(open['lr'], 0.0, 1e38),
            weight_decay=real(open['weight_decay'], open['weight_decay'], 1000.0),
            schedule=choice(open['schedule'], open['schedule'], *SCHEDULES),
        )
    return dict(
        epochs=real(epochs, 0.0, 1e6),
        steps=whole(0),
        examples=whole(0, 0, 10**15),
        # Parts in which a batch is processed, one after the other, with the memory of one; 1: all at once.
        accumulate=whole(1, 1, BATCH),
        evals=whole(20, 1),  # evaluations on validation, evenly spaced
        patience=whole(0),  # evaluations without improvement before the stage ends; 0: never
        label_smoothing=below_one(0.0),
        optim=optim,
    )


def _defaults(tree: dict) -> dict:
    return {k: _defaults(v) if isinstance(v, dict) else of(v).default for k, v in tree.items()}


@functools.cache
def definitions() -> dict:
    """{dotted name: Field} of every field of the config."""
    return _flat(fields())


def _flat(tree: dict, prefix='') -> dict:
    found: dict = {}
    for key, value in tree.items():
        found |= _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {prefix + key: of(value)}
    return found


def of_task(tasks: dict, task: str, name: str, **fields) -> ConfigDict:
    """`base` with the pretraining of one task of a recipe's table.

    Args:
      tasks: {task: (steps, {field of config.pretrain: value})}.
      task: one of them.
      name: the recipe's; the run is called <name>_<task>.
      **fields: of config.pretrain, for every task; the task's own override them.

    Raises:
      ValueError: the table has no such task.
    """
    steps, own = tasks[one_of(tasks, task, 'task')]
    c = base()
    c.name = f'{name}_{task.replace(" ", "")}'
    c.pretrain.update(method=task, steps=steps, epochs=0.0, evals=4, **fields)
    c.pretrain.update_from_flattened_dict(own)
    return c


def one_of(known, given: str, what: str) -> str:
    """What a recipe is given after a colon, if it is one of `known`; raises ValueError if it is not."""
    if given not in known:
        raise ValueError(f'no recipe for the {what} {shown(given)}{nearest(given, known)} (known: {", ".join(known)})')
    return given


def variant(config, name: str):
    """(the way that `name` is trained as, the config that it is trained with): a variant's, or the name and the config
    themselves."""
    for label, way, changes in config.variants:
        if label == name:
            config = config.copy_and_resolve_references()
            config.update_from_flattened_dict(dict(changes))
            return way, config
    return name, config


def field_names(config, prefix='') -> list[str]:
    """Dotted names of all leaves: ['data.source', ...]."""
    names: list = []
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
