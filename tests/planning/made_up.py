"""Fingerprints and speeds that tests make up."""

from ssljax.planning.budget import Speed, Times
from ssljax.planning.fingerprint import Fingerprint

PHOTOS = Fingerprint(
    'folder:photos', ('cat', 'dog'), (30, 30), 1800, 0, 700, 96, 128, 300, False, 3, False, 8, 2**34, 2, 'cpu', 1
)
GRAY = PHOTOS._replace(source='folder:gray', gray=True)  # photographs without colour
SCANS = PHOTOS._replace(source='folder:scans', channels=1, equal=True, low=28, side=28, high=28)
DIGITS = PHOTOS._replace(
    source='digits', classes=tuple('0123456789'), counts=(180,) * 10, unlabeled=0, test=0, low=8, side=8, high=8,
    equal=True, channels=1,
)  # fmt: skip
SPEED = Speed(8.0, 0.02, 0.05)


def times(
    config=None, kinds=('scratch', 'pretrain', 'flexmatch', 'mixmatch', 'fixmatch', 'uda'), began=0.0, speed=SPEED
):
    """The Times of kinds that are all equally fast."""
    return Times({kind: speed for kind in kinds}, 100, 1.0, 20.0)
