"""A trained model: its weights with what is needed to use them, without the data or the recipe of its run."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ssljax import exporting, metrics, model_images, model_json, stages, targets
from ssljax.core import split
from ssljax.data import decode
from ssljax.evals import embed
from ssljax.methods import network
from ssljax.models.heads import pool_features
from ssljax.settings import schema
from ssljax.storage import checkpoint, files, paths, temporaries
from ssljax.transfer import held_layers

BATCH = 256  # images that are predicted at once


class Outputs(NamedTuple):
    """probabilities: float32 [N, K], calibrated; None for a backbone without a classifier. features: float32 [N, D] of
    the layer that the head is on, pooled."""

    probabilities: np.ndarray | None
    features: np.ndarray | None


class Model:
    """A trained classifier, or a backbone that was pretrained without labels.

    Attributes:
      classes: names of the classes, in the order of the probabilities; () for a backbone without a classifier.
      shape: (H, W, C) of the images.
      way: how it was trained, such as 'finetune', 'scratch' or 'fixmatch'; 'pretrain' for a bare backbone.
      metrics: {'val': {'top1', ...}, 'test': {...}}, as classify.scores has them; 'test' if the run has evaluated it.
      info: the content of its model.json.
      calibration: a Calibration, or None for a backbone without a classifier and for runs of earlier versions.
      temperature: what logits are divided by to calibrate predictions; 1 without a calibration.
      multilabel: whether an image may have several classes: then each has a probability of its own.
      threshold: for a multi-label model, the calibrated probability above which an image is said to have a class; 0.5
        without a calibration, or if validation had too few images to choose one.
      targets: what the classes mean, one of ssljax.targets.
      fit: how an image file is decoded, a decode.Fit.
      chosen: why `load` chose this model of a run.
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
        threshold = calibration.threshold if calibration else info.get('threshold')
        self.threshold = 0.5 if threshold is None else threshold
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
        said = f'{metrics.TITLES[main]} ' * bool(found) + ', '.join(f'{k} {v}' for k, v in found.items())
        shape = 'x'.join(map(str, self.shape))
        return f'<Model {self.way} on {self.info["backbone"]}, {len(self.classes)} classes, images {shape}; {said}>'

    def predict(self, images, batch_size: int = BATCH, calibrated: bool = True) -> np.ndarray:
        """Class probabilities.

        Args:
          images: paths of image files, one or several; or uint8 arrays [N, H, W, C], or [N, H, W] of one channel, or a
            list of [h, w, c] of any sizes. Files, and arrays of other sizes, are resized as in training.
          batch_size: images that are decoded and predicted at once.
          calibrated: by the temperature that fits the validation images. With one class per image, this changes no
            label; `labels` of a multi-label model expects calibrated ones.

        Returns:
          float32 [N, K]; the columns are in the order of `classes`. Rows sum to 1, except for a multi-label model.

        Raises:
          ValueError: the model has no classifier, or an image cannot be used; the message names it.
          OSError: a file cannot be read.
        """
        if not self.classes:
            raise ValueError(
                f'this model ({self.way}) is a backbone without a classifier: it has no classes to predict. Use '
                'embed(), or load a way that was trained on labels.'
            )
        temperature = self.temperature if calibrated else 1.0
        return self._probabilities(self._apply('predict', images, batch_size), temperature)

    def _probabilities(self, logits: np.ndarray, temperature: float) -> np.ndarray:
        return self.targets.probabilities(logits / np.float32(temperature))

    def labels(self, probabilities) -> list[str]:
        """The label of each image as text: its likeliest class or, for a multi-label model, those above `threshold`,
        joined by semicolons, ';' for none.

        Args:
          probabilities: [N, K], as from `predict`.
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
          FileExistsError: something is already there.
          OSError: it cannot be written.
        """
        directory = Path(paths.expand(directory))
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise FileExistsError(errno.EEXIST, f'{directory} exists already: give a new directory for the model')
        temporary = temporaries.beside(directory)
        try:
            params, state = split(self._variables)
            checkpoint.write(temporary / 'model', {'params': params, 'state': state}, {'model': self.info})
            files.write_json(temporary / model_json.NAME, self.info | {'chosen': self.chosen})
            if self.calibration:
                self.calibration.save(temporary)
            if directory.exists():
                directory.rmdir()
            os.replace(temporary, directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return directory

    def export(self, path, format: str = '', images=None, features: bool = False) -> Path:
        """Writes the model to a file for other programs, and PATH.json, which says what it is; `load` opens it.

        The file is read again and its outputs are compared with the model's on random images, alone and three at once:
        if they differ by more than 1e-4, nothing is written. Probabilities are calibrated, as those of `predict`. A
        model that was trained in bfloat16 is exported, and compared, in float32.

        Args:
          path: of the file, which must not exist yet.
          format: 'safetensors' (the weights, under the names of torchvision or timm where they have the same network),
            'onnx', 'stablehlo' or 'tflite' (the network with its weights: images uint8 [N, H, W, C] to probabilities);
            '' goes by the suffix of the path.
          images: further images to compare on, as for `predict`.
          features: the program also gives the features, and PATH.calibration.npz has what is needed to flag images
            unlike the training images: `embed` and `ssljax.predict` need these of an exported model.

        Returns:
          The path.

        Raises:
          ValueError: an unknown format, or the model cannot be exported; the message says why.
          FileExistsError: something is already there.
          ImportError: a package of the extra `export`, or TensorFlow for tflite, is missing.
        """
        return exporting.write(self.in_float32(), path, format, images, features)

    @property
    def variables(self) -> dict:
        """The weights, {'params': {'backbone': ..., 'head': ...}, ...}, on the host."""
        return self._variables

    @property
    def config(self):
        """The parts of the run's config that rebuild the network."""
        return self._config

    def answers(self, images, features: bool = False) -> tuple:
        """What an exported file gives: `predict` and, with `features`, `embed`; a backbone gives only `embed`."""
        if not self.classes:
            return (self.embed(images),)
        return tuple(self.outputs(images)) if features else (self.predict(images),)

    def function(self, features: bool = False) -> tuple:
        """((images uint8 [N, H, W, C]) -> `answers`, their names), in JAX, with the weights as constants and
        convolutions in XLA's own form."""
        plain = self._with(conv='xla')
        embedded = plain._embed_function()
        if not self.classes:
            return lambda images: (embedded(self._variables, images),), ('features',)
        logits = plain._predict_function()
        activation = self.targets.activation
        told = lambda images: activation(logits(self._variables, images) / self.temperature)
        if not features:
            return lambda images: (told(images),), ('probabilities',)
        return lambda images: (told(images), embedded(self._variables, images)), ('probabilities', 'features')

    def in_float32(self) -> 'Model':
        """The model, computing in float32, whatever it was trained in."""
        return self if self._config.backbone.dtype == 'float32' else self._with(dtype='float32')

    def reopened(self, found, info: dict) -> Callable:
        """`answers` of a file that was exported: `found` and `info` of `exporting.read`."""
        return (
            Model(found, info['model']).answers if isinstance(found, dict) else lambda images, features: found(images)
        )

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
            # The rest of a long list is padded to a size that is already compiled: compiling takes seconds.
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
        method = self.info['method']
        return stages.classifier(self._config, self.shape, len(self.classes), method, self.targets.sets)

    def read(self, images, batch_size: int = BATCH) -> Iterator[np.ndarray]:
        """The images as the network gets them, uint8 [n, H, W, C], n at most `batch_size`; as for `predict`."""
        return model_images.read(images, self.shape, self.fit, batch_size)
