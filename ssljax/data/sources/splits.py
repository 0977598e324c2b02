"""Splits from what a source answered: decoded, resized and converted as config.data says."""

from PIL import Image

from ssljax.data import cache, decode
from ssljax.data import span as spans
from ssljax.data.encoded import FileImages
from ssljax.data.memory import available_memory, empty_images, fits, parallel
from ssljax.data.sources.asked import Arrays, Encoded
from ssljax.data.split import ArrayImages, Split


def splits_of(found: dict, config, asked) -> dict:
    """{name: Split} from {name: Arrays or Encoded}, all of one type, one of them train; they are taken out of `found`.

    Raises:
      ValueError: images that do not fit in memory, or that differ in type, shape or range of values.
    """
    if not isinstance(found['train'], Encoded):
        return {name: in_memory(found.pop(name), config, asked) for name in list(found)}
    return _encoded(found, config, spans.decide(found, config.range, config.max_pixels))


def further(found, config, asked, span) -> Split:
    """The Split from further unlabelled images, Arrays or Encoded, in the range `span` of the training images.

    Raises:
      ValueError: as `splits_of`, or images of another depth than the training images.
    """
    if isinstance(found, Encoded):
        spans.agrees(span, {'unlabeled': found}, str(asked), config.max_pixels)
        return _encoded({'unlabeled': found}, config, span)['unlabeled']
    if isinstance(span, tuple):
        spans.mixture(asked.rest or asked.text, '', str(asked))
    return in_memory(found, config, asked)


def in_memory(found: Arrays, config, asked) -> Split:
    """A Split of an array."""
    images, labels, _ = found
    size, channels = config.image_size, config.channels
    h, w, c = images.shape[1:]
    changed = (size and (h, w) != (size, size)) or (channels and c != channels)
    check_memory(len(images) * (size or h) * (size or w) * (channels or c), asked)
    target = empty_images(len(images), (size or h, size or w, channels or c))

    def run(start, stop):
        for i in range(start, stop):
            image = images[i]
            target[i] = decode.fit(Image.fromarray(image[..., 0] if c == 1 else image), size, channels, config.resize)

    if changed:
        parallel(run, len(images), 256, title='resizing images')
    else:
        target[...] = images
    return Split(ArrayImages(target), labels)


def check_memory(size: int, asked) -> None:
    """Raises ValueError if `size` bytes do not fit in the free memory."""
    free = available_memory()
    if free is not None and size > 0.8 * free:
        raise ValueError(
            f'The images of {asked.text!r} take {size / 2**30:,.1f} GiB, but only {free / 2**30:,.1f} GiB of memory is '
            'free: make them fewer or smaller (config.data.image_size).'
        )


def _encoded(found: dict, config, span) -> dict:
    """{name: Split} from {name: Encoded}."""
    files, numbers, *_ = found['train'] if 'train' in found else found['unlabeled']
    fit = decode.Fit(config.image_size, config.channels, span, config.max_pixels, config.resize)
    shape, like = decode.probe(files, numbers, fit)
    result = {}
    for name, (files, numbers, labels, groups, _) in found.items():
        images = FileImages(files, numbers, labels, shape=shape, fit=fit, like=like, corrupt=config.corrupt)
        if config.cache and len(labels):
            images.use(cache.decoded(images, config.cache))
        result[name] = Split(images, labels, groups=groups)
        if config.path != 'stream' and fits(result[name].nbytes, 0.8 if config.path == 'resident' else 0.25):
            images.decode_all()
        if name == 'unlabeled':
            result[name] = result[name].hide()
    return result
