"""What to report about a data set, most important first, and what to do about it: one function each, in FINDINGS."""

import dataclasses
from typing import NamedTuple

import numpy as np

from ssljax.audit import measures
from ssljax.audit.doubles import Doubles
from ssljax.audit.given import Given
from ssljax.audit.noise import Doubts
from ssljax.audit.scan import Scan, endings
from ssljax.data.names import HIDDEN
from ssljax.report.words import count_of

SERIOUS, WARNING, NOTE = 'serious', 'warning', 'note'  # serious: an accuracy would be wrong, or training refuses
DARK_BELOW, BRIGHT_ABOVE, PLAIN_BELOW, BLURRED_BELOW = 40, 245, 2.0, 0.02  # gray levels; see measures
USUAL = 0.2  # share of the images from which on something is typical of the set
TELLING, STRONG = 0.25, 0.6  # share of errors that one property avoids, from which on it is reported; is serious
UNEVEN, VERY_UNEVEN = 3, 10  # largest to smallest class
ELONGATED = 2.5  # longer to shorter side
FEW = 200  # test images
SMALL = 48  # pixels of the shorter side, below which the same picture may be of different things
ENDINGS = {'JPEG': '.jpg', 'PNG': '.png', 'GIF': '.gif', 'BMP': '.bmp', 'WEBP': '.webp', 'TIFF': '.tiff'}
TITLES = {'train': 'training', 'val': 'validation', 'test': 'test', 'unlabeled': 'unlabelled', 'all': ''}
ACROSS = (('test', 'train'), ('val', 'train'), ('test', 'val'), ('test', 'unlabeled'), ('val', 'unlabeled'))
OF_THE_FILE = ('file extension', 'file format', 'channels and bits', 'size in pixels', 'shape (width to height)')


@dataclasses.dataclass(frozen=True)
class Finding:
    """kind: its stable name; severity; count; what was found, and what to do, each a sentence or two; items: for each
    image, pair or file, what `record` documents."""

    kind: str
    severity: str
    count: int
    what: str
    advice: str
    items: list


class Facts(NamedTuple):
    """All that was measured; see the modules of these names. tones: from measures."""

    given: Given
    scan: Scan
    tones: dict
    doubles: Doubles
    told: list
    doubts: Doubts | None

    def image(self, row, **more) -> dict:
        """What an item says of an image."""
        label = int(self.given.labels[row])
        return {
            'name': self.given.names[row],
            'row': int(row),
            'split': str(self.given.split[row]),
            'label': self.given.targets.text(label, self.given.classes) if label >= 0 else None,
            **more,
        }


def all_of(facts: Facts) -> list[Finding]:
    """The findings, serious ones first; within a severity in the order of FINDINGS."""
    found = [finding for make in FINDINGS for finding in make(facts) if finding.count]
    return sorted(found, key=lambda finding: (SERIOUS, WARNING, NOTE).index(finding.severity))


def refused(facts):
    """What training would not accept."""
    for kind, why in facts.given.trouble.items():
        advice = 'Do what the message says; the rest of this check took all images together, without labels.'
        if kind == 'depth':
            advice = 'Do what the message says; in this check, each image of more than 8 bits is scaled by itself.'
        yield Finding(f'refused_{kind}', SERIOUS, 1, f'Training would refuse these files. {why}', advice, [])


def across(facts):
    """Copies in several splits."""
    given, members = facts.given, facts.doubles.members()
    for one, other in ACROSS:
        groups = [rows for rows in members if {one, other} <= set(given.split[rows].tolist())]
        count = sum(int((given.split[rows] == one).sum()) for rows in groups)
        of = len(given.rows(one))
        yield Finding(
            'copies_across_splits',
            WARNING if other == 'unlabeled' else SERIOUS,
            count,
            f'{count:,} of {of:,} {TITLES[one]} images {"has" if count == 1 else "have"} copies among the '
            f'{TITLES[other]} images.',
            f'Remove the copies from one of the two splits: {_why(one, other)}.{_alike(facts, groups)}',
            [_group(facts, rows[np.isin(given.split[rows], (one, other))]) for rows in groups],
        )


def _alike(facts, groups) -> str:
    """A sentence of advice if images of one group do not have the same pixels and are too small to be sure."""
    near = [rows for rows in groups if _group(facts, rows)['how'] == 'near']
    sides = np.minimum(facts.scan.column('width'), facts.scan.column('height'))
    if not any(sides[rows].min() < SMALL for rows in near):
        return ''
    return f' Look at them first: below {SMALL} pixels, different images can look the same.'


