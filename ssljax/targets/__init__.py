"""What labels mean: one class an image, or any number of them (multi-label). Either is a record of the same functions,
which training, evaluation, calibration and reports use:

    counts, hot      of labels, int32 [N], -1 where unknown: images of each class [K]; float32 [N, K], 1 where an image
                     has a class, 0 in the row of an unknown label
    text, shade      what names a label; the class that stands for it in a map of images
    encoded          (labels [B]) -> targets float32 [B, K] of a loss, in JAX; `smooth` weakens them
    class_counts     what a loss with class weights or logit adjustment needs to know about the labels
    measures         metrics of a batch of logits, in JAX
    probabilities    of logits, in NumPy; `activation` is the same in JAX
    scores           classification metrics of logits; `ends` their intervals, `compared` the ways against scratch
    main             the main metric: 'top1' or 'mAP'
    select           metrics that may select weights, `main` first
    temperature, reliability, cut    of calibration
    probe            (targets, loss) of a linear probe
    wrong            the images that a model is most confidently wrong about

A multi-label data set has a table of its different sets of classes, uint8 [S, K], and a label is the number of a row,
so that labels are int32 [N] in either case."""

from ssljax.targets.multilabel import MultiLabel
from ssljax.targets.one import OneClass

Targets = OneClass | MultiLabel


def of(classes: int, sets=None) -> Targets:
    """The record for labels of this many classes.

    Args:
      classes: K.
      sets: uint8 [S, K], the sets of classes of a multi-label data set; None: a label is a class.
    """
    return OneClass(classes) if sets is None else MultiLabel(classes, sets)
