import os

import numpy as np
import pytest

from ssljax import config as configs
from ssljax.data import pick, sources
from ssljax.records import identity
from ssljax.settings import arguments, schema
from ssljax.storage import checkpoint, files, paths


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(('given', 'meant'), [('~/x', '{}/x'), ('~', '{}'), ('~/x//y/', '{}/x/y'), ('./~', '~'),
                                              ('a/~/b', 'a/~/b'), ('', ''), ('/a//b/', '/a/b')])  # fmt: skip
def test_expand(home, given, meant):
    assert paths.expand(given) == meant.format(home)


def test_a_path_that_cannot_be():
    with pytest.raises(ValueError, match='does not know'):
        paths.expand('~nobody-has-this-name/x')
    with pytest.raises(ValueError, match='NUL byte'):
        paths.expand('a\0b')


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A folder with things that are no folders in it, and the place of work."""
    (tmp_path / 'file').write_text('kept')
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'dangling').symlink_to('/nonexistent/x')
    os.mkfifo(tmp_path / 'pipe')
    monkeypatch.chdir(tmp_path)
    return tmp_path


UNFIT = {'/dev/null': 'it is a device', '/dev/null/x': '/dev/null. is a device', '/proc/x': 'accepts no folders',
         'x' * 300: 'name too long', 'file': 'it is a file', 'file/x': 'file. is a file', 'pipe': 'it is a named pipe',
         'loop': 'it is a link that leads to itself', 'loop/x': 'loop. is a link that leads to itself',
         'dangling': 'it is a broken link', '': 'is empty'}  # fmt: skip


@pytest.mark.parametrize('given', UNFIT)
def test_a_folder_that_cannot_be_made_is_named(odd, given):
    with pytest.raises(ValueError, match=f'--workdir.*{UNFIT[given]}'):
        paths.make_folder(given, '--workdir')
    if given:
        with pytest.raises(ValueError, match=f'--workdir.*{UNFIT[given]}.*: give another') as error, files.lock(given):
            pass
        assert 'resumes' not in str(error.value)
    assert (odd / 'file').read_text() == 'kept'


@pytest.mark.parametrize(('given', 'said'), [('file', 'a file'), ('pipe', 'a named pipe'), ('/dev/null', 'a device'),
                                             ('.', 'a folder'), ('loop', 'a link that leads to itself'),
                                             ('dangling', 'a broken link')])  # fmt: skip
def test_what_is_there_is_said(odd, given, said):
    config = configs.base().data
    if given not in ('file', '.'):
        for kind in ('folder', 'npz'):
            config.source = f'{kind}:{given}'
            with pytest.raises((ValueError, FileNotFoundError), match=f'is {said}|is a pipe, a socket or a device'):
                sources.load(config)
    if given != 'file':
        with pytest.raises((ValueError, FileNotFoundError), match=f'config.data.labels.* is {said}'):
            pick.listed(given, None, np.zeros(3, int))
    if given != '.':
        with pytest.raises(FileNotFoundError, match=f'is {said}'):
            checkpoint.load_variables(given)
    if given in ('pipe', '/dev/null'):
        with pytest.raises(ValueError, match=f'is {said}: give a recipe'):
            arguments.find_recipe([f'--config={given}'])


def test_every_path_of_a_source_may_begin_with_a_home(home):
    np.savez(home / 'x.npz', train_images=np.zeros((8, 4, 4), np.uint8), train_labels=np.arange(8) % 2)
    config = configs.base().data
    config.update(source='npz:~/x.npz', unlabeled='npz:~/x.npz', test='2')
    assert len(sources.load(config).unlabeled) == 8
    (home / 'list.txt').write_text('1\n')
    assert pick.listed('~/list.txt', None, np.zeros(3, int)).tolist() == [1]
    with pytest.raises(FileNotFoundError, match=str(home)):
        checkpoint.load_variables('~/nothing')
    assert paths.make_folder('~/made', '--workdir') == home / 'made' and (home / 'made').is_dir()


def test_a_run_that_has_trained_nothing_takes_another_config(config, tmp_path):
    identity.claim(config, tmp_path)
    (tmp_path / 'seed0/pretrain').mkdir(parents=True)
    (tmp_path / 'seed0/partition.npz').write_bytes(b'of the old config')
    (tmp_path / 'data.json').write_text('{}')
    for field, value in (('data.channels', 1), ('pretrain.optim.lr', 0.3), ('seeds', (4, 5)), ('backbone.name', 'mlp')):
        config.update_from_flattened_dict({field: value})
        identity.claim(config, tmp_path)
        assert files.read_json(tmp_path / 'config.json') == schema.to_dict(config)
        assert not (tmp_path / 'seed0/partition.npz').exists() and not (tmp_path / 'data.json').exists()
    (tmp_path / 'seed0/pretrain/checkpoints/5').mkdir(parents=True)
    config.pretrain.optim.lr = 0.2
    with pytest.raises(ValueError, match='pretrain.optim.lr: 0.3 -> 0.2'):
        identity.claim(config, tmp_path)