def _why(one, other):
    if other == 'unlabeled':
        return f'methods that learn from unlabelled images see {TITLES[one]} images in training'
    how = 'trained on' if other == 'train' else 'used to choose the weights'
    return f'an accuracy on {TITLES[one]} images that were {how} is too high'


def contradictions(facts):
    """Copies under several labels."""
    labels = facts.given.labels
    groups = [rows for rows in facts.doubles.members() if len(set(labels[rows].tolist()) - {-1}) > 1]
    said = count_of(len(groups), 'image has copies', 'images have copies')
    advice = 'Decide which label is right and remove the others: a network cannot learn both.' + _alike(facts, groups)
    items = [_group(facts, rows[labels[rows] >= 0]) for rows in groups]
    yield Finding('copies_under_labels', SERIOUS, len(groups), f'{said} under another label.', advice, items)


def repeated(facts):
    """Copies within a split, under one label."""
    given = facts.given
    for split in given.splits:
        groups = []
        for rows in facts.doubles.members():
            rows = rows[given.split[rows] == split]
            alike = [rows[given.labels[rows] == label] for label in np.unique(given.labels[rows])]
            groups += [same for same in alike if len(same) > 1]
        extra = sum(len(rows) - 1 for rows in groups)
        share = f' ({100 * extra / max(len(given.rows(split)), 1):.1f}%)'
        advice = 'They count twice in training. Remove them, or leave them: if training sets validation and test '
        advice += 'images aside itself, images with copies stay among the training images.'
        if split in ('val', 'test'):
            advice = 'They count twice in the accuracy: remove them.'
        are = 'is a copy of another' if extra == 1 else 'are copies of others'
        what = f'{extra:,}{share} of the {TITLES[split]} images {are}.'
        items = [_group(facts, rows) for rows in groups]
        yield Finding('copies_within_split', NOTE, extra, what.replace('the  images', 'the images'), advice, items)


def turned(facts):
    """Mirrored and rotated copies, which may be intended."""
    given = facts.given
    items = [{'images': [facts.image(a), facts.image(b)], 'how': how, 'correlation': None}
             for a, b, how in facts.doubles.turned]  # fmt: skip
    apart = sum(given.split[a] != given.split[b] for a, b, _ in facts.doubles.turned)
    said = 'image is a mirrored or rotated version of another', 'images are mirrored or rotated versions of others'
    what = count_of(len(items), *said)
    what += f'; {count_of(apart, "pair spans", "pairs span")} two splits.' if apart else '.'
    advice = 'They do not count as copies here or in training. If they show the same thing, keep them in one split: '
    advice += 'give both the same group in a CSV.'
    yield Finding('copies_turned', NOTE, len(items), what, advice, items)


def _group(facts, rows):
    """An item of copies: its images, and the least strict way in which they are the same."""
    inside = np.isin(facts.doubles.pairs, rows).all(1)
    how = facts.doubles.how[inside].tolist() or ['near']
    alike = facts.doubles.alike[inside]
    worst = next(kind for kind in ('near', 'pixels', 'file') if kind in how)
    correlation = round(float(alike.min()), 4) if len(alike) else None
    return {'images': [facts.image(row) for row in rows], 'how': worst, 'correlation': correlation}


def suspects(facts):
    """Labels that the model doubts."""
    if facts.doubts is None:
        return
    doubts, given = facts.doubts, facts.given
    items = [
        facts.image(s.row, seems=given.classes[s.other] if s.other >= 0 else None, p_seems=round(s.p_other, 4),
                    p_label=round(s.p_label, 4), trained_on=s.seen)
        for s in doubts.suspects
    ]  # fmt: skip
    what = f'{len(items):,} of {doubts.images:,} labels may be wrong: the model is sure of another class.'
    advice = 'Look at them in this order, and correct those that are wrong.'
    if not doubts.trusted:
        advice = f'Do not rely on this: the model itself is right for only {100 * doubts.accuracy:.1f}% of the labels.'
    yield Finding('label_errors', WARNING if doubts.trusted else NOTE, len(items), what, advice, items)


def unreadable(facts):
    """Files that cannot be decoded."""
    rows = np.flatnonzero(~facts.scan.good)
    said = count_of(len(rows), 'file')
    yield Finding(
        'unreadable', WARNING, len(rows), f'{said} cannot be decoded.',
        'Repair or remove them: training leaves them out.',
        [facts.image(row, why=facts.scan.headers[row].why) for row in rows],
    )  # fmt: skip


