"""The report of a run: one HTML file with everything inside it."""

from ssljax import methods
from ssljax.report import (
    ablation,
    answer,
    by_class,
    calibrated,
    game,
    goodput,
    insight,
    results,
    setup,
    shell,
    tuning,
)
from ssljax.report.compare import pick, seeds_of, ways_of
from ssljax.report.headline import sentences
from ssljax.report.read import read
from ssljax.report.words import count_of, duration, is_number, started, way_title
from ssljax.storage import files

# (Run) -> markup.section(title, parts...) or None; a further figure is a function in a file of its own, and a line
# here.
SECTIONS = (
    answer.answer,
    results.main_results,
    by_class.section_of,
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
    insight.mistakes,
    calibrated.calibration,
    insight.feature_map,
    insight.filters,
    insight.neighbors,
    tuning.tuning,
    goodput.goodput,
    setup.data,
    setup.label_sets,
    setup.provenance,
)


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
    """The page of a Run as a string."""
    return shell.render(run.result.get('name') or run.workdir.resolve().name, heading, SECTIONS, run)


def heading(run):
    """The main facts in a line, and the headline."""
    result = run.result
    method = next((pick(seed, 'pretrain', 'method') for seed in seeds_of(result) if seed.get('pretrain')), None)
    how = [f'{method} pretraining'] if method else []
    joint = [way_title(way) for way in ways_of(result) if way in methods.SEMI]
    how += joint if len(joint) < 4 else [f'{len(joint)} semi-supervised methods']
    about = [*(how or ['no pretraining']), count_of(len(seeds_of(result)), 'seed')]
    labeled = pick(result, 'data', 'counts', 'labeled')
    if is_number(labeled):
        about.append(count_of(labeled, 'label'))
    about += [str(entry) for entry in (pick(result, 'data', 'source'), pick(result, 'hardware', 'device')) if entry]
    if result.get('started'):
        about.append(f'started {started(result["started"])}')
    if is_number(result.get('seconds')):
        about.append(duration(result['seconds']))
    return shell.lede(about, sentences(result))
