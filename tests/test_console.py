"""What a command prints never ends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    'from ssljax.text import console; import sys; console.prepare(); console.prepare()\n'
    'for i in range({lines}): print("1 ± 2 – 3 − 4 · x_\\udc80 猫")\n'
    'print("done", file=sys.stderr)'
)


def python(code, **env):
    return dict(
        args=[sys.executable, '-c', code], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {'PYTHONPATH': str(ROOT), 'PYTHONUTF8': '0'} | env,
    )  # fmt: skip


@pytest.mark.parametrize(
    'encoding, expected',
    [
        ('ascii', rb'1 +/- 2 - 3 - 4 | x_\udc80 \u732b'),
        ('cp1252', rb'1 \xb1 2 \x96 3 - 4 \xb7 x_\udc80 \u732b'),
        ('utf-8', '1 ± 2 – 3 − 4 · x_\\udc80 猫'.encode()),
    ],
)
def test_every_encoding_prints(encoding, expected):
    done = subprocess.run(**python(CODE.format(lines=1), PYTHONIOENCODING=encoding), check=True)
    if encoding == 'cp1252':
        expected = b'1 \xb1 2 \x96 3 - 4 \xb7 x_\\udc80 \\u732b'
    assert done.stdout.strip() == expected and done.stderr.strip() == b'done'


def test_a_reader_that_is_gone_ends_nothing():
    process = subprocess.Popen(**python(CODE.format(lines=20000), PYTHONIOENCODING='utf-8'))
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read().strip() == b'done' and process.wait() == 0


def test_a_full_disk_ends_nothing():
    if not os.path.exists('/dev/full'):
        pytest.skip('there is no /dev/full')
    with open('/dev/full', 'w') as full:
        done = subprocess.run(**python(CODE.format(lines=20000)) | {'stdout': full})
    assert done.returncode == 0 and done.stderr.strip() == b'done'


CLOSED = (
    'import os, sys; [os.close(int(n)) for n in "{numbers}"]\n'
    'os.execv(sys.executable, [sys.executable, "-c", "from ssljax.processes import preempt; '
    'from ssljax.text import console; preempt.early(); '
    'console.prepare(); import sys; from ssljax.progress import say; say.status(sys.stdin.read()); print(1); '
    'f = open(sys.argv[1], chr(119)); f.write(str(f.fileno() > 2))", sys.argv[1]])'
)


@pytest.mark.parametrize('numbers', ['0', '1', '2', '02', '12', '012'])
def test_closed_streams_end_nothing(tmp_path, numbers):
    given = python(CLOSED.format(numbers=numbers)) | {'stdin': subprocess.DEVNULL}
    given['args'].append(str(tmp_path / 'out'))
    done = subprocess.run(**given)
    assert done.returncode == 0 and (tmp_path / 'out').read_text() == 'True'


def test_a_warning_is_its_sentence_alone():
    code = 'from ssljax.text import console; from absl import logging\n'
    code += 'console.plain_warnings(); logging.warning("2 %s", "files")'
    assert subprocess.run(**python(code), check=True).stderr == b'warning: 2 files\n'
