"""The figures of a classifier by their names in result.json, and those that weights can be selected by."""

TITLES = {
    'top1': 'top-1',
    'top5': 'top-5',
    'balanced_accuracy': 'balanced accuracy',
    'macro_f1': 'macro-F1',
    'auroc': 'macro AUROC',
    'sensitivity': 'sensitivity',
    'specificity': 'specificity',
}
SELECT = ('top1', 'balanced_accuracy', 'macro_f1', 'auroc')  # of config.select; of each a higher value is better
IMBALANCED = 1.5  # times as many images of the most frequent class as of the rarest: top-1 alone misleads
