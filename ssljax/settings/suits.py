"""Whether a config suits the data and the devices, checked before training."""

import numpy as np

from ssljax import config as configs
from ssljax import methods, metrics, models, ways
from ssljax.data import augment
from ssljax.data.memory import fits
from ssljax.devices.sharding import check_batch
from ssljax.settings import schema
from ssljax.text.wording import nearest, shown


def check_classes(config, source) -> None:
    """Raises ValueError if a classifier is asked for and there is nothing to tell apart, or if evaluate.positive
    is not one of two classes."""
    check_multilabel(config, source.targets)
    if len(source.classes) == 1 and config.transfer.ways and not source.targets.multilabel:
        raise ValueError(
            f'there is only one class, {source.classes[0]!r}: a classifier needs two or more. Put the images of each '
            'class into its own folder, or only pretrain, with --config.transfer.ways=().'
        )
    positive = config.evaluate.positive
    if positive and source.targets.multilabel:
        raise ValueError(
            f'evaluate.positive is {shown(positive)}, but these images are multi-label, so each class is evaluated by '
            'itself: leave it empty.'
        )
    if positive and (len(source.classes) != 2 or positive not in source.classes):
        some = ', '.join(map(shown, source.classes[:5])) + ', ...' * (len(source.classes) > 5)
        raise ValueError(
            f'evaluate.positive is {shown(positive)}{nearest(positive, source.classes)}: it must be the name of one '
            f'of two classes; here they are {some}. '
            "Leave it '' for the smaller of two classes, or if there are more."
        )


def check_multilabel(config, targets) -> None:
    """Raises ValueError for a metric or, for multi-label images, a way or a choice of images that does not go with the
    number of classes an image may have."""
    if metrics.selected(config.select, targets.multilabel) not in targets.select:
        kind = 'several classes' if targets.multilabel else 'one class'
        raise ValueError(
            f'select is {config.select}, but images have {kind} each: it must be one of {", ".join(targets.select)}.'
        )
    if not targets.multilabel:
        return
    joint = [way for way in config.transfer.ways if configs.variant(config, way)[0] in methods.SEMI]
    refused = [way for way in joint if not methods.takes_several(configs.variant(config, way)[0])]
    if refused:
        rest = [way for way in config.transfer.ways if way not in refused] or ['scratch', 'finetune']
        raise ValueError(
            f'transfer.ways has {", ".join(refused)}, which assume one class per image, but these images are multi-'
            'label: an image may have several. Give ways that train on labelled images alone, from scratch or from a '
            f'pretrained backbone, for example --config.transfer.ways={",".join(rest)}.'
        )
    if config.data.choose == 'typical_oracle':
        raise ValueError(
            'data.choose is typical_oracle, which chooses within each class, but an image may have several: use '
            'random, or typical with a total such as --config.data.labels=100.'
        )


def check_batches(config, shape, mesh) -> None:
    """Raises ValueError for a batch that does not divide evenly over the devices, or does not fit in memory."""
    sizes = {f'{s}.batch_size': (config[s].batch_size, 1) for s in ('semi', 'transfer', 'evaluate')}
    sizes['pretrain.batch_size'] = config.pretrain.batch_size, config.pretrain.accumulate
    for way in config.transfer.ways:
        base, own = configs.variant(config, way)
        section = 'semi' if base in methods.SEMI else 'transfer'
        parts = own.semi.accumulate if section == 'semi' else own.transfer[configs.KINDS.get(base, base)].accumulate
        sizes |= {f'{section}.batch_size of {way}': (own[section].batch_size, parts)}
        if section == 'semi' and own.semi.labeled_batch_size:
            sizes |= {f'semi.labeled_batch_size of {way}': (own.semi.labeled_batch_size, parts)}
    for field, (size, parts) in sizes.items():
        try:
            check_batch(size, mesh, parts)
        except ValueError as e:
            raise ValueError(f'{field}: {e}') from None
        if not fits(4 * size * int(np.prod(shape)), 0.8):
            raise ValueError(
                f'{field} is {size}: a batch of that many images of {"x".join(map(str, shape))} '
                'does not fit in memory. Reduce it, or data.image_size.'
            )


def check_pipelines(config, shape) -> None:
    """Raises ValueError for an augmentation pipeline that the stages of a run use and that does not suit images of
    `shape` (H, W, C)."""
    found = pipelines(config, 'pretrain') if uses_pretraining(config) else {}
    for way in config.transfer.ways:
        base, changed = configs.variant(config, way)
        found |= {f'{field} of {way}': spec for field, spec in pipelines(changed, base).items()}
    for field, spec in found.items():
        augment.suits(spec, shape, field)


def pipelines(config, base: str) -> dict[str, str]:
    """{field: augmentation pipeline} of a kind of stage, 'pretrain' or what a way is based on, without those of the
    smaller views that a method has besides its main ones."""
    if base == 'pretrain':
        own = config.pretrain
        found = {'pretrain.augment': own.augment}
        for name in methods.terms(own.method):
            found |= {f'pretrain.{name}.{k}': own[name].get(k, '') for k in ('augment', 'augment2')}
        return found
    semi = {f'semi.{k}': config.semi[k] for k in ('augment', 'strong')} if base in methods.SEMI else {}
    return {'transfer.augment': config.transfer.augment} | semi


def check_layers(config) -> None:
    """Raises ValueError if transfer taps a layer that pretraining does not reach, or one that is unknown."""
    names = models.layer_names(config.backbone)
    for field in ('pretrain', 'transfer'):
        models.build(config.backbone, config[field].layer)
    trained, tapped = (models.layer_or_last(config.backbone, config[f].layer) for f in ('pretrain', 'transfer'))
    if names.index(trained) < names.index(tapped):
        raise ValueError(
            f'pretrain.layer={trained} leaves the layers above it untrained, but transfer uses {tapped}: set '
            f'--config.transfer.layer={trained} or one below it.'
        )


def uses_pretraining(config) -> bool:
    """Whether the run trains a backbone without labels itself.

    Raises:
      ValueError: ways that need a pretrained backbone, and none is trained or given.
    """
    if config.transfer.checkpoint:
        return False
    if config.pretrain.method not in ('', 'none'):
        return True
    if config.backbone.init_from:
        return False
    if wanted := [w for w in config.transfer.ways if ways.needs_pretraining(config, w)]:
        start = 'starts' if len(wanted) == 1 else 'start'
        raise ValueError(
            f'transfer.ways has {" and ".join(wanted)}, which {start} from a pretrained backbone, but pretrain.method '
            'is none and transfer.checkpoint is empty: set one of them or backbone.init_from, or drop those ways.'
        )
    return False


def check_form(config, given: dict, where: str) -> None:
    """Raises ValueError if the backbone of a checkpoint computes differently from config.backbone.

    Args:
      config: the run's.
      given: the config of the checkpoint's run, as it was written to disk.
      where: the checkpoint, for the message.
    """
    old, new = (models.usual(c.backbone) for c in (schema.restored(given), config))
    for option in models.AUTO:
        if option in (*models.COMMON, *models.BACKBONES[new.name].OPTIONS) and old[option] != new[option]:
            raise ValueError(
                f'the backbone of transfer.checkpoint={where} was trained with backbone.{option}={old[option]}, but '
                f'here it is {new[option]}: set --config.backbone.{option}={old[option]}.'
            )
