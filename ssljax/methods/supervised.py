"""Cross-entropy on labelled images: the control, and from pretrained or frozen weights, every kind of transfer."""

from ssljax.core import Method
from ssljax.data import augment
from ssljax.losses import cross_entropy
from ssljax.methods import network


def make(config, num_classes: int, *, frozen: bool = False, smoothing: float = 0.0) -> Method:
    """A head of `transfer.hidden` layers on the backbone's layer `transfer.layer`; the layers above it are dropped.

    Args:
      config: the run's config.
      num_classes: K.
      frozen: the backbone keeps its weights and its BatchNorm statistics (feature extraction).
      smoothing: label smoothing.
    """
    net, distort = network.classifier(config, num_classes), augment.parse(config.transfer.augment)

    def loss(params, state, ema, batch, key):
        x = augment.normalize(distort(key, augment.to_float(batch['image'])))
        outputs, state = network.apply(net, params, state, x, train=True, frozen=frozen)
        losses = cross_entropy(outputs['head'], batch['label'], smoothing=smoothing)
        return losses.mean(), (state, network.classification_metrics(outputs['head'], batch['label'], losses))

    def evaluate(params, state, batch):
        logits, labels = predict(params, state, batch['image']), batch['label'].clip(0)
        losses = cross_entropy(logits, labels)
        return network.classification_metrics(logits, labels, losses, batch['mask'])

    def predict(params, state, images):
        return network.apply(net, params, state, network.to_input(images), train=False)[0]['head']

    return Method(
        init=lambda key, batch: network.init(net, key, batch['image']),
        loss=loss,
        evaluate=evaluate,
        predict=predict,
    )
