"""What a run did, in sentences that say only what the config and the records say."""

from ssljax import config as configs
from ssljax import methods, metrics, stats
from ssljax.settings import schema
from ssljax.ways import PRETRAINED, needs_pretraining

WHAT = {
    'random_frozen': 'a head on random features',
    'frozen': 'a head on frozen features',
    'scratch': 'all weights from scratch',
    'finetune': 'all weights, fine-tuned',
    'two_stage': 'all weights, after the frozen stage (two-stage)',
}


def protocol(config, records, source, cell: bool = False) -> str:
    """The protocol of a run.

    Args:
      config: the run's, with what was tuned.
      records: its seeds' records, or that of one seed.
      source: the data.
      cell: whether it is one of a study, which has pretrained the backbone, and whose rows are to read alike.
    """
    records = [records] if isinstance(records, dict) else list(records)
    sentences = [
        several(source), labelled(config, records, source), validation(config, records, source),
        unlabelled(config, source),
        pretrained(config, records, cell), chosen(config, records, source), test(config, records, source, cell),
        trained(config, records),
    ]  # fmt: skip
    return ' '.join(sentence for sentence in sentences if sentence)


def several(source) -> str:
    """What a label is, where an image may have several classes."""
    if not source.targets.multilabel:
        return ''
    return (
        f'Multi-label: an image has any number of the {len(source.classes)} classes. A sigmoid for each, trained by '
        'binary cross-entropy; mAP is the mean of the average precision of the classes.'
    )


def labelled(config, records, source) -> str:
    """How many labelled images, and how they were chosen."""
    data, counts = config.data, [record['partition']['labeled']['count'] for record in records]
    amount, given = f'{_range(counts)} labelled images', data.labels.strip()
    amount += f' ({given})' if given != 'all' and given != str(counts[0]) else ''
    if data.labels.startswith('list:'):
        how = 'named in a list, the same for every seed'
    elif data.labels.strip() == 'all' and source.val is not None:
        how = 'all that have a label, the same for every seed'
    elif data.labels.strip() == 'all':
        how = f'all but the validation images, which are {_anew(config)}'
    elif oracle(data):
        how = (
            'the most typical of each class, chosen by an oracle that reads the class of every training image, '
            f'information that unlabelled images do not have; {_anew(config, "chosen")}'
        )
    elif data.choose == 'typical':
        how = f'the most typical, chosen without looking at labels; {_anew(config, "chosen")}'
    else:
        how = f'{_stratified(source)}, {_anew(config)}'
    sets = [record['partition']['labeled'] for record in records]
    lost = max(found.get('unreadable', {}).get('count', 0) for found in sets)
    if data.labels.strip().isdecimal() and max(counts) + lost < int(data.labels):
        how = f'all but the validation images, which are {_anew(config)}; {data.labels.strip()} were asked for'
    most = max(sum(not n for n in record['partition']['labeled'].get('per_class') or ()) for record in records)
    lacking = f' Up to {most} of {len(source.classes)} classes have no labelled image.' if most else ''
    return f'{amount}, {how}.{lacking}'


def _stratified(source) -> str:
    return 'stratified by class' + ' (iteratively, since an image may have several)' * source.targets.multilabel


def oracle(data) -> bool:
    """Whether the labelled images were chosen by their class; `typical` was an oracle before it had the name."""
    asked = dict(choose=data.choose, labels=data.labels)
    schema.renamed(asked)
    return asked['choose'] == 'typical_oracle' and asked['labels'].strip().endswith('/class')


def _anew(config, done: str = 'drawn') -> str:
    return f'{done} anew for every seed' if len(config.seeds) > 1 else f'{done} with the seed'


def validation(config, records, source) -> str:
    """Where the validation images are from."""
    if source.val is not None:
        unused = ' (data.val is ignored)' if config.data.val != configs.base().data.val else ''
        return f'{len(source.val):,} validation images provided by the source{unused}, the same for every seed.'
    count = _range([record['partition']['val']['count'] for record in records])
    whole = ', in whole groups' if getattr(source.train, 'groups', None) is not None else ''
    return (
        f'{count} additional labelled images for validation, taken from the training images, {_stratified(source)}'
        f'{whole}, {_anew(config)}.'
    )


