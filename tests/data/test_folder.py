"""Folders: regular files only, each real file once, and nothing left out without a word."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ssljax.data import folder, names, walk

IMAGES = ['cat/1.png', 'cat/2.png', 'dog/1.png']


@pytest.fixture
def root(tmp_path):
    for name in IMAGES:
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / 'images'


def listed(root, seconds=300):
    """folder.listing in a thread: what hangs fails."""
    found = []

    def run():
        try:
            found.append(folder.listing(str(root)))
        except Exception as e:
            found.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, 'it hangs'
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def test_pipes_sockets_and_devices_are_left_out(root, caplog, monkeypatch):
    os.mkfifo(root / 'cat/3.png')
    os.mkfifo(root / 'dog/pipe')
    monkeypatch.chdir(root / 'dog')
    with socket.socket(socket.AF_UNIX) as s, caplog.at_level('WARNING', logger='absl'):
        s.bind('4.png')
        os.symlink('/dev/zero', root / 'dog/5.png')
        files = listed(root)
    assert files.names == IMAGES and files.read(2) == b'dog/1.png'
    assert 'left out pipes, sockets or devices (4, such as' in caplog.text and caplog.text.count('left out') == 1


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(root):
    files = listed(root)
    (root / 'cat/1.png').unlink()
    os.mkfifo(root / 'cat/1.png')
    with pytest.raises(ValueError, match='has changed since it was listed'):
        files.read(0)


@pytest.mark.parametrize('link, target', [('cat/self', '.'), ('a', '.'), ('dog/up', '../..'), ('dog/all', '/')])
def test_folders_that_lead_back_are_walked_once(root, link, target, caplog):
    os.symlink(target, root / link)
    with caplog.at_level('WARNING', logger='absl'):
        assert listed(root).names == IMAGES
    assert 'left out folders reached again (1, such as' in caplog.text


def test_two_links_to_each_other_and_a_chain_of_folders(root):
    for name in ('x', 'y'):
        (root / 'cat' / name).mkdir()
    os.symlink(root / 'cat/y', root / 'cat/x/y')
    os.symlink(root / 'cat/x', root / 'cat/y/x')
    assert listed(root).names == IMAGES


def test_a_real_file_counts_once_under_its_own_name(root, caplog):
    os.symlink(root / 'cat/1.png', root / 'cat/0.png')
    os.link(root / 'dog/1.png', root / 'dog/2.png')
    os.symlink(root / 'cat', root / 'a cat')
    with caplog.at_level('WARNING', logger='absl'):
        assert listed(root).names == IMAGES
    assert "left out links to images already listed (2, such as 'dog/2.png')" in caplog.text


def test_links_to_images_and_folders_elsewhere_are_followed(root, tmp_path):
    farm = tmp_path / 'farm'
    (farm / 'train/cat').mkdir(parents=True)
    for name in ('1.png', '2.png'):
        os.symlink(root / 'cat' / name, farm / 'train/cat' / name)
    os.symlink(root / 'dog', farm / 'train/dog')
    files = listed(farm)
    assert files.names == [f'train/{name}' for name in IMAGES]
    assert [files.read(i) for i in range(3)] == [name.encode() for name in IMAGES]


def test_dangling_links_are_counted_and_a_class_of_them_is_refused(root, caplog):
    for name in ('cat/7.png', 'dog/8.png', 'dog/loop.png'):
        os.symlink(name.split('/')[1] if 'loop' in name else 'nowhere.png', root / name)
    with caplog.at_level('WARNING', logger='absl'):
        assert listed(root).names == IMAGES
    assert "left out broken links (3, such as 'cat/7.png')" in caplog.text
    os.symlink('/unmounted/bird', root / 'bird')
    assert 'bird' in listed(root).folders  # layout refuses an empty class


@pytest.mark.skipif(not os.path.ismount('/proc'), reason='there is no /proc')
@pytest.mark.parametrize('path', ['/proc/self', '/proc', '/proc/self/fd', '/sys', '/dev'])
def test_special_file_systems_end_quickly(path):
    if not Path(path).exists():
        pytest.skip('there is none')
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))  # seconds, also of a machine that does much else
from ssljax.data import folder, layout
try:
    layout.layout(folder.listing({path!r}), {path!r})
except ValueError as e:
    print(e)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=300, check=True)
    assert 'special file system' in done.stdout or 'no image' in done.stdout


def test_a_special_file_system_below_is_left_out(root, caplog, monkeypatch):
    os.symlink('/proc/self', root / 'dog/proc')
    if os.path.ismount('/proc'):
        with caplog.at_level('WARNING', logger='absl'):
            assert listed(root).names == IMAGES
        assert 'special file system' in caplog.text
    monkeypatch.setattr(walk, '_special_devices', lambda: {os.stat(root).st_dev: 'proc'})
    with pytest.raises(ValueError, match='special file system proc, which has no images'):
        listed(root)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / 'a.zip')
    for path in (tmp_path / 'a.zip', '/dev/zero'):
        with pytest.raises(ValueError, match='it is a pipe, a socket or a device'):
            listed(path)


def test_folders_that_cannot_be_read_are_named():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        for name in ('cat', 'dog', 'lost+found'):
            os.mkdir(f'{top}/{name}')
            Path(f'{top}/{name}/1.png').write_bytes(b'x')
        for name in ('dog', 'lost+found'):
            os.chmod(f'{top}/{name}', 0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(ValueError, match=r"some of its folders cannot be read \(1\): '.*/dog'"):
                folder.listing(top)
        finally:
            os.seteuid(user)
            for name in ('dog', 'lost+found'):
                os.chmod(f'{top}/{name}', 0o755)


def test_folders_without_images_do_not_matter_but_pictures_do(root, caplog):
    others = ('docs/a/read.me', 'docs/b.txt', '__MACOSX/cat/._1.png', '.git/x.png', 'cat/notes/1.txt', 'bird/1.jxl')
    for name in others:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'x')
    with caplog.at_level('WARNING', logger='absl'):
        files = listed(root)
    assert files.names == IMAGES and sorted(files.folders) == ['bird', 'cat', 'dog']
    assert "images in a format that cannot be read (1, such as 'bird/1.jxl')" in caplog.text
    assert "folders without images (2, such as 'cat/notes')" in caplog.text


PNG = b'\x89PNG\r\n\x1a\n' + bytes(20)


def test_an_archive_that_may_be_a_split_is_refused(root):
    (root / 'unlabeled.zip').write_bytes(b'')
    with pytest.raises(ValueError, match="archive 'unlabeled.zip' .* named like a split.* into the folder 'unlabeled'"):
        listed(root)
    (root / 'unlabeled').mkdir()
    (root / 'unlabeled/1.png').write_bytes(b'1')  # it was unpacked
    assert 'unlabeled/1.png' in listed(root).names
    for name in ('train.tar.gz', 'cat/test.7z'):
        (root / name).write_bytes(b'')
        with pytest.raises(ValueError, match=f"archive '{name}'"):
            listed(root)
        (root / name).unlink()


def test_archives_alone_are_refused_and_others_named(root, tmp_path, caplog):
    (tmp_path / 'zips').mkdir()
    for name in ('train.zip', 'test.zip'):
        (tmp_path / 'zips' / name).write_bytes(b'')
    with pytest.raises(ValueError, match=r"only archives \('test.zip', 'train.zip'\).* unpack"):
        listed(tmp_path / 'zips')
    (root / 'bird.zip').write_bytes(b'')
    with caplog.at_level('WARNING', logger='absl'):
        assert listed(root).names == IMAGES
    assert "archives, which are not read unless unpacked (1, such as 'bird.zip')" in caplog.text


@pytest.mark.parametrize('kind', ['folder', 'zip', 'tar', 'gztar'])
def test_images_without_a_known_ending_are_read(root, tmp_path, caplog, kind):
    jpeg = b'\xff\xd8\xff\xe0'
    for name, content in (('cat/3', PNG), ('dog/x.image', PNG), ('dog/4.2', jpeg), ('dog/README', b'hi')):
        (root / name).write_bytes(content)
    place = root if kind == 'folder' else shutil.make_archive(str(tmp_path / 'all'), kind, root)
    with caplog.at_level('WARNING', logger='absl'):
        found = listed(place)
    assert found.names == sorted([*IMAGES, 'cat/3', 'dog/x.image', 'dog/4.2'])
    assert found.read(found.names.index('cat/3')) == PNG
    assert "read 3 files as images because of their content, such as 'cat/3'" in caplog.text


def test_few_files_are_opened_where_none_is_an_image():
    sniffer, opened = names.Sniffer(), []
    for i in range(1000):
        assert not sniffer.is_image(f'a/{i}.label', lambda: opened.append(0) or b'nothing')
        assert not sniffer.is_image(f'a/{i}.txt', lambda: opened.append(0) or PNG)
    assert len(opened) == sniffer.EACH
    assert all(sniffer.is_image(f'b/{i}', lambda: PNG) for i in range(1000))
