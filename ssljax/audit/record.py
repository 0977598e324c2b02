"""check.json: what was found, for other programs.

    schema       1; raised when a key is removed or changes its meaning. New keys may be added
    source       what was checked, as config.data.source has it
    seconds      how long that took
    images       how many there are, unreadable ones included
    classes      their names
    multilabel   true if an image may have several; its label is then 'a;b', and ';' for none of them
    splits       {split: {images, labelled, unreadable, per_class (in the order of `classes`)}}; with `multilabel` also
                 none, the images that have none of the classes
    sizes        [[width, height, images], ...], the most frequent first, at most 50
    channels, bits, formats    {what: images}
    told_by      [{feature, accuracy, majority, gain, images, classes}], for all that labels were predicted from
    label_check  {model, accuracy, images, trusted} of --run; null without
    files        names of what was written beside it
    left_out     {why: names} of files that are not among the images
    findings     [{kind, severity, count, what, advice, items}], the most important first

severity is 'serious', 'warning' or 'note'. An image is {name, row, split, label (null where unknown)}. Items by kind:

    copies_across_splits, copies_under_labels, copies_within_split
                 {images, how, correlation}: a group of copies; how is 'file' (the same bytes), 'pixels' (the same
                 pixels) or 'near' (re-encoded, resized, brighter), by the weakest link; correlation of that
    copies_turned    {images, how}: a pair; how is 'mirrored' or 'rotated'
    label_errors an image with seems (a class), p_seems, p_label, trained_on
    unreadable, wrong_ending    an image with why (for the second, its real format)
    elongated    an image with size [width, height]
    one_colour, dark, bright, blurred, several_frames, gray_among_colour    an image
    label_told_by    {feature, accuracy, majority, classes ({class: F1})}
    classes_missing  {classes}
    left_out     {name}
    refused_layout, refused_depth, one_class, classes_uneven, few_test_images, sizes_differ, channels_differ    none
"""

import collections
import dataclasses

from ssljax.audit.findings import Facts
from ssljax.text.literal import clean

SCHEMA, SIZES = 1, 50


def record(facts: Facts, findings: list, seconds: float) -> dict:
    """The content of check.json."""
    given, scan, doubts = facts.given, facts.scan, facts.doubts
    count = lambda name: {str(k): n for k, n in sorted(collections.Counter(_good(scan, name)).items(), key=str)}
    sizes = collections.Counter((h.width, h.height) for h in scan.headers if not h.why).most_common(SIZES)
    told = [one._asdict() | {'gain': one.gain} for one in facts.told]
    plain = {
        'schema': SCHEMA,
        'source': given.name,
        'seconds': round(seconds, 2),
        'images': len(given),
        'classes': list(given.classes),
        **({'multilabel': True} if given.targets.multilabel else {}),
        'splits': {name: _split(facts, given.rows(name)) for name in given.splits},
        'sizes': [[*size, n] for size, n in sizes],
        'channels': count('channels'),
        'bits': count('bits'),
        'formats': count('format'),
        'told_by': [{k: round(v, 4) if isinstance(v, float) else v for k, v in one.items()} for one in told],
        'label_check': None if doubts is None else {k: v for k, v in doubts._asdict().items() if k != 'suspects'},
        'left_out': given.left_out,
        'findings': [dataclasses.asdict(finding) for finding in findings],
    }
    return _clean(plain)


def _good(scan, name):
    return [getattr(h, name) for h in scan.headers if not h.why]


def _split(facts, rows):
    labels, given = facts.given.labels[rows], facts.given
    none = {} if given.sets is None else {'none': int((given.sets[labels[labels >= 0]].sum(1) == 0).sum())}
    return {
        'images': len(rows),
        'labelled': int((labels >= 0).sum()),
        'unreadable': int((~facts.scan.good[rows]).sum()),
        'per_class': given.targets.counts(labels).tolist(),
        **none,
    }


def _clean(value):
    """The value, with texts that can be written as UTF-8."""
    if isinstance(value, dict):
        return {clean(k): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    return clean(value) if isinstance(value, str) else value
