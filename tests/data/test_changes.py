"""Files that change while a run reads them: an error that names them, never other images under the recorded hash."""

import io
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from ssljax.config import base
from ssljax.data import leaks, sources

METHODS = {'zip': zipfile.ZIP_STORED, 'deflated.zip': zipfile.ZIP_DEFLATED, 'lzma.zip': zipfile.ZIP_LZMA}
NAMES = [f'{c}/{i}.bmp' for i in range(6) for c in 'ab']


def bmp(value):
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(content, 'BMP')
    return content.getvalue()


def write(path, values):
    """A folder or an archive of the same names and sizes, written long ago."""
    contents = {name: bmp(value) for name, value in zip(NAMES, values, strict=True)}
    if path.name == 'folder':
        for name, content in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif path.name == 'tar':
        with tarfile.open(path, 'w') as f:
            for name, content in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                f.addfile(info, io.BytesIO(content))
    else:
        with zipfile.ZipFile(path, 'w', METHODS[path.name]) as f:
            for name, content in contents.items():
                f.writestr(zipfile.ZipInfo(name), content, METHODS[path.name])
    for file in (path, *path.rglob('*')):
        os.utime(file, (1e9, 1e9))
    return path


def load(path, **fields):
    config = base().data
    config.update(source=f'folder:{path}', path='stream', **fields)
    return sources.load(config)


def overwrite(path):
    for file in path.rglob('*.bmp') if path.is_dir() else [path]:
        content = changed = file.read_bytes()
        for value in range(20, 32):
            changed = changed.replace(bytes([value]) * 64, bytes([value + 100]) * 64)
        file.write_bytes(changed if changed != content else bytes(len(content)))  # which has no pixels in plain sight


def cut(path):
    for file in path.rglob('*.bmp') if path.is_dir() else [path]:
        os.truncate(file, file.stat().st_size // 3)


def empty(path):
    for file in path.rglob('*.bmp') if path.is_dir() else [path]:
        os.truncate(file, 0)


def remove(path):
    shutil.rmtree(path / 'a')


@pytest.mark.parametrize('change', [overwrite, cut, empty, remove])
@pytest.mark.parametrize('name', ['folder', 'tar', *METHODS])
def test_what_changes_while_it_is_streamed_is_named(tmp_path, name, change):
    if change is remove and name != 'folder':
        pytest.skip('an archive that was deleted stays readable')
    source = load(write(tmp_path / name, range(20, 32)))
    split = source.train.hide()
    rows = np.arange(len(split))
    before, digest = split.read(rows), split.digest()
    assert len(np.unique(before)) == len(split) and len(digest) == 64
    change(tmp_path / name)
    with pytest.raises(ValueError, match=f'{name}.*(has changed|is gone) since it was listed: restore it') as error:
        split.read(rows)
    assert 'corrupt' not in str(error.value) and 'decoded' not in str(error.value)


def test_an_archive_that_was_deleted_or_replaced_is_read_as_it_was(tmp_path):
    path = write(tmp_path / 'zip', range(20, 32))
    split = load(path).train
    before = split.read(np.arange(len(split)))
    path.unlink()
    write(path, range(50, 62))
    assert np.array_equal(split.read(np.arange(len(split))), before)


def test_a_file_that_vanishes_before_it_was_read_once_is_no_corrupt_image(tmp_path):
    path = write(tmp_path / 'folder', range(20, 32))
    source = load(path, copies='anywhere')  # looking for copies reads files of one size
    remove(path)
    for look in (source.train.digest, lambda: leaks.find(source), lambda: source.train.hide().read(np.arange(4))):
        with pytest.raises(ValueError, match='is gone since it was listed'):
            look()


def test_a_file_that_cannot_be_read_any_more_is_no_corrupt_image(tmp_path, monkeypatch):
    source = load(write(tmp_path / 'folder', range(20, 32)))
    source.train.digest()

    def failing(*args):
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr('os.read', failing)
    with pytest.raises(ValueError, match="'a/.*bmp' could be read before but no longer can be .Input/output error"):
        source.train.hide().read(np.arange(4))
