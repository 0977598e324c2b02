"""ResNet-50 (resnet.py)."""

import functools

from ssljax.models import resnet

OPTIONS = resnet.OPTIONS
make = functools.partial(resnet.make, 'resnet50', (3, 4, 6, 3), True)
