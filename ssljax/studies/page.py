"""The page of a study: DIR/study.html and its figures, from DIR/rows.csv and DIR/study.json alone."""

from pathlib import Path

from ssljax.progress import say
from ssljax.report import shell
from ssljax.report.draw import style
from ssljax.report.words import count_of
from ssljax.storage import files
from ssljax.studies import curve, figure, sections, table
from ssljax.studies.curve import budgets
from ssljax.studies.headline import sentences
from ssljax.studies.savings import savings
from ssljax.studies.sections import Study

# (Study) -> markup.section(title, parts...) or None.
SECTIONS = (
    sections.results, sections.label_savings, sections.tests, sections.ablation, sections.provenance,
)  # fmt: skip


def write(directory) -> Path:
    """Writes the page of a study, and each of its figures as a file.

    Reads rows.csv (one row per cell; accuracies are shares in [0, 1]) and, where it exists, study.json, whose keys are
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
    rows = table.read(directory / 'rows.csv')
    curve.check(rows)
    curves = curve.curves(rows, table.main(rows))
    if not curves:
        raise ValueError(
            f'None of the {count_of(len(rows), "row")} of {directory / "rows.csv"} has a finite {table.main(rows)}: '
            'see the logs of the cells, run them again, and then write the page again.'
        )
    say.status('report: tables and plots of the study ...')
    study = Study(rows, about(directory / 'study.json'), curves)
    study = study._replace(savings=savings(curves, study.reference))
    with style():
        plots = shell.attempt(figure.plots, study)
    makers: tuple = SECTIONS
    study = study._replace(plots=plots if isinstance(plots, dict) else {})
    if not isinstance(plots, dict):
        makers = (lambda _: plots, *SECTIONS)
    for name, (image, _) in study.plots.items():
        figure.write_svg(image, directory / name)
    name = study.about.get('name') or directory.resolve().name
    files.write_atomically(directory / 'study.html', shell.render(name, heading, makers, study))
    return directory / 'study.html'


def about(path) -> dict:
    """The dict of study.json; {} if there is no such file."""
    try:
        found = files.read_json(path) or {}
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON ({error}): repair it, or remove it to ignore it.') from None
    if not isinstance(found, dict):
        raise ValueError(f'{path} is a {type(found).__name__}; an object with the keys of page.write is needed.')
    return found


def heading(study):
    """The main facts in a line, and the headline."""
    facts = [
        count_of(len(study.rows), 'cell'), count_of(len(budgets(study.curves)), 'label budget'),
        count_of(study.rows.seed.nunique(), 'label-set seed'), *curve.values_of(study.rows, 'device'),
    ]  # fmt: skip
    return shell.lede(facts, sentences(study))
