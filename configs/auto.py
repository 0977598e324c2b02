"""Everything from the images: size, network, methods, durations and seeds are chosen, with reasons, for the given
minutes. At the end it says in words how much the unlabelled images helped, and what more labels would bring.

    ssljax train --config=auto --config.data.source=folder:photos --minutes=30

Fields that are given on the command line stay as they are. The plan is kept as plan.json and plan.py in the run's
folder; `ssljax plan` makes it without training.
"""

from ssljax.config import base


def get_config():
    c = base()
    c.name = 'auto'
    c.plan.minutes = 30.0
    return c
