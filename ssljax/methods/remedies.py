"""What helps where the features of a method collapse, by its family; each method's module names its own as REMEDY."""

CONTRASTIVE = 'raise the batch size, which has the negatives, or the temperature; or lower optim.lr'
TRIPLETS = 'raise the batch size, which has the negatives, set mining=random, or lower optim.lr'
PREDICTOR = "look at the method's predictor and its momentum, if it has one; lower optim.lr, or raise the batch size"
REDUNDANCY = 'raise the weight of the variance or of the off-diagonal terms, or the batch size; or lower optim.lr'
CLUSTERING = (
    'look at what keeps the prototypes in use (sharper temperatures, centring or more Sinkhorn iterations); raise the '
    'batch size, or lower optim.lr'
)
PRETEXT = 'lower optim.lr, set optim.clip or optim.warmup, or make the augmentation weaker'
RECONSTRUCTION = 'lower optim.lr, widen the code, or spoil less of the input'
GENERATIVE = 'lower optim.lr: the discriminator no longer tells images apart'
