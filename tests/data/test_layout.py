"""Splits and classes from the names of folders, in the layouts of public data sets: right, or refused."""

import unicodedata

import numpy as np
import pytest

from ssljax.data import folder, layout, split_names
from ssljax.text.literal import clean


def read(*names, folders=()):
    """Classes, and {split: images of each class}."""
    names, folders = folder._unwrapped(sorted(names), list(folders))
    files = folder.Files(names, [1] * len(names), [None] * len(names), names, bytes, folders=folders)
    classes, splits = layout.layout(files, 'images')
    counts = {s: np.bincount(labels[labels >= 0], minlength=len(classes)).tolist() for s, (_, labels) in splits.items()}
    for numbers, labels in splits.values():
        for number, label in zip(numbers, labels):
            assert label == -1 or classes[label] in clean(names[number]).split('/')
    return classes, {s: c for s, c in counts.items() if any(c)}, len(splits['unlabeled'][0])


def split(*tops, classes=('cat', 'dog'), n=2):
    return [f'{top}/{c}/{i}.jpg' for top in tops for c in classes for i in range(n)]


TRAIN = 'train training Training TRAIN train_set training_set trainset TrainSet training_data train_images train-images'
TRAIN += ' trainimages train2017 dataset_train data.train trainval train_val Train_Data train_256x256 labeled train1'
TEST = 'test testing Testing TEST test_set testset test_images eval evaluation holdout hold_out held-out test1 TestData'
VAL = 'val valid validation Validation dev val_set validationset valid_images val2017 development'
UNLABELED = 'unlabeled unlabelled Unlabelled unlabeled_data unsup train_unlabeled un-labeled unlabeled_images'


@pytest.mark.parametrize(('kind', 'names'), [('train', TRAIN), ('test', TEST), ('val', VAL), ('unlabeled', UNLABELED)])
def test_splits_are_known_in_any_usual_spelling(kind, names):
    for name in names.split():
        assert split_names.kind_of(name) == kind, name
        others = {'train': 'train', 'test': 'test', 'val': 'val', 'unlabeled': 'unlabeled'} | {kind: name}
        tops = [others[k] for k in ('train', 'val', 'test')]
        classes, counts, unlabeled = read(*split(*tops), f'{others["unlabeled"]}/x.jpg')
        assert (classes, unlabeled) == (('cat', 'dog'), 1), name
        assert counts == {'train': [2, 2], 'val': [2, 2], 'test': [2, 2]}, name


def test_other_names_are_no_splits():
    for name in 'cat devil contest values trainer n01440764 invalid detest class1 A steam mask'.split():
        assert split_names.meaning(name).kind is None and not split_names.is_holder(name), name


@pytest.mark.parametrize(
    'tops',
    [
        ('Training', 'Testing'),
        ('x/y/train', 'x/y/test'),
        ('seg_train/seg_train', 'seg_test/seg_test'),
        ('cats_train', 'cats_test'),
        ('training_set/training_set', 'test_set/test_set'),
        ('data/archive/Train/images', 'data/archive/Test/images'),
        ('pets_train', 'test'),
    ],
)
def test_splits_are_found_at_any_depth(tops):
    assert read(*split(*tops)) == (('cat', 'dog'), {'train': [2, 2], 'test': [2, 2]}, 0)


