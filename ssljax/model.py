"""A trained model: its weights with what is needed to use them, without the data or the recipe of its run."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, NoReturn

import jax
import numpy as np

from ssljax import (
    calibration,
    checkpoint,
    exporting,
    files,
    metrics,
    model_json,
    paths,
    platform,
    schema,
    stages,
    targets,
)
from ssljax.core import split
from ssljax.data import decode, depth
from ssljax.data.memory import parallel
from ssljax.evals import embed
from ssljax.methods import network
from ssljax.models.heads import pool_features
from ssljax.transfer import held_layers
from ssljax.wording import nearest

BATCH = 256  # images that are predicted at once


class Outputs(NamedTuple):
    """probabilities: float32 [N, K], calibrated; of a backbone without a classifier None. features: float32 [N, D] of
    the layer that the head is on, pooled. threshold: that of a multi-label model, where it counts."""

    probabilities: np.ndarray | None
    features: np.ndarray | None
    threshold: float | None = None


class Model:
    """A trained classifier, or a backbone that was pretrained without labels.

    Attributes:
      classes: names of the classes, in the order of the probabilities; () of a backbone without a classifier.
      shape: (H, W, C) of the images.
      way: how it was trained, such as 'finetune', 'scratch' or 'fixmatch'; 'pretrain' of a bare backbone.
      metrics: {'val': {'top1', ...}, 'test': {...}}, as classify.scores has them; 'test' where the run has evaluated
        it.
      info: the content of its model.json.
      calibration: a Calibration, or None of a backbone without a classifier and of runs of earlier versions.
      temperature: by which logits are divided where predictions are calibrated; 1 without a calibration.
      multilabel: whether an image may have several classes: then each has a probability of its own.
      threshold: of a multi-label model, the calibrated probability above which an image is said to have a class; 0.5
        without a calibration, or where validation had too few images to choose one.
      targets: what the classes mean, one of ssljax.targets.
      fit: how an image file is decoded, a decode.Fit.
      chosen: why `load` took this one of a run.
      embeds: whether it gives features.
    """

    embeds = True

    def __init__(self, variables: dict, info: dict, chosen: str = '', calibration=None):
        self.calibration = calibration
        self.temperature = calibration.temperature if calibration else info.get('temperature', 1.0)
        self._variables, self.info, self.chosen = variables, info, chosen or info['chosen']
        self.classes, self.shape = tuple(info['classes']), tuple(info['input']['shape'])
        self.way, self.metrics, self.multilabel = info['way'], info['metrics'], bool(info.get('multilabel'))
        sets = np.zeros((1, len(self.classes)), np.uint8) if self.multilabel else None
        self.targets = targets.of(len(self.classes), sets)
        chosen_by = calibration.threshold if calibration else info.get('threshold')
        self.threshold = 0.5 if chosen_by is None else chosen_by
        self._config = schema.restored({'schema': info['schema']} | info['config'])
        self._on_device: dict | None = None
        self._compiled: dict = {}
        self._sizes: dict = {}  # {what: batch sizes that were compiled}
        size, span = self.shape[0] if self.shape[0] == self.shape[1] else 0, info['input']['range']
        span = tuple(span) if isinstance(span, list) else span
        self.fit = decode.Fit(size, self.shape[2], span, self._config.data.max_pixels, self._config.data.resize)

    def __repr__(self):
        main = self.targets.main
        found = {k: f'{100 * v[main]:.2f}%' for k, v in self.metrics.items() if main in v}
        said = ', '.join(f'{k} {v}' for k, v in found.items())
        shape = 'x'.join(map(str, self.shape))
        return f'<Model {self.way} on {self.info["backbone"]}, {len(self.classes)} classes, images {shape}; {said}>'

    def predict(self, images, batch_size: int = BATCH, calibrated: bool = True) -> np.ndarray:
        """Class probabilities.

        Args:
          images: paths of image files, one or several; or uint8 arrays [N, H, W, C], or [N, H, W] of one channel, or a
            list of [h, w, c] of any sizes. Files, and arrays of other sizes, are resized as in training.
          batch_size: images that are decoded and predicted at once.
          calibrated: by the temperature that fits the validation images; no label changes with it.

        Returns:
          float32 [N, K]; the order of the columns is that of `classes`. Rows sum to 1 but for a multi-label model.

        Raises:
          ValueError: the model has no classifier, or an image cannot be used; the message names it.
          OSError: a file cannot be read.
        """
        if not self.classes:
            raise ValueError(
                f'this model ({self.way}) is a backbone without a classifier: it has no classes to predict. Use '
                'embed(), or load a way that was trained on labels.'
            )
        return self._probabilities(self._apply('predict', images, batch_size), self.temperature if calibrated else 1.0)

    def _probabilities(self, logits: np.ndarray, temperature: float) -> np.ndarray:
        return self.targets.probabilities(logits / np.float32(temperature))

    def labels(self, probabilities) -> list[str]:
        """What a label of each image is called: its likeliest class or, of a multi-label model, those above `threshold`
        with semicolons between them, ';' for none.

        Args:
          probabilities: [N, K], as of `predict`.
        """
        if not self.multilabel:
            return [str(self.classes[k]) for k in np.asarray(probabilities).argmax(1)]
        return [targets.multilabel.written(self.classes, row > self.threshold) for row in np.asarray(probabilities)]

    def embed(self, images, batch_size: int = BATCH) -> np.ndarray:
        """Features of the layer that the head is on, or of the last layer of a bare backbone, pooled: float32 [N, D].

        Arguments and errors as for `predict`.
        """
        return self._apply('embed', images, batch_size)

    def outputs(self, images: np.ndarray, batch_size: int = BATCH) -> Outputs:
        """Probabilities and features at once; arguments and errors as for `predict`."""
        if not self.classes:
            return Outputs(None, self.embed(images, batch_size))
        logits, features = self._apply('outputs', images, batch_size)
        return Outputs(self._probabilities(logits, self.temperature), features)

    def save(self, directory) -> Path:
        """Writes the model alone to a directory that `load` opens, here or on another machine; returns its path.

        Raises:
          FileExistsError: something is in its place.
          OSError: it cannot be written.
        """
        directory = Path(paths.expand(directory))
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise FileExistsError(errno.EEXIST, f'{directory} exists already: give a new directory for the model')
        temporary = directory.with_name(f'.{directory.name}.{os.getpid()}')
        try:
            params, state = split(self._variables)
            manager = checkpoint.open_manager(temporary / 'model')
            checkpoint.save(manager, 0, {'params': params, 'state': state}, {'model': self.info})
            manager.close()
            files.write_json(temporary / model_json.NAME, self.info | {'chosen': self.chosen})
            if self.calibration:
                self.calibration.save(temporary)
            if directory.exists():
                directory.rmdir()
            os.replace(temporary, directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return directory

    def export(self, path, format: str = '', images=None) -> Path:
        """Writes the model to a file for other programs, and PATH.json, which says what it is; `load` opens it.

        The file is read again and its outputs are compared with the model's on random images, alone and three at once:
        where they differ by more than 1e-4, nothing is written. Probabilities are calibrated, as those of `predict`. A
        model that was trained in bfloat16 is exported, and compared, in float32.

        Args:
          path: of the file; there must be nothing.
          format: 'safetensors' (the weights, under the names of torchvision or timm where they have the same network),
            'onnx', 'stablehlo' or 'tflite' (the network with its weights: images uint8 [N, H, W, C] to probabilities);
            '' by the end of the path.
          images: further images to compare on, as for `predict`.

        Returns:
          The path.

        Raises:
          ValueError: an unknown format, or the model cannot be exported; the message says why.
          FileExistsError: something is in its place.
          ImportError: a package of the extra `export`, or TensorFlow for tflite, is missing.
        """
        return exporting.write(self.in_float32(), path, format, images)

    @property
    def variables(self) -> dict:
        """The weights, {'params': {'backbone': ..., 'head': ...}, ...}, on the host."""
        return self._variables

    @property
    def config(self):
        """The parts of the run's config that rebuild the network."""
        return self._config

    def answers(self, images) -> np.ndarray:
        """What an exported file gives: `predict`, or `embed` of a backbone without a classifier."""
        return self.predict(images) if self.classes else self.embed(images)

    def function(self) -> tuple:
        """((images uint8 [N, H, W, C]) -> `answers`, their name), in JAX, with the weights as constants and
        convolutions in XLA's own form."""
        plain = self._with(conv='xla')
        if not self.classes:
            features = plain._embed_function()
            return lambda images: features(self._variables, images), 'features'
        logits = plain._predict_function()
        activation = self.targets.activation
        return lambda images: activation(logits(self._variables, images) / self.temperature), 'probabilities'

    def in_float32(self) -> 'Model':
        """The model that computes in float32, whatever it was trained in."""
        return self if self._config.backbone.dtype == 'float32' else self._with(dtype='float32')

    def reopened(self, found, info: dict) -> 'Model':
        """The model of a file that was exported: `found` and `info` of `exporting.read`."""
        return _of_file(found, info['model'])

    def _with(self, **fields) -> 'Model':
        """The model with other fields of config.backbone."""
        config = self.info['config']
        info = self.info | {'config': config | {'backbone': config['backbone'] | fields}}
        return Model(self._variables, info, self.chosen, self.calibration)

    def _runner(self, what: str):
        """(images uint8 [n, H, W, C]) -> arrays [n, ...] on the host."""
        if self._on_device is None:
            self._on_device = jax.device_put(self._variables)
        if what not in self._compiled:
            self._compiled[what] = embed.compiled(getattr(self, f'_{what}_function')())
        return lambda batch: jax.device_get(self._compiled[what](self._on_device, batch))

    def _apply(self, what: str, images, batch_size: int):
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}; it must be 1 or more.')
        run, out = self._runner(what), []
        for batch in self.read(images, batch_size):
            n, sizes = len(batch), self._sizes.setdefault(what, set())
            # The rest of a long list is padded to a size that is compiled by now; to compile takes seconds.
            full = min((size for size in sizes if n <= size <= min(batch_size, 16 * n)), default=0)
            full = full or (n if n == batch_size else min(batch_size, 1 << (n - 1).bit_length()))
            sizes.add(full)
            found = run(np.resize(batch, (full, *batch.shape[1:])))
            out.append(jax.tree.map(lambda a: a[:n], found))
        return jax.tree.map(lambda *parts: np.concatenate(parts), *out)

    def _predict_function(self):
        predict = self._method().predict
        return lambda variables, x: predict(*split(variables), x).astype('float32')

    def _outputs_function(self):
        logits, features = self._predict_function(), self._embed_function()
        return lambda variables, x: (logits(variables, x), features(variables, x))

    def _embed_function(self):
        if self.classes:
            features = self._method().features
            return lambda variables, x: features(*split(variables), x)
        backbone = held_layers(self._config.backbone, self.shape, self._variables['params']['backbone'])
        names, cfg = [name for name, _ in backbone.layers], self._config.transfer
        layer = cfg.layer if cfg.layer in names else names[-1]

        def features(variables, images):
            found = network.layers(network.Network(backbone, ''), variables, images)
            return pool_features(found[layer], cfg.pool).astype('float32')

        return features

    def _method(self):
        return stages.classifier(self._config, self.shape, len(self.classes), self.info['method'], self.targets.sets)

    def read(self, images, batch_size: int = BATCH) -> Iterator[np.ndarray]:
        """The images as the network gets them, uint8 [n, H, W, C], n at most `batch_size`; as for `predict`."""
        items = [images] if isinstance(images, (str, os.PathLike)) else images
        if not len(items):
            raise ValueError('There are no images: give at least one.')
        if isinstance(items, np.ndarray) and items.dtype.kind not in 'OUS':
            items = self._array(items)
        for start in range(0, len(items), batch_size):
            part = items[start : start + batch_size]
            if isinstance(part, np.ndarray) and part.dtype == np.uint8 and part.shape[1:] == self.shape:
                yield part
                continue
            out = np.empty((len(part), *self.shape), np.uint8)

            def run(first, last, part=part, out=out, start=start):
                for i in range(first, last):
                    out[i] = self._one(part[i], start + i)

            parallel(run, len(part), 16)
            yield out

    def _array(self, images: np.ndarray) -> np.ndarray:
        """A batch of one array, uint8 [N, h, w, c]."""
        if images.ndim == 3 and self.shape[2] == 1:
            images = images[..., None]
        if images.ndim != 4:
            raise ValueError(
                f'the images are an array of shape {images.shape}: it must be [N, H, W, C], or [N, H, W] of one '
                'channel. Give a single image as images[None].'
            )
        return self._bytes(images, 'the array')

    def _one(self, item, number: int) -> np.ndarray:
        """One image, a path or an array, as uint8 of the model's shape."""
        wanted = self.shape
        if isinstance(item, (str, os.PathLike)):
            name = repr(os.fspath(item))
            path = Path(paths.expand(item))
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise ValueError(f'the image {name} cannot be read: it is {paths.kind(path)}, not a file')
            data = path.read_bytes()
            try:
                image = decode.decode(data, *self.fit)
            except Exception as error:  # Pillow raises almost anything on a damaged file
                if isinstance(error, MemoryError):
                    raise
                raise ValueError(f'the image {name} cannot be read: {decode.reason(error)}') from error
        else:
            name, image = f'image {number}', np.asarray(item)
            image = image[..., None] if image.ndim == 2 else image
            if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
                raise ValueError(f'{name} is an array of shape {image.shape}: it must be [H, W] or [H, W, 1, 3 or 4].')
            image = np.ascontiguousarray(self._bytes(image, name))
            image = decode.fit(image, self.fit.size, wanted[2], self.fit.resize)
        if image.shape != wanted:
            shown = ['x'.join(map(str, s[:2])) for s in (image.shape, wanted)]
            raise ValueError(f'{name} is {shown[0]} pixels; this model takes {shown[1]}: resize it.')
        return image

    def _bytes(self, image: np.ndarray, name: str) -> np.ndarray:
        """uint8 of an array; values of more than 8 bits by the range of the training images."""
        span = self.info['input']['range']
        if image.dtype == np.uint8:
            return image
        if isinstance(span, list) and image.dtype.kind in 'uif':
            return depth.to_bytes(image, *span)
        raise ValueError(f'{name} has values of type {image.dtype}; this model takes uint8, 0 to 255.')


