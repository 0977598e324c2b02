"""Joint semi-supervised methods on CIFAR-10 with 250 labels, with the network and settings of USB (Wang et al. 2022) on
a twentieth of its 2^20 steps: one method, or all in one run, beside the same network trained on the labels alone.

    ssljax train --config=joint_cifar10:flexmatch --workdir=runs/flexmatch
    ssljax train --config=joint_cifar10:all --workdir=runs/joint_cifar10

For an accelerator; not yet measured here. In full: --config.semi.steps=1048576. Published error in percent after 2^20
steps (USB's classic_cv table, 250 labels): labels alone 55.96 +- 1.95, pseudo_label 48.28 +- 2.10, pi_model 47.69 +-
1.52, mean_teacher 56.06 +- 2.03, mixmatch 37.28 +- 0.61, uda 5.12 +- 0.15, fixmatch 4.97 +- 0.05, flexmatch 5.00 +-
0.05, freematch 4.85 +- 0.10, softmatch 4.84 +- 0.10. USB has as many unlabelled as labelled images per step for the
first four methods, which `all` does not; it has no regmixmatch, noisy_student or s4l_rotation.
"""

from ssljax.config import base, one_of
from ssljax.methods import JOINT

USB = {
    'pseudo_label': 51.72, 'pi_model': 52.31, 'mean_teacher': 43.94, 'mixmatch': 62.72, 'uda': 94.88,
    'fixmatch': 95.03, 'flexmatch': 95.0, 'freematch': 95.15, 'softmatch': 95.16,
}  # fmt: skip
EQUAL = 'pseudo_label', 'pi_model', 'mean_teacher', 'mixmatch'  # as many unlabelled as labelled images per step
LABELED, RATIO = 64, 7


def get_config(method='fixmatch'):
    ways = tuple(JOINT) if one_of(('all', *JOINT), method, 'method') == 'all' else (method,)
    c = base()
    c.name = f'joint_cifar10_{method}'
    c.seeds = (0, 1, 2)
    c.data.source = 'tfds:cifar10'
    c.data.labels = '25/class'
    c.data.val = '1000'
    c.backbone.update(name='wrn28_2', norm_momentum=0.999, norm_epsilon=1e-3)
    c.pretrain.method = 'none'
    c.transfer.ways = ('scratch', *ways)
    c.transfer.batch_size = LABELED
    c.transfer.augment = 'crop(4)|flip'
    c.transfer.scratch.update(steps=10000)
    c.transfer.scratch.optim.update(lr=0.03)
    c.semi.update(epochs=0.0, steps=2**20 // 20, evals=50, labeled_batch_size=LABELED, one_batch=True)
    c.semi.batch_size = LABELED if method in EQUAL else RATIO * LABELED
    c.semi.strong = 'crop(4)|flip|rand_augment(2, 10)|cutout(16)'
    c.evaluate.update(knn=0, probe=False)
    setting = 'the same network and labels, 2^20 steps'
    c.published = tuple((way, USB[way], setting, 'USB, classic_cv') for way in ways if way in USB)
    return c
