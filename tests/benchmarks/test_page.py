from benchmarks import page
from benchmarks.record import begin
from ssljax.storage import files


def record(**more):
    about = {'device': 'a', 'host_cores': 2}
    return {'date': 'today', 'command': 'x', 'hardware': about, 'versions': {'jax': '1'}} | more


def test_a_table_is_drawn_from_its_file_and_the_text_around_it_stays(tmp_path):
    columns = dict.fromkeys(('imports', 'data', 'compile', 'other', 'total', 'cpu'), 1.25)
    files.write_json(tmp_path / 'start.json', record(seconds={'cold': columns}))
    text = 'before\n<!-- start -->stale<!-- /start -->\nafter <!-- steps -->kept<!-- /steps -->'
    found = page.filled(text, tmp_path)
    assert '| cold | 1.25 |' in found
    assert found.startswith('before\n') and found.endswith('after <!-- steps -->kept<!-- /steps -->')
    assert 'stale' not in found
    assert page.filled(found, tmp_path) == found


def test_a_record_says_nothing_of_the_machines_folders():
    argv = ['rotation_nin', '--photos=/home/me/photos.zip', '--source=npz:/data/a.npz', '--out=results/x.json']
    found = begin('steps', argv)
    assert found['command'] == (
        'python -m benchmarks.steps rotation_nin --photos=photos.zip --source=npz:a.npz --out=results/x.json'
    )
