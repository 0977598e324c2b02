"""A classifier's metrics under their names in result.json, and those that can select weights."""

TITLES = {
    'top1': 'top-1',
    'top5': 'top-5',
    'balanced_accuracy': 'balanced accuracy',
    'macro_f1': 'macro-F1',
    'auroc': 'macro AUROC',
    'sensitivity': 'sensitivity',
    'specificity': 'specificity',
}
SELECT = ('top1', 'balanced_accuracy', 'macro_f1', 'auroc')  # config.select; higher is better for each
IMBALANCED = 1.5  # ratio of the largest to the smallest class above which top-1 alone is misleading
