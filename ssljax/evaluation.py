"""What is measured of a trained seed, on validation and, once, on the test split."""

import collections
import functools
import sys
from pathlib import Path

import jax
import numpy as np

from ssljax import calibration, models
from ssljax.core import split
from ssljax.data.augment import to_uint8
from ssljax.data.toy import is_plane
from ssljax.evals import embed, gallery, knn, probe, prototype
from ssljax.methods import network
from ssljax.models.heads import pool_features
from ssljax.progress import say
from ssljax.targets import Targets
from ssljax.targets.multilabel import sigmoid

MAP_POINTS, QUERIES, NEIGHBORS, SAMPLE, SHOWN, MISTAKES = 2000, 8, 7, 100, 8, 24


def of_seed(run, trained, directory) -> tuple[dict, dict]:
    """Measures one seed.

    Args:
      run: stages.Context; the `predict` of its method 'scratch' serves every way that has no method of its own.
      trained: the experiment's Seed.
      directory: the seed's folder.

    Returns:
      (record for result.json: 'ways', targets.compared if there are ways besides scratch and, as the config asks, 'knn'
      and 'prototype', and 'probe'; arrays for figures.npz).
    """
    config, methods, targets = run.config, run.methods, run.source.targets
    cfg, splits = config.evaluate, trained.splits
    record: dict = {'ways': {}}
    name = Path(directory).name.replace('seed', 'seed ')
    note = lambda what: None if run.quiet else say.status(f'{name} · evaluation: {what}')
    see = functools.partial(embed.outputs, batch_size=cfg.batch_size, mesh=run.mesh)
    note('validation and test images')
    labels = {s: np.asarray(splits[s].labels) for s in splits}
    logits_of, positive = {}, positive_class(config, labels['test'], trained.classes)
    for way, stage in trained.ways.items():
        look = functools.partial(see, predictor(run, way), stage.variables)
        logits = {s: look(splits[s]) for s in ('val', 'test')}
        logits_of[way] = logits['test']
        cut = targets.cut(logits['val'], labels['val'])
        score = functools.partial(scored, targets, positive=positive, cut=cut, ends=not run.quiet)
        found = {'test': score(logits['test'], labels['test'])}
        if (labels['val'] >= 0).any():
            val = score(logits['val'], labels['val'])
            found['val'] = {k: v for k, v in val.items() if k != 'confusion'} | stage.record['val']
        record['ways'][way] = stage.record | found
        if cfg.reference and not run.quiet:
            record['ways'][way]['calibration'] = calibrate(run, way, trained, see, directory, logits, cut)
    record |= targets.compared(logits_of, labels['test'])
    backbones = {'pretrained': trained.pretrained, 'random': trained.random if cfg.random else None}
    backbones = {n: v for n, v in backbones.items() if v is not None}
    layers, features = pooled_layers(trained.backbone, cfg.probe_pool), {}
    if cfg.knn or cfg.probe:
        note('features of every layer')
        features = {n: {s: see(layers, v, splits[s]) for s in splits} for n, v in backbones.items()}
    if cfg.knn:
        record['knn'] = {n: nearest_vote(f, labels, trained, cfg.knn, targets) for n, f in features.items()}
        record['prototype'] = {n: nearest_mean(f, labels, trained, targets) for n, f in features.items()}
    if cfg.probe:
        note('linear probes')
        record['probe'] = {n: probes(f, labels, cfg.probe_l2, config.select, targets) for n, f in features.items()}
    arrays: dict = {}
    if cfg.figures and trained.ways:
        note('figures')
        shown = shown_way(config, trained)
        arrays |= _optional(figure_arrays, config, see, trained, labels, shown, targets)
        arrays |= _optional(mistakes, splits['test'], logits_of[shown], shown, targets)
        arrays |= _optional(plane_arrays, methods, trained, labels, directory)
    pretext = methods.get('pretrain')
    if cfg.figures and pretext and pretext.show and trained.pretrained:
        arrays |= _optional(pretext_pictures, pretext, trained)
    if not run.quiet:
        say.status('')
    return record, arrays


def positive_class(config, labels, classes) -> int | None:
    """The number of the class that sensitivity refers to, with two classes; else None. By default the rarer one in
    `labels`, or the second if they are equal."""
    if len(classes) != 2:
        return None
    if config.evaluate.positive:
        return list(classes).index(config.evaluate.positive)
    return int((labels == 1).sum() <= (labels == 0).sum())


def scored(targets: Targets, logits, labels, positive, cut: float, ends: bool) -> dict:
    """targets.scores and, with `ends`, their 'intervals'; a study has many cells and needs none."""
    found = targets.scores(logits, labels, positive, cut)
    return found | ({'intervals': targets.ends(logits, labels, found, cut)} if ends else {})


