import numpy as np
import pytest

from ssljax.data import partition as partitions
from ssljax.data import pick

NAMES = ['train/cat/1.jpg', 'train/cat/2.jpg', 'train/dog/1.jpg', 'train/dog/3.jpg', 'unlabelled/9.jpg']
LABELS = np.array([0, 0, 1, 1, -1])


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / 'labels.txt'
        path.write_text(text)
        return str(path)

    return write


def test_a_list_names_images_by_path_or_its_end_or_row(written):
    path = written('train/dog/1.jpg  # a good one\n\n./cat/2.jpg\n# none\n3.jpg\n0\n')
    assert pick.listed(path, NAMES, LABELS).tolist() == [0, 1, 2, 3]
    assert pick.listed(written('1\n3\n'), None, LABELS).tolist() == [1, 3]


@pytest.mark.parametrize(
    'text, said',
    [
        ('cat/1.jpg\ncat/7.jpg\n', r"line 2: 'cat/7.jpg' is not a training image"),
        ('1.jpg\n', 'matches 2 images: give more'),
        ('cat/7.jpg', "is not a training image: names look like 'train/cat/1.jpg'"),
        ('/data/other/cat/1.jpg', 'is not a training image: names look like'),
        ('filename,label\ntrain/cat/1.jpg,cat\n', 'line 1: .* 2 columns separated by commas, but one name per line'),
        ('train/cat/1.jpg\tcat\n', 'line 1: .* 2 columns separated by tabs, but one name per line'),
        ('2.jpg\n\ncat/2.jpg\n', 'line 3: .* is already on line 1: remove one'),
        ('9.jpg', 'has no known label'),
        ('# nothing\n', 'lists no image'),
    ],
)
def test_a_wrong_list_names_the_line(written, text, said):
    with pytest.raises(ValueError, match=said):
        pick.listed(written(text), NAMES, LABELS)


def test_a_line_may_begin_with_the_path_of_the_source(written, tmp_path):
    for folder in ('photos/inner/train/cat', 'photos/inner/train/dog'):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / '1.jpg').write_bytes(b'')
    (tmp_path / 'photos.zip').write_bytes(b'')
    lines = (f'{tmp_path}/photos/train/dog/1.jpg', f'{tmp_path}/photos/inner/train/dog/1.jpg', 'photos/train/dog/1.jpg',
             'inner/train/dog/1.jpg')  # fmt: skip
    for line in lines:
        assert pick.listed(written(line), NAMES, LABELS, tmp_path / 'photos').tolist() == [2]
    assert pick.listed(written('photos/train/dog/1.jpg'), NAMES, LABELS, tmp_path / 'photos.zip').tolist() == [2]
    for line in ('other/train/dog/1.jpg', f'{tmp_path}/photos2/train/dog/1.jpg'):
        with pytest.raises(ValueError, match='names look like'):
            pick.listed(written(line), NAMES, LABELS, tmp_path / 'photos')


def test_without_names_or_a_file_it_says_what_is_needed(written):
    with pytest.raises(ValueError, match='row numbers from 0 to 4'):
        pick.listed(written('5'), None, LABELS)
    with pytest.raises(FileNotFoundError, match='no such file'):
        pick.listed('/nowhere/labels.txt', NAMES, LABELS)


def test_a_listed_label_set_is_left_out_of_validation(written):
    labels = np.repeat([0, 1], 20)
    path = written('\n'.join(map(str, range(0, 40, 4))))
    for seed in range(3):
        parts = partitions.partition(labels, 2, budget=f'list:{path}', val='20', seed=seed)
        assert parts.labeled.tolist() == list(range(0, 40, 4))
        assert len(parts.val) == 20 and not set(parts.val) & set(parts.labeled)


def blobs(sizes, seed=0):
    """Points near as many axes as there are sizes."""
    random = np.random.default_rng(seed)
    axes = np.repeat(np.eye(len(sizes)), sizes, axis=0)
    return np.float32(axes + 0.2 * random.normal(size=axes.shape))


def test_the_typical_image_of_every_cluster_is_chosen():
    sizes, expected, start = (60, 40, 15), [], 0
    features = blobs(sizes)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for size in sizes:
        own = unit[start : start + size]
        distances = np.sort(np.linalg.norm(own[:, None] - own, axis=2), axis=1)  # the first is the point itself
        expected.append(start + distances[:, 1:21].mean(1).argmin())
        start += size
    assert pick.typical(features, 3, 0).tolist() == expected
    assert pick.typical(features * np.linspace(1, 9, 115)[:, None], 3, 0).tolist() == expected  # directions only


def test_as_many_as_asked_are_chosen_even_of_equal_images():
    assert pick.typical(np.ones((30, 4), np.float32), 5, 0).shape == (5,)
    assert pick.typical(blobs((3, 2)), 9, 0).tolist() == [0, 1, 2, 3, 4]


def test_a_total_does_not_look_at_labels_and_a_count_a_class_does():
    features, labels = blobs((60, 60)), np.repeat([0, 1, 0, 1], 30)

    def represent(rows, count):
        return rows[pick.typical(features[rows], count, 0)]

    def labeled(budget, labels):
        return partitions.partition(labels, 2, budget=budget, val='0', seed=0, represent=represent).labeled

    assert np.array_equal(labeled('6', labels), labeled('6', np.roll(labels, 7)))
    assert np.bincount(labels[labeled('3/class', labels)]).tolist() == [3, 3]
