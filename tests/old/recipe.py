"""A run and a study of seconds, as an earlier version was given them."""

from ssljax.config import base


def get_config():
    """Two seeds of three ways after rotations, on synthetic images of 8 pixels."""
    c = base()
    c.name = 'old'
    c.seeds = (0, 1)
    c.data.update(source='synthetic:8x8x1:3', labels='10/class', val='60')
    c.backbone.update(width=4, depth=1)
    c.pretrain.update(epochs=0.0, steps=12, evals=2, batch_size=16)
    c.transfer.update(batch_size=16, ways=('scratch', 'frozen', 'two_stage'))
    c.transfer.frozen.update(epochs=0.0, steps=6, evals=3)
    c.transfer.second.update(epochs=0.0, steps=6, evals=2)
    c.evaluate.update(batch_size=100, figures=False, probe=False)
    c.study.labels = ('5/class', '10/class')
    c.log_every = 4
    return c