def _optional(make, *args) -> dict:
    """make(*args), arrays that only pictures need; if it fails, none and a warning: what was measured is kept."""
    try:
        return make(*args)
    except Exception as error:
        print(f'warning: no {make.__name__} for the report ({type(error).__name__}: {error})', file=sys.stderr)
        return {}


def predictor(run, kind: str):
    """Compiled (variables, images uint8) -> logits [B, K] of a kind of stage; compiled once per run."""
    kind = kind if kind in run.methods else 'scratch'
    predict = run.methods[kind].predict
    make = lambda: embed.compiled(lambda variables, x: predict(*split(variables), x))
    return run.once(('predict', kind), make)


def calibrate(run, way: str, trained, see, directory, logits: dict, cut: float) -> dict:
    """Writes a way's Calibration, from its validation images, beside its weights; returns 'temperature', 'threshold' if
    multi-label, and the `calibration.reliability` of the test images: 'test' and, at a temperature of 1, 'before'.
    logits: {'val', 'test': [N, K]}; cut: from targets.cut."""
    targets = run.source.targets
    kind = way if way in run.methods else 'scratch'
    features = run.methods[kind].features
    make = lambda: embed.compiled(lambda variables, x: features(*split(variables), x))
    seen, variables, val = run.once(('features', kind), make), trained.ways[way].variables, trained.splits['val']
    known = trained.unlabeled
    rows = np.linspace(0, len(known) - 1, min(run.config.evaluate.reference, len(known))).astype(int)
    temperature = targets.temperature(logits['val'], val.labels)
    threshold = float(sigmoid(cut / temperature)) if targets.multilabel else None
    features = see(seen, variables, val), see(seen, variables, known.take(rows))
    calibration.fit(temperature, *features, threshold).save(Path(directory) / way)
    labels = trained.splits['test'].labels
    return ({} if threshold is None else {'threshold': threshold}) | {
        'temperature': temperature,
        'test': targets.reliability(logits['test'], labels, temperature),
        'before': targets.reliability(logits['test'], labels, 1.0),
    }


def pretext_pictures(pretext, trained) -> dict:
    """{'pretext_<place>_<column title>': [SHOWN, h, w, C] uint8} of validation images."""
    val = trained.splits['val']
    some = np.linspace(0, len(val) - 1, min(SHOWN, len(val))).astype(int)
    show = embed.compiled(lambda v, images: collections.OrderedDict(pretext.show(*split(v), images)))
    columns = show(trained.pretrained, val.read(some))
    return {f'pretext_{i}_{name}': np.asarray(to_uint8(x)) for i, (name, x) in enumerate(columns.items())}


def pooled_layers(backbone, pool: str):
    """Compiled (variables, images uint8) -> {layer: [B, D] float32}, in the order of the layers."""

    def features(variables, images):
        named = network.layers(network.Network(backbone, ''), variables, images)
        return collections.OrderedDict((n, pool_features(a, pool).astype('float32')) for n, a in named.items())

    return embed.compiled(features)


def nearest_vote(features, labels, trained, k: int, targets: Targets) -> dict:
    """targets.main of the vote of the k nearest labelled images, on the layer that transfer taps."""
    known = features['labeled'][trained.layer]
    out = {'k': k, 'layer': trained.layer}
    for s in ('val', 'test'):
        scores, _ = knn.predict(known, targets.hot(labels['labeled']), features[s][trained.layer], k=k)
        out[s] = {targets.main: targets.vote(scores, labels[s])}
    return out


def nearest_mean(features, labels, trained, targets: Targets) -> dict:
    """Like `nearest_vote`, with the classes' mean features."""
    known = features['labeled'][trained.layer]
    out: dict = {'layer': trained.layer}
    for s in ('val', 'test'):
        scores = prototype.predict(known, targets.hot(labels['labeled']), features[s][trained.layer])
        out[s] = {targets.main: targets.vote(scores, labels[s])}
    return out


def probes(features, labels, l2s, metric: str, targets: Targets) -> dict:
    """A linear probe for every layer; the best is chosen on validation, by one of targets.select."""
    layers = {}
    for layer in features['labeled']:
        parts = [(features[s][layer], labels[s]) for s in ('labeled', 'val', 'test')]
        layers[layer] = probe.probe(*parts, targets=targets, l2s=tuple(l2s), metric=metric)
    by = 'val' if metric == targets.main else metric
    return {'best': max(layers, key=lambda n: layers[n][by]), 'layers': layers}