class Exported(Model):
    """A model from a file with its program: it predicts; neither its weights nor, with a classifier, its features can
    be had. `run` maps images uint8 [n, H, W, C] to float32 [n, K]; the rest as for Model."""

    def __init__(self, run, info: dict, chosen: str = ''):
        super().__init__({}, info, chosen)
        self._run, self.embeds = run, not self.classes

    def outputs(self, images: np.ndarray, batch_size: int = BATCH) -> Outputs:
        """As Model.outputs; features are None of a classifier."""
        return Outputs(self.predict(images, batch_size), None) if self.classes else super().outputs(images, batch_size)

    def save(self, directory) -> NoReturn:
        self._refuse('weights')

    def export(self, path, format: str = '', images=None) -> NoReturn:
        self._refuse('weights')

    def _runner(self, what: str):
        if not self.classes:
            return self._run
        if what != 'predict':
            self._refuse('features')
        return self._logits

    def _logits(self, images):
        """Those of its probabilities, but for a constant."""
        p = self._run(images)
        with np.errstate(divide='ignore'):
            logits = np.log(p) - np.log1p(-p) if self.multilabel else np.log(p)
            return logits * np.float32(self.temperature)

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(
            f'this model was exported as a program, which gives no {what}: load the run that it is from, or a '
            '.safetensors file.'
        )


