"""What shows, while a backbone is pretrained, whether it learns: nearest neighbours, and the spread of its features."""

from ssljax.core import split
from ssljax.evals import embed, knn
from ssljax.guard import spread
from ssljax.methods import network
from ssljax.models.heads import pool_features

LEAST = 16  # images that a spread is taken over: that of fewer says nothing


def compiled(config, method, shape):
    """Compiles (variables, images uint8) -> {'features': [B, D] of the layer that transfer taps, 'embedding': [B, E] if
    the method has one}, to be used for every evaluation and seed."""
    net = network.build(config, shape)
    layer = config.transfer.layer or net.layer

    def see(variables, images):
        seen = {'features': pool_features(network.layers(net, variables, images)[layer], config.evaluate.probe_pool)}
        if method.embed:
            seen['embedding'] = method.embed(*split(variables), images)
        return {k: v.astype('float32') for k, v in seen.items()}

    return embed.compiled(see)


def look(see, variables, labeled, val, others, *, k: int, targets, batch_size: int, mesh) -> dict[str, float]:
    """Accuracy, or mAP of multi-label images, of the k nearest labelled images on validation ('knn'; not if k is 0),
    and the spread of the features and embeddings ('features_std', 'features_rank', 'embedding_std', ...) of the
    validation images or, if those are fewer than LEAST, of `others`, which need no labels; not if both are fewer."""
    seen = embed.outputs(see, variables, val, batch_size=batch_size, mesh=mesh)
    many, wide = val, seen
    if len(val) < LEAST:
        many, wide = others, embed.outputs(see, variables, others, batch_size=batch_size, mesh=mesh)
    found = wide.items() if len(many) >= LEAST else ()
    metrics = {f'{name}_{what}': value for name, x in found for what, value in spread(x).items()}
    if k:
        known = embed.outputs(see, variables, labeled, batch_size=batch_size, mesh=mesh)['features']
        scores, _ = knn.predict(known, targets.hot(labeled.labels), seen['features'], k=k)
        metrics['knn'] = targets.vote(scores, val.labels)
    return metrics
