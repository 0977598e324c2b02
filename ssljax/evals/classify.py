"""Classification metrics of logits: accuracy over images and over classes, F1, AUROC, the confusion matrix."""

import numpy as np


def scores(logits, labels, positive: int | None = None) -> dict:
    """Classification metrics as plain Python numbers.

    Args:
      logits: [N, K] float.
      labels: [N] int in [-1, K); those with -1, unknown, do not count.
      positive: with two classes, the one that sensitivity refers to; by default the rarer, or the second of equals.

    Returns:
      {'images' (N with a known label), 'top1', 'top5' (six classes or more), 'loss' (nats), 'per_class' [K] (recall;
      None for a class without images), 'balanced_accuracy' (mean recall of the classes with images), 'macro_f1' (mean
      over the classes that have images or are predicted), 'auroc' (area under the ROC curve of a class's probability,
      one class against the rest, averaged over classes; None if all images are of one class), with two classes
      'positive' (its number), 'sensitivity' and 'specificity' (its recall and the other's), 'confusion' [K][K], rows
      true, columns predicted}. All in [0, 1] except the loss and the counts.

    Raises:
      ValueError: no label is known.
    """
    logits, labels = known(logits, labels)
    classes = logits.shape[1]
    own = logits[np.arange(len(labels)), labels]
    place = rank(logits, labels)
    top = logits.max(1)
    lse = top + np.log(np.exp(logits - top[:, None]).sum(1))
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    counts, named = confusion.sum(1), confusion.sum(0)
    right = np.bincount(labels[place <= 1], minlength=classes)
    out = {
        'images': len(labels),
        'top1': float((place <= 1).mean()),
        'loss': float((lse - own).mean()),
        'per_class': [float(r / n) if n else None for r, n in zip(right, counts)],
        'balanced_accuracy': float((right / np.maximum(counts, 1))[counts > 0].mean()),
        'macro_f1': float((2 * right / np.maximum(counts + named, 1))[counts + named > 0].mean()),
        'auroc': auroc(probabilities(logits), labels),
        'confusion': confusion.tolist(),
    }
    if classes > 5:
        out['top5'] = float((place <= 5).mean())
    if classes == 2:
        positive = int(counts[1] <= counts[0]) if positive is None else positive
        out |= {'positive': positive, 'sensitivity': out['per_class'][positive]}
        out |= {'specificity': out['per_class'][1 - positive]}
    return out


def known(logits, labels) -> tuple:
    """(float64 [N, K], int [N]) of the images with a known label; raises ValueError if there are none."""
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    if not len(labels):
        raise ValueError('There is no image with a known label to evaluate.')
    return logits, labels


def rank(logits, labels):
    """[N] int, the rank of the label's logit, from 1; ties and NaN count against it."""
    return (~(logits < logits[np.arange(len(labels)), labels][:, None])).sum(1)


def probabilities(logits):
    """Softmax of [N, K] float64; rows with a NaN are 0."""
    with np.errstate(invalid='ignore'):
        p = np.exp(logits - logits.max(1, keepdims=True))
        return np.nan_to_num(p / p.sum(1, keepdims=True))


def curves(classes: int) -> range:
    """The classes whose ROC curves are averaged; with two classes only the second, since both have the same area."""
    return range(1, 2) if classes == 2 else range(classes)


def auroc(p, labels) -> float | None:
    """Mean area under the one-against-the-rest ROC curves of probabilities [N, K]: how often an image of the class
    scores higher than an image of another, ties counting half. None if no class has both."""
    found = []
    for k in curves(p.shape[1]):
        is_class = labels == k
        positive, negative = p[is_class, k], np.sort(p[~is_class, k])
        if len(positive) and len(negative):
            found.append(area(positive, negative))
    return float(np.mean(found)) if found else None


def area(positive, negative) -> float:
    """The area under the ROC curve of scores [P] and of sorted scores [N]."""
    below = [np.searchsorted(negative, positive, side) for side in ('left', 'right')]
    return (below[0] + below[1]).mean() / 2 / len(negative)
