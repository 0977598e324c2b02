"""Decoding in other processes: the same pixels, and what happens when one of the processes ends."""

import concurrent.futures
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ssljax.data import decode, decoders

ROOT = Path(__file__).resolve().parents[2]


def encoded(shape, seed, kind):
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(data, kind)
    return data.getvalue()


def ids(idle):
    found = [idle.get() for _ in range(idle.qsize())]
    for process in found:
        idle.put(process)
    return [process._process.pid for process in found]


def test_pixels_and_what_is_no_image_of_the_shape(processes, monkeypatch):
    kinds = ['JPEG', 'PNG'] * 200
    datas = [encoded((9, 12, 3), i, kind) for i, kind in enumerate(kinds)]
    datas[3], datas[5] = b'', encoded((20, 8, 3), 0, 'PNG')[:200]
    expected = [decode.decode(data, 8, 3) for i, data in enumerate(datas) if i not in (3, 5)]
    monkeypatch.setattr(decode, 'decode', None)  # not here
    images = np.empty((len(datas), 8, 8, 3), np.uint8)
    crcs = np.empty(len(datas), np.uint32)
    good = decoders.decode_into(images, datas, bytes, (8, 3), crcs)
    assert np.flatnonzero(~good).tolist() == [3, 5] and np.array_equal(images[good], expected)
    assert all(crcs[i] == zlib.crc32(data) for i, data in enumerate(datas) if good[i])
    wide = np.empty((2, 9, 12, 3), np.uint8)
    assert decoders.decode_into(wide, [encoded((12, 9, 3), 1, 'PNG'), datas[1]], bytes, (0, 0)).tolist() == [
        False,
        True,
    ]
    assert processes.qsize() == 2


def test_while_none_is_ready_the_work_is_done_here(processes):
    taken = [processes.get(), processes.get()]
    datas = [encoded((4, 4, 1)[:2], i, 'PNG') for i in range(5)] + [b'x']
    images = np.empty((6, 4, 4, 1), np.uint8)
    assert decoders.decode_into(images, datas, bytes, (0, 0)).tolist() == [True] * 5 + [False]
    assert np.array_equal(images[4], decode.decode(datas[4]))
    for process in taken:
        processes.put(process)


def test_threads_that_begin_together_share_the_processes(monkeypatch):
    started, ended = [], threading.Event()
    monkeypatch.setattr(decoders, '_Process', lambda: started.append(1) or ended.wait())
    monkeypatch.setattr(decoders, 'number', lambda: time.sleep(0.1) or 2)
    decoders._processes.cache_clear()
    data, gate = encoded((4, 4), 0, 'PNG'), threading.Barrier(8)

    def decode_one():
        gate.wait()
        assert decoders.decode_into(np.empty((1, 4, 4, 1), np.uint8), [data], bytes, (0, 0)).all()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(decode_one) for _ in range(8)]:
            each.result()
    deadline = time.monotonic() + 60
    while len(started) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    decoders._processes.cache_clear()
    ended.set()
    assert len(started) == 2


def test_a_process_that_ended_is_done_without(processes, caplog):
    for pid in ids(processes):
        os.kill(pid, signal.SIGKILL)
    datas = [encoded((4, 4), 0, 'PNG')]
    images = np.empty((1, 4, 4, 1), np.uint8)
    with caplog.at_level('WARNING', logger='absl'):
        assert decoders.decode_into(images, datas, bytes, (0, 0)).all()
    assert np.array_equal(images[0], decode.decode(datas[0]))
    assert processes.empty() and caplog.text.count('continuing without it') == 2


def test_what_ends_this_process_does_not_end_them_before_it(processes):
    for pid in ids(processes):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    images = np.empty((1, 4, 4, 1), np.uint8)
    for _ in range(2):
        assert decoders.decode_into(images, [encoded((4, 4), 0, 'PNG')], bytes, (0, 0)).all()
    assert processes.qsize() == 2


def test_they_end_with_the_process_that_started_them(tmp_path):
    program = (
        'import time\nfrom ssljax.data import decoders\nidle = decoders._processes()\n'
        'while idle.qsize() < decoders.number():\n    time.sleep(0.01)\n'
        'print(*(idle.get_nowait()._process.pid for _ in range(decoders.number())), flush=True)\ntime.sleep(60)'
    )
    parent = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == decoders.number() and all(map(alive, pids))
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False
