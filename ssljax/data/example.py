"""The image and the label of a record of TensorFlow Datasets, a serialized tf.train.Example, without TensorFlow: the
processes that decode images would need seconds to import it.

Of the wire format of protocol buffers only what such a record has: Example.features = 1, Features.feature = 1 (a map:
key = 1, value = 2), Feature.bytes_list = 1 and .int64_list = 3, whose values are 1.
"""

_WIDTHS = {1: 8, 5: 4}  # bytes of the values that have a fixed width, by wire type


def image_and_label(record) -> tuple[bytes, int]:
    """(the encoded image, the label or -1) of a record, bytes.

    Raises:
      ValueError: it is not such a record, or has no image.
    """
    image, label = None, -1
    try:
        for _, features in _fields(record, 0, len(record)):
            for _, entry in _fields(record, *features):
                pair = dict(_fields(record, *entry))
                name = record[slice(*pair[1])]
                if name == b'image':
                    image = record[slice(*_first(record, pair[2]))]
                elif name == b'label':
                    label = _integer(record, pair[2])
    except (IndexError, KeyError, TypeError) as e:
        raise ValueError('the record is not a tf.train.Example') from e
    if image is None:
        raise ValueError("the record has no feature 'image'")
    return image, label


def _fields(data, start, stop):
    """(number, (start, stop) or value) of each field of a message."""
    while start < stop:
        tag, start = _varint(data, start)
        kind = tag & 7
        if kind == 2:
            length, start = _varint(data, start)
            if start + length > stop:
                raise IndexError
            yield tag >> 3, (start, start + length)
            start += length
        elif kind == 0:
            value, start = _varint(data, start)
            yield tag >> 3, value
        else:
            start += _WIDTHS[kind]


def _first(data, place):
    """(start, stop) of the first value of the list of a Feature."""
    return next(at for _, values in _fields(data, *place) for _, at in _fields(data, *values))


def _integer(data, place) -> int:
    at = _first(data, place)
    value = _varint(data, at[0])[0] if isinstance(at, tuple) else at
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(data, place):
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
