"""The section on where the time went: what shares of each stage's time were steps, and what the rest was."""

from ssljax.progress.goodput import LOST
from ssljax.report.compare import pick, seeds_of, ways_of
from ssljax.report.markup import grid, section
from ssljax.report.words import duration, is_number, stage_title

TITLES = {
    'steps': 'Steps',
    'compile': 'Compilation',
    'input': 'Waiting for input',
    'save': 'Saving',
    'evaluate': 'Evaluation',
}


def goodput(run):
    """A table of the stages, summed over seeds; None if no stage has measured it."""
    found = {stage: spent_on(run.result, stage) for stage in ('pretrain', *ways_of(run.result))}
    found = {stage_title(stage): spent for stage, spent in found.items() if spent}
    if not found:
        return None
    total = _summed(found.values())
    rows = found | ({'All stages': total} if len(found) > 1 else {})
    shares = lambda spent: [f'{100 * spent[kind] / max(spent["total"], 1e-9):.1f}' for kind in TITLES]
    body = [[title, duration(spent['total']), *shares(spent)] for title, spent in rows.items()]
    caption = 'Shares of the training time in percent, summed over seeds and the processes that worked on a stage.'
    whole = run.result.get('seconds')
    if is_number(whole) and whole > total['total']:
        rest = duration(whole - total['total'])
        caption += (
            f' The other {rest} of the run went to reading the data, the final evaluation, and work lost to a kill.'
        )
    return section('Where the time went', grid(['Stage', 'Time', *(f'{t} %' for t in TITLES.values())], body, caption))


def spent_on(result, stage):
    """{'total', 'steps' and each of goodput.LOST: seconds} of a way or 'pretrain', over all seeds; None without any."""
    paths = ('pretrain',) if stage == 'pretrain' else ('ways', stage)
    found = [spent for seed in seeds_of(result) if _is_whole(spent := pick(seed, *paths, 'spent'))]
    return _summed(found) if found else None


def _is_whole(spent):
    return isinstance(spent, dict) and all(is_number(spent.get(kind)) for kind in ('total', 'steps', *LOST))


def _summed(spent):
    spent = list(spent)
    return {kind: sum(each[kind] for each in spent) for kind in ('total', 'steps', *LOST)}
