"""Mean Teacher: agree with the average of one's own weights. Tarvainen & Valpola, NeurIPS 2017 (arXiv:1703.01780)."""

from ssljax.methods import consistency, pi_model
from ssljax.settings.fields import share

TITLE = 'Mean Teacher'
OPTIONS = consistency.OPTIONS | dict(weight=50.0, ramp=share(0.4))
TUNED = {'weight': (5.0, 15.0, 50.0)}


def make(config, shape, classes: int):
    """Mean squared difference of the class probabilities of student and teacher for two weak views (section 2). The
    teacher's weights are averaged with the decay `semi.ema`; its BatchNorm uses its own batch.

    Raises:
      ValueError: `semi.ema` is 0.
    """
    return consistency.make(
        config, 'mean_teacher', classes, pi_model.squared_difference, trained='weak', teacher=True, per_image=True
    )
