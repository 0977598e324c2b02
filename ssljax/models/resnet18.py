"""ResNet-18 (resnet.py)."""

import functools

from ssljax.models import resnet

OPTIONS = resnet.OPTIONS
make = functools.partial(resnet.make, 'resnet18', (2, 2, 2, 2), False)
