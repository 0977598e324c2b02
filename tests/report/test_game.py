"""The sections on two players, from files like those that a run with a generator leaves."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from ssljax import report
from ssljax.data import toy
from ssljax.report import game
from ssljax.report.pictures import animation
from ssljax.report.plane import blend
from tests.report.test_report import plain, read_page, stats


def make_game(folder, ways=('scratch', 'sgan'), *, points=False, seeds=2, moments=12, grid=21, images=None):
    """A run of ways of which all but 'scratch' have a generator; returns its result."""
    rng = np.random.default_rng(0)
    steps = np.linspace(100, 100 * moments, moments).astype(int)
    record = [{'seed': i, 'pretrain': None, 'ways': {}} for i in range(seeds)]
    for i, seed in enumerate(record):
        for way in ways:
            top1 = 0.7 + 0.1 * (way != 'scratch') + rng.normal(0, 0.01)
            seed['ways'][way] = {'test': {'top1': top1}, 'val': {'top1': top1 + 0.01}, 'best_step': int(steps[-2])}
            path = folder / f'seed{i}' / way / 'metrics.jsonl'
            path.parent.mkdir(parents=True)
            path.write_text('\n'.join(json.dumps(row) for row in log_rows(rng, way, steps, top1)))
    shape, classes = ([1, 1, 2], ['inner', 'outer']) if points else ([8, 8, 1], ['a', 'b'])
    result = {
        'name': 'circles' if points else 'pictures',
        'data': {'source': 'circles', 'shape': shape, 'classes': classes, 'counts': {'labeled': 8, 'test': 2000}},
        'seeds': record,
        'summary': {w: {'top1': stats([s['ways'][w]['test']['top1'] for s in record])} for w in ways},
    }
    (folder / 'result.json').write_text(json.dumps(result))
    arrays = {}
    for way in ways:
        if way != 'scratch':
            arrays[f'samples_steps_{way}'] = steps
            arrays[f'samples_{way}'] = made_up(rng, way, moments, images) if points else images[:moments]
        if points:
            arrays[f'boundary_{way}'] = decision(1 if way == 'scratch' else moments, grid)
    if points:
        arrays |= toy_points()
    np.savez(folder / 'seed0' / 'figures.npz', **arrays)
    return result


def log_rows(rng, way, steps, top1):
    for i, step in enumerate(steps):
        done = 1 - np.exp(-3 * (i + 1) / len(steps))
        noise = rng.normal(0, 0.02, 6)
        row = {
            'step': int(step),
            'val/top1': top1 * done + noise[0] / 2,
            'val/loss': 1.5 - done,
            'train/loss': 2 - done,
        }
        if way != 'scratch':
            row |= {
                'train/supervised': 1 - 0.95 * done + abs(noise[1]),
                'train/discriminator': 1.2 - 0.3 * done + noise[2],
                'train/generator': 0.7 + 0.5 * done + noise[3],
                'train/d_real': 0.5 + 0.2 * done + noise[4],
                'train/d_fake': 0.5 - 0.2 * done + noise[5],
                'val/d_heldout': 0.5 + 0.1 * done + noise[0],
            }
        yield row


def decision(moments, grid):
    """float32 [T, G, G, 2]: a straight line that becomes a circle of radius 0.6."""
    y, x = np.mgrid[:grid, :grid] / (grid - 1) * 2 - 1
    shares = []
    for t in np.linspace(0, 1, moments) if moments > 1 else [0.4]:
        outer = 1 / (1 + np.exp(-(t * 12 * (np.hypot(x, y) - 0.6) + (1 - t) * 4 * (x + 0.4 * y))))
        shares.append(np.stack([1 - outer, outer], -1))
    return np.float32(shares)


def made_up(rng, way, moments, count):
    """uint8 [T, N, 1, 1, 2]: points that go to the rings, or between them for a complement generator."""
    angles, noise = rng.uniform(0, 2 * np.pi, count or 64), rng.normal(0, 0.05, (count or 64, 2))
    radii = np.full(len(angles), 0.6) if way == 'badgan' else np.where(np.arange(len(angles)) % 2, 0.4, 0.8)
    places = [t * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1) for t in np.linspace(0.1, 1, moments)]
    return toy.to_bytes(np.stack(places) + noise)[:, :, None, None]


def toy_points():
    (test, test_labels), (labeled, labels) = toy.circles(2000, 1), toy.circles(8, 2)
    return {
        'points': test.reshape(-1, 2),
        'points_labels': test_labels,
        'labeled_points': labeled.reshape(-1, 2),
        'labeled_points_labels': labels,
    }


def pictures(moments=12, count=5):
    """uint8 [T, N, 8, 8, 1]; every image has one gray, 16 t + n."""
    gray = 16 * np.arange(moments)[:, None] + np.arange(count)
    return np.broadcast_to(gray[:, :, None, None, None], (moments, count, 8, 8, 1)).astype(np.uint8)


def part_of(page, title):
    return page.split(f'<h2>{title}</h2>')[1].split('</section>')[0]


def stored(html):
    """The pictures in a piece of the page, in its order."""
    return [
        Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r'image/(?:png|gif);base64,([^"]+)', html)
    ]


def test_rows_are_moments_and_columns_the_same_noise(tmp_path):
    make_game(tmp_path, images=pictures())
    page = read_page(tmp_path)
    part = part_of(page, 'Generated images over time')
    rows = [np.asarray(image) for image in stored(part)]
    found = re.findall(r'step ([\d,]+)</span>', part)
    assert len(rows) == len(found) == 10 and found[0] == '100' and found[-1] == '1,200'
    for image, step in zip(rows, found):
        t = int(step.replace(',', '')) // 100 - 1
        np.testing.assert_array_equal(image[4, 4::10], 16 * t + np.arange(5))
    assert 'Semi-supervised GAN, seed 0' in plain(part) and 'width:384px' in part
    assert 'Points in the plane' not in page


@pytest.mark.parametrize('side, shown', [(28, 12), (32, 12), (96, 8), (1200, 1)])
def test_a_row_fits_the_page(side, shown):
    html = game.sheet_row(np.zeros((16, side, side, 1), np.uint8), 1)
    assert f'"{shown} generated' in html and stored(html)[0].width == shown * (side + 2) - 2
    assert int(re.search(r'width:(\d+)px', html)[1]) <= max(game.WIDTH, side)


def test_the_plane(tmp_path):
    make_game(tmp_path, ('scratch', 'sgan', 'good_gan'), points=True, moments=7)
    page = read_page(tmp_path)
    part = part_of(page, 'Points in the plane')
    words = plain(part)
    assert 'From scratch, the weights selected on validation.' in words
    assert 'Good GAN, nearest labels, the weights selected on validation (step 600).' in words
    assert 'imitates the data well' in words and 'complement generator that works' in words
    found = stored(part)
    assert [getattr(image, 'n_frames', 1) for image in found] == [1, 1, 1, 1, 7, 1, 7]
    assert part.count('class="motion"') == 2 and '(prefers-reduced-motion: reduce) { .motion { display: none' in page
    assert len(part) < 4_000_000
    for title in ('Generated images over time', 'Nearest neighbours', 'First-layer filters'):
        assert title not in page


def test_an_evaluation_that_was_not_stored_is_not_claimed(tmp_path):
    make_game(tmp_path, points=True, moments=3, seeds=1)
    result = json.loads((tmp_path / 'result.json').read_text())
    result['seeds'][0]['ways']['sgan']['best_step'] = 150
    (tmp_path / 'result.json').write_text(json.dumps(result))
    words = plain(part_of(read_page(tmp_path), 'Points in the plane'))
    assert 'Semi-supervised GAN, the last evaluation (step 300).' in words and 'imitates' not in words


def test_maps_blend_the_class_colours():
    shares = np.stack([np.tile([1.0, 0.5, 0.0], (3, 1)), np.tile([0.0, 0.5, 1.0], (3, 1))], -1)
    one, between, two = blend(shares, 3)[0].astype(int)
    assert one[2] > one[0] + 50 and two[0] > two[2] + 50, 'blue, orange'
    assert between.min() >= 252 > one.min(), 'white where it is in doubt'


def test_a_heavy_animation_leaves_frames_out_but_not_the_last():
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(8)] + [np.full((40, 40, 3), 255, np.uint8)]
    light = stored(animation(frames, 'x', most=7000))[0]
    assert 1 < light.n_frames < 9 == stored(animation(frames, 'x'))[0].n_frames
    light.seek(light.n_frames - 1)
    assert np.asarray(light.convert('RGB')).min() > 250


def test_an_animation_keeps_rare_colours():
    frame = np.random.default_rng(0).integers(150, 256, (60, 60, 3), np.uint8)
    frame[30, 30] = 176, 0, 109
    shown = stored(animation([frame, frame[::-1]], 'x', colors=np.uint8([[176, 0, 109]])))[0]
    np.testing.assert_array_equal(np.asarray(shown.convert('RGB'))[30, 30], frame[30, 30])


def test_players_are_drawn_once(tmp_path):
    make_game(tmp_path, images=pictures())
    page = read_page(tmp_path)
    part = part_of(page, 'The two players')
    for alt in (
        'Training loss over steps: supervised, discriminator, generator',
        'over steps: real, held out, generated',
        'Validation top-1 accuracy (%) over steps: From scratch, Semi-supervised GAN',
    ):
        assert page.count(alt) == part.count(alt) == 1
    others = part_of(page, 'Learning curves')
    assert 'Validation accuracy' not in others and 'Validation loss over steps: From scratch, Semi' in others
    assert 'Training loss over steps: From scratch"' in others


def test_a_run_without_players_has_none_of_it(tmp_path):
    make_game(tmp_path, ('scratch',), images=pictures())
    page = read_page(tmp_path)
    assert 'The two players' not in page and 'Generated images' not in page
    assert 'Validation accuracy during training: From scratch.' in plain(part_of(page, 'Learning curves'))


def test_headline_names_the_method(tmp_path):
    make_game(tmp_path, images=pictures(), seeds=3)
    words = plain(read_page(tmp_path))
    assert 'Semi-supervised GAN · 3 seeds · 8 labels' in words and 'no pretraining' not in words
    assert 'without the pretraining' not in words
    assert 'Semi-supervised GAN beat training from scratch by' in words
    assert 'Semi-supervised GAN' in report.table(json.loads((tmp_path / 'result.json').read_text()))
