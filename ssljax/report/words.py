"""Plain words and numbers: names of ways, mean ± std, intervals, percentages, durations."""

import datetime

from ssljax import methods
from ssljax.metrics import TITLES
from ssljax.stats import is_number

TRANSFER = {
    'random_frozen': 'Random features, frozen',
    'scratch': 'From scratch',
    'frozen': 'Frozen features',
    'finetune': 'Fine-tuned',
    'two_stage': 'Two-stage',
}
NOT_PRETRAINED = ('random_frozen', 'scratch')
WORDS = {
    'loss': 'Loss',
    'top1': 'Top-1 accuracy',
    'mAP': 'mAP',
    'exact_match': 'Exact match',
    'knn': 'Nearest-neighbour accuracy',
    'features_std': 'Spread of the features',
    'features_rank': 'Effective rank of the features',
    'embedding_std': 'Spread of the embedding',
    'embedding_rank': 'Effective rank of the embedding',
    'top5': 'Top-5 accuracy',
    'balanced_accuracy': 'Balanced accuracy',
    'macro_f1': 'Macro-F1',
    'micro_f1': 'Micro-F1',
    'auroc': 'Macro AUROC',
    'accuracy': 'Accuracy',
    'supervised': 'Supervised loss',
    'unlabeled': 'Loss of unlabelled images',
    'coverage': 'Share of unlabelled images that count',
    'top_class': 'Share of the class predicted most often',
    'discriminator': 'Loss of the discriminator',
    'generator': 'Loss of the generator',
    'd_real': 'D on real images',
    'd_fake': 'D on generated images',
    'd_heldout': 'D on held-out images',
}


def known_ways():
    """{way: its name in plain words}: those that transfer, then those of semi-supervised methods, in order."""
    return TRANSFER | dict.fromkeys(methods.SEMI, '') | methods.declared('TITLE')


def way_title(way):
    """A way's name in plain words; a way without one keeps its own name."""
    return known_ways().get(way) or way


def stage_title(name):
    """A way's name in plain words, or that of the pretraining."""
    return 'Pretraining' if name == 'pretrain' else way_title(name)


def is_share(metric):
    """Whether a metric's name says it is a share in [0, 1] to be shown in percent."""
    return metric.rsplit('/', 1)[-1] in (*TITLES, 'accuracy', 'knn', 'coverage', 'top_class')


def percent(stats, *, sign=False, digits=2):
    """A spread of shares as '86.12 ± 0.43', in percent."""
    if not stats or not is_number(stats.get('mean')):
        return '–'
    text = f'{100 * stats["mean"]:{"+" if sign else ""}.{digits}f}'.replace('-', '−')
    return text + (f' ± {100 * stats["std"]:.{digits}f}' if is_number(stats.get('std')) else '')


def interval(stats, *, sign=False, digits=2):
    """The 95% interval of a spread of shares as '85.06 to 87.18', in percent; '–' if there is one value, which gives
    none. With `sign` it is of differences; without, it is clipped to 0 to 100."""
    if not stats or not is_number(stats.get('low')):
        return '–'
    ends = (stats[end] if sign else min(max(stats[end], 0.0), 1.0) for end in ('low', 'high'))
    ends = (f'{100 * end:{"+" if sign else ""}.{digits}f}' for end in ends)
    return ' to '.join(ends).replace('-', '−')


def p_value(p):
    """'0.34', '0.012', '< 0.001'; '–' if it is not defined."""
    if not is_number(p):
        return '–'
    return '< 0.001' if p < 0.001 else f'{p:.2f}' if p >= 0.0995 else f'{p:.3f}'


def number(value, digits=4):
    """A number for reading: 53,000, 0.0512, 1e-04."""
    if not is_number(value):
        return '–' if value is None else str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f'{int(value):,}'
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.{digits}g}'


def shown(value):
    """A value of the config for reading: 0.001, (0, 1), the empty string as two quotes."""
    if isinstance(value, list | tuple):
        return f'({", ".join(shown(part) for part in value)})'
    return number(value) if is_number(value) else repr(value) if value in ('', None) else str(value)


def duration(seconds):
    """Seconds as '12.3 s', '13 min 32 s' or '2 h 5 min'."""
    if not is_number(seconds):
        return '–'
    if seconds < 99.95:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest} s'
    return f'{minutes // 60} h {minutes % 60} min'


def started(text):
    """'2026-01-02 03:04 UTC' for a time in ISO 8601; anything else stays as it is."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    return f'{found:%Y-%m-%d %H:%M}' + ' UTC' * (found.utcoffset() == datetime.timedelta(0))


def count_of(number_of, one, many=None):
    """'1 seed', '3 seeds'."""
    return f'{number_of:,} {one if number_of == 1 else many or one + "s"}'
