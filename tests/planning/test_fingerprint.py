"""What is seen of a data set before a plan."""

import io

import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.planning import fingerprint


def put(folder, count, side=20, mode='L', start=0, ending='jpg'):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(start)
    for i in range(start, start + count):
        image = Image.fromarray(rng.integers(0, 255, (side, side + 4, 3), np.uint8))
        image.convert('L').convert(mode).save(folder / f'{i}.{ending}') if mode != 'RGB' else image.save(
            folder / f'{i}.{ending}'
        )


def take(path, **fields):
    config = base()
    config.data.source = f'folder:{path}'
    config.data.update(fields)
    return fingerprint.take(config)


def test_counts_sizes_and_colours(tmp_path):
    put(tmp_path / 'train/cat', 6, 20, 'RGB')
    put(tmp_path / 'train/dog', 2, 30, 'RGB', 10)
    put(tmp_path / 'unlabeled', 5, 20, 'RGB', 20)
    put(tmp_path / 'test/cat', 3, 20, 'RGB', 30)
    put(tmp_path / 'test/dog', 1, 20, 'RGB', 40)
    put(tmp_path / 'more', 4, 20, 'RGB', 50)
    (tmp_path / 'more').rename(tmp_path.parent / f'{tmp_path.name}_more')
    found = take(tmp_path, unlabeled=f'folder:{tmp_path}_more')
    assert (found.classes, found.counts, found.unlabeled, found.test, found.val) == (('cat', 'dog'), (6, 2), 9, 4, 0)
    assert (found.low, found.side, found.high, found.equal) == (20, 20, 30, False)
    assert (found.channels, found.gray, found.bits, found.imbalance) == (3, False, 8, 3)
    assert '20 to 30 pixels' in found.lines()[1]


def test_gray_images_that_are_stored_in_colour_are_seen(tmp_path):
    for name in ('a', 'b'):
        put(tmp_path / name, 3)  # a gray JPEG
        (tmp_path / name / '9.jpg').write_bytes(as_colour(tmp_path / name / '0.jpg'))
    found = take(tmp_path)
    assert (found.channels, found.gray) == (3, True)


def as_colour(path):
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert('RGB').save(buffer, 'JPEG')
    return buffer.getvalue()


def test_sixteen_bits_and_a_damaged_file(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(tmp_path / name / '1.png')
    (tmp_path / 'a/2.png').write_bytes(b'\x89PNG nothing')
    found = take(tmp_path)
    assert (found.bits, found.channels, found.side, found.labeled) == (16, 1, 9, 3)


def test_labels_of_a_list_count(tmp_path):
    put(tmp_path / 'photos/a', 4)
    put(tmp_path / 'photos/b', 4)
    put(tmp_path / 'photos/unlabeled', 4, start=20)
    (tmp_path / 'labels.csv').write_text('path,label\nunlabeled/20.jpg,a\nunlabeled/21.jpg,b\nunlabeled/22.jpg,a\n')
    found = take(tmp_path / 'photos', annotations=str(tmp_path / 'labels.csv'), test='2')
    assert (found.counts, found.unlabeled) == ((6, 5), 1)


def test_arrays_need_no_files():
    config = base()
    found = fingerprint.take(config)
    assert (found.labeled, found.unlabeled, found.test, found.channels, found.side) == (1797, 0, 0, 1, 8)


def test_nothing_to_compare_is_one_clear_error(tmp_path):
    put(tmp_path / 'one/cat', 3)
    with pytest.raises(ValueError, match="are of the class 'cat': there is nothing to tell apart"):
        take(tmp_path / 'one')
    put(tmp_path / 'none/unlabeled', 3)
    with pytest.raises(ValueError, match='no labelled image, so there is nothing to compare'):
        take(tmp_path / 'none')
    put(tmp_path / 'flat', 3)
    with pytest.raises(ValueError, match='is not in a class folder'):
        take(tmp_path / 'flat')