def mistakes(test, logits, way: str, targets: Targets) -> dict:
    """The test images that the way `way` gets wrong with the highest confidence, most confident first.

    Args:
      test: the Split.
      logits: [N, K] of its images.
    """
    found = targets.wrong(logits, test.labels, MISTAKES)
    rows = found.pop('rows')
    if not len(rows):
        return {}
    names = test.take(rows).names()
    found = {f'mistake_{name}': np.asarray(values) for name, values in found.items()}
    if names:
        found['mistake_names'] = np.array([name.encode('utf-8', 'surrogateescape') for name in names])
    return found | {'mistake_images': test.read(rows), 'mistakes_of': np.array(way)}


def figure_arrays(config, see, trained, labels, way: str, targets: Targets) -> dict:
    """What the report draws of one seed: a map of test features of the way `way`, neighbours, filters and the label
    set's images."""
    variables, splits = trained.ways[way].variables, trained.splits
    tapped = models.build(config.backbone, trained.layer)
    pooled = pooled_layers(tapped, config.transfer.pool)
    some = np.linspace(0, len(splits['test']) - 1, min(MAP_POINTS, len(splits['test']))).astype(int)
    test = splits['test'].take(some)
    shown = see(pooled, variables, test)[trained.layer]
    before = trained.pretrained or variables
    if trained.pretrained:
        pooled = pooled_layers(trained.backbone, config.transfer.pool)
    known, asked = (see(pooled, before, s)[trained.layer] for s in (splits['labeled'], test))
    queries = np.linspace(0, len(some) - 1, min(QUERIES, len(some))).astype(int)
    _, nearest = knn.predict(known, targets.hot(labels['labeled']), asked[queries], k=NEIGHBORS)
    sample = np.linspace(0, len(splits['labeled']) - 1, min(SAMPLE, len(splits['labeled']))).astype(int)
    sample = sample[np.argsort(labels['labeled'][sample], kind='stable')]
    neighbors = splits['labeled'].read(nearest.ravel())
    arrays = {
        'features': shown,
        'features_labels': targets.shade(test.labels),
        'features_of': np.array(way),
        'query_images': test.read(queries),
        'neighbors_of': np.array('pretrained' if trained.pretrained else way),
        'query_labels': test.labels[queries],
        'neighbor_images': neighbors.reshape(*nearest.shape, *neighbors.shape[1:]),
        'neighbor_labels': labels['labeled'][nearest],
        'labeled_images': splits['labeled'].read(sample),
        'labeled_labels': labels['labeled'][sample],
    }
    if targets.sets is not None:
        arrays['sets'] = targets.sets
    filters = first_filters((trained.pretrained or variables)['params']['backbone'], tapped)
    return arrays | ({'filters': filters} if filters is not None else {})


def shown_way(config, trained) -> str:
    """The way that is drawn: the best on validation of those whose backbone is the run's (a student may have a larger
    one)."""
    shapes = jax.tree.map(np.shape, trained.random['params']['backbone'])
    own = lambda way: jax.tree.map(np.shape, trained.ways[way].variables['params']['backbone'])
    fit = [w for w in trained.ways if all(shapes.get(name) == tree for name, tree in own(w).items())]
    return max(fit or trained.ways, key=lambda way: trained.ways[way].record['val'].get(config.select, -1.0))


def plane_arrays(methods, trained, labels, directory) -> dict:
    """What each way's gallery holds; for points in the plane also the points, and every way's map of the plane."""
    arrays: dict = {}
    shape = trained.splits['test'].shape
    for way, stage in trained.ways.items():
        kept = gallery.collect(Path(directory) / way)
        if not kept and is_plane(shape):
            kept = jax.device_get(gallery.compiled(methods.get(way, methods['scratch']), shape)(stage.variables))
            kept = {'boundary': kept['boundary'][None]}
        names = {'steps': 'samples_steps', 'samples': 'samples', 'boundary': 'boundary'}
        arrays |= {f'{names[k]}_{way}': v for k, v in kept.items()}
    if is_plane(shape):
        for name, key in (('test', 'points'), ('labeled', 'labeled_points')):
            images = trained.splits[name]
            arrays |= {key: images.read(np.arange(len(images))).reshape(-1, 2), f'{key}_labels': labels[name]}
    return arrays


def first_filters(params, backbone):
    """The kernel [h, w, C, F] of the first convolution, or None."""
    first = next((params[n] for n, _ in backbone.layers if n in params), {})
    while isinstance(first, dict) and first:
        first = first['kernel'] if 'kernel' in first else next(iter(first.values()))
    return np.asarray(first) if np.ndim(first) == 4 else None
