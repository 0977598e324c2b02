"""What shows, while a backbone is pretrained, whether it learns: nearest neighbours, and the spread of its features."""

import numpy as np

from ssljax.core import split
from ssljax.evals import embed, knn
from ssljax.guard import spread
from ssljax.methods import network
from ssljax.models.heads import pool_features


def compiled(config, method, shape):
    """Compiles (variables, images uint8) -> {'features': [B, D] of the layer that transfer taps, 'embedding': [B, E]
    of a method that has one}, to be used for every evaluation and seed."""
    net = network.build(config, shape)
    layer = config.transfer.layer or net.layer

    def see(variables, images):
        seen = {'features': pool_features(network.layers(net, variables, images)[layer], config.evaluate.probe_pool)}
        if method.embed:
            seen['embedding'] = method.embed(*split(variables), images)
        return {k: v.astype('float32') for k, v in seen.items()}

    return embed.compiled(see)


def look(see, variables, labeled, val, *, k: int, classes: int, batch_size: int, mesh) -> dict[str, float]:
    """Accuracy of the k nearest labelled images on validation ('knn'; not where k is 0), and the spread of the
    validation images' features and embeddings ('features_std', 'features_rank', 'embedding_std', ...)."""
    seen = embed.outputs(see, variables, val, batch_size=batch_size, mesh=mesh)
    metrics = {f'{name}_{what}': value for name, x in seen.items() for what, value in spread(x).items()}
    if k:
        known = embed.outputs(see, variables, labeled, batch_size=batch_size, mesh=mesh)['features']
        scores, _ = knn.predict(known, np.asarray(labeled.labels), seen['features'], k=k, classes=classes)
        metrics['knn'] = knn.accuracy(scores, val.labels)
    return metrics
