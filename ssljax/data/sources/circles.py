"""7,000 points of two rings in the plane, as images of 1x1x2 (toy.py)."""

from ssljax.data import toy
from ssljax.data.sources.asked import Arrays

FORM = 'circles'


def read(asked, config):
    """As sources.__init__ says; raises ValueError if the points should be resized or coloured."""
    for field in ('image_size', 'channels'):
        if config[field]:
            raise ValueError(
                f"config.data.{field}={config[field]} does not go with 'circles': a point's two coordinates are not "
                f'a picture to be resized or coloured. Leave it at 0.'
            )
    splits = {name: toy.circles(n, seed) for seed, (name, n) in enumerate((('train', 5000), ('test', 2000)))}
    return tuple(toy.RINGS), {name: Arrays(*points) for name, points in splits.items()}
