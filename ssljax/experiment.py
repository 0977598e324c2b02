"""One run: pretrain -> transfer -> evaluate -> report, for every seed; each stage is resumable."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from ssljax import config as configs
from ssljax import guard, label_set, methods, seeds, ways
from ssljax.data import leaks, sources, summary
from ssljax.data.sources import annotations
from ssljax.devices import exhausted
from ssljax.devices.sharding import make_mesh
from ssljax.processes import hosts, preempt
from ssljax.progress import elapsed, minutes, trackers
from ssljax.records import identity, provenance, recorded, result
from ssljax.settings import beforehand, checks, resolve, schema, suits
from ssljax.stages import Context, classifier, kind_of
from ssljax.storage import files, held


def run(config, workdir, tuner: Callable | None = None, answerer: Callable | None = None) -> dict:
    """Does the whole run, or what remains of it, in `workdir`; returns the content of result.json.

    Args:
      config: the run's config.
      workdir: where it is kept.
      tuner: (config, workdir, source) -> config, for a run that tunes itself.
      answerer: (Context, content of result.json) -> its 'answer', for a run that ends with one.

    Raises:
      ValueError, OSError: something the user can fix; the message says what and how.
      guard.Stopped: a guard stopped every way of every seed; where some have a result, result.json names the others.
      preempt.Preempted: the run was asked to stop; rerunning resumes it.
    """
    began, workdir = elapsed.now(), Path(workdir)
    config = identity.as_begun(config, workdir)
    identity.agree('config', schema.to_dict(config))
    checks.check(config)
    trackers.check(config)
    if config.tune and tuner is None:
        raise ValueError('config.tune is True but no tuner is given: use ssljax.train, which has one.')
    with files.lock(workdir), exhausted.explained(config):
        return _run(config, workdir, began, tuner, answerer)


def _run(config, workdir: Path, began: float, tuner, answerer) -> dict:
    identity.claim(config, workdir)
    elapsed.begin(workdir, began)
    try:
        return _work(config, workdir, tuner, answerer)
    finally:
        elapsed.end(workdir)


def _work(config, workdir: Path, tuner, answerer) -> dict:
    source = sources.load(config.data)
    summary.show(source)
    if config.tune:
        config = tuner(config, workdir, source)
    state = prepare(config, workdir, source)
    tracker = None
    if hosts.first():
        with hosts.apart():
            tracker = trackers.begin(config, workdir, schema.used(config))
    state = state._replace(tracker=tracker)
    warnings = leaks_of(workdir, source)
    outcomes: dict = {}
    for seed in config.seeds:
        if outcomes and not minutes.seed_fits(config, workdir, seed):
            print(
                f'note: no time for seed {seed}: {len(outcomes)} of {len(config.seeds)} were trained', file=sys.stderr
            )
            break
        outcomes[seed] = seeds.train_seed(state, seed).outcome()
    check_trained(outcomes)
    preempt.check()
    records = [seeds.evaluate_seed(state, seed) for seed in outcomes]
    outcome = result.assemble(config, source, records, *elapsed.total(workdir))
    outcome['resolved'] = resolve.summary(state.resolved, records)
    outcome['data'] |= {'warnings': warnings} if warnings else {}
    if answerer:
        outcome['answer'] = answerer(state, outcome)
        outcome['seconds'] = elapsed.total(workdir)[1]
    files.write_json(workdir / 'result.json', outcome)
    if tracker:
        main = source.targets.main
        tracker.end({f'{way}/test_{main}': found[main]['mean'] for way, found in outcome['summary'].items()})
    show(outcome, workdir)
    return outcome


@hosts.only_first
def show(outcome: dict, workdir: Path) -> None:
    """Prints the table and draws the page. Everything is trained and saved by now, so a failure here is a warning."""
    from ssljax import report  # not at the top: matplotlib takes a second to import, and training needs none of it

    try:
        print(report.table(outcome), flush=True)
        if sentences := outcome.get('answer', {}).get('sentences'):
            print('\n' + '\n'.join(sentences), flush=True)
        page = report.write(workdir)
        if not Path(page).is_file():
            raise FileNotFoundError(f'{page} was deleted right after it was written')
        print(f'\nReport: {page}', flush=True)
    except Exception as error:
        held.check(workdir / 'result.json')  # where the directory is gone, nothing is kept
        print(
            f'warning: the report could not be drawn ({type(error).__name__}: {error}). All results are in '
            f'{workdir / "result.json"}; to draw it again: ssljax report {shlex.quote(str(workdir))}',
            file=sys.stderr,
        )


def check_trained(outcomes: dict[int, tuple]) -> None:
    """Raises guard.Stopped if nothing is left to report; outcomes: {seed: Seed.outcome()}."""
    if any(trained for trained, _ in outcomes.values()):
        return
    for seed, (_, stopped) in outcomes.items():
        for name in stopped:
            guard.refuse(stopped, name, f'seed {seed} · {name}')


@hosts.by_first
def leaks_of(workdir: Path, source) -> list[str]:
    """Warnings about the data; looked for once, printed, and kept in data.json."""
    kept = files.read_json(workdir / 'data.json') or {}
    if 'warnings' not in kept:
        kept['warnings'] = leaks.find(source)
        for text in kept['warnings']:
            print(f'warning: {text}', file=sys.stderr)
        files.write_json(workdir / 'data.json', kept)
    return kept['warnings']


def prepare(config, workdir, source, quiet: bool = False) -> Context:
    """What all seeds share.

    Raises:
      ValueError: `workdir` holds a run that was trained with other data, there is only one class, or something in the
        config does not suit the data.
    """
    suits.check_classes(config, source)
    mesh = make_mesh(config.fsdp.devices)
    if source.val is not None and config.data.val != configs.base().data.val and not quiet:
        print(
            f'warning: data.val={config.data.val!r} is ignored: {config.data.source} has {len(source.val):,} '
            'validation images of its own.',
            file=sys.stderr,
        )
    suits.check_batches(config, source.shape, mesh)
    given = source.range, source.targets.multilabel
    asked, (config, decided) = config, resolve.resolve(config, source.shape, mesh, *given)
    meta: dict = {
        'config': schema.to_dict(asked),
        'data': recorded.summary(config, source),
        'versions': provenance.versions(),
        'classes': list(source.classes),
    }
    if source.targets.multilabel:
        meta['multilabel'] = True
    if source.range is not None:
        meta['data']['range'] = list(source.range)
    identity.agree('data', meta['data'])
    old, meta['data'] = identity.bound(config, workdir, source, meta['data'])
    new = old != meta['data']
    if not quiet and (new or not (workdir / 'data.npz').exists()):
        recorded.keep(source, workdir)
    if not quiet:
        hosts.only_first(annotations.keep)(asked.data, workdir)
    if new or not (workdir / 'data.json').exists():  # a stage may know them, too
        files.write_json(workdir / 'data.json', meta['data'])
    suits.check_pipelines(config, source.shape)
    known = {}
    if suits.uses_pretraining(config):
        suits.check_layers(config)
        for way in config.transfer.ways:
            if ways.needs_pretraining(config, way):
                suits.check_layers(configs.variant(config, way)[1])
        known['pretrain'] = methods.pretext(config, source.shape)
    for kind in ('scratch', *(kind_of(way) for way in config.transfer.ways)):
        known[kind] = classifier(config, source.shape, len(source.classes), kind, source.sets)
    decided += resolve.of_methods(known) + label_set.decided(config, source)
    represent = label_set.representative(config, source, mesh)
    state = Context(config, workdir, source, mesh, meta, {}, known, represent, decided, quiet)
    if not quiet:  # a quiet one has a stage or two, which begin now
        beforehand.check(state)
    return state
