from benchmarks import page
from ssljax import files


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