def _of_file(found, info: dict) -> Model:
    """The Model of variables, or of a function of images."""
    return (Model if isinstance(found, dict) else Exported)(found, info)


def load(path, way: str = '', seed: int | None = None) -> Model:
    """The trained model of a run, of one of its stages, of a directory that `Model.save` wrote, or of a file that
    `Model.export` wrote.

    Of a run it is the classifier with the highest top-1 on validation, mAP of multi-label images, or what else
    config.select names, of all ways and seeds, and of equals the one whose way is the highest on average over seeds:
    the test split has no part in the choice. A run that trained no classifier has its pretrained backbone.

    Args:
      path: a directory, or a file with its JSON beside it.
      way: take this way of a run, 'pretrain' for the pretrained backbone.
      seed: take this seed of a run.

    Raises:
      FileNotFoundError: there is no trained model; the message says what is there.
      ValueError: no such way or seed, or a file is damaged.
    """
    platform.enter()
    path = Path(paths.expand(path))
    if path.is_file():
        if way or seed is not None:
            raise ValueError(f'{path} holds one model: way and seed only apply to a run.')
        found, info = exporting.read(path)
        return _of_file(found, info['model'])
    if (path / 'model').is_dir() or (path / model_json.NAME).is_file():
        if way or seed is not None:
            raise ValueError(f'{path} holds one model: way and seed only apply to a run.')
        return _open(path, '')
    found = _stages(path)
    if not found:
        checkpoint.load_variables(path)  # says what is there instead
        raise FileNotFoundError(errno.ENOENT, f'{path} has no finished stage of a run')
    return _open(*_choose(path, found, way, seed, _selected(path)))


