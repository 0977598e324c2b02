"""Files of a run that are damaged, disks that refuse, and directories that vanish."""

import errno
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.progress import log
from ssljax.storage import checkpoint, checksums, disk, files, held

quick = settings(max_examples=50)
VALUE = {'steps': 12, 'val': {'top1': 0.58125, 'loss': 1.2e-7}, 'path': 'resident', 'none': None, 'nan': float('nan')}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return tmp_path_factory.mktemp('files')


def test_json_is_read_as_it_was_written_and_old_files_have_no_checksum(tmp_path):
    path = tmp_path / 'a.json'
    assert files.read_json(path) is None
    files.write_json(path, VALUE | {1: (2, 3)})
    np.testing.assert_equal(files.read_json(path), VALUE | {'1': [2, 3]})
    path.write_text('{"steps": 3}')
    assert files.read_json(path, {'steps': int}) == {'steps': 3}
    with pytest.raises(files.Damaged, match="a.json is damaged .it has no 'val'"):
        files.read_json(path, {'val': dict})
    path.write_text('{"steps": true, "seconds": NaN}')
    for keys in ({'steps': int}, {'seconds': files.NUMBER}):
        with pytest.raises(files.Damaged, match='its '):
            files.read_json(path, keys)


@quick
@given(st.data())
def test_a_changed_byte_of_json_is_never_another_value(place, data):
    path = place / 'a.json'
    files.write_json(path, VALUE)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        np.testing.assert_equal(files.read_json(path), VALUE)
    except files.Damaged as error:
        assert str(path) in str(error)


@quick
@given(st.binary(max_size=40))
def test_what_is_no_json_object_is_damaged(place, content):
    path = place / 'b.json'
    path.write_bytes(content)
    with pytest.raises(files.Damaged, match='b.json is damaged'):
        files.read_json(path)


@pytest.mark.parametrize('text', ['', '[]', 'null', '5', '"a"', '[' * 10**5, '1' * 5000])
def test_other_json_is_damaged(tmp_path, text):
    (tmp_path / 'c.json').write_text(text)
    with pytest.raises(files.Damaged, match='c.json'):
        files.read_json(tmp_path / 'c.json')


def test_no_regular_file_is_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'folder').mkdir()
    for name, why in (('pipe', 'not a regular file'), ('folder', 'a directory')):
        with pytest.raises(files.Damaged, match=why):
            files.read_bytes(tmp_path / name)


@quick
@given(st.data())
def test_a_changed_byte_of_npz_is_never_another_array(place, data):
    path, arrays = place / 'a.npz', {'x': np.arange(50.0), 'y': np.array('name')}
    if not path.exists():
        files.write_npz(place / 'whole.npz', arrays)
    content = bytearray((place / 'whole.npz').read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        np.testing.assert_equal(files.read_npz(path), arrays)
    except files.Damaged as error:
        assert str(path) in str(error)


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / 'a.npz', x=np.array([{}], object))
    with pytest.raises(files.Damaged, match='not an .npz file'):
        files.read_npz(tmp_path / 'a.npz')


def test_metrics_that_are_not_as_they_were_written_are_left_out(tmp_path, caplog):
    path = tmp_path / 'metrics.jsonl'
    lines = [log.line(step, {'train/loss': step / 7, 'val/top1': float('nan')}) for step in range(1, 6)]
    path.write_bytes(
        (lines[0] + lines[1].replace('0.2857', '0.2858') + '[]\n{"step": "a"}\n').encode() + b'\xff\xfe\n'
        + (lines[3] + '{"step": 9, "old": 0.5}\n' + lines[4][:20]).encode()
    )  # fmt: skip
    assert [row['step'] for row in log.read(path)] == [1, 4, 9]
    assert 'skipped 4 unreadable lines' in caplog.text  # and the last, which a kill cut short, is not counted
    metrics = log.MetricLog(tmp_path, '', 10, 4)
    metrics.write(5, {'a': 1.0})
    metrics.close(5)
    assert [row['step'] for row in log.read(path)] == [1, 4, 5]
    assert (tmp_path / 'metrics.jsonl.damaged').exists()


@pytest.mark.parametrize('step, lost', [(8, False), (9, True)])
def test_a_stage_that_was_stopped_before_its_first_line_has_lost_none(tmp_path, caplog, step, lost):
    log.MetricLog(tmp_path, '', 100, step, first=8).close(step)
    assert ('has lost the lines' in caplog.text) == lost


def test_a_directory_where_a_file_belongs_is_set_aside(tmp_path):
    for number in ('', '2'):
        (tmp_path / 'a.json').mkdir()
        files.write_json(tmp_path / 'a.json', {})
        assert (tmp_path / f'a.json.damaged{number}').is_dir()
        (tmp_path / 'a.json').unlink()


