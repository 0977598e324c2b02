"""What to label next is chosen without a look at hidden labels, and what is labelled is never lost."""

import csv
import http.client
import json
import os
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ssljax
from ssljax import experiment, label_set
from ssljax.config import base
from ssljax.data import sources
from ssljax.data.sources import annotations
from ssljax.labeling import choosing, pool, server
from ssljax.model import Outputs
from ssljax.settings import schema
from ssljax.storage import files

CLASSES = 'red, "dark"', 'green', 'blue'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run on a folder of three colours, few of them labelled, one file of the others corrupt."""
    root, rng = tmp_path_factory.mktemp('label'), np.random.default_rng(0)

    def save(path, channel):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 90, (12, 12, 3))
        image[..., channel] += 150
        Image.fromarray(image.astype(np.uint8)).save(path)

    for channel, name in enumerate(CLASSES):
        for i in range(12):
            save(root / f'data/{name}/{i}.png', channel)
    for i in range(60):
        save(root / f'data/unlabeled/{i:02}.jpg', i % 3 if i < 50 else 2)
    (root / 'data/unlabeled/07.jpg').write_bytes(b'\xff\xd8 no picture')
    c = base()
    c.name = 'colours'
    c.data.update(source=f'folder:{root}/data', image_size=8, labels='2/class', val='9', test='9')
    c.backbone.update(width=4, depth=2)
    c.pretrain.update(epochs=0.0, steps=10, evals=1, batch_size=16, watch=0)
    c.transfer.update(ways=('scratch',), batch_size=8)
    c.transfer.scratch.update(epochs=0.0, steps=30, evals=1)
    c.evaluate.update(figures=False, probe=False, knn=0)
    experiment.run(c, root / 'run')
    return root / 'run'


def test_the_next_run_reads_the_labels_and_more_can_be_added_meanwhile(run, tmp_path):
    """It keeps the labels that it began with, so that the next list is of its images."""
    path = tmp_path / 'labels.csv'
    labels = server.Labels(path)
    for name in ('unlabeled/00.jpg', 'unlabeled/01.jpg'):
        labels.put(name, CLASSES[0])
    config = schema.restored(files.read_json(run / 'config.json'))
    config.data.annotations = str(path)
    config.transfer.scratch.steps = config.pretrain.steps = 2
    config.data.labels = 'all'
    experiment.run(config, tmp_path / 'next')
    assert {'unlabeled/00.jpg', 'unlabeled/01.jpg'} <= set(
        (tmp_path / 'next/seed0/labels.txt').read_text().splitlines() + _validation(config, tmp_path / 'next')
    )
    labels.put('unlabeled/02.jpg', CLASSES[2])
    found = ssljax.label(tmp_path / 'next', 5, tmp_path / 'next.csv', labels=path)
    assert len(found.paths) == 5 and not set(found.paths) & {f'unlabeled/0{i}.jpg' for i in range(3)}
    with pytest.raises(ValueError, match='data.annotations has changed'):
        experiment.run(config, tmp_path / 'next')


def _validation(config, run):
    source = sources.load(annotations.as_kept(config.data.copy_and_resolve_references(), run))
    return [source.train.names()[row] for row in label_set.stored(run / 'seed0/partition.npz', len(source.train)).val]


@pytest.mark.parametrize('by', ['auto', 'typical', 'uncertain'])
def test_a_list_names_unlabelled_images_alone(run, by, tmp_path):
    found = ssljax.label(run, 9, tmp_path / 'next.csv', by=by)
    rows = list(csv.DictReader(open(tmp_path / 'next.csv', newline='')))
    assert [row['path'] for row in rows] == found.paths and len(set(found.paths)) == 9
    labelled = (run / 'seed0/labels.txt').read_text().split('\n')
    assert not set(found.paths) & set(labelled) and not any('07.jpg' in path for path in found.paths)
    assert all(Path(run.parent / 'data' / path).is_file() for path in found.paths)
    assert {row['label'] for row in rows} <= set(CLASSES) and all(0 < float(row['confidence']) <= 1 for row in rows)
    with Image.open(tmp_path / 'next.png') as sheet:
        assert sheet.format == 'PNG' and sheet.width > 9 * 100
    again = ssljax.label(run, 9, by=by)
    assert again.paths == found.paths
    with pytest.raises(FileExistsError, match='exists already'):
        ssljax.label(run, 9, tmp_path / 'next.csv', by=by)


def test_hidden_labels_have_no_part_in_the_choice(run, tmp_path):
    """The same images whose class folders are others, of those that the run has not seen the label of."""
    found = pool.of(run, 0, ssljax.load(run))
    assert (found.unlabeled.labels == -1).all()
    assert len(found.unlabeled) == 59 + 36 - 9 - 9 - 6  # all but a corrupt one, test, validation and labelled


def test_images_with_a_label_by_now_are_left_out(run, tmp_path):
    first = ssljax.label(run, 5).paths
    labels = server.Labels(tmp_path / 'labels.csv')
    for path in first:
        labels.put(path, 'blue')
    labels.put(first[0], '')  # withdrawn
    second = ssljax.label(run, 500, labels=tmp_path / 'labels.csv').paths
    assert first[0] in second and not set(first[1:]) & set(second) and len(second) == 71 - 4


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(0, 12), st.booleans())
@settings(max_examples=25)
def test_any_number_is_chosen_once(seed, count, labeled, alike):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 5)) * (0 if alike else 1) + 1
    p = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    for rule in choosing.RULES.values():
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # k-means finds fewer clusters where points are equal
            rows, why = rule(Outputs(p, features), features[:labeled] + 0.1, count, 0)
        assert len(rows) == len(set(rows.tolist())) == count == len(why) and set(rows.tolist()) <= set(range(40))


def test_typical_images_are_of_groups_without_a_label():
    rng = np.random.default_rng(0)
    centres = np.eye(4) * 10
    features = np.concatenate([c + rng.normal(0, 0.1, (n, 4)) for c, n in zip(centres, (40, 30, 20, 10))])
    known = centres[:1] + rng.normal(0, 0.1, (1, 4))  # the largest group has a label
    rows, why = choosing.typical(Outputs(None, features), known, 3, 0)
    group = np.digitize(rows, [40, 70, 90])
    assert group.tolist() == [1, 2, 3] and 'typical of 30 images' in why[0]


def test_uncertain_images_differ():
    features = np.repeat(np.eye(4), 25, axis=0)
    margin = np.linspace(0.9, 0.0, 100)
    p = np.stack([(1 + margin) / 2, (1 - margin) / 2], axis=1)
    rows, _ = choosing.uncertain(Outputs(p, features), None, 4, 0)
    assert rows[0] == 99 and set(rows // 25) <= {2, 3} or set(rows // 25) == {0, 1, 2, 3}


@pytest.fixture
def served(run, tmp_path):
    """(server, ask): ask(method, path, body) -> (status, content)."""
    found = ssljax.label(run, 6)
    with server.Server(found, server.Labels(tmp_path / 'labels.csv')) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()

        def ask(method, path, body=None, token=None, host=None):
            to = http.client.HTTPConnection(*running.server_address)
            to.request(
                method, f'{path}?{running.token if token is None else token}', body, {'Host': host} if host else {}
            )
            answer = to.getresponse()
            return answer.status, answer.read()

        yield running, ask
        running.shutdown()


def test_the_page_appends_and_survives_anything(served, run, tmp_path):
    running, ask = served
    path = tmp_path / 'labels.csv'
    status, content = ask('GET', '/items')
    items = json.loads(content)
    assert status == 200 and items['classes'] == sorted(CLASSES) and len(items['items']) == 6
    for i in range(6):
        status, image = ask('GET', f'/image/{i}')
        file = run.parent / 'data' / items['items'][i]['name']
        assert status == 200 and image == file.read_bytes()
    put = lambda item, label: ask('POST', '/label', json.dumps({'item': item, 'label': label}))[0]
    name = items['items'][2]['name']
    assert put(2, CLASSES[0]) == put(2, 'blue') == put(3, CLASSES[0]) == 200
    assert pool.read(path) == {name: 'blue', items['items'][3]['name']: CLASSES[0]}
    before = path.read_bytes()
    for item, label in ((99, 'blue'), (-1, 'blue'), ('x', 'blue'), (1, 'pink'), (1, None)):
        assert put(item, label) == 400
    for body in ('', '{', '[]', 'null', '{"item": 1}', 'x' * 5000):
        assert ask('POST', '/label', body)[0] == 400
    assert ask('GET', '/items', token='')[0] == ask('GET', '/items', token='wrong')[0] == 403
    assert ask('GET', '/items', host='evil.example:80')[0] == 403
    assert ask('GET', '/image/../../etc/passwd')[0] == ask('GET', '/image/6')[0] == 404
    assert path.read_bytes() == before
    assert put(2, '') == 200 and pool.read(path)[name] == '' and path.read_bytes().startswith(before)
    path.write_bytes(path.read_bytes() + b'cut sho')  # as a crash leaves it
    again = server.Labels(path)
    again.put('next', 'blue')
    assert pool.read(path)['next'] == 'blue'


def test_odd_requests_are_refused_without_a_word_on_the_terminal(served, run, capfd):
    running, ask = served
    assert ask('POST', '/label', '[' * 4000)[0] == 400
    file = run.parent / 'data' / running.found.paths[5]
    file.rename(f'{file}.away')
    assert ask('GET', '/image/5')[0] == 410
    Path(f'{file}.away').rename(file)
    with socket.create_connection(running.server_address, timeout=5) as to:
        head = f'POST /label?{running.token} HTTP/1.0\r\nHost: 127.0.0.1:1\r\nContent-Length: -1\r\n\r\n'
        to.sendall(head.encode())
        assert b' 400 ' in to.recv(50)  # it does not wait for an end that never comes
    assert capfd.readouterr().err == ''


def test_rows_are_added_to_a_file_of_the_page_alone(run, tmp_path):
    found = ssljax.label(run, 3, tmp_path / 'next.csv')
    for content in ((tmp_path / 'next.csv').read_bytes(), b'label,path\n', 'path,label\n'.encode('utf-16')):
        (tmp_path / 'other.csv').write_bytes(content)
        with pytest.raises(ValueError, match=r'path,label|predictions'):
            server.Labels(tmp_path / 'other.csv')
        assert (tmp_path / 'other.csv').read_bytes() == content
    os.mkfifo(tmp_path / 'pipe.csv')
    for name in ('pipe.csv', '.'):
        with pytest.raises(ValueError, match='is a (named pipe|folder): give a CSV file'):
            ssljax.label(run, 3, labels=tmp_path / name)
    for port in (-1, 2**16):
        with pytest.raises(ValueError, match='from 1 to 65535'):
            server.Server(found, server.Labels(tmp_path / 'labels.csv'), port)
    with socket.create_server((server.HOST, 0)) as taken, pytest.raises(ValueError, match='cannot be used'):
        server.Server(found, server.Labels(tmp_path / 'labels.csv'), taken.getsockname()[1])


def test_predictions_are_not_taken_for_labels(run, tmp_path):
    ssljax.label(run, 3, tmp_path / 'next.csv')
    with pytest.raises(ValueError, match='predictions'):
        ssljax.label(run, 3, labels=tmp_path / 'next.csv')
    config = schema.restored(files.read_json(run / 'config.json'))
    config.data.annotations = str(tmp_path / 'next.csv')
    with pytest.raises(ValueError, match='predictions'):
        sources.load(config.data)


def test_a_list_replaces_nothing(run, tmp_path):
    (tmp_path / 'next.png').write_bytes(b'a picture of mine')
    with pytest.raises(FileExistsError, match=r'next\.png exists already'):
        ssljax.label(run, 3, tmp_path / 'next.csv')
    assert (tmp_path / 'next.png').read_bytes() == b'a picture of mine'
    with pytest.raises(ValueError, match='a file each'):
        ssljax.label(run, 3, tmp_path / 'new.csv', labels=tmp_path / 'new.csv')


@given(st.dictionaries(st.text('a"\n, ;é', min_size=1, max_size=6), st.just('blue')))
@settings(max_examples=25)
def test_any_name_is_read_as_it_was_written(tmp_path_factory, known):
    path = tmp_path_factory.mktemp('labels') / 'labels.csv'
    labels = server.Labels(path)
    for name, label in known.items():
        labels.put(name, label)
    assert pool.read(path) == known


def test_the_page_in_a_browser(served, tmp_path):
    """Digit keys label and go on, U takes it back, a reload goes on where it was."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    if not (browser and driver):
        pytest.skip('there is no Chromium with its driver here')
    from selenium.webdriver.support.ui import WebDriverWait

    running, _ = served
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--window-size=420,800'):
        options.add_argument(argument)
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as page:
        page.get(f'http://127.0.0.1:{running.server_address[1]}/?{running.token}')
        text = lambda name: page.find_element('id', name).text
        wait = lambda told: WebDriverWait(page, 60).until(lambda _: told in text('count'))
        wait('0 of 6')
        body = page.find_element('tag name', 'body')
        body.send_keys('1')
        wait('1 of 6')
        body.send_keys('3')
        wait('2 of 6')
        body.send_keys('u')
        wait('1 of 6')
        paths = running.found.paths
        known = {path: label for path, label in pool.read(tmp_path / 'labels.csv').items() if label}
        assert known == {paths[0]: sorted(CLASSES)[0]}
        page.refresh()
        wait('1 of 6')
        assert '2 of 6' in text('about') and page.find_element('id', 'image').get_property('naturalWidth') > 0
        assert page.execute_script('return document.documentElement.scrollWidth <= innerWidth')
        page.save_screenshot(str(tmp_path / 'page.png'))
        page.find_element('id', 'close').click()
        WebDriverWait(page, 60).until(lambda _: 'Saved' in page.find_element('tag name', 'body').text)
