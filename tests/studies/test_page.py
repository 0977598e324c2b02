"""The page of a study holds what its table says."""

import csv
import html
import json
import re

import numpy as np
import pytest
import scipy.stats
from markupsafe import escape

from ssljax.report.__main__ import main
from ssljax.studies import page

GAINS = {'scratch': [0, 0, 0], 'finetune': [0.10, 0.11, 0.12], 'fixmatch': [0.01, -0.01, 0.003]}
PRETRAIN = {'finetune': 'rotation'}
BUDGETS = {4: [0.40, 0.42, 0.41], 16: [0.60, 0.61, 0.62]}


def row(way, budget, seed, accuracy, **others):
    return {
        'study': 's', 'cell': f'{way}{budget}{seed}', 'point': '', 'way': way, 'pretrain': PRETRAIN.get(way, ''),
        'labels': f'{budget}/class', 'labeled': 10 * budget, 'per_class': float(budget), 'classes': 10, 'seed': seed,
        'val_top1': accuracy, 'test_top1': accuracy, 'test_top5': accuracy / 2 + 0.5, 'best_on_test': '',
        'seconds': 30.0, 'images_per_second': 1000, 'protocol': 'weights by validation', 'hash_train': 'aaaa',
        'hash_test': 'bbbb', 'hash_labeled': f'{budget}{seed}', 'config': 'cfg', 'device': 'CPU', 'versions': 'jax 1',
    } | others  # fmt: skip


def rows_of(**others):
    return [
        row(way, budget, seed, base + gains[seed], **others)
        for way, gains in GAINS.items()
        for budget, bases in BUDGETS.items()
        for seed, base in enumerate(bases)
    ]


