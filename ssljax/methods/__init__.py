"""Methods by name, in literal tables of modules. What a module declares:

    OPTIONS    {option: fields.Field or default}, its own config fields
    make       (config, shape) -> core.Method for a pretext task; (config, shape, classes) -> core.Method for a
               semi-supervised method, which trains on labelled and unlabelled images at once
    REMEDY     for a pretext task: what helps if its features collapse
    TITLE      for a semi-supervised method: its name for readers
    TUNED      the options that the tuner may set: {option: choices, from weak to strong}
    LEAST      for a method that compares the images of a batch: the smallest batch
    GENERATOR  for a method with a generator: what its images do with the data, 'imitates' or 'complements'
    COLOR      its own colour in figures
    SEVERAL    True if the loss takes multi-label images; without it, a method takes one class per image

TITLE and everything below it are optional."""

import re

from ssljax.methods import (
    adversarial,
    autoencoder,
    badgan,
    barlow_twins,
    byol,
    colorization,
    consistency,
    context_encoder,
    dino,
    emp_ssl,
    exemplar,
    fixmatch,
    flexmatch,
    freematch,
    gan,
    good_gan,
    jigsaw,
    jigsaw_grid,
    lejepa,
    mae,
    mean_teacher,
    mixmatch,
    moco,
    noisy_student,
    pi_model,
    pseudo_label,
    regmixmatch,
    relative_position,
    rotation,
    s4l_rotation,
    sgan,
    sgan_explicit,
    simclr,
    simsiam,
    softmatch,
    swav,
    triplet,
    uda,
    vicreg,
    weighted_sum,
)
from ssljax.settings import fields
from ssljax.text.wording import nearest, shown

PRETEXT = {
    'rotation': rotation,
    'simclr': simclr,
    'moco': moco,
    'byol': byol,
    'simsiam': simsiam,
    'barlow_twins': barlow_twins,
    'vicreg': vicreg,
    'dino': dino,
    'swav': swav,
    'lejepa': lejepa,
    'emp_ssl': emp_ssl,
    'autoencoder': autoencoder,
    'context_encoder': context_encoder,
    'mae': mae,
    'gan': gan,
    'jigsaw': jigsaw,
    'jigsaw_grid': jigsaw_grid,
    'relative_position': relative_position,
    'colorization': colorization,
    'triplet': triplet,
    'exemplar': exemplar,
}

ADVERSARIAL = {
    'sgan': sgan,
    'sgan_explicit': sgan_explicit,
    'badgan': badgan,
    'good_gan': good_gan,
}
JOINT = {
    'pseudo_label': pseudo_label,
    'pi_model': pi_model,
    'mean_teacher': mean_teacher,
    'mixmatch': mixmatch,
    'uda': uda,
    'fixmatch': fixmatch,
    'flexmatch': flexmatch,
    'freematch': freematch,
    'softmatch': softmatch,
    'regmixmatch': regmixmatch,
    'noisy_student': noisy_student,
    's4l_rotation': s4l_rotation,
}
SEMI = ADVERSARIAL | JOINT
# The values that leave a field of config.semi.optim open, and what each optimiser sets in their place; the optimiser
# itself depends on the kind of method.
OPEN = dict(name='auto', lr=0.0, weight_decay=-1.0, schedule='auto')
OPTIM = {
    'adamw': adversarial.OPTIM,
    'muon': adversarial.OPTIM,
    'sgd': consistency.OPTIM,
    'lars': consistency.OPTIM | {'lr': 1.0},
}

WEIGHTS = 1e-6, 1e6  # smallest and largest weight of a task in a sum


def options() -> dict:
    """{method: {option: default}}: each pretext task's own fields in config.pretrain. All have `augment`, where ''
    means pretrain.augment."""
    return {name: {'augment': ''} | module.OPTIONS for name, module in PRETEXT.items()}


def semi_options() -> dict:
    """{method: {option: default}}: each semi-supervised method's own fields in config.semi."""
    return {name: dict(module.OPTIONS) for name, module in SEMI.items()}


def tuned_options(name: str) -> dict:
    """{option: choices, from weak to strong} that the tuner may search for the semi-supervised method `name`: its
    module's table TUNED, {} without one."""
    return declared('TUNED').get(name, {})


