"""The report of a run: one HTML file with everything inside it."""

import sys

from ssljax import files, methods, say
from ssljax.report import ablation, game, insight, results, setup, tuning
from ssljax.report.compare import headline, pick, seeds_of, ways_of
from ssljax.report.draw import described, style
from ssljax.report.markup import CSS, paragraph, section, text
from ssljax.report.read import read
from ssljax.report.words import count_of, duration, is_number, way_title

SECTIONS = (
    results.main_results,
    ablation.ablation,
    results.pretraining,
    insight.pretext,
    results.transfer_curves,
    game.generated,
    game.plane,
    game.players,
    results.probe,
    results.nearest_vote,
    insight.errors,
    insight.feature_map,
    insight.filters,
    insight.neighbors,
    tuning.tuning,
    setup.data,
    setup.label_sets,
    setup.reproduce,
)

LONG = {  # that may take long: what is said, and how the names of the arrays begin that they draw
    results.main_results: ('tables and plots', ''),
    game.plane: ('maps of the plane', 'boundary_'),
    insight.feature_map: ('map of the features (UMAP)', 'features'),
}


def write(workdir):
    """Writes report.html in a run's folder from the files there, and returns its path.

    Reads result.json and, where they exist, seed*/STAGE/metrics.jsonl, seed*/figures.npz and tuning/decisions.json. Own
    accuracies are shares in [0, 1]; `published` values are percentages. The coordinates of the UMAP map are kept in
    seed*/map.npz. The file is replaced in one move, so a reader never sees half a page.

    Raises:
      FileNotFoundError: no result.json in workdir.
      ValueError: result.json is damaged.
      OSError: the page cannot be written.
    """
    run = read(workdir)
    path = run.workdir / 'report.html'
    files.write_atomically(path, render(run))
    return path


def render(run):
    """The page of a Run as a string; in place of a section that fails stands its error."""
    with style():
        parts = [part for part in (attempt(make, run) for make in SECTIONS) if part]
        top = attempt(heading, run)
    say.status('')
    name = text(run.result.get('name') or run.workdir.resolve().name)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{name}</title><style>{CSS}</style></head><body>\n'
        f'<h1>{name}</h1>{top}<nav>{" ".join(contents(part) for part in parts)}</nav>\n'
        + '\n'.join(parts)
        + '\n</body></html>\n'
    )


def attempt(make, *args):
    """make(*args), the HTML of a section; where it fails, a section that says so, and a warning on stderr."""
    try:
        announce(make, *args)
        return make(*args)
    except Exception as error:
        name = getattr(make, '__name__', 'section').replace('_', ' ')
        print(f'warning: the section "{name}" could not be drawn: {described(error)}', file=sys.stderr)
        return section(name.capitalize(), paragraph(f'This section could not be drawn: {described(error)}'))


def heading(run):
    """What stands under the name of the run: the main facts in a line, and the headline."""
    result = run.result
    about = [count_of(len(seeds_of(result)), 'seed')]
    method = next((pick(seed, 'pretrain', 'method') for seed in seeds_of(result) if seed.get('pretrain')), None)
    how = [f'{method} pretraining'] if method else []
    joint = [way_title(way) for way in ways_of(result) if way in methods.SEMI]
    how += joint if len(joint) < 4 else [f'{len(joint)} semi-supervised methods']
    about = (how or ['no pretraining']) + about
    labeled = pick(result, 'data', 'counts', 'labeled')
    if is_number(labeled):
        about.append(count_of(labeled, 'label'))
    about += [str(entry) for entry in (pick(result, 'data', 'source'), pick(result, 'hardware', 'device')) if entry]
    if result.get('started'):
        about.append(f'started {result["started"]}')
    if is_number(result.get('seconds')):
        about.append(duration(result['seconds']))
    return f'<p class="meta">{text(" · ".join(about))}</p>{results.headline_html(headline(result))}'


def announce(make, run):
    """Says which section is drawn, on terminals always and elsewhere where it may take long."""
    title, begins = LONG.get(make, (make.__name__.replace('_', ' '), ''))
    drawn = not begins or any(name.startswith(begins) for name in run.figures)
    if drawn and (make in LONG or sys.stderr.isatty()):
        say.status(f'report: {title} ...')


def contents(part):
    """The link to a section, taken from its own heading."""
    target = part.split('id="', 1)[1].split('"', 1)[0]
    title = part.split('<h2>', 1)[1].split('</h2>', 1)[0]
    return f'<a href="#{target}">{title}</a>'
