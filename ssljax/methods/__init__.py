"""Training methods, by name: a literal table of factories `(config, shape) -> Method`."""

from ssljax.config import nearest
from ssljax.methods import rotation

PRETEXT = {
    'rotation': rotation.make,
}


def pretext(config, shape):
    """The pretext task `config.pretrain.method` for images of `shape` (H, W, C).

    Raises:
      ValueError: an unknown name, or a task that cannot work on such images.
    """
    name = config.pretrain.method
    if name not in PRETEXT:
        known = ', '.join(PRETEXT)
        raise ValueError(f'pretrain.method is {name!r}{nearest(name, PRETEXT)} (known: {known}, or none)')
    return PRETEXT[name](config, shape)
