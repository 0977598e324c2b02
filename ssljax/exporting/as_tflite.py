"""TFLite, also called LiteRT: runs on phones and small devices. Images uint8 [N, H, W, C] to probabilities [N, K]; an
interpreter gets N by `resize_tensor_input`. Converted by JAX's converter to TensorFlow and TensorFlow's to TFLite."""

import importlib.util
import warnings
from pathlib import Path

import jax
import numpy as np

from ssljax.exporting import packages

SUFFIX = '.tflite'
NEEDS = ('tensorflow',)


def write(model, path: Path, features: bool = False) -> dict:
    """Writes a model; see `exporting.write`. Returns what its JSON says of the file.

    Raises:
      ValueError: TensorFlow has no operation of TFLite for a part of the network.
      ImportError: TensorFlow, or JAX's converter to it, is missing.
    """
    packages.need(NEEDS, 'tflite', 'tfds')
    import tensorflow as tf

    try:
        from jax.experimental import jax2tf
    except ImportError:
        raise ImportError(f'tflite needs jax.experimental.jax2tf, which jax {jax.__version__} lacks') from None
    height, width, channels = model.shape
    function = jax2tf.convert(model.function(features)[0], polymorphic_shapes=[f'(n, {height}, {width}, {channels})'])
    signature = [tf.TensorSpec([None, *model.shape], tf.uint8, 'images')]
    program = tf.function(function, input_signature=signature, autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([program.get_concrete_function()], program)
    try:
        path.write_bytes(converter.convert())
    except Exception as error:  # the converter raises errors of its own types
        if isinstance(error, (MemoryError, OSError)):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f'TensorFlow cannot convert this network to TFLite: {lines[0][:300]}') from error
    return {'tensorflow': tf.__version__, 'use': 'resize_tensor_input(input, [N, H, W, C]) before allocate_tensors()'}


def read(path: Path, info: dict):
    """(images uint8 [N, H, W, C]) -> the outputs, float32, of a file that `write` made."""
    interpreter = _interpreter(str(path))
    (given,), results = interpreter.get_input_details(), interpreter.get_output_details()
    results = sorted(results, key=lambda one: one['name'])  # 'StatefulPartitionedCall:0' and ':1'

    def run(images):
        interpreter.resize_tensor_input(given['index'], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given['index'], images)
        interpreter.invoke()
        return tuple(np.asarray(interpreter.get_tensor(one['index'])) for one in results)

    return run


def _interpreter(path: str):
    """LiteRT's, or TensorFlow's own, which was its predecessor."""
    if importlib.util.find_spec('ai_edge_litert'):
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(path)
    packages.need(NEEDS, 'tflite', 'tfds')
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return tf.lite.Interpreter(path)
