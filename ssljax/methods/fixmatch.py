"""FixMatch. Sohn et al., NeurIPS 2020 (arXiv:2001.07685). CIFAR-10 with 250 labels: error 5.07 +- 0.65 (wrn28_2,
RandAugment 5.07, CTAugment 5.07); 4.97 in USB."""

from ssljax.methods import consistency
from ssljax.settings.fields import share

TITLE = 'FixMatch'
OPTIONS = consistency.PSEUDO | dict(
    threshold=share(0.95),  # minimum confidence of a prediction that becomes a label
)
TUNED = {'threshold': (0.7, 0.8, 0.9, 0.95), 'weight': (0.3, 1.0, 3.0)}


def make(config, shape, classes: int):
    """Cross-entropy of a strong view against the class predicted for a weak one, where that is confident (equation 4).

    Raises:
      ValueError: no strong augmentation.
    """
    compare = consistency.hard_labels(config.semi.fixmatch.threshold)
    return consistency.make(config, 'fixmatch', classes, compare, per_image=True)
