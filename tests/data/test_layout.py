import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.data.folder import Files, _wrapped
from ssljax.data.layout import layout, split_kind
from ssljax.data.summary import summary

fast = settings(derandomize=True, max_examples=50, deadline=None)


def read(*folders, each=2):
    """What the layout makes of images in these folders: {split: {class: count}}."""
    names = sorted(f'{folder}/{i}.png' for folder in folders for i in range(each))
    while _wrapped(names):
        names = [name.split('/', 1)[1] for name in names]
    n = len(names)
    classes, splits = layout(Files(names, [1] * n, [0] * n, range(n), bytes), 'data')
    return {
        split: {classes[c]: int((labels == c).sum()) for c in np.unique(labels) if c >= 0} or len(labels)
        for split, (_, labels) in splits.items()
        if len(labels)
    }


SPELLINGS = {
    'train': 'train Train TRAIN training Training training_set Training-Set trainset train_data train-images '
    'trainImages train2017 train_01 images_train TrainingSet',
    'test': 'test Test TESTING test_set testset test1 test-images Test.Data eval Evaluation holdout',
    'val': 'val Val valid VALIDATION val_set valset dev val2017 Validation_Images',
    'unlabeled': 'unlabeled unlabelled Unlabeled_Images unlabeled2017',
}


@pytest.mark.parametrize(('kind', 'name'), [(k, n) for k, names in SPELLINGS.items() for n in names.split()])
def test_splits_are_known_in_any_usual_spelling(kind, name):
    assert split_kind(name) == kind


@pytest.mark.parametrize('name', 'cat blood_test trainers 7 2750 contest tested fitness images seg_train'.split())
def test_other_names_are_no_splits_by_themselves(name):
    assert split_kind(name) is None


PAIR = {'cat': 2, 'dog': 2}
BOTH = {'train': PAIR, 'test': PAIR}


@fast
@given(
    train=st.sampled_from(SPELLINGS['train'].split()),
    test=st.sampled_from(SPELLINGS['test'].split()),
    around=st.lists(st.sampled_from(['x', 'archive', 'My Data', '2750', 'data']), max_size=3),
    twice=st.booleans(),
)
def test_splits_at_any_depth(train, test, around, twice):
    top = ''.join(f'{folder}/' for folder in around)
    folders = [f'{top}{split}/{split + "/" if twice else ""}{c}' for split in (train, test) for c in ('cat', 'dog')]
    assert read(*folders) == BOTH


@pytest.mark.parametrize(
    ('folders', 'wanted'),
    [
        ('cat dog', {'train': PAIR}),
        ('images/cat images/dog', {'train': PAIR}),
        ('a/b/c/cat a/b/c/dog', {'train': PAIR}),
        ('train/cat train/dog', {'train': PAIR}),
        ('seg_train/cat seg_train/dog seg_test/cat seg_test/dog', BOTH),
        ('train_cats/cat train_cats/dog test_cats/cat test_cats/dog', BOTH),
        ('train/images/cat train/images/dog test/images/cat test/images/dog', BOTH),
        ('cat/persian cat/siamese dog/pug', {'train': {'cat': 4, 'dog': 2}}),
        ('cat/images dog/images', {'train': PAIR}),
        ('train/cat/a train/cat/b train/dog test/cat/a test/dog', {'train': {'cat': 4, 'dog': 2}, 'test': PAIR}),
        ('bus car train', {'train': {'bus': 2, 'car': 2, 'train': 2}}),
        ('blood_test urine', {'train': {'blood_test': 2, 'urine': 2}}),
        ('cat dog unlabelled_images/x', {'train': PAIR, 'unlabeled': 2}),
        ('with_mask without_mask', {'train': {'with_mask': 2, 'without_mask': 2}}),
    ],
)
def test_layouts(folders, wanted):
    assert read(*folders.split()) == wanted


@pytest.mark.parametrize(
    ('folders', 'message'),
    [
        ('set_a/cat set_a/dog set_b/cat set_b/dog', "hold a folder 'cat' .*set_a: 4 images in cat, dog"),
        ('color/a color/b grayscale/a grayscale/b', "hold a folder 'a'"),
        ('fold1/cat fold2/cat', "hold a folder 'cat'"),
        ('cat/train cat/test dog/train dog/test', "'cat' .* holds 'test', which looks like a split"),
        ('train test1', 'lies in no class folder .*test1: 2 images; train: 2 images'),
        ('train/cat test1', "'test1/0.png' .* lies in no class folder"),
        ('train/cat train/dog static', "Beside the split folder 'train' .* 'static'"),
        ('train/cat train/dog static/img', "Beside the split folder 'train' .* 'static'"),
        ('cat dog static/img/x', "'static' .* does not look like a class"),
        ('images masks', "'images' .* does not look like a class"),
        ('cat dog test', "'test' .* could be a split or a class"),
        ('cat dog train/x test/x', "Beside the split folder 'train'"),
        ('train/cat training/cat', "'train' and 'training' .* same split"),
        ('TRAIN/cat TEST/cat TEST_SIMPLE/cat', "Beside the split folder 'TRAIN' .* 'TEST_SIMPLE'"),
        ('bottle/train/good bottle/test/good bottle/test/broken', "class 'broken' of the test split .* are good"),
        ('train/n01/images train/n02/images val/images', "class 'images' of the val split"),
        ('test/cat val/cat', 'no train folder'),
    ],
)
def test_what_can_be_read_in_several_ways_is_refused(folders, message):
    with pytest.raises(ValueError, match=message):
        read(*folders.split())


def test_the_summary_counts_every_class():
    from ssljax.config import base
    from ssljax.data import sources

    config = base().data
    config.source = 'synthetic:4x4x1:3'
    lines = summary(sources.load(config)).splitlines()
    assert lines[0] == 'synthetic:4x4x1:3: 3 classes; images of 4x4x1: 2,000 train, 500 test'
    assert [line.split() for line in lines[1:]] == [
        ['class', 'train', 'test'], ['0', '667', '167'], ['1', '667', '167'], ['2', '666', '166']
    ]  # fmt: skip
    config.source = 'synthetic:4x4x1:30'
    assert summary(sources.load(config)).splitlines()[-1].split()[:2] == ['10', 'more']
