"""Cross-entropy on labelled images: the control and, from pretrained or frozen weights, every kind of transfer. For
multi-label images, a sigmoid for each class."""

import jax

from ssljax import targets as labels_mean
from ssljax.core import Method
from ssljax.data import augment
from ssljax.data.mixup import mixup
from ssljax.methods import labeled_loss, network


def make(config, num_classes: int, *, frozen: bool = False, smoothing: float = 0.0, sets=None) -> Method:
    """A head of `transfer.hidden` layers on the backbone's layer `transfer.layer`; the layers above it are dropped.

    Args:
      config: the run's config.
      num_classes: K.
      frozen: the backbone keeps its weights and its BatchNorm statistics (feature extraction).
      smoothing: label smoothing.
      sets: for multi-label images, uint8 [S, K]; see ssljax.targets.
    """
    cfg = config.transfer
    if not (0 <= cfg.dropout < 1 and cfg.mixup >= 0):
        raise ValueError(
            f'transfer.dropout is {cfg.dropout} and transfer.mixup {cfg.mixup}: the first must be in [0, 1), the '
            'second 0 (none) or more.'
        )
    targets = labels_mean.of(num_classes, sets)
    loss_of = labeled_loss.binary_cross_entropy if targets.multilabel else labeled_loss.soft_cross_entropy
    net, distort = network.classifier(config, num_classes), augment.parse(cfg.augment)

    def loss(params, state, ema, batch, key):
        k_drop, k_mix = jax.random.split(jax.random.fold_in(key, 1))
        x, labels = augment.normalize(distort(key, augment.to_float(batch['image']))), batch['label']
        wanted = targets.smooth(targets.encoded(labels), smoothing)
        if cfg.mixup:
            x, wanted = mixup(k_mix, x, wanted, cfg.mixup)
        outputs, state = network.apply(net, params, state, x, train=True, frozen=frozen, key=k_drop)
        losses = loss_of(config, outputs['head'], wanted, batch)
        return losses.mean(), (state, targets.measures(outputs['head'], labels, losses))

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        **network.functions(net, targets.measures),
        per_image=not cfg.mixup,
    )
