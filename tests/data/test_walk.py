import io
import os
import socket
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.data import folder, walk

PNG = b'not decoded here'


@pytest.fixture
def images(tmp_path):
    for name in ('cat/1.png', 'cat/2.png', 'dog/1.png'):
        (tmp_path / 'data' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'data' / name).write_bytes(PNG + name.encode())
    return tmp_path / 'data'


NAMES = ['cat/1.png', 'cat/2.png', 'dog/1.png']


def listed(path):
    return list(folder.listing(str(path)).names)


def test_special_files_are_left_out_at_once(images, caplog):
    os.mkfifo(images / 'cat/pipe.png')
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(images / 'cat/socket.png'))
    (images / 'cat/zero.png').symlink_to('/dev/zero')
    (images / 'cat/proc.png').symlink_to('/proc/self/mem')
    assert listed(images) == NAMES
    assert 'left out 4 pipes, devices and other special files' in caplog.text


def test_folders_that_hold_themselves_are_walked_once(images, caplog):
    (images / 'cat/again').symlink_to(images)
    (images / 'dog/up').symlink_to(images.parent)
    (images / 'dog/all').symlink_to('/')
    (images / 'dog/proc').symlink_to('/proc/self')
    (images / 'a').symlink_to('cat')
    assert listed(images) == NAMES
    assert 'left out 4 links to a folder around the data' in caplog.text
    assert 'left out 1 links to folders that are listed already' in caplog.text


def test_each_file_is_listed_once_by_its_own_name(images, caplog):
    (images / 'a.png').symlink_to('cat/1.png')
    (images / 'cat/0.png').symlink_to('../dog/1.png')
    (images / 'cat/nowhere.png').symlink_to('missing')
    (images / 'cat/loop.png').symlink_to('loop.png')
    assert listed(images) == NAMES
    assert 'left out 2 further links to a file' in caplog.text and 'left out 2 links that lead nowhere' in caplog.text


def test_a_folder_of_links_works(images, tmp_path):
    for name in NAMES:
        (tmp_path / 'farm' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'farm' / name).symlink_to(images / name)
    files = folder.listing(str(tmp_path / 'farm'))
    assert list(files.names) == NAMES and files.read(0) == PNG + b'cat/1.png'
    (tmp_path / 'linked').symlink_to(images)
    assert listed(tmp_path / 'linked') == NAMES


@pytest.mark.parametrize('path', ['/proc/self', '/proc', '/sys', '/dev', '/dev/zero', '/dev/null', '/proc/self/mem'])
def test_special_places_are_refused(path):
    with pytest.raises(ValueError, match='holds no files of your own|no regular file'):
        folder.listing(path)


def test_memory_as_a_place_for_data_is_not_special():
    assert not walk.special('/dev/shm/data') and walk.special('/dev/fd') and not walk.special('/devices')


def test_names_that_are_not_utf8(images):
    os.rename(images / 'dog', os.fsencode(images) + b'/d\xffg')
    files = folder.listing(str(images))
    assert list(files.names)[-1] == 'd\udcffg/1.png' and files.read(2) == PNG + b'dog/1.png'


def archive(path, names):
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as f:
            for name in names:
                f.writestr(zipfile.ZipInfo(name), PNG + name.encode())
    else:
        with tarfile.open(path, 'w:gz' if path.suffix == '.tgz' else 'w') as f:
            for name in names:
                f.addfile(*member(name))
    return path


def member(name):

    info = tarfile.TarInfo(name)
    info.size = len(PNG + name.encode())
    return info, io.BytesIO(PNG + name.encode())


KINDS = pytest.mark.parametrize('kind', ['data.zip', 'data.tar', 'data.tgz'])


@KINDS
@pytest.mark.parametrize('outside', ['/cat/3.png', 'C:\\cat\\3.png', 'C:/cat/3.png', '\\\\host\\cat\\3.png', 'd:3.png',
                                     '../3.png', 'cat/../../3.png', '//cat/3.png'])  # fmt: skip
def test_entries_that_lead_outside_are_left_out_and_counted(tmp_path, caplog, kind, outside):
    assert listed(archive(tmp_path / kind, [outside, *NAMES])) == NAMES
    assert 'left out 1 entries with an absolute path' in caplog.text


@KINDS
def test_of_entries_with_one_name_the_last_counts(tmp_path, caplog, kind):
    with pytest.warns() if kind == 'data.zip' else pytest.MonkeyPatch.context():
        path = archive(tmp_path / kind, [*NAMES, 'cat/1.png'])
    assert listed(path) == NAMES
    assert 'left out 1 entries that a later one of the same name replaces' in caplog.text


@KINDS
@settings(derandomize=True, max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_is_whole_or_refused(tmp_path_factory, kind, data):
    """A flipped bit in a header, or a cut, never gives a smaller set of images."""
    root = tmp_path_factory.mktemp('damaged')
    path = archive(root / kind, NAMES)
    content = bytearray(path.read_bytes())
    if kind == 'data.tar' and data.draw(st.booleans()):
        header = data.draw(st.integers(0, len(NAMES) - 1)) * 1024
        place = header + data.draw(st.integers(0, 500))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == 'data.tgz' and data.draw(st.booleans()):
        content[data.draw(st.integers(10, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(1, len(content) - 1 - (9000 if kind == 'data.tar' else 0))) :]
    path.write_bytes(content)
    try:
        names = listed(path)
    except ValueError as e:
        assert 'cannot be read as a folder, .zip or .tar' in str(e)
    else:
        assert len(names) == len(NAMES)


def test_two_tars_in_one_file_are_refused(tmp_path):
    one, two = archive(tmp_path / 'a.tar', NAMES[:2]), archive(tmp_path / 'b.tar', NAMES[2:])
    one.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(ValueError, match='something follows its end'):
        listed(one)


def test_links_and_devices_in_a_tar_are_left_out(tmp_path, caplog):
    with tarfile.open(tmp_path / 'data.tar', 'w') as f:
        for name in NAMES:
            f.addfile(*member(name))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo('cat/9.png')
            info.type, info.linkname = kind, '/etc/passwd'
            f.addfile(info)
    assert listed(tmp_path / 'data.tar') == NAMES
    assert 'left out 4 links and special files' in caplog.text
