"""The section of a study's page on where its numbers come from."""

import json

from ssljax.report.markup import folded, grid, section, text
from ssljax.report.setup import flatten
from ssljax.report.words import count_of, duration, is_number, number
from ssljax.studies.curve import values_of


def provenance(study):
    """Where the numbers come from."""
    rows, about = study.rows, study.about
    command = f'<h3>Command</h3><pre class="wrap">{text(about["command"])}</pre>' if about.get('command') else ''
    lines = [['Cells', number(len(rows))], ['Seeds', ', '.join(str(seed) for seed in sorted(values_of(rows, 'seed')))]]
    for column, name in (
        ('study', 'Study'), ('hash_train', 'Hash of the training images'), ('hash_test', 'Hash of the test images'),
        ('test_images', 'Test images'),
        ('classes', 'Classes'), ('device', 'Device'), ('versions', 'Versions'), ('protocol', 'Protocol'),
    ):  # fmt: skip
        lines += [[name, f'{value}{of_cells(rows, column, value)}'] for value in values_of(rows, column)]
    finished = sorted(values_of(rows, 'finished'))
    lines += (
        [['Finished', finished[0] if len(finished) == 1 else f'{finished[0]} to {finished[-1]}']] if finished else []
    )
    seconds = [row['seconds'] for row in rows if is_number(row.get('seconds'))]
    time = 'Time of all cells (of the last process of each), without pretraining'
    lines += [[time, duration(sum(seconds))]] if seconds else []
    config = '\n'.join(
        f'{name} = {json.dumps(value, ensure_ascii=False)}' for name, value in flatten(about.get('config') or {})
    )
    return section(
        'Where the numbers come from',
        command,
        grid(['Property', 'Value'], lines, 'Data, machine and software.', wide=(1,)),
        folded('Label sets', label_sets(rows)),
        folded('The whole configuration', f'<pre>{text(config)}</pre>') if config else '',
    )


def of_cells(rows, column, value):
    """' (12 cells)' where not all have it."""
    count = sum(row.get(column) == value for row in rows)
    return f' ({count_of(count, "cell")})' if count < len(rows) else ''


def label_sets(rows):
    """The hashes of every choice of images, each once."""
    columns = ('hash_labeled', 'hash_val', 'hash_unlabeled')
    found = sorted({(row['per_class'], row['seed'], *(row.get(column) or '–' for column in columns)) for row in rows})
    lines = [[number(budget, 3), str(seed), *hashes] for budget, seed, *hashes in found]
    header = ['Labels a class', 'Seed', 'Labelled', 'Validation', 'Unlabelled']
    return grid(header, lines, 'Hashes of the labelled, validation and unlabelled images.')