def unlabelled(config, source) -> str:
    """What limits or adds to the unlabelled images."""
    said = []
    if config.data.pool:
        said.append(f'Of the other training images, {config.data.pool:,} are used, unlabelled (data.pool).')
    if source.unlabeled is not None and len(source.unlabeled):
        said.append(f'{len(source.unlabeled):,} additional unlabelled images are used.')
    return ' '.join(said)


def pretrained(config, records, cell=False) -> str:
    """How the backbone was pretrained, or where it is from."""
    found = [record['pretrain'] for record in records if record.get('pretrain')]
    given = given_weights(config)
    if not found or 'weights' in found[0]:
        return given
    if config.transfer.checkpoint:
        unknown = '' if cell else '; which images it was trained on is not checked here'
        return f'The pretrained backbone ({found[0].get("method")}) is from {config.transfer.checkpoint}{unknown}.'
    steps, images = (_range([entry[k] for entry in found if entry.get(k) is not None]) for k in ('steps', 'images'))
    said = [given] if given else []
    said.append(
        f'Pretrained by {found[0]["method"]} for {steps} steps of {config.pretrain.batch_size} on {images} unlabelled '
        'images; the final weights are used.'
    )
    said += [shared(config)] if config.pretrain.shared and len(records) > 1 else []
    return ' '.join(said)


def shared(config) -> str:
    """What one pretraining for all seeds means for the intervals."""
    return (
        f'It was pretrained once, with the images of seed {config.seeds[0]}, for all seeds: intervals cover label sets '
        'and training on them, not how another pretraining would turn out.'
    )


def given_weights(config) -> str:
    """What starts from the weights of another library; '' without backbone.init_from."""
    where = config.backbone.init_from
    return where and (
        f'All ways but scratch, random_frozen and what starts from scratch begin with the weights in {where}; which '
        'images these were trained on is not checked here.'
    )


def chosen(config, records, source) -> str:
    """What validation decides."""
    said, ways = [], [way for record in records for way in record['ways']]
    if ways:
        select = metrics.selected(config.select, source.targets.multilabel)
        best = metrics.TITLES[select].replace('top-1', 'accuracy')
        said.append(f'For each way, the weights with the best validation {best} are kept.')
        if source.targets.multilabel:
            said.append(
                'F1, exact match and Hamming accuracy are at one threshold, that of the best validation macro-F1.'
            )
        patient = [w for w in dict.fromkeys(ways) if _cfg(config, w)[1].patience]
        if patient:
            said.append(f'Validation also stops {", ".join(patient)} early (patience).')
    if any(record.get('probe') for record in records):
        said.append("Validation selects the linear probe's layer and regularisation.")
    if config.tune:
        said.append(f'Tuned settings were chosen beforehand, on validation images of seed {config.seeds[0]} (tuning/).')
    return ' '.join(said)


def test(config, records, source, cell=False) -> str:
    """Where the test images are from, how often they were read, and how precise their number allows an accuracy to
    be."""
    count = len(source.test)
    carved = getattr(source.test, 'images', None) is getattr(source.train, 'images', source)
    origin = f', set aside from the training images ({config.data.test}, the same for every seed),' if carved else ''
    text = f'The test split of {count:,} image{"s" * (count != 1)}{origin} '
    if config.evaluate.best_on_test:
        text += (
            'was read at every evaluation during training (best_on_test), which affects only the figure "best on '
            'test", and once more after all training.'
        )
    else:
        text += f'was read once{" per seed" * (len(records) > 1)}, after all training.'
    tests = [entry.get('test') or {} for record in records for entry in record['ways'].values()]
    best = max((found['top1'] for found in tests if stats.is_number(found.get('top1'))), default=None)
    if not cell and best is not None and (known := stats.of_images(best, count)):
        low, high = (100 * known[end] for end in ('low', 'high'))
        text += (
            f' On a test set of this size, an accuracy of {100 * best:.1f} % has a 95% interval of {low:.1f} to '
            f'{high:.1f} %' + '; the spread over seeds comes on top.' * (len(records) > 1) + '.' * (len(records) == 1)
        )
    return text