def full_disk(monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, 'fsync', refuse)


@pytest.mark.parametrize('number', [*disk.KINDS, errno.ENOSPC, errno.ENOMEM])
def test_what_a_disk_refuses_is_one_error_that_names_the_place(tmp_path, monkeypatch, number):
    files.write_json(tmp_path / 'a.json', {'before': 1})
    full_disk(monkeypatch, number)
    with pytest.raises(disk.DiskError) as caught:
        files.write_json(tmp_path / 'a.json', {'after': 1})
    assert caught.value.errno == number and str(tmp_path) in str(caught.value)
    assert files.read_json(tmp_path / 'a.json') == {'before': 1}
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']


def test_no_inodes_are_told_from_no_space(tmp_path, monkeypatch):
    full_disk(monkeypatch, errno.ENOSPC)
    for left, words in ((0, 'no inodes left'), (5, 'no space left')):
        monkeypatch.setattr(disk, 'inodes_left', lambda _, left=left: left)
        with pytest.raises(OSError, match=words):
            files.write_json(tmp_path / 'a.json', {})
        with pytest.raises(OSError, match='no inodes left'):
            disk.check_space(tmp_path, 1)


def test_a_limit_on_the_size_of_files_is_no_lack_of_space(tmp_path):
    said = str(disk.explained(OSError(errno.EFBIG, 'File too large'), tmp_path))
    assert 'Raise the limit of this shell (ulimit -f unlimited)' in said and 'Free some' not in said


def test_what_is_in_words_already_stays(tmp_path, monkeypatch):
    """A file that the disk cannot read is damaged, and what reads it sets it aside."""
    (tmp_path / 'a.json').write_text('{}')
    monkeypatch.setattr(Path, 'read_bytes', lambda path: (_ for _ in ()).throw(OSError(errno.EIO, 'error')))
    with pytest.raises(files.Damaged, match='a.json is damaged .the disk cannot read it'):
        files.read_json(tmp_path / 'a.json')


@pytest.mark.parametrize('what', ['link', 'pipe', 'folder', 'loop'])
@pytest.mark.parametrize('way', ['workdir', 'cache'])
def test_a_lock_that_is_no_file_is_named_and_left_alone(tmp_path, what, way):
    place, kept = tmp_path / 'run', tmp_path / 'kept'
    place.mkdir()
    kept.write_text('precious')
    make = {
        'link': lambda path: path.symlink_to(kept),
        'pipe': os.mkfifo,
        'folder': Path.mkdir,
        'loop': lambda path: path.symlink_to('.lock'),
    }
    make[what](place / '.lock')
    with pytest.raises(ValueError, match='.lock is a (link|named pipe|folder), but must be a plain file.*remove it'):
        if way == 'workdir':
            with files.lock(place):
                pass
        else:
            os.close(held.open_lock(place / '.lock'))
    assert kept.read_text() == 'precious'


def test_a_lock_is_not_emptied(tmp_path):
    (tmp_path / '.lock').write_text('x')
    with files.lock(tmp_path):
        pass
    assert (tmp_path / '.lock').read_text() == 'x'


def test_an_errno_is_found_in_words_causes_and_groups():
    inner = OSError(errno.EDQUOT, 'quota')
    wrapped = RuntimeError('wrapped')
    wrapped.__cause__ = inner
    words = ValueError("RESOURCE_EXHAUSTED: Failed to open: No space left on device [os_error_code='28']")
    found = [disk.errno_of(e) for e in (wrapped, ExceptionGroup('', [ValueError('a'), inner]), words, ValueError('a'))]
    assert found == [errno.EDQUOT, errno.EDQUOT, errno.ENOSPC, None]


@pytest.mark.parametrize('how', ['deleted', 'moved', 'replaced', 'link'])
def test_a_held_directory_that_vanishes_is_noticed_and_not_made_again(tmp_path, how):
    real, place = tmp_path / 'real', tmp_path / 'run'
    if how == 'link':
        real.mkdir()
        place.symlink_to(real)
    with files.lock(place):
        files.write_json(place / 'seed0/a.json', {})
        held.check(place / 'b')
        if how == 'deleted':
            shutil.rmtree(place)
        elif how == 'link':
            (tmp_path / 'other').mkdir()
            place.unlink()
            place.symlink_to(tmp_path / 'other')
        else:
            place.rename(tmp_path / 'moved')
            if how == 'replaced':
                place.mkdir()
        with pytest.raises(OSError, match='deleted, moved or replaced while this run was using it'):
            files.write_json(place / 'seed0/a.json', {})
        assert not (place / 'seed0').exists()
        files.write_json(tmp_path / 'elsewhere.json', {})
    held.check(place)


