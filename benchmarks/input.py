"""Input: images per second of every data path of a run, and beside them a PyTorch DataLoader over the same files.

    python -m benchmarks.input [--peer=torch] [--cifar=PATH] [--photos=PATH] [--photo_size=96] [--tfds=NAME]
      [--data_dir=DIR] [--images=20480] [--batch=128] [--rounds=3] [--seconds=1] [--out=benchmarks/results/input.json]

PATH is a folder or archive of class folders; a sample of its training images is written to a temporary folder.
Batches are counted when they lie on the device. Each side has a process of its own, whose imports are not timed; rounds
alternate. In a round each path starts cold: what it holds is let go, and the system is asked to forget the files. Our
paths are held against the faster of the peer's numbers of workers. Run it alone on the machine; it takes some three
minutes on two cores.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')  # a peer shares the device
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

from benchmarks import images  # noqa: E402
from benchmarks.record import begin, ratio, spread  # noqa: E402
from benchmarks.worker import Worker  # noqa: E402
from ssljax.data.memory import cores  # noqa: E402
from ssljax.storage import files  # noqa: E402

PATHS = ('resident', 'zip', 'folder', 'cache', 'cached')  # of benchmarks.loaders
PEERS = {'torch': 'benchmarks.peers.loader'}
MEASURED = ('first_batch', 'first_epoch', 'later')


def measure(
    what: dict, paths, *, peer: str = '', rounds: int = 3, seconds: float = 1.0, rates_only=False
) -> list[dict]:
    """One row for each path and each number of a peer's workers.

    A row has 'path', 'images' of an epoch, and each with median, least and largest over the rounds: 'first_batch',
    seconds from a cold start to the first batch; 'first_epoch', images/s with the start in it; 'later', images/s of
    later epochs. Ours have 'waits', the share of the time that a small network waits for data, 'train_images_s', and
    with a peer 'ratio', of 'first_epoch' and 'later' to those of the better peer by the latter, named in 'to'. The
    first row has 'parts', microseconds an image on one core. Those two are left out where `rates_only`.

    Args:
      what: arguments of benchmarks.loaders.Loaders.

    Raises:
      RuntimeError: a side's process ended.
    """
    text, counts = json.dumps(what), (0, cores()) if peer else ()
    with contextlib.ExitStack() as stack:

        def start(module):
            worker = Worker(module, text)
            stack.callback(worker.close)
            return worker

        own = start('benchmarks.loaders')
        sides = {path: (own, path) for path in paths}
        if peer:
            other = start(PEERS[peer])
            sides |= {f'{peer}, {count} workers': (other, count) for count in counts}
        found = {side: [] for side in sides}
        for _ in range(rounds):
            for side, (worker, argument) in sides.items():
                found[side].append(worker.ask(f'measure {argument} {seconds}'))
        rows = []
        for side, each in found.items():
            spreads = {name: spread([one[name] for one in each]) for name in MEASURED}
            rows.append({'path': side, 'images': each[0]['images'], **spreads})
        for row in () if rates_only else rows[: len(paths)]:
            trained = own.ask(f'train {row["path"]} {seconds}')
            row |= {'waits': trained['waits'], 'train_images_s': trained['images_s']}
        if 'tfds' not in paths and not rates_only:
            rows[0]['parts'] = own.ask('parts')
    if peer:
        best = max(rows[len(paths) :], key=lambda row: row['later']['median'])
        for row in rows[: len(paths)]:
            row |= {'to': best['path'], 'ratio': {name: ratio(row[name], best[name]) for name in MEASURED[1:]}}
    return rows


HEADER = (
    f'{"images":<10}{"path":<20}{"first batch s":>14}{"first epoch/s":>15}{"later/s":>10}{"range":>20}{"ratio":>20}'
)
HEADER += f'{"of first epochs":>18}{"waits":>8}'


def line(row: dict) -> str:
    """A row of the table."""
    later = row['later']
    text = f'{row["data"]:<10}{row["path"]:<20}{row["first_batch"]["median"]:>14.2f}'
    text += f'{row["first_epoch"]["median"]:>15,.0f}{later["median"]:>10,.0f}'
    text += f'{later["least"]:>11,.0f}-{later["largest"]:<8,.0f}'
    for name in ('later', 'first_epoch'):
        r = row.get('ratio', {}).get(name)
        text += (f'{r["median"]:.2f} ({r["least"]:.2f}-{r["largest"]:.2f})' if r else '').rjust(22)
    if 'waits' in row:
        text += f'{row["train_images_s"]:>9,.0f}{100 * row["waits"]:>7.1f}%'
    return text.rstrip()


def arguments(argv):
    """The command line's; ends the process with a message where it cannot be read."""
    parser = argparse.ArgumentParser('benchmarks.input', description=__doc__.split('\n')[0], allow_abbrev=False)
    parser.add_argument('--peer', default='', choices=('', *PEERS))
    parser.add_argument('--cifar', default='', help='images that keep their size, as CIFAR-10')
    parser.add_argument('--photos', default='', help='photographs, resized')
    parser.add_argument('--photo_size', type=int, default=96)
    parser.add_argument('--tfds', default='', help='a prepared dataset of TensorFlow Datasets')
    parser.add_argument('--data_dir', default='', help='where it is')
    parser.add_argument('--images', type=int, default=20480, help='of an epoch, at most')
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=1.0, help='of later epochs in a round, at least')
    parser.add_argument('--out', default='benchmarks/results/input.json')
    given = parser.parse_args(argv)
    given.data_dir = given.data_dir and os.path.abspath(os.path.expanduser(given.data_dir))  # for other processes
    for name in ('photo_size', 'batch', 'rounds', 'seconds'):
        if not getattr(given, name) > 0:
            parser.error(f'--{name}={getattr(given, name)} must be above 0.')
    if given.images < 20 * given.batch:
        parser.error(f'--images={given.images} must be at least 20 batches of --batch={given.batch}.')
    for name in ('cifar', 'photos'):
        path = getattr(given, name)
        if path and not os.path.exists(os.path.expanduser(path)):
            parser.error(f'--{name}={path}: there is no such folder or archive.')
    if not (given.cifar or given.photos or given.tfds):
        parser.error('there is nothing to read: give --cifar=PATH, --photos=PATH or --tfds=NAME.')
    return given