def trained(config, records) -> str:
    """Every way with its steps and batch."""
    ways = dict.fromkeys(way for record in records for way in record['ways'])
    parts = [_way(config, way, [r['ways'][way] for r in records if way in r['ways']]) for way in ways]
    return f'Trained: {"; ".join(parts)}.' if parts else ''


def _way(config, way: str, entries: list) -> str:
    origin, changed = configs.variant(config, way)
    joint, cfg = _cfg(config, way)
    steps = _range([entry['steps'] for entry in entries if entry.get('steps') is not None])
    name = WHAT.get(way, way)
    if origin != way:
        fields = next(fields for label, _, fields in config.variants if label == way)
        name = f'{way} ({origin} with {", ".join(f"{field}={value!r}" for field, value in fields)})'
    size = f'{changed.semi.batch_size} unlabelled images plus labelled ones'
    if not joint:
        size = f'{changed.transfer.batch_size} images'
    text = f'{name} for {steps} steps of {size}'
    if joint and changed.semi.start == 'scratch':
        text += ', starting from the weights of training from scratch'
    elif joint and changed.semi.start == 'pretrained':
        text += ', starting from the pretrained backbone'
    elif origin != way and origin in PRETRAINED and needs_pretraining(config, way):
        text += ', starting from the pretrained backbone'
    generations = changed.semi[origin].get('generations', 1) if joint else 1
    return text + (f', each of {generations} generations' if generations > 1 else '')


def _cfg(config, way: str):
    """(whether a way trains on labelled and unlabelled images at once, the part of the config of its last stage)."""
    origin, changed = configs.variant(config, way)
    if origin in methods.SEMI:
        return True, changed.semi
    stage = {'random_frozen': 'frozen', 'two_stage': 'second'}.get(origin, origin)
    return False, changed.transfer[stage]


def _range(numbers: list) -> str:
    """'1,000', or '300 to 500' where seeds differ."""
    if not numbers:
        return 'an unknown number of'
    low, high = min(numbers), max(numbers)
    return f'{low:,}' if low == high else f'{low:,} to {high:,}'


def of_study(config, points=()) -> str:
    """What holds for every cell of a study."""
    swept = {field for point in points for field in point}
    budgets = list(config.study.labels) or [config.data.labels]
    if config.evaluate.best_on_test:
        read = 'read at every evaluation for the figure "best on test", and once per cell with those weights'
    else:
        read = 'read once per cell, with those weights'
    said = [f'Weights were selected on validation; the test split was {read}.']
    kinds = {'class' if b.endswith('/class') else 'list' if b.startswith('list:') else 'total' for b in budgets}
    same = not any(field.startswith('data.') for field in swept)
    sets = ['nested'] if len(budgets) > 1 and kinds in ({'class'}, {'total'}) and config.data.choose == 'random' else []
    sets += ['the same for all ways'] if same else []
    if sets:
        said.append(f'The label sets of a seed are {" and ".join(sets)}.')
    if oracle(config.data) or config.data.choose == 'typical_oracle':
        said.append('They are chosen by an oracle that reads the class of every training image.')
    said += [given_weights(config)] if config.backbone.init_from else []
    trained = config.pretrain.method not in ('', 'none') or not config.backbone.init_from
    if trained and any(needs_pretraining(config, way) for way in config.transfer.ways):
        if config.transfer.checkpoint:
            said.append(f'The pretrained backbone is from {config.transfer.checkpoint}.')
        else:
            limited = config.data.pool or 'data.pool' in swept
            seen = 'the images selected by data.pool' if limited else 'all training images but validation'
            by_all = '' if limited or 'list' in kinds else ', and is shared by all label budgets'
            once = config.pretrain.shared and len(config.seeds) > 1
            said.append(f'Pretraining runs once{" per seed" * (not once)} on {seen}, without labels{by_all}.')
            said += [shared(config)] if once else []
    return ' '.join(said)
