"""Top-1, top-5, per-class accuracy and the confusion matrix."""

import numpy as np


def scores(logits, labels) -> dict:
    """Classification figures as plain Python numbers.

    Args:
      logits: [N, K] float.
      labels: [N] int in [-1, K); those with -1, unknown, do not count.

    Returns:
      {'top1', 'top5' (six classes or more), 'loss' (nats), 'per_class' [K] (None for a class without images),
      'confusion' [K][K], rows true, columns predicted}.

    Raises:
      ValueError: no label is known.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    logits, labels = logits[labels >= 0], labels[labels >= 0]
    if not len(labels):
        raise ValueError('There is no image with a known label to evaluate.')
    classes = logits.shape[1]
    own = logits[np.arange(len(labels)), labels]
    rank = (~(logits < own[:, None])).sum(1)  # a tie counts against, and so does NaN
    top = logits.max(1)
    lse = top + np.log(np.exp(logits - top[:, None]).sum(1))
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    counts = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[rank <= 1], minlength=classes)
    out = {
        'top1': float((rank <= 1).mean()),
        'loss': float((lse - own).mean()),
        'per_class': [float(r / n) if n else None for r, n in zip(right, counts)],
        'confusion': confusion.tolist(),
    }
    if classes > 5:
        out['top5'] = float((rank <= 5).mean())
    return out
