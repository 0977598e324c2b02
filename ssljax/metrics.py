"""A classifier's metrics under their names in result.json, and those that can select weights."""

TITLES = {
    'top1': 'top-1',
    'mAP': 'mAP',
    'top5': 'top-5',
    'balanced_accuracy': 'balanced accuracy',
    'macro_f1': 'macro-F1',
    'micro_f1': 'micro-F1',
    'auroc': 'macro AUROC',
    'exact_match': 'exact match',
    'hamming': 'Hamming accuracy',
    'sensitivity': 'sensitivity',
    'specificity': 'specificity',
}
# Values of config.select; higher is better for each. For images of one class each, and for multi-label images, where
# the default, top1, stands for mAP: the mean over classes of the average precision.
SELECT = ('top1', 'balanced_accuracy', 'macro_f1', 'auroc')
SELECT_MULTILABEL = ('mAP', 'macro_f1', 'micro_f1', 'auroc')
IMBALANCED = 1.5  # ratio of the largest to the smallest class above which top-1 alone is misleading


def selected(select: str, multilabel: bool) -> str:
    """What config.select stands for."""
    return 'mAP' if multilabel and select == 'top1' else select
