"""Draws the tables of docs/performance.md and docs/scaling.md from benchmarks/results/*.json: python -m benchmarks.page

A table stands between <!-- NAME --> and <!-- /NAME -->, NAME.json being its file (of NAME:PART, too); what lies around
it stays.
"""

import re
import sys
from pathlib import Path

from benchmarks import scaling_tables
from benchmarks.markdown import markdown
from ssljax.storage import files

ROOT = Path(__file__).parents[1]


def between(found: dict, form: str = ',.2f') -> str:
    """A median with the least and largest of the rounds."""
    return f'{found["median"]:{form}} ({found["least"]:{form}} to {found["largest"]:{form}})'


def steps(record: dict) -> str:
    """Ours beside the peer."""
    rows = []
    for row in record['rows']:
        ours, peer, ratio = row['ours'], row.get('torch'), row.get('ratio')
        rows.append(
            [
                f'{row["name"]} {row["dtype"]}',
                f'{row["views"]:,}',
                between(ours['ms'], ',.0f'),
                f'{ours["views_s"]:,.0f}',
                f'{ours["flop_s"] / 1e9:,.0f}' if ours['flop_s'] else '',
                f'{100 * ours["of_product"]:.0f}%' if ours['of_product'] else '',
                f'{100 * (ours.get("of_copy") or 0):.0f}%',
                f'{ours["peak_memory"] / 2**20:,.0f}',
                f'{ours["compile"]:.0f}',
                between(peer['ms'], ',.0f') if peer else '',
                f'{peer["peak_memory"] / 2**20:,.0f}' if peer else '',
                between(ratio) if ratio else '',
            ]
        )
    header = 'step,views,ms,views/s,GFLOP/s,of product,of copy,peak MiB,compile s,PyTorch ms,PyTorch MiB'
    return markdown([*header.split(','), 'speed over PyTorch'], rows)


def inputs(record: dict) -> str:
    """Every data path, and the peer's DataLoader."""
    rows = []
    for row in record['rows']:
        ratio = row.get('ratio', {})
        rows.append(
            [
                f'{row["data"]} {row["path"]}',
                f'{row["first_batch"]["median"]:.2f}',
                f'{row["first_epoch"]["median"]:,.0f}',
                between(row['later'], ',.0f'),
                between(ratio['first_epoch']) if ratio else '',
                between(ratio['later']) if ratio else '',
                f'{100 * row["waits"]:.1f}%' if 'waits' in row else '',
            ]
        )
    header = 'path,first batch s,first epoch images/s,later images/s,first over DataLoader,later over DataLoader,waits'
    return markdown(header.split(','), rows)


def start(record: dict) -> str:
    """Seconds from the command to the first step, or of a whole run, by part."""
    columns = [name for name in record['seconds']['cold'] if name != 'runs']
    rows = [[name, *(f'{each[c]:.2f}' for c in columns)] for name, each in record['seconds'].items()]
    return markdown(['cache', *columns], rows)


def accuracy(record: dict) -> str:
    """Seconds to each goal."""
    rows = []
    for row in record['rows']:
        took = f'{row["seconds"]:.0f} ({row["least"]:.0f} to {row["largest"]:.0f})' if row['seconds'] else 'not reached'
        best = max(seed['best'] for seed in row['seeds'])
        evaluating = sum(seed['evaluations'] for seed in row['seeds']) / len(row['seeds'])
        rows.append([f'{row["name"]}: {row["measure"]}', f'{100 * row["value"]:.1f}', took, f'{evaluating:.0f}'])
        rows[-1] += [str(len(row['seeds'])), f'{100 * best:.2f}']
    return markdown(['goal', '%', 'seconds', 'of them evaluating', 'seeds', 'best %'], rows)


def growth(record: dict) -> str:
    """Every point of the three curves."""
    header = ['curve', 'batch', 'images', 'images/s', 'peak MiB']
    keys = ('batch', 'images', 'images_s')
    rows = [[r['curve'], *(f'{r[k]:,.0f}' for k in keys), f'{r["peak_memory"] / 2**20:,.0f}'] for r in record['rows']]
    return markdown(header, rows)


def growth_seeds(record: dict) -> str:
    """Memory after so many seeds of a run and of a study."""
    rows = [[r['what'], str(r['seeds']), f'{r["memory"] / 2**20:,.0f}'] for r in record['rows']]
    return markdown(['what', 'seeds', 'most MiB so far'], rows)


def check(record: dict) -> str:
    """`ssljax check` beside cleanvision."""
    rows = []
    for row in record['rows']:
        sides = [row['ours'], row.get('peer') or {'median': None, 'found': {}}]
        found = [', '.join(f'{n:,} {kind}' for kind, n in side['found'].items()) for side in sides]
        took = [f'{side["median"]:,.0f}' if side['median'] else '' for side in sides]
        rows.append([row['data'], f'{row["images"]:,}', *took, *found])
    return markdown(['data', 'images', 'ours s', 'cleanvision s', 'ours found', 'cleanvision found'], rows)