def write_rows(directory, rows):
    with open(directory / 'rows.csv', 'w', newline='') as f:
        table = csv.DictWriter(f, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write(directory, rows, **about):
    write_rows(directory, rows)
    (directory / 'study.json').write_text(json.dumps(about))
    return page.write(directory).read_text()


def cells(text, title):
    """The rows of the table whose caption begins with `title`."""
    table = text.split(f'<figcaption>{escape(title)}', 1)[1].split('</table>', 1)[0]
    found = [re.findall('<t[dh][^>]*>(.*?)</t[dh]>', line) for line in re.findall('<tr.*?</tr>', table)]
    return [[html.unescape(cell) for cell in line] for line in found]


def test_the_test_images_and_the_majority_class_stand_beside_every_accuracy(tmp_path):
    rows = rows_of(test_images=500, test_majority=0.36, test_balanced_accuracy=0.3, select='auroc', val_selected=0.5)
    text = html.unescape(re.sub('<[^>]*>', '', write(tmp_path, rows)))
    low, high = (scipy.stats.binomtest(right, 500).proportion_ci(method='wilson') for right in (205, 360))
    said = f'The 500 test images alone imply 95% intervals (Wilson) of {100 * low.low:.2f} to {100 * low.high:.2f} %'
    assert f'{said} for the lowest and {100 * high.low:.2f} to' in text
    assert 'Always the majority class: 36.00 %.' in text and 'always the majority class, 36.0 %' in text
    assert 'Balanced accuracy %' in text
    plain = write(tmp_path, rows_of())
    assert 'ajority class' not in plain and 'Balanced accuracy %' not in plain


@pytest.fixture
def written(tmp_path):
    published = [{'what': 'fixmatch', 'labels': '40', 'value': 86.19, 'setting': 'large', 'source': 'a paper'}]
    about = {'name': 'Few labels', 'command': 'python -m x --y=1', 'planned': 20, 'config': {'data': {'val': '60'}}}
    return write(tmp_path, rows_of(), published=published, **about)


def test_numbers_of_the_table_are_on_the_page(written):
    assert cells(written, 'Test top-1 (%)') == [
        ['Labels per class', 'From scratch', 'Fine-tuned (rotation)', 'FixMatch'],
        ['4', '41.00 ± 1.00', '52.00 ± 1.73', '41.10 ± 0.17'],
        ['16', '61.00 ± 1.00', '72.00 ± 2.00', '61.10 ± 1.15'],
    ]
    assert written.count('Protocol: weights by validation.') >= 5


def test_tests_and_headline(written):
    # +11 points with a standard deviation of 1 over three seeds: t = 19.05, p = 0.00274; the lowest two of four p by
    # Holm are 4 times that; the interval is 11 +- 4.303 / sqrt(3).
    line = cells(written, 'Each against "From scratch"')[1]
    assert line == ['Fine-tuned (rotation)', '4', '+11.00 ± 1.00', '+8.52 to +13.48', '0.011', '3 of 3']
    assert cells(written, 'Labels per class at which')[1:] == [
        ['Fine-tuned (rotation)', '4, 16', 'nowhere', 'nowhere'],
        ['FixMatch', 'nowhere', 'nowhere', '4, 16'],
    ]
    assert 'Fine-tuned (rotation) beat training from scratch at 2 of 2 budgets' in written
    # Scratch has 61% with 16 labels; fine-tuning on the way from 52% with 4 to 72% with 16: 4 * 2 ** (2 * 9 / 20) / 16.
    assert 'It needs 0.47 times the labels' in written
    assert ['16', '0.47'] == [cell.split(' (')[0] for cell in cells(written, 'Labels that each needs')[2][:2]]


def test_where_it_comes_from(written):
    for text in ('aaaa', 'bbbb', 'python -m x --y=1', 'config.data.val', '18 of 20 planned cells', '86.19', 'a paper'):
        assert text in written
    assert 'src="http' not in written and '<script' not in written and '<link' not in written
    assert 'best on test' not in written.lower()


def test_best_on_test_only_where_measured(tmp_path):
    found = write(tmp_path, rows_of(best_on_test=0.777))
    header, first, *_ = cells(found, 'All that was measured')
    assert first[header.index(page.sections.BEST_ON_TEST)] == '77.70 ± 0.00'


def test_figures_are_files_that_do_not_change(tmp_path):
    write(tmp_path, rows_of())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'rows.csv', 'study.json', 'study.html', 'curve.svg', 'curve_top5.svg'}
    before = {name: (tmp_path / name).read_bytes() for name in names}
    assert b'<svg' in before['curve.svg']
    assert main([str(tmp_path)]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_few_classes_have_no_top5(tmp_path):
    assert 'top-5' not in write(tmp_path, rows_of(test_top5='', classes=3)).lower()
    assert not (tmp_path / 'curve_top5.svg').exists()


def test_it_says_when_nothing_beat_the_reference(tmp_path):
    rows = [row for row in rows_of() if row['way'] != 'finetune']
    assert 'FixMatch did not clearly beat training from scratch at any of 2 budgets' in write(tmp_path, rows)
    one = write(tmp_path, [row for row in rows_of() if row['seed'] == 0])
    assert 'on one seed, which allows no test' in one and 'p, Holm' not in one
    half = [row for row in rows if row['per_class'] == 4 or row['way'] == 'scratch' and row['seed'] < 2]
    found = write(tmp_path, half)
    assert 'FixMatch at 16' in found and '60.50 ± 0.71 (2)' in found
    none = write(tmp_path, [row for row in rows_of() if row['way'] == 'fixmatch'])
    assert 'No cell of the reference' in none and 'Paired tests' not in none


@pytest.mark.parametrize('budgets', [(4,), (4, 16)])
def test_ablation(tmp_path, budgets):
    rng = np.random.default_rng(0)
    rows = [row for row in rows_of() if row['per_class'] in budgets]
    for old in [row for row in rows if row['way'] == 'finetune']:
        noise = rng.normal(0, 0.001)
        rows.append(old | {'point': 'pretrain.rotations=2', 'test_top1': old['test_top1'] - 0.05, 'cell': 'x'})
        rows.append(old | {'point': 'a=1', 'test_top1': old['test_top1'] + 0.03 + noise, 'cell': 'y'})
    found = write(tmp_path, rows)
    header, first, *others = cells(found, 'Each change against the same way without it')
    assert header[0] == 'Change' and len(others) == 2 * len(budgets) - 1
    assert first == [
        'pretrain.rotations=2', 'Fine-tuned (rotation)', '4', '47.00 ± 1.73', '52.00 ± 1.73', '−5.00 ± 0.00',
        '−5.00 to −5.00', '–', '0 of 3',
    ]  # fmt: skip
    assert others[-1][0] == 'a=1' and others[-1][5].startswith(('+2.', '+3.'))
    assert (tmp_path / 'ablation_finetune.svg').exists() and not (tmp_path / 'ablation_scratch.svg').exists()


def test_errors_reach_the_terminal(tmp_path, capsys):
    (tmp_path / 'study.json').write_text('{}')
    assert main([str(tmp_path)]) == 1
    assert 'Run the study until' in capsys.readouterr().err
    with pytest.raises(ValueError, match='finite test_top1'):
        write(tmp_path, [row('scratch', 4, 0, 0.5, test_top1='nan')])
    mixed = rows_of()
    mixed[0]['hash_test'] = 'cccc'
    with pytest.raises(ValueError, match='17 rows'):
        write(tmp_path, mixed)
    (tmp_path / 'study.json').write_text('{')
    write_rows(tmp_path, rows_of())
    with pytest.raises(ValueError, match='study.json is not valid JSON'):
        page.write(tmp_path)


def test_two_seeds_are_too_few_to_tell(tmp_path):
    rows = [row for row in rows_of() if row['seed'] < 2]
    for row in rows:
        if row['way'] != 'scratch':
            row['test_top1'] += 0.2
    found = write(tmp_path, [row | {'test_images': 1000} for row in rows])
    assert 'too few seeds to tell' in found and 'needs at least 3 seeds' in found
    assert ' beat ' not in found and 'p, Holm' not in found and 'Labels per class at which' not in found
    three = write(tmp_path, [row | {'test_images': 1000} for row in rows_of()])
    assert ' beat ' in three and '(1,000 test images: 95% interval of that accuracy' in three


def test_it_says_what_there_is_without_a_comparison(tmp_path):
    rows = [row('fixmatch', budget, 0, 0.6, point=point) for budget in (4, 16) for point in ('a=1', 'a=2')]
    assert 'FixMatch, a=1 reached 60.00 % top-1 on the test set with 16 labels per class' in write(tmp_path, rows)


def test_a_bound_is_said_where_the_ratio_is_not_known(tmp_path):
    rows = [row('scratch', budget, seed, 0.3 + 0.01 * seed) for budget in (4, 16) for seed in range(3)]
    gains = [0.30, 0.31, 0.32]
    rows += [row('fixmatch', budget, seed, 0.6 + 0.01 * seed + gains[seed]) for budget in (4, 16) for seed in range(3)]
    assert 'It needs less than 0.25 times the labels to reach' in write(tmp_path, rows)


def test_a_part_that_fails_is_replaced_by_its_error(tmp_path, monkeypatch, capsys):
    def ablation(study):
        raise RuntimeError('no <luck>')

    monkeypatch.setattr(page, 'SECTIONS', (*page.SECTIONS[:-2], ablation, page.SECTIONS[-1]))
    monkeypatch.setattr(page.figure, 'of_points', lambda *_: 1 / 0)
    rows = rows_of()
    rows += [row | {'point': 'a=1', 'cell': 'x'} for row in rows if row['way'] == 'finetune']
    found = write(tmp_path, rows)
    assert 'This section could not be drawn: RuntimeError: no &lt;luck&gt;' in found and found.count('<h2>Plots') == 1
    assert cells(found, 'Each against "From scratch"') and 'Where the numbers come from' in found
    said = capsys.readouterr().err
    assert '"ablation" could not be drawn' in said and 'ZeroDivisionError' in said


def test_it_says_that_it_draws_and_shows_any_text_as_it_is(tmp_path, capsys):
    rows = [row | {'pretrain': '<b>$x$'} if row['way'] == 'finetune' else row for row in rows_of(device='a&b')]
    found = write(tmp_path, rows, name='<i>', command='python <x>')
    assert 'Fine-tuned (&lt;b&gt;$x$)' in found and '<title>&lt;i&gt;</title>' in found and 'a&amp;b' in found
    assert not re.search('<b>|<i>|<x>', found)
    assert capsys.readouterr().err == 'report: tables and plots of the study ...\n'
