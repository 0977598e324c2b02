"""Batches read ahead on the host by tf.data. TensorFlow is imported only where one is asked for."""

import numpy as np

from ssljax.data.memory import cores


def import_tensorflow():
    """The module, kept off the accelerators.

    Raises:
      ImportError: it is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as e:
        raise ImportError(
            f'TensorFlow is missing ({e}), and a set that does not fit the memory is streamed by it: pip '
            "install tensorflow, or make it fit with config.data.path='resident' or a smaller "
            'config.data.image_size.'
        ) from e
    try:
        tf.config.set_visible_devices([], 'GPU')
    except RuntimeError:  # too late: the caller has used TensorFlow before
        pass
    return tf


def batches(read, start, stop, k, shape, ahead):
    """Reads steps start to stop - 1, several at a time, in order.

    Args:
      read: step -> (images uint8 [B, H, W, C], labels int32 [B], indices int32 [B]), called from several threads.
      start, stop: steps; nothing before `start` is read.
      k: steps an item.
      shape: (B, H, W, C).
      ahead: items to hold ready.

    Yields:
      numpy {'image': uint8 [k, B, H, W, C], 'label': int32 [k, B], 'index': int32
      [k, B]}; the last may be shorter than k.

    Raises:
      what `read` raises.
    """
    tf = import_tensorflow()
    failed = []

    def attempt(step):
        try:
            return read(int(step))
        except Exception as e:  # kept for the consumer: TensorFlow would print it and lose its type
            failed.append(e)
            return np.zeros(shape, np.uint8), *np.zeros((2, *shape[:1]), np.int32)

    def load(step):
        image, *rows = tf.numpy_function(attempt, [step], (tf.uint8, tf.int32, tf.int32))
        label, index = (tf.ensure_shape(row, shape[:1]) for row in rows)
        return {'image': tf.ensure_shape(image, shape), 'label': label, 'index': index}

    data = tf.data.Dataset.range(start, stop).map(load, num_parallel_calls=cores(), deterministic=True)
    for item in data.batch(k).prefetch(ahead).as_numpy_iterator():
        if failed:
            raise failed[0]
        yield item
