import numpy as np
import pytest

from ssljax import checkpoint, experiment, files, paths, schema
from ssljax import config as configs
from ssljax.data import pick, sources


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


@pytest.mark.parametrize('given', ['/dev/null/x', '/proc/x', 'x' * 300, 'file', 'file/x', ''])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').write_text('kept')
    with pytest.raises(ValueError, match='--workdir'):
        paths.make_folder(given, '--workdir')
    assert (tmp_path / 'file').read_text() == 'kept'


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
    experiment.claim(config, tmp_path)
    (tmp_path / 'seed0/pretrain').mkdir(parents=True)
    (tmp_path / 'seed0/partition.npz').write_bytes(b'of the old config')
    (tmp_path / 'data.json').write_text('{}')
    for field, value in (('data.channels', 1), ('pretrain.optim.lr', 0.3), ('seeds', (4, 5)), ('backbone.name', 'mlp')):
        config.update_from_flattened_dict({field: value})
        experiment.claim(config, tmp_path)
        assert files.read_json(tmp_path / 'config.json') == schema.to_dict(config)
        assert not (tmp_path / 'seed0/partition.npz').exists() and not (tmp_path / 'data.json').exists()
    (tmp_path / 'seed0/pretrain/checkpoints/5').mkdir(parents=True)
    config.pretrain.optim.lr = 0.2
    with pytest.raises(ValueError, match='pretrain.optim.lr: 0.3 -> 0.2'):
        experiment.claim(config, tmp_path)
