"""What a killed process leaves beside a file goes when that file is written again."""

import os
import subprocess
import sys
import time

import pytest

from ssljax.storage import files, temporaries


@pytest.fixture(scope='module')
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait()
    return process.pid


def left(path, pid, age=2 * temporaries.AGE, folder=False):
    there = path.with_name(f'.{path.name}.{pid}')
    there.mkdir() if folder else there.write_text('half')
    os.utime(there, (time.time() - age,) * 2)
    return there


def test_what_a_dead_process_left_goes(dead, tmp_path):
    path = tmp_path / 'x.json'
    gone = [left(path, dead), left(tmp_path / 'model', dead, folder=True)]
    (gone[1] / 'part').write_text('half')
    os.utime(gone[1], (0, 0))
    kept = [
        left(path, os.getppid()),  # it may be writing
        left(tmp_path / 'y.json', dead),  # of another file, perhaps the user's own
        left(tmp_path / 'new.json', dead, age=60),  # perhaps of another machine
    ]
    files.write_json(path, {'a': 1})
    files.write_json(tmp_path / 'new.json', {'a': 1})
    temporaries.beside(tmp_path / 'model')
    assert not any(there.exists() for there in gone) and all(there.exists() for there in kept)
    assert files.read_json(path) == {'a': 1}


def test_a_link_is_removed_and_not_what_it_leads_to(dead, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/file').write_text('mine')
    link = tmp_path / f'.x.{dead}'
    link.symlink_to(tmp_path / 'mine')
    os.utime(link, (0, 0), follow_symlinks=False)
    temporaries.beside(tmp_path / 'x')
    assert not link.is_symlink() and (tmp_path / 'mine/file').read_text() == 'mine'


def test_no_folder_yet(tmp_path):
    assert temporaries.beside(tmp_path / 'no/x').name == f'.x.{os.getpid()}'
