"""Pseudo-Label: the network's own confident predictions as labels. Lee, ICML workshop 2013."""

from ssljax.methods import consistency
from ssljax.settings.fields import share

TITLE = 'Pseudo-Label'
OPTIONS = consistency.PSEUDO | dict(
    threshold=share(0.95),  # minimum confidence of a prediction that becomes a label; the paper takes all
    ramp=share(0.4),
)
TUNED = {'threshold': (0.7, 0.8, 0.9, 0.95), 'weight': (0.3, 1.0, 3.0)}


def make(config, shape, classes: int):
    """Cross-entropy of the unlabelled images against their predicted class (equation 15), with a weight that rises
    (equation 16, here linearly), if the class has a probability of at least `threshold`, as is usual today.
    """
    compare = consistency.hard_labels(config.semi.pseudo_label.threshold)
    return consistency.make(config, 'pseudo_label', classes, compare, trained='same', per_image=True)