def told(facts):
    """Labels that follow something trivial."""
    for one in facts.told:
        if not one.clear or (one.gain < TELLING and not (one.classes and one.feature in OF_THE_FILE)):
            continue
        strong = one.feature in OF_THE_FILE and (one.gain >= STRONG or bool(one.classes))
        named = ', '.join(map(repr, list(one.classes)[:5])) + (', ...' if len(one.classes) > 5 else '')
        clear = f' It tells {named} from all others.' if one.classes else ''
        what = (
            f'The {one.feature} alone predicts {100 * one.accuracy:.0f}% of the labels (the most frequent class: '
            f'{100 * one.majority:.0f}%).{clear}'
        )
        advice = 'Make it the same for all classes, or make sure that the network cannot use it'
        advice += ': it would learn that instead of the content.' if one.feature in OF_THE_FILE else (
            ', unless it is what defines the classes: a network may learn that instead of the content.'
        )  # fmt: skip
        item = {'feature': one.feature, 'accuracy': round(one.accuracy, 4), 'majority': round(one.majority, 4),
                'classes': one.classes}  # fmt: skip
        yield Finding('label_told_by', SERIOUS if strong else WARNING, 1, what, advice, [item])


def classes(facts):
    """A single class, classes that a split lacks, and classes of very different size."""
    given = facts.given
    if len(given.classes) == 1 and not given.targets.multilabel:
        yield Finding('one_class', SERIOUS, 1, f'All images are of one class, {given.classes[0]!r}.',
                      'Add images of another class: there is nothing to tell apart.', [])  # fmt: skip
    for split in ('train', 'val', 'test'):
        rows = given.rows(split)
        counts = given.targets.counts(given.labels[rows])
        if not len(rows) or len(given.classes) < 2:
            continue
        missing = [given.classes[i] for i in np.flatnonzero(counts == 0)]
        yield Finding(
            'classes_missing', WARNING, len(missing),
            f'The {TITLES[split]} images lack {len(missing)} of the {len(counts)} classes: {_some(missing)}.',
            'Add images of each, or remove that class: the accuracy says nothing about it.', [{'classes': missing}],
        )  # fmt: skip
        ratio = counts.max() / max(counts[counts > 0].min(initial=counts.max()), 1)
        if split == 'train' and ratio >= UNEVEN:
            most, least = counts.argmax(), np.where(counts > 0, counts, counts.max()).argmin()
            yield Finding(
                'classes_uneven', WARNING if ratio >= VERY_UNEVEN else NOTE, 1,
                f'{given.classes[most]!r} has {ratio:.0f} times as many training images as {given.classes[least]!r} '
                f'({counts[most]:,} and {counts[least]:,}).',
                'Look at the average precision of each class; --config.transfer.class_weights=balanced evens them out.'
                if given.targets.multilabel
                else 'Look at the accuracy of each class; --config.data.labels=N/class labels the same number of each.',
                [],
            )  # fmt: skip


def few(facts):
    """A small test split."""
    n = len(facts.given.rows('test')) or len(facts.given.rows('train')) // 5
    if n and n < FEW and len(facts.given.classes) > 1:
        what = f'There {"is" if n == 1 else "are"} {count_of(n, "test image")}.'
        if not len(facts.given.rows('test')):
            what = f'There is no test split, and a fifth of the labelled images is only {count_of(n, "test image")}.'
        yield Finding('few_test_images', NOTE, 1, what,
                      f'An accuracy of 50% on so few is uncertain by {98 / np.sqrt(n):.0f} points: differences below '
                      'that mean little. Add test images.', [])  # fmt: skip