PLAIN = {
    'intel': (split('seg_train/seg_train', 'seg_test/seg_test', classes=('forest', 'sea')), ('forest', 'sea')),
    'brain tumour': (split('Training', 'Testing', classes=('glioma', 'no_tumor')), ('glioma', 'no_tumor')),
    'x-ray': (split('chest_xray/train', 'chest_xray/val', 'chest_xray/test', classes=('NORMAL', 'PNEUMONIA')), None),
    'imagenette': (split('imagenette2/train', 'imagenette2/val', classes=('n01440764', 'n02102040')), None),
    'cub': (split('CUB/images', classes=('001.Albatross', '002.Auklet')), ('001.Albatross', '002.Auklet')),
    'food': (split('food-101/images', classes=('apple_pie', 'tacos')), ('apple_pie', 'tacos')),
    'caltech': (split('caltech-101/101_ObjectCategories', classes=('accordion', 'yin_yang')), None),
    'eurosat': (split('2750', classes=('Forest', 'River')), ('Forest', 'River')),
    'dtd': (split('dtd/images', classes=('banded', 'zigzagged')), ('banded', 'zigzagged')),
    'tiny imagenet': ([f'train/{c}/images/{i}.JPEG' for c in ('n1', 'n2') for i in range(2)], ('n1', 'n2')),
    'cifar100': (split('train', 'test', classes=('apple', 'bus', 'train')), ('apple', 'bus', 'train')),
    'vehicles': (split('vehicles', classes=('bus', 'car', 'train')), ('bus', 'car', 'train')),
    'checks': (split('photos', classes=('invalid', 'valid')), ('invalid', 'valid')),
    'digits': (split('mnist/training', 'mnist/testing', classes=('0', '1')), ('0', '1')),
    'trains': (split('x', classes=('bullet_train', 'bus', 'test_tube')), ('bullet_train', 'bus', 'test_tube')),
    'breeds': (['cat/persian/1.jpg', 'cat/tabby/1.jpg', 'dog/beagle/1.jpg', 'dog/pug/1.jpg'], ('cat', 'dog')),
    'mixed': (['cat/1.jpg', 'cat/persian/2.jpg', 'dog/1.jpg'], ('cat', 'dog')),
    'pool': (['photos/cat/1.jpg', 'photos/dog/1.jpg', 'unlabeled/1.jpg'], ('cat', 'dog')),
    'labelled': (['labeled/cat/1.jpg', 'labeled/dog/1.jpg', 'unlabeled/1.jpg'], ('cat', 'dog')),
}


@pytest.mark.parametrize('name', PLAIN)
def test_public_layouts_give_their_classes(name):
    names, classes = PLAIN[name]
    found = read(*names)[0]
    assert found == (classes or tuple(sorted({n.split('/')[-2] for n in names})))