def skipped(given) -> dict[str, str]:
    """{images: why they are not measured}."""
    why = {name: f'no --{name}=PATH is given' for name in ('cifar', 'photos') if not getattr(given, name)}
    if not given.tfds:
        why['tfds'] = 'no --tfds=NAME is given'
    elif not os.path.isdir(os.path.join(given.data_dir, given.tfds)) or not given.data_dir:
        why['tfds'] = f'{given.tfds} is not prepared in --data_dir={given.data_dir!r}'
    return why


def main(argv) -> None:
    """Measures, prints the table, and keeps what is done so far in --out."""
    given = arguments(argv)
    record, out = begin('input', argv) | {'rows': []}, Path(given.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    record['skipped'] = skipped(given)
    options = dict(rounds=given.rounds, seconds=given.seconds)
    files.write_json(out, record)
    print(HEADER)
    for data in ('cifar', 'photos', 'tfds'):
        if data in record['skipped']:
            print(f'{data:<10}skipped: {record["skipped"][data]}')
            continue
        with tempfile.TemporaryDirectory() as root:
            what = {'root': root, 'size': given.photo_size if data == 'photos' else 0, 'batch': given.batch}
            if data == 'tfds':
                rows = measure(what | {'tfds': given.tfds, 'data_dir': given.data_dir}, ['tfds'], **options)
            else:
                count = images.sample(getattr(given, data), given.images, Path(root))
                if count < 20 * given.batch:
                    sys.exit(f'--{data} has {count} training images: give --batch={max(count // 20, 1)} or less.')
                rows = measure(what, PATHS, peer=given.peer, **options)
        for row in rows:
            record['rows'].append({'data': data, 'size': what['size'], 'batch': given.batch} | row)
            print(line(record['rows'][-1]))
        if 'parts' in rows[0]:
            print(f'{data:<10}us an image: ' + ', '.join(f'{k} {v:.1f}' for k, v in rows[0]['parts'].items()))
        sys.stdout.flush()
        files.write_json(out, record)


if __name__ == '__main__':
    main(sys.argv[1:])