def _selected(path: Path) -> str:
    """The metric that a run selects by."""
    select = (files.read_json(path / 'config.json') or {}).get('select', 'top1')
    known = (files.read_json(place) or {} for place in sorted(path.glob(f'seed*/*/{model_json.NAME}')))
    return metrics.selected(select, any(info.get('multilabel') for info in known))


def _stages(path: Path) -> dict:
    """{(seed, way): (directory, what the run selects by, on validation; None of a pretraining)} of the finished stages
    of a run, in order."""
    config, metric, found = files.read_json(path / 'config.json') or {}, _selected(path), {}
    ways = [*config.get('transfer', {}).get('ways', ()), 'pretrain']
    for folder in sorted(path.glob('seed*'), key=lambda p: (len(p.name), p.name)):
        for way in ways:
            directory = folder / way
            record = files.read_json(directory / 'done.json', {'val': dict})
            if record and (directory / 'model').is_dir() and folder.name[4:].isdigit():
                value = None if way == 'pretrain' else record['val'].get(metric)
                found[int(folder.name[4:]), way] = directory, value
    return found


def _choose(path: Path, found: dict, way: str, seed: int | None, metric: str) -> tuple[Path, str]:
    """(directory of the stage, why it was chosen)."""
    ways, seeds = list(dict.fromkeys(w for _, w in found)), list(dict.fromkeys(s for s, _ in found))
    if way and way not in ways:
        has = ', '.join(ways)
        raise ValueError(f'{path} has no trained model of the way {way!r}{nearest(way, ways)} (it has {has}).')
    if seed is not None and seed not in seeds:
        raise ValueError(f'{path} has no seed {seed} (it has {", ".join(map(str, seeds))}).')
    asked = [way] if way else [w for w in ways if w != 'pretrain'] or ways
    wanted = {(s, w): v for (s, w), v in found.items() if w in asked and seed in (None, s)}
    if not wanted:
        raise ValueError(f'{path} has no trained model of the way {way!r} with seed {seed}.')
    known = {k: -1.0 if v is None else v for k, (_, v) in wanted.items()}
    means = {w: fmean(v for k, v in known.items() if k[1] == w) for _, w in known}
    best = max(known, key=lambda k: (known[k], means[k[1]]))
    directory, value = wanted[best]
    if value is None:
        return directory, f'the pretrained backbone of seed {best[0]}'
    of = f'of {len(wanted)} trained classifiers' if len(wanted) > 1 else 'the only one asked for'
    if (equal := sum(v == known[best] for v in known.values())) > 1:
        several = len(means) > 1 and len({k[0] for k in known}) > 1
        of += f' ({equal} reach it{f"; {best[1]} is the highest of them on average over seeds" * several})'
    return directory, f'the highest {metrics.TITLES[metric]} on validation, {100 * value:.2f}%, {of}'


def _open(directory: Path, chosen: str) -> Model:
    """The model of a stage's directory, or of one that `Model.save` wrote."""
    variables, meta = checkpoint.load_variables(directory)
    info = model_json.read(directory)
    run = directory.parent.parent
    if info is None and 'model' in meta:
        raise FileNotFoundError(errno.ENOENT, f'{directory / model_json.NAME} is missing: save the model again')
    if info is None:  # of an earlier version
        record = files.read_json(directory / 'done.json', {'val': dict, 'steps': int, 'best_step': int})
        if record is None:
            raise FileNotFoundError(errno.ENOENT, f'{directory} is not finished: rerun its command')
        info = model_json.describe(meta, record, files.read_json(run / 'result.json', {'data': dict}))
    if 'test' not in info['metrics']:
        evaluation = files.read_json(directory.parent / 'evaluation.json', {'ways': dict}) or {'ways': {}}
        found = evaluation['ways'].get(info['way'], {})
        info = info | {'metrics': info['metrics'] | {k: found[k] for k in ('val', 'test') if k in found}}
    return Model(variables, info, chosen, calibration.load(directory))
