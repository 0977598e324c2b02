"""A check from its path to its page."""

import os
import time
from pathlib import Path

from ssljax import config as configs
from ssljax import contact_sheet
from ssljax.audit import doubles, measures, noise, page, record, scan, tiles, told
from ssljax.audit import findings as findings_of
from ssljax.audit import given as givens
from ssljax.progress import say
from ssljax.storage import files, paths
from ssljax.text.literal import line

WRITTEN = RECORD, PAGE, SHEET = 'check.json', 'check.html', 'findings.png'
ITEMS, SHOWN = 3, 12  # names under a finding in the terminal; findings with pictures in findings.png


def check(path: str, out: str | Path = '', run: str = '', **fields) -> dict:
    """Looks at a data set and writes check.json, check.html and findings.png; nothing is written into the data set.

    Args:
      path: a folder, .zip, .tar or .npz, or a source as config.data.source has it.
      out: the directory that is written to, by default runs/check_NAME.
      run: a run whose model looks for wrong labels; '' for none.
      **fields: of config.data, as givens.read takes them.

    Returns:
      The content of check.json (audit/record.py).

    Raises:
      FileNotFoundError, ValueError: there is nothing to check, `out` lies inside it, or there is no such model.
      FileExistsError: `out` has files of these names that no check has written.
      OSError: `out` cannot be written to.
    """
    began = time.time()
    given = givens.read(path, **fields)
    directory = target(given.name, out)
    check_free(directory)
    most = configs.base().data.max_pixels
    seen = scan.scan(given, most)
    say.status('looking for copies')
    copies = doubles.find(given, seen, most)
    tones = measures.tones(seen.small.luma)
    say.status('looking for what predicts the labels')
    telling = told.tell(given, seen, tones)
    doubts = noise.find(given, seen.good, run, most) if run else None
    facts = findings_of.Facts(given, seen, tones, copies, telling, doubts)
    found = findings_of.all_of(facts)
    shown = {i: groups for i, finding in enumerate(found) if (groups := tiles.clusters(facts, finding))}
    say.status('')
    result = record.record(facts, found, time.time() - began)
    result['files'] = [PAGE, *[SHEET] * bool(shown)]
    before = _written(directory)
    files.write_json(directory / RECORD, result)
    files.write_atomically(directory / PAGE, page.render(page.Checked(facts, found, result, shown)))
    if shown:
        blocks = [(found[i].what, _tiles(groups)) for i, groups in list(shown.items())[:SHOWN]]
        files.write_atomically(directory / SHEET, contact_sheet.draw(blocks))
    elif SHEET in before:
        (directory / SHEET).unlink(missing_ok=True)
    return result


def _tiles(groups) -> list:
    """The Tiles of the contact sheet."""
    tile = lambda array, image: contact_sheet.Tile(array, tiles.last(image), tiles.where(image))
    return [[tile(*one) for one in group] for group in groups]


def check_free(directory: Path) -> None:
    """Raises FileExistsError if a directory has files with names in WRITTEN that no check has written."""
    ours = _written(directory)
    if there := [name for name in WRITTEN if os.path.lexists(directory / name) and name not in ours]:
        raise FileExistsError(
            f'--out={directory} has a file {there[0]} that no check wrote: give another --out, or move it away.'
        )


def _written(directory: Path) -> tuple:
    """The files of a directory that the last check there has written."""
    try:
        found = files.read_json(directory / RECORD, {'schema': int, 'source': str, 'findings': list})
    except (files.Damaged, OSError):
        return ()
    return (RECORD, *found.get('files', (PAGE, SHEET))) if found else ()


def target(name: str, out: str | Path) -> Path:
    """The directory that is written to, made if it is missing.

    Raises:
      ValueError: it lies inside what is checked.
    """
    kind, _, rest = name.partition(':')
    path = Path(paths.expand(rest)) if rest and kind in ('folder', 'npz', 'csv') else None
    real = lambda place: Path(os.path.realpath(place))  # Path.resolve() raises if links form a circle
    directory = Path(paths.expand(out or Path('runs') / f'check_{(real(path).stem if path else kind) or "data"}'))
    if path and path.is_dir() and real(directory).is_relative_to(real(path)):
        raise ValueError(f'--out={directory} is inside the folder being checked, which is only read: give another.')
    return paths.make_folder(directory, '--out')


def text(result: dict, directory: Path) -> str:
    """What the terminal shows: the findings, the most important first, and what to do about each."""
    splits = ', '.join(f'{name} {split["images"]:,}' for name, split in result['splits'].items())
    lines = [f'{line(result["source"])}: {result["images"]:,} images, {page.classes_of(result)} ({splits})']
    for finding in result['findings']:
        lines += ['', f'{finding["severity"]}: {line(finding["what"])}', *_some(finding), f'  {finding["advice"]}']
    if not result['findings']:
        lines += ['', 'No problems were found.']
    return '\n'.join([*lines, '', f'Page: {directory / PAGE}'])


def _some(finding):
    """A few items of a finding."""
    shown = []
    for item in finding['items'][:ITEMS]:
        names = [image['name'] for image in item.get('images', [item] if 'name' in item else [])]
        more = f', and {len(names) - 4} more' if len(names) > 4 else ''
        why = item.get('why') or (f'seems {item["seems"]}' if item.get('seems') else '')
        if names:
            shown.append('    ' + line(' = '.join(names[:4]) + more + (f' ({why})' if why else '')))
    rest = len(finding['items']) - ITEMS
    return shown + ([f'    and {rest:,} more'] if rest > 0 and shown else [])
