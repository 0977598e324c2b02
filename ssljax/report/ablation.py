"""What changes did: those of a run's variants, ways that train like another one with some fields of the config changed,
and those of a study's points."""

from ssljax.report.compare import main, main_title, of_way, pick, seeds_of, variants_of, versus_unchanged, ways_of
from ssljax.report.draw import as_img, drawn
from ssljax.report.markup import figure, grid, section
from ssljax.report.plots import changes, color_of
from ssljax.report.table import compared, meaning
from ssljax.report.words import percent, shown, way_title
from ssljax.stats import is_clear

CHANGES = ['Change', 'Way', 'Labels per class', 'Test {} %', 'Unchanged %']


def ablation(run):
    """Every variant beside the way that it derives from; None without variants."""
    result = run.result
    variants = [entry for entry in variants_of(result) if entry[0] in ways_of(result)]
    if not variants:
        return None
    found, seeds = versus_unchanged(result), len(seeds_of(result))
    found = {name: found[name] for name, *_ in variants if name in found}
    rows = [
        (
            [name, way_title(way), '', *(percent(of_way(result, one, 'test', main(result))) for one in (name, way))],
            found[name],
        )
        for name, way, _ in variants
        if name in found
    ]
    fields = [
        [name, way_title(way), field, shown(pick(result, 'config', *field.split('.'))), shown(new)]
        for name, way, changed in variants
        for field, new in changed.items()
    ]
    title = main_title(result)
    about = 'What each variant changes; otherwise it trains like the way it derives from.'
    caption = f'What each change does, {meaning(found, "all that were compared with the same way", title)}'
    note = 'The difference between each variant and the way it derives from, paired by seed.'
    note += ' Whiskers: 95% interval of the mean; points: seeds.' if seeds > 1 else ''
    return section(
        'Ablation',
        grid(['Variant', 'Derives from', 'Field', 'Old', 'New'], fields, about, wide=(3, 4)),
        table([name.format(title) for name in CHANGES], rows, caption, seeds),
        figure(plot_variants(result, found), note),
    )


def table(header, rows, caption, seeds=0):
    """A table of paired differences from rows of (cells under `header`, stats.difference or None); clear ones are
    highlighted."""
    lines = []
    for cells, difference in rows:
        _, _, *versus, _, p = compared(None, difference, seeds)
        values = difference['values'] if difference else ()
        ahead = f'{sum(value > 0 for value in values)} of {len(values)}' if values else '–'
        lines.append([*cells, *versus, p, ahead])
    best = [i for i, (_, difference) in enumerate(rows) if difference and is_clear(difference)]
    caption += ' Highlighted: p below 0.05.' if best else ''
    wide = (0,) if any(len(row[0]) > 30 for row in lines) else ()  # or the last columns would not be seen
    return grid([*header, 'Difference', '95% interval', 'p, Holm', 'Ahead on'], lines, caption, best=best, wide=wide)


@drawn
def plot_variants(result, found):
    """The difference of every variant to the way that it derives from."""
    colors = [color_of(result, name) for name in found]
    image = changes(found, {name: name for name in found}, colors, main_title(result))
    return image and as_img(image, 'Difference between each variant and the way it derives from')