def predict(record: dict) -> str:
    """`ssljax predict` beside timm's inference."""
    rows = []
    for row in record['rows']:
        took = [f'{row[side]["median"]:.1f}' if side in row else '' for side in ('ours', 'peer')]
        ratio = row.get('ratio')
        said = f'{ratio["median"]:.2f} ({ratio["least"]:.2f} to {ratio["largest"]:.2f})' if ratio else ''
        rows.append([row['data'], f'{row["images"]:,}', str(row['size']), *took, said])
    return markdown(['data', 'images', 'pixels', 'ours s', 'timm s', 'ratio'], rows)


def users(record: dict) -> str:
    """Whole trainings beside other tools: speed, and accuracy after the same time."""
    speeds, bounds, accuracies = [], [], []
    for row in record['rows']:
        if 'rate' in row:
            rate, about = row['rate'], row['trial']['about']
            tuned = rate.get('tuned')
            speeds.append([
                f'{row["name"]}: {row["network"]}, {row["size"]} pixels, {_batch(row)}',
                f'{row["tool"]} {about[row["tool"]]}, {rate["peer"]["workers"]} workers',
                between(rate['ours'], ',.1f'), between(rate['peer'], ',.1f'), between(rate['ratio']),
                between(tuned, ',.1f') if tuned else '', between(rate['ratio_tuned']) if tuned else '',
                *(f'{rate[side]["start"]["median"]:.0f}' for side in ('ours', 'peer')),
            ])  # fmt: skip
        if 'bounds' in row:
            rates = (f'{row["bounds"][what]:,.0f}' for what in ('plain', 'loader', 'network'))
            bounds.append([f'{row["name"]}', *rates])
        for after in sorted(row.get('ours', {}).keys() & row.get('peer', {}).keys(), key=float):
            each = [row[side][after] for side in ('ours', 'peer')]
            numbers = [f'{side["seconds"]:,.0f} s, {side["images"]:,} images' for side in each]
            accuracies.append(
                [f'{row["name"]}: {row["measure"]}', *numbers, *(f'{100 * side["value"]:.2f}' for side in each)]
            )
    header = 'training,tool,ours images/s,tool images/s,ours over tool,tool in channels_last,ours over that'
    tables = [markdown([*header.split(','), 'ours start s', 'tool start s'], speeds)]
    if bounds:
        header = 'images/s of,ours with flips alone,the tool: its loader alone,the tool: its network alone'
        tables.append(markdown(header.split(','), bounds))
    if accuracies:
        tables.append(markdown(['measure', 'ours trained', 'tool trained', 'ours %', 'tool %'], accuracies))
    return '\n\n'.join(tables)


def _batch(row: dict) -> str:
    return f'{row["labeled"]} + {row["batch"]} images' if row['labeled'] else f'{row["batch"]} images'


def streams(record: dict) -> str:
    """Streams of a dataset of TensorFlow Datasets, beside a plain script and grain."""
    rows = []
    for row in record['rows']:
        ratios = [between(row[name]) if name in row else '' for name in ('ratio', 'cpu_ratio')]
        first = f'{row["imports"]:.1f} + {row["first_cpu"]["median"]:.1f}', f'{row["first_batch"]["median"]:.1f}'
        numbers = *first, between(row['rate'], ',.0f'), f'{row["cpu"]["median"]:,.0f}'
        rows.append([row['side'], *numbers, f'{row["memory"] / 2**20:,.0f}', *ratios])
    header = 'side,imports + first batch in CPU s,first batch s,images/s,CPU us an image,MiB'
    header += ',images/s over the script,images a CPU second over the script'
    index = ', '.join(f'{kind} {seconds:.0f} s' for kind, seconds in record['index'].items())
    said = (
        f'{record["bytes"] / 2**30:.1f} GiB; the index was made in: {index}. Meanwhile: {record["noise"] or "nothing"}.'
    )
    return f'{markdown(header.split(","), rows)}\n\n{said}'


TABLES = {'check': check, 'check_photos': check, 'predict': predict}
TABLES |= {
    'users': users,
    'steps': steps,
    'steps_compile': steps,
    'steps_bfloat16': steps,
    'input': inputs,
    'tfds_stream': streams,
}
TABLES |= scaling_tables.TABLES
TABLES |= {'start': start, 'whole': start, 'accuracy': accuracy, 'growth': growth, 'growth_seeds': growth_seeds}


def filled(text: str, results: Path) -> str:
    """`text` with every table that has a file in `results` drawn anew; raises ValueError for a mark without an end."""
    for name, draw in TABLES.items():
        record = files.read_json(results / f'{name.split(":")[0]}.json')
        if record is None or f'<!-- {name} -->' not in text:
            continue
        hardware = record['hardware']
        said = (
            f'{record["date"]}, {hardware["device"]}, {hardware["host_cores"]} cores, jax {record["versions"]["jax"]}'
        )
        body = f'<!-- {name} -->\n\n`{record["command"]}` ({said})\n\n{draw(record)}\n\n<!-- /{name} -->'
        pattern = re.compile(f'<!-- {name} -->.*?<!-- /{name} -->', re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f'<!-- {name} --> has no <!-- /{name} --> after it.')
        text = pattern.sub(lambda _: body, text)
    return text


def main() -> None:
    """Rewrites docs/performance.md and docs/scaling.md."""
    for page in ROOT / 'docs/performance.md', ROOT / 'docs/scaling.md':
        page.write_text(filled(page.read_text(), ROOT / 'benchmarks/results'))


if __name__ == '__main__':
    sys.exit(main())