def test_metrics_that_vanish_are_noticed(tmp_path):
    metrics = log.MetricLog(tmp_path / 'stage', '', 10, 0)
    metrics.write(1, {'a': 1.0})
    shutil.rmtree(tmp_path / 'stage')
    with pytest.raises(OSError, match='metrics.jsonl was deleted or replaced'):
        metrics.write(2, {'a': 1.0})


def test_event_files_are_what_tensorboard_reads(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    metrics = log.MetricLog(tmp_path, '', 10, 0)
    metrics.write(3, {'train/loss': 0.5, 'epoch': 1.0})
    metrics.close(3)
    (path,) = tmp_path.glob('events.out.tfevents*')
    data, events = io.BytesIO(path.read_bytes()), []
    while head := data.read(12):
        events.append(Event.FromString(data.read(int.from_bytes(head[:8], 'little'))))
        data.read(4)
    assert [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value] == [(3, 'train/loss', 0.5)]


def items(value):
    import jax.numpy as jnp

    return {'params': {'a': jnp.arange(4.0) + value}, 'state': {'b': {'c': jnp.float32(value)}}}


@pytest.fixture
def saved(tmp_path):
    """A directory with checkpoints of steps 1 to 3, of which two are kept."""
    saver = checkpoint.Saver(tmp_path / 'checkpoints')
    for step in (1, 2, 3):
        saver.save(step, items(step), {'config': {}, 'step': step})
    saver.close()
    return tmp_path / 'checkpoints'


def resumed(directory):
    saver, found, meta = checkpoint.resume(directory, items(0))
    saver.close()
    return float(found['params']['a'][0]), float(found['state']['b']['c']), meta.get('step', 0)


def test_the_checkpoint_before_is_used_where_one_is_damaged(saved):
    assert sorted(p.name for p in saved.iterdir()) == ['2', '3'] and resumed(saved) == (3, 3, 3)
    path = max((saved / '3/params').rglob('d/*'), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (saved / '4.orbax-checkpoint-tmp').mkdir()  # of a process that was killed
    assert resumed(saved) == (2, 2, 2) and (saved / '3.damaged').is_dir()
    shutil.rmtree(saved / '2/state')
    assert resumed(saved) == (0, 0, 0)


def test_checkpoints_without_checksums_are_read_and_their_damage_is_found_where_it_shows(saved):
    for step in ('2', '3'):
        (saved / step / checksums.NAME).unlink()
    assert resumed(saved) == (3, 3, 3)
    (saved / '3/params/_METADATA').write_text('[]')
    assert resumed(saved) == (2, 2, 2)


def test_weights_are_not_taken_from_what_is_damaged_or_not_there(saved, tmp_path):
    variables, meta = checkpoint.load_variables(saved)
    assert variables['params']['a'].tolist() == [3, 4, 5, 6] and meta['step'] == 3
    (saved / '3/meta/metadata').write_text('null')
    with pytest.raises(files.Damaged, match='metadata is damaged'):
        checkpoint.load_variables(saved)
    (tmp_path / 'file').write_text('')
    (tmp_path / 'run/seed0/scratch').mkdir(parents=True)
    (tmp_path / 'run/seed0/scratch/metrics.jsonl').write_text('')
    for path, what in (
        ('nothing', 'there is no such directory'),
        ('file', 'it is a file'),
        ('run', r'its stages are seed0/scratch \(not finished\)'),
        ('run/seed0/scratch', 'the stage is not finished'),
        ('run/seed0', r'its stages are scratch'),
    ):
        with pytest.raises(FileNotFoundError, match=f'no checkpoint at .*{what}'):
            checkpoint.load_variables(tmp_path / path)


def test_reading_another_run_leaves_it_as_it_is(saved):
    (saved / '4.orbax-checkpoint-tmp').mkdir()  # that run may be writing it
    before = sorted(str(p) for p in saved.rglob('*'))
    checkpoint.load_variables(saved)
    assert sorted(str(p) for p in saved.rglob('*')) == before


def test_a_result_that_was_changed_by_hand_says_how_to_keep_the_change(tmp_path):
    from ssljax.report.read import read

    files.write_json(tmp_path / 'result.json', {'name': 'a', 'seeds': []})
    content = json.loads((tmp_path / 'result.json').read_text()) | {'name': 'b'}
    (tmp_path / 'result.json').write_text(json.dumps(content))
    with pytest.raises(files.Damaged, match='delete its line "checksum"'):
        read(tmp_path)
    content.pop('checksum')
    (tmp_path / 'result.json').write_text(json.dumps(content))
    assert read(tmp_path).result['name'] == 'b'
