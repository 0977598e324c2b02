"""The page of a study: DIR/study.html and its figures, from DIR/rows.csv and DIR/study.json alone.

`python -m ssljax.study.page DIR` writes them again."""

import sys
from pathlib import Path

from ssljax import console, files
from ssljax.report.draw import style
from ssljax.report.markup import CSS, text
from ssljax.report.page import contents
from ssljax.report.words import count_of
from ssljax.studies import curve, sections, versus
from ssljax.studies.curve import budgets
from ssljax.studies.figure import write_svg
from ssljax.studies.headline import change, headline
from ssljax.studies.provenance import provenance
from ssljax.studies.savings import savings
from ssljax.studies.sections import Study


def write(directory) -> Path:
    """Writes the page of a study, and each of its figures as a file.

    Reads rows.csv (one row a cell; accuracies are shares in [0, 1]) and, where it exists, study.json, whose keys are
    all optional: {'name', 'command', 'protocol', 'published': [{'what', 'labels', 'value' in percent, 'setting',
    'source'}], 'reference': a way or 'way:pretrain', 'config': a nested dict, 'planned': how many cells, or a list of
    them}. Writes study.html, curve.svg, with six classes or more curve_top5.svg, and ablation_WAY.svg of each way with
    points.

    Args:
      directory: the study's folder.

    Returns:
      The path of study.html.

    Raises:
      ValueError: no table or no rows in it, rows of several data sets, two rows of the same series, budget and seed, no
        test accuracy yet, several series that have the name of the reference, or a damaged study.json.
    """
    directory = Path(directory)
    rows = curve.read(directory / 'rows.csv')
    curve.check(rows)
    curves = curve.curves(rows)
    if not curves:
        raise ValueError(
            f'None of the {count_of(len(rows), "row")} of {directory / "rows.csv"} has a finite test_top1: see the '
            'logs of the cells, run them again, and then write the page again.'
        )
    study = Study(rows, about(directory / 'study.json'), curves)
    with style():
        plots = sections.plots(study)
        page = render(study, plots, study.about.get('name') or directory.resolve().name)
    for name, (figure, _) in plots.items():
        write_svg(figure, directory / name)
    files.write_atomically(directory / 'study.html', page)
    return directory / 'study.html'


def about(path) -> dict:
    """The dict of study.json; {} where there is no such file."""
    try:
        found = files.read_json(path) or {}
    except ValueError as error:
        raise ValueError(f'{path} is no JSON ({error}): mend it, or remove it to do without it.') from None
    if not isinstance(found, dict):
        raise ValueError(f'{path} is a {type(found).__name__}; an object with the keys of page.write is needed.')
    return found


def render(study, plots, name) -> str:
    """The page as a string; under report.draw.style."""
    found = savings(study.curves, study.reference)
    parts = [
        sections.results(study, plots, versus.verdicts(study)),
        versus.label_savings(study, found),
        versus.tests(study),
        versus.ablation(study),
        provenance(study),
    ]
    parts = [part for part in parts if part]
    seeds = {row['seed'] for row in study.rows}
    facts = [
        count_of(len(study.rows), 'cell'), count_of(len(budgets(study.curves)), 'label budget'),
        count_of(len(seeds), 'label-set seed'), *curve.values_of(study.rows, 'device'),
    ]  # fmt: skip
    lede = ' '.join(filter(None, [headline(study, found), change(study)]))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(name)}</title><style>{CSS}</style></head><body>\n'
        f'<h1>{text(name)}</h1><p class="meta">{text(" · ".join(facts))}</p>'
        f'<p class="lede"><strong>{text(lede)}</strong></p><nav>{" ".join(contents(part) for part in parts)}</nav>\n'
        + '\n'.join(parts)
        + '\n</body></html>\n'
    )


def main(argv) -> int:
    console.prepare()
    if len(argv) != 1 or argv[0].startswith('-'):
        print('usage: python -m ssljax.study.page DIR', file=sys.stderr)
        return 2
    try:
        print(write(argv[0]))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