def optimiser(name: str, given: dict) -> dict:
    """{field: value} of config.semi.optim for the semi-supervised method `name`: `given`, with the values in OPEN
    replaced. GANs get Adam, the others SGD, and each optimiser has its own learning rate, weight decay and schedule."""
    found = dict(given)
    if found['name'] == OPEN['name']:
        found['name'] = 'adamw' if name in ADVERSARIAL else 'sgd'
    return found | {k: OPTIM[found['name']][k] for k, v in OPEN.items() if found[k] == v}


def with_optimiser(config, name: str):
    """A copy of the config with semi.optim as `optimiser` gives it, if `name` is a semi-supervised method; else the
    config itself."""
    if name not in SEMI:
        return config
    config = config.copy_and_resolve_references()
    config.semi.optim.update(optimiser(name, config.semi.optim.to_dict()))
    return config


def declared(what: str) -> dict:
    """{name: value} of the semi-supervised methods whose module declares `what`, such as 'TITLE'."""
    return {name: getattr(module, what) for name, module in SEMI.items() if hasattr(module, what)}


def takes_several(name: str) -> bool:
    """Whether the semi-supervised method `name` takes images with several classes each."""
    return getattr(SEMI[name], 'SEVERAL', False)


def pretext(config, shape):
    """The pretext task `config.pretrain.method` for images of `shape` (H, W, C): a name, or a weighted sum such as
    'rotation + 0.5*simclr'.

    Raises:
      ValueError: an unknown name, a task that cannot work on such images, or a batch too small for it.
    """
    weights = terms(config.pretrain.method)
    for name in weights:
        check_batch(name, 'pretrain.batch_size', config.pretrain.batch_size)
    made = {name: PRETEXT[name].make(config, shape)._replace(remedy=PRETEXT[name].REMEDY) for name in weights}
    parts = {name: (weight, made[name]) for name, weight in weights.items()}
    (_, only), *others = parts.values()
    return weighted_sum.make(parts) if others else only


def semi(name: str, config, shape, classes: int):
    """The semi-supervised method `name` for images of `shape` (H, W, C).

    Raises:
      ValueError: an option out of range, too small a batch, or what its `make` raises.
    """
    for option, field in SEMI[name].OPTIONS.items():
        fields.check(f'semi.{name}.{option}', config.semi[name][option], fields.of(field))
    check_batch(name, 'semi.batch_size', config.semi.batch_size)
    return SEMI[name].make(config, shape, classes)


def check_batch(name: str, field: str, size: int) -> None:
    """Raises ValueError if a batch of `size` images is smaller than the method's LEAST, by default 1."""
    least = getattr((PRETEXT | SEMI)[name], 'LEAST', 1)
    if size < least:
        raise ValueError(
            f'{field} is {size}, but {name} compares the images of a batch with each other and needs at least {least}: '
            f'set --config.{field}={least} or more.'
        )


def terms(text: str) -> dict[str, float]:
    """{method: weight} of 'rotation' or 'rotation + 0.5*simclr'.

    Raises:
      ValueError: a name that is unknown or repeated, a weight outside WEIGHTS, or a weight for a single task.
    """
    weights = {}
    for term in text.split('+'):
        weight, _, name = term.strip().rpartition('*')
        name = name.strip()
        if name not in PRETEXT:
            known = ', '.join(PRETEXT)
            raise ValueError(
                f'pretrain.method is {shown(text)}: there is no pretext task {shown(name)}{nearest(name, PRETEXT)} '
                f'(known: {known}; none; or a sum such as rotation + 0.5*simclr)'
            )
        low, high = WEIGHTS
        number = re.fullmatch(r'(\d+\.?\d*|\.\d+)(e-?\d+)?', weight.strip() or '1')
        if not number or not low <= float(weight or 1) <= high:
            raise ValueError(
                f'pretrain.method is {shown(text)}: {shown(weight)} is not a weight; it must be a number from {low:g} '
                f'to {high:g}.'
            )
        if name in weights:
            raise ValueError(f'pretrain.method is {shown(text)}: {name} appears twice; give it one weight.')
        weights[name] = float(weight or 1)
    if weights and len(weights) == 1 and next(iter(weights.values())) != 1:
        name = next(iter(weights))
        raise ValueError(
            f'pretrain.method is {shown(text)}: the weight of a single task has no effect: weights only balance '
            'the '
            f'tasks of a sum. Set --config.pretrain.method={name}, and pretrain.optim.lr for larger or smaller steps.'
        )
    return weights