def quality(facts):
    """Images of one colour, too dark, too bright, or without detail."""
    tones, good = facts.tones, facts.scan.good
    plain = good & (tones['contrast'] < PLAIN_BELOW)
    dark = good & ~plain & (tones['high'] < DARK_BELOW)
    bright = good & ~plain & (tones['low'] > BRIGHT_ABOVE)
    blurred = good & ~plain & ~dark & ~bright & (np.nan_to_num(facts.scan.sharp, nan=np.inf) < BLURRED_BELOW)
    kinds = (
        ('one_colour', plain, 'of one colour', tones['contrast'], WARNING),
        ('dark', dark, 'nearly black', tones['high'], NOTE),
        ('bright', bright, 'nearly white', -tones['low'], NOTE),
        ('blurred', blurred, 'blurred', facts.scan.sharp, NOTE),
    )
    for kind, where, words, by, severity in kinds:
        rows = np.flatnonzero(where)
        rows = rows[np.argsort(by[rows], kind='stable')]
        usual = len(rows) > USUAL * max(good.sum(), 1)
        advice = 'Look at them, and remove those that show nothing.'
        if usual:
            advice = 'So many are probably typical of this data set: make sure that what matters can be seen in them.'
        what = f'{count_of(len(rows), "image is", "images are")} {words}.'
        yield Finding(kind, NOTE if usual else severity, len(rows), what, advice, [facts.image(r) for r in rows])


def shapes(facts):
    """Images of several sizes, and very long ones."""
    scan = facts.scan
    good = np.flatnonzero(scan.good)
    width, height = (np.maximum(scan.column(name), 1) for name in ('width', 'height'))
    sizes = len(set(zip(width[good].tolist(), height[good].tolist())))
    advice = 'Training needs one: --config.data.image_size=N resizes all of them to a square.'
    yield Finding('sizes_differ', NOTE, sizes * (sizes > 1), f'There are {sizes:,} image sizes.', advice, [])
    long = good[np.maximum(width / height, height / width)[good] >= ELONGATED]
    what = f'{count_of(len(long), "image is", "images are")} at least {ELONGATED:g} times as long as wide.'
    advice = 'Training keeps the centre square; --config.data.resize=pad (or squash) keeps all of the image.'
    items = [facts.image(r, size=[int(width[r]), int(height[r])]) for r in long]
    yield Finding('elongated', NOTE, len(long), what, advice, items)


def formats(facts):
    """Extensions that do not match the content of the file, and files with several images."""
    scan, ends = facts.scan, endings(facts.given.names)
    good, kinds = np.flatnonzero(scan.good), scan.column('format')
    other = [r for r in good if ends[r] in ENDINGS.values() and ENDINGS.get(kinds[r], ends[r]) != ends[r]]
    what = f'{count_of(len(other), "file has", "files have")} the extension of another format.'
    advice = 'Rename them if other programs are to read them; ssljax goes by their content.'
    yield Finding('wrong_ending', NOTE, len(other), what, advice, [facts.image(r, why=str(kinds[r])) for r in other])
    frames = good[scan.column('frames')[good]]
    what = f'{count_of(len(frames), "file holds", "files hold")} more than one image.'
    advice = 'Only the first is used: save the others as separate files, or leave it at that.'
    yield Finding('several_frames', NOTE, len(frames), what, advice, [facts.image(r) for r in frames])


def colours(facts):
    """Gray images among coloured ones, and several numbers of channels."""
    scan = facts.scan
    good = np.flatnonzero(scan.good)
    kinds = sorted({int(c) for c in scan.column('channels')[good]})
    what = f'Some images have {" and others ".join(map(str, kinds))} channels.'
    advice = 'Training needs one number: --config.data.channels=3 (or 1) converts them.'
    yield Finding('channels_differ', NOTE, len(kinds) * (len(kinds) > 1), what, advice, [])
    coloured = good[scan.column('channels')[good] >= 3]
    gray = coloured[measures.colourless(scan.small.chroma[coloured])]
    what = f'{len(gray):,} of {len(coloured):,} images that are stored in colour are in fact gray.'
    advice = 'Nothing needs to be done, unless that gives away a class.'
    some = len(gray) * (len(gray) < len(coloured))
    yield Finding('gray_among_colour', NOTE, some, what, advice, [facts.image(r) for r in gray])


def left_out(facts):
    """What is not among the images."""
    for why, names in facts.given.left_out.items():
        if why != HIDDEN:
            what = f'{count_of(len(names), "entry is", "entries are")} left out ({why}).'
            advice = 'Nothing needs to be done, unless there are images among them.'
            yield Finding('left_out', NOTE, len(names), what, advice, [{'name': name} for name in names])


def _some(names) -> str:
    return ', '.join(map(repr, names[:3])) + (', ...' if len(names) > 3 else '')


FINDINGS = (
    refused,
    across,
    contradictions,
    told,
    classes,
    unreadable,
    suspects,
    quality,
    few,
    repeated,
    turned,
    shapes,
    formats,
    colours,
    left_out,
)
