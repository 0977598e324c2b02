import json
import subprocess
import sys
import threading
import time

from ssljax.studies.claim import Claims


def test_one_worker_at_a_time(tmp_path):
    one, two = Claims(tmp_path), Claims(tmp_path)
    with one.hold('a') as mine:
        with two.hold('a') as theirs, two.hold('b') as other:
            assert mine and not theirs and other
    with two.hold('a') as later:
        assert later


def test_of_many_that_try_at_once_one_has_it(tmp_path):
    held, start, tried = [], threading.Barrier(8), threading.Barrier(8, timeout=60)

    def work():
        claims = Claims(tmp_path)
        start.wait()
        with claims.hold('a') as mine:
            held.append(mine)
            tried.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held) == [False] * 7 + [True]


def test_a_killed_process_is_followed_at_once(tmp_path):
    code = (
        'import time; from ssljax.studies.claim import Claims\n'
        f'with Claims({str(tmp_path)!r}).hold("a") as mine: print(mine, flush=True); time.sleep(60)'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == 'True'
    with Claims(tmp_path).hold('a') as mine:
        assert not mine
    process.kill()
    process.wait()
    with Claims(tmp_path).hold('a') as mine:
        assert mine


def test_a_beat_that_stands_still_on_another_host_is_dead(tmp_path):
    tmp_path.joinpath('a.0').write_text(json.dumps({'host': 'far-away', 'pid': 1, 'began': 'x', 'beat': 3}))
    claims = Claims(tmp_path, patience=0.2)
    with claims.hold('a') as mine:
        assert not mine
    tmp_path.joinpath('a.0').write_text(json.dumps({'host': 'far-away', 'pid': 1, 'began': 'x', 'beat': 4}))
    time.sleep(0.3)
    with claims.hold('a') as mine:
        assert not mine  # it has beaten since
    time.sleep(0.3)
    with claims.hold('a') as mine:
        assert mine


def test_a_holder_beats(tmp_path):
    with Claims(tmp_path, beat=0.05).hold('a'):
        before = tmp_path.joinpath('a.0').read_text()
        deadline = time.time() + 60
        while tmp_path.joinpath('a.0').read_text() == before and time.time() < deadline:
            time.sleep(0.02)
        assert json.loads(tmp_path.joinpath('a.0').read_text())['beat'] > 0
