"""From an encoded image to pixels by TensorFlow's operations: what decode.py does to plain images (kinds.py), to within
a level or two of 255. A JPEG is cropped before it is decoded, at a half, a quarter or an eighth of its size."""

import functools

import tensorflow as tf

FRACTIONS = 8, 4, 2, 1


def decoder(shape, fit, png: bool, jpeg: bool):
    """string -> uint8 [H, W, C].

    Args:
      shape: (H, W, C), C 1 or 3.
      fit: decode.Fit.
      png, jpeg: whether there are images of that kind.
    """
    kinds = [kind for kind, there in ((_of_jpeg, jpeg), (_of_png, png)) if there]

    def decode(data):
        if len(kinds) == 2:
            both = [functools.partial(kind, data, shape, fit) for kind in kinds]
            return tf.ensure_shape(tf.cond(tf.io.is_jpeg(data), *both), shape)
        return tf.ensure_shape(kinds[0](data, shape, fit), shape)

    return decode


def crop_and_decode(data, window, place, channels):
    """uint8 [h, w, C] of the window (top, left, h, w), int32 [4], of a JPEG decoded at 1/FRACTIONS[place] of its
    size; the window is within the reduced image."""

    def at(n):
        return tf.io.decode_and_crop_jpeg(data, window, channels, ratio=n, dct_method='INTEGER_ACCURATE')

    return tf.switch_case(place, [functools.partial(at, n) for n in FRACTIONS])


def _of_jpeg(data, shape, fit):
    if not fit.size:
        return tf.io.decode_jpeg(data, shape[2], dct_method='INTEGER_ACCURATE')
    whole = tf.io.extract_jpeg_shape(data)[:2]
    able = tf.reduce_min(whole) >= fit.size * tf.constant(FRACTIONS[:-1])
    place = tf.argmax(tf.concat([able, [True]], 0), output_type=tf.int32)  # the first that leaves enough pixels
    height, width = tf.unstack(-(-whole // tf.constant(FRACTIONS)[place]))
    if fit.resize != 'crop':
        image = crop_and_decode(data, tf.stack([0, 0, height, width]), place, shape[2])
        return _resized(image, fit)
    top, left, window = _square(height, width, fit.size)
    image = crop_and_decode(data, tf.stack(window), place, shape[2])
    return _scaled(image, (top, left), tf.minimum(height, width), fit.size)


def _of_png(data, shape, fit):
    image = tf.io.decode_png(data, shape[2])
    if not fit.size:
        return image
    if fit.resize != 'crop':
        return _resized(image, fit)
    height, width = tf.unstack(tf.shape(image)[:2])
    top, left, (y, x, h, w) = _square(height, width, fit.size)
    return _scaled(image[y : y + h, x : x + w], (top, left), tf.minimum(height, width), fit.size)


def _square(height, width, size):
    """The centre square of an image: where it begins within the window of all pixels that the resizing looks at,
    float32 top and left, and that window, (top, left, height, width)."""
    side = tf.minimum(height, width)
    around = -(-side // size) + 1  # by which the filter reaches beyond the square
    begins, window = [], []
    for length in (height, width):
        begin = tf.cast(length - side, tf.float32) / 2
        first = tf.maximum((length - side) // 2 - around, 0)
        last = tf.minimum((length - side + 1) // 2 + side + around, length)
        begins.append(begin - tf.cast(first, tf.float32))
        window.append((first, last - first))
    (y, h), (x, w) = window
    return begins[0], begins[1], (y, x, h, w)


def _scaled(image, begin, side, size):
    """uint8 [size, size, C] of the square of `side` pixels that begins at `begin` (top, left) of an image."""
    scale = tf.fill([2], size / tf.cast(side, tf.float32))
    return _by(image, [size, size], scale, -tf.stack(begin) * scale)


def _resized(image, fit):
    """As decode.fit with 'squash' or 'pad'."""
    whole = tf.shape(image)[:2]
    if fit.resize == 'squash':
        sides = tf.constant([fit.size, fit.size])
    else:
        longest = tf.cast(tf.reduce_max(whole), tf.float64)
        sides = tf.maximum(tf.cast(tf.round(tf.cast(whole, tf.float64) * fit.size / longest), tf.int32), 1)
    scale = tf.cast(sides, tf.float32) / tf.cast(whole, tf.float32)
    image = _by(image, sides, scale, tf.zeros([2]))
    begin = (fit.size - sides) // 2
    end = fit.size - sides - begin
    return tf.pad(image, [[begin[0], end[0]], [begin[1], end[1]], [0, 0]])


def _by(image, size, scale, translation):
    """Bilinear with antialiasing, as in Pillow; pixels at the edge stand for those beyond."""
    out = tf.raw_ops.ScaleAndTranslate(
        images=image[None], size=size, scale=scale, translation=translation, kernel_type='triangle', antialias=True
    )
    return tf.saturate_cast(tf.round(out[0]), tf.uint8)
