"""Classification figures of logits: accuracies by image and by class, F1, AUROC, the confusion matrix."""

import numpy as np


def scores(logits, labels, positive: int | None = None) -> dict:
    """Classification figures as plain Python numbers.

    Args:
      logits: [N, K] float.
      labels: [N] int in [-1, K); those with -1, unknown, do not count.
      positive: of two classes the one that sensitivity is about; by default the rarer one, of equals the second.

    Returns:
      {'images' (N of a known label), 'top1', 'top5' (six classes or more), 'loss' (nats), 'per_class' [K] (recall; None
      for a class without images), 'balanced_accuracy' (its mean over classes that have images), 'macro_f1' (mean over
      classes that have images or are predicted), 'auroc' (area under the ROC curve of a class's probability, the mean
      over classes, one against the rest; None where all images are of one class), of two classes 'positive' (its
      number), 'sensitivity' and 'specificity' (its recall and the other's), 'confusion' [K][K], rows true, columns
      predicted}. All in [0, 1] but for the loss and the counts.

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
    """(float64 [N, K], int [N]) of the images whose label is known; raises ValueError where there is none."""
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    if not len(labels):
        raise ValueError('There is no image with a known label to evaluate.')
    return logits, labels


def rank(logits, labels):
    """[N] int, the place of the label among the logits, from 1 on; a tie counts against, and so does NaN."""
    return (~(logits < logits[np.arange(len(labels)), labels][:, None])).sum(1)


def probabilities(logits):
    """Softmax of [N, K] float64; 0 in every row that has a NaN."""
    with np.errstate(invalid='ignore'):
        p = np.exp(logits - logits.max(1, keepdims=True))
        return np.nan_to_num(p / p.sum(1, keepdims=True))


def curves(classes: int) -> range:
    """The classes whose ROC curves count: of two the second alone, for that of the first is the same."""
    return range(1, 2) if classes == 2 else range(classes)


def auroc(p, labels) -> float | None:
    """The mean area under the ROC curves of probabilities [N, K], one class against the rest: how often an image of the
    class has a higher one than an image of another, equals counting half. None where no class has both."""
    found = []
    for k in curves(p.shape[1]):
        is_class = labels == k
        positive, negative = p[is_class, k], np.sort(p[~is_class, k])
        if len(positive) and len(negative):
            below = [np.searchsorted(negative, positive, side) for side in ('left', 'right')]
            found.append((below[0] + below[1]).mean() / 2 / len(negative))
    return float(np.mean(found)) if found else None