REFUSED = {
    'two sets': (split('dataset_a', 'dataset_b'), 'dataset_a.*dataset_b|would be a class, but is not'),
    'two unnamed sets': (split('north', 'south'), "'north' and 'south' .* folders with the same names, such as 'cat'"),
    'plantvillage': (split('color', 'grayscale', 'segmented'), "'color' and 'grayscale'.*Give one"),
    'kaggle flat': (['train/cat.0.jpg', 'train/dog.0.jpg', 'test1/1.jpg'], "not in a class folder.*'test1' .1 image"),
    'flat and stray': (['train/cat.0.jpg', 'train/dog.0.jpg', 'static/a.png'], "Next to .* 'static'"),
    'flat and unknown': (['train/cat.0.jpg', 'train/dog.0.jpg', 'site/a.png'], "if 'train' is a class, rename"),
    'stray beside splits': ([*split('Training', 'Testing'), 'static/a.png'], "Next to .* 'static', which is not a"),
    'stray beside classes': (['cat/1.jpg', 'dog/1.jpg', 'static/css/a.png'], "'static'"),
    'nested stray': (['cat/1.jpg', 'dog/1.jpg', 'site/css/a.png'], "'site' are in subfolders"),
    'splits below': ([*split('data/train', 'data/test'), 'site/a/b.png'], "'data/test'.* named like a split"),
    'split in class': ([f'{c}/{s}/1.jpg' for c in ('cat', 'dog') for s in ('train', 'test')], 'named like a split'),
    'mvtec': ([f'{c}/{s}/good/1.png' for c in ('cable', 'tile') for s in ('train', 'test')], 'put train, val and test'),
    'mvtec tile': (['train/good/1.png', 'test/good/1.png', 'ground_truth/crack/1.png'], "'ground_truth', which is no"),
    'intel': ([*split('seg_train/seg_train', 'seg_test/seg_test'), 'seg_pred/seg_pred/1.jpg'], 'seg_pred'),
    'x-ray twice': ([*split('c/train', 'c/test'), *split('c/c/train', 'c/c/test')], "Next to .* is 'c'"),
    'imagenet': (['train/n1/1.JPEG', 'train/n2/1.JPEG', 'val/1.JPEG'], "'val/1.JPEG' .* is not in a class folder"),
    'tiny val': (['train/n1/images/1.JPEG', 'train/n2/images/1.JPEG', 'val/images/1.JPEG'], "'images' .* would be"),
    'pets': (['images/a.jpg', 'annotations/trimaps/a.png'], "'annotations' .* would be a class"),
    'all in one': (['pets/images/a.jpg', 'pets/images/b.jpg'], "'images' .* would be a class"),
    'parts': (['HAM_images_part_1/a.jpg', 'HAM_images_part_2/b.jpg'], "'HAM_images_part_1' .* would be a class"),
    'masks': ([f'{c}/{k}/1.png' for c in ('COVID', 'Normal') for k in ('images', 'masks')], 'same names'),
    'test beside classes': (['cat/1.jpg', 'dog/1.jpg', 'test/1.jpg'], 'no train folder'),
    'a preview': (['x/1.jpg', 'x/cat/1.jpg', 'x/dog/1.jpg'], "'x'"),
    'class and split': ([f'{c}_{s}/1.jpg' for c in ('cat', 'dog') for s in ('train', 'test')], 'same split'),
    'flat splits': (['cats_train/1.jpg', 'cats_test/1.jpg'], 'is not in a class folder'),
    'train twice': (split('train', 'Train_Set', 'test'), 'are the same split .train.'),
    'both in a name': (split('train_test', 'train'), "'train_test'"),
    'splits of a split': (split('data/train', 'data/test', 'more/train'), 'named like a split'),
    'train below train': (split('train/train', 'train/test'), "'test' .* named like a split"),
    'other case': ([*split('train'), 'test/Cat/1.jpg'], "'Cat' .* no training images: test has .* train has 'cat'"),
    'unlabelled alone': (split('unlabeled'), 'unlabelled'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(name):
    names, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as e:
        read(*names)
    assert 'image' in str(e.value)


def test_the_message_counts_what_was_seen():
    with pytest.raises(ValueError, match=r"'Testing' \(4 images\), 'Training' \(4 images\), 'static' \(1 image\)"):
        read(*split('Training', 'Testing'), 'static/a.png')
    with pytest.raises(ValueError, match=r"'a' \(2 images in 'cat', 'dog'\), 'b' \(2 images in 'cat', 'dog'\)"):
        read(*split('a', 'b', n=1))


def test_empty_splits_and_classes_are_refused():
    with pytest.raises(ValueError, match="'test' .* no labelled image"):
        read(*split('train'), folders=['train', 'test'])
    with pytest.raises(ValueError, match="'Training/x/bird' .* has no images"):
        read(*split('Training/x', 'Testing/x'), folders=['Training/x/bird'])


def test_class_names_that_are_not_utf8_can_be_written():
    assert read('caf\udce9/1.jpg', 'dog/1.jpg')[0] == ('caf\\xe9', 'dog')


def test_class_names_are_the_same_however_a_letter_is_written():
    composed, apart = (unicodedata.normalize(form, 'Kätzchen') for form in ('NFC', 'NFD'))
    names = [f'train/{composed}/1.jpg', 'train/dog/1.jpg', f'test/{apart}/2.jpg', 'test/dog/2.jpg']
    files = folder.Files(names, [1] * 4, [None] * 4, names, bytes)
    classes, splits = layout.layout(files, 'images')
    assert classes == (composed, 'dog') and splits['test'][1].tolist() == [0, 1]


def test_flat_images_named_after_their_class_are_told_of_folders():
    names = [f'{c}.{i}.jpg' for c in ('cat', 'dog') for i in range(4)]
    with pytest.raises(ValueError, match="'cat.0.jpg' and 'dog.0.jpg' begin with the class") as e:
        read(*names)
    assert str(e.value).endswith("--config.data.pattern='{label}.{}.jpg'. " + layout._NO_FOLDERS)
    with pytest.raises(ValueError) as e:
        read(*[f'IMG_{i}.jpg' for i in range(8)])
    assert 'begin with the class' not in str(e.value)
