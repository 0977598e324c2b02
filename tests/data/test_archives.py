"""Archives: whole, or refused; never a smaller data set without a word."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssljax.data import folder

NAMES = [f'{c}/{i}.png' for c in ('cat', 'dog') for i in range(3)]
LONG = [f'{c}/{"long" * 30}{i}.png' for c in ('cat', 'dog') for i in range(2)]
KINDS = {'.tar': bytes, '.tar.gz': gzip.compress, '.tar.bz2': bz2.compress, '.tar.xz': lzma.compress}
SETTINGS = settings(max_examples=40)


def tar(names=NAMES, format=tarfile.USTAR_FORMAT, change=lambda info: info):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=format) as f:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            f.addfile(change(info), io.BytesIO(name.encode()))
    return buffer.getvalue()


def zipped(names=NAMES, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', **options) as f:
        for name in names:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            f.writestr(info, info.filename.encode())
    return buffer.getvalue()


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    return tmp_path_factory.mktemp('archives')


def listed(place, data, ending):
    """(names, contents) of an archive, or the ValueError."""
    path = place / f'{abs(hash(data))}{ending}'
    path.write_bytes(data)
    try:
        files = folder.listing(str(path))
        return list(files.names), [files.read(i) for i in range(len(files.names))]
    except ValueError as e:
        return e
    finally:
        path.unlink()


def whole(found, names=NAMES):
    return isinstance(found, ValueError) or found == (sorted(names), [n.encode() for n in sorted(names)])


@pytest.mark.parametrize('ending', KINDS)
@pytest.mark.parametrize('format', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_whole_tars_are_read(place, ending, format):
    for names in (NAMES, LONG):
        if names is LONG and format == tarfile.USTAR_FORMAT:
            continue
        found = listed(place, KINDS[ending](tar(names, format)), ending)
        assert whole(found, names) and not isinstance(found, ValueError)


@pytest.mark.parametrize('member', range(len(NAMES)))
@SETTINGS
@given(byte=st.integers(0, 511), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_header_of_a_tar_is_refused(place, member, byte, bit):
    data = bytearray(tar())
    data[1024 * member + byte] ^= 1 << bit
    found = listed(place, bytes(data), '.tar')
    assert whole(found)
    if byte < 148:  # name, mode, owner, size and time
        assert isinstance(found, ValueError) and 'cannot be read as a folder' in str(found)


@pytest.mark.parametrize('ending', KINDS)
@SETTINGS
@given(data=st.data())
def test_a_tar_that_is_cut_short_is_refused(place, ending, data):
    content = KINDS[ending](tar())
    kept = data.draw(st.integers(0, len(content) - 1))
    found = listed(place, content[:kept], ending)
    assert whole(found)
    if ending != '.tar' or kept <= 1024 * len(NAMES):  # what follows are zeros
        assert isinstance(found, ValueError)


@pytest.mark.parametrize('ending', ['.tar.gz', '.tar.bz2', '.tar.xz'])
@SETTINGS
@given(place_=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_compressed_tar_is_refused(place, ending, place_, bit):
    data = bytearray(KINDS[ending](tar()))
    data[int(place_ * len(data))] ^= 1 << bit
    assert whole(listed(place, bytes(data), ending))


def test_a_tar_without_an_end_and_one_that_goes_on_are_refused(place):
    data = tar()
    for cut in range(1, len(NAMES)):
        assert 'truncated' in str(listed(place, data[: 1024 * cut], '.tar'))
    for joined in (data + tar(['cat/9.png']), data + b'x'):
        for ending, pack in KINDS.items():
            assert 'there is data after its end' in str(listed(place, pack(joined), ending))


def test_links_devices_and_replaced_files_of_a_tar_are_counted(place, caplog):
    def change(info):
        kinds = {'cat/l.png': tarfile.SYMTYPE, 'cat/h.png': tarfile.LNKTYPE, 'dog/d.png': tarfile.CHRTYPE}
        info.type, info.linkname = kinds.get(info.name, info.type), NAMES[0]
        info.size = 0 if info.name in kinds else info.size
        return info

    with caplog.at_level('WARNING', logger='absl'):
        names = [*NAMES, 'cat/l.png', 'cat/h.png', 'dog/d.png', NAMES[0]]
        assert whole(listed(place, tar(names, change=change), '.tar'))
    assert 'links or devices (3, such as' in caplog.text and 'entries replaced by a later one (1,' in caplog.text


OUTSIDE = ['C:\\x\\1.png', 'c:/1.png', 'C:1.png', '/etc/1.png', '\\\\server\\x\\1.png', '//server/1.png', '../1.png']
OUTSIDE += ['cat/../../1.png', 'cat\\..\\1.png', '..\\1.png', 'cat/..', '\\1.png']


@pytest.mark.parametrize('name', OUTSIDE)
def test_entries_that_lead_out_are_refused(place, name):
    for data, ending in ((zipped([*NAMES, name]), '.zip'), (tar([*NAMES, name]), '.tar')):
        assert 'it has entries that point outside it (1, such as' in str(listed(place, data, ending))


def test_odd_but_harmless_names_are_made_plain(place):
    names = ['./cat/1.png', 'cat//2.png', 'cat/./3.png', 'dog\\1.png']
    for data, ending in ((zipped(names), '.zip'), (tar(names), '.tar')):
        assert listed(place, data, ending)[0] == ['cat/1.png', 'cat/2.png', 'cat/3.png', 'dog/1.png']


@pytest.mark.parametrize('method', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@SETTINGS
@given(data=st.data())
def test_a_flipped_bit_in_the_directory_or_a_header_of_a_zip_is_refused(place, method, data):
    """Of the bytes that say what is there; times and attributes may change, and the content has a CRC of its own."""
    content = bytearray(zipped(compression=method))
    with zipfile.ZipFile(io.BytesIO(content)) as f:
        start, local = f.start_dir, [i.header_offset for i in f.infolist()]
    directory = data.draw(st.booleans())
    byte = data.draw(st.integers(start, len(content) - 1)) if directory else data.draw(st.sampled_from(local))
    byte += 0 if directory else data.draw(st.integers(0, 29 + len(NAMES[0])))
    content[byte] ^= 1 << data.draw(st.integers(0, 7))
    assert whole(listed(place, bytes(content), '.zip'))


def test_every_byte_of_a_zips_directory(place):
    content = zipped(NAMES[:2])
    with zipfile.ZipFile(io.BytesIO(content)) as f:
        start = f.start_dir
    for byte in range(start, len(content)):
        changed = bytearray(content)
        changed[byte] ^= 0x40 if byte % 2 else 1
        assert whole(listed(place, bytes(changed), '.zip'), NAMES[:2]), byte - start


def test_zips_cut_short_are_refused(place):
    content = zipped()
    for cut in range(1, len(content), 29):
        assert isinstance(listed(place, content[:-cut], '.zip'), ValueError)


def test_encrypted_zips_are_refused(place):
    content = bytearray(zipped(['cat/1.png', 'dog/1.png']))
    for magic, at in ((b'PK\1\2', 8), (b'PK\3\4', 6)):
        content[content.index(magic) + at] |= 1
    assert 'it has encrypted images (1, such as' in str(listed(place, bytes(content), '.zip'))


@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_links_and_replaced_files_of_a_zip_are_counted(place, caplog):
    link = zipfile.ZipInfo('cat/link.png')
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with caplog.at_level('WARNING', logger='absl'):
        assert whole(listed(place, zipped([*NAMES, link, NAMES[0]]), '.zip'))
    assert 'links or devices (1,' in caplog.text and 'entries replaced by a later one (1,' in caplog.text


def test_a_zip_of_many_entries_and_one_with_a_comment(place):
    names = [f'cat/{i:05}.png' for i in range(70000)]
    path = place / 'many.zip'
    with zipfile.ZipFile(path, 'w') as f:
        for name in names:
            f.writestr(zipfile.ZipInfo(name), b'')
        f.comment = b'PK and more'
    assert list(folder.listing(str(path)).names) == names
