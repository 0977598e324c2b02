"""The profile of a step: what a program's text says, and a trace of one."""

import json

import pytest

from benchmarks import jobs, profile

TEXT = """
ENTRY %main (a: f32[4,3], b: bf16[3,5]) -> (f32[4,5], pred[]) {
  %a = f32[4,3]{1,0} parameter(0)
  %b = bf16[3,5]{1,0} parameter(1)
  %convert.1 = f32[3,5]{1,0} convert(%b), metadata={op_name="jit(f)/convert"}
  %dot.2 = f32[4,5]{1,0} dot(%a, %convert.1), lhs_contracting_dims={1}, metadata={op_name="jit(f)/dense/dot"}
  %p = pred[] constant(true)
  ROOT %tuple = (f32[4,5]{1,0}, pred[]) tuple(%dot.2, %p)
}
"""


def test_an_operation_moves_its_operands_and_its_result():
    found = profile.operations(TEXT)
    assert found['convert.1'] == {'kind': 'convert', 'size': 60, 'bytes': 90, 'source': 'jit(f)/convert'}
    assert found['dot.2']['bytes'] == 80 + 48 + 60 and found['dot.2']['source'] == 'jit(f)/dense/dot'
    assert found['tuple']['size'] == 81


def test_the_largest_operations_of_a_step(monkeypatch, tmp_path, capsys):
    job = jobs.Job('rotation_nin', 'rotation', 'nin', 8, 2, views=4)
    monkeypatch.setattr(jobs, 'table', lambda accelerator: {job.name: job})
    profile.main(['rotation_nin', '--steps=2', '--most=60', f'--out={tmp_path}/profile.json'])
    rows = json.loads((tmp_path / 'profile.json').read_text())['rows']
    assert [row['ms'] for row in rows] == sorted((row['ms'] for row in rows), reverse=True) and len(rows) == 60
    assert all(row['ms'] > 0 and row['bytes'] > 0 and row['kind'] not in profile.OUTER for row in rows)
    assert any('Backbone' in row['source'] for row in rows)
    assert 'of copy' in capsys.readouterr().out


@pytest.mark.parametrize(
    'argv, says', ((['rotation_nim'], "did you mean 'rotation_nin'"), (['mae_vit', '--steps=0'], '1 or more'))
)
def test_a_wrong_command_line_is_told_what_to_do(argv, says, capsys):
    with pytest.raises(SystemExit):
        profile.main(argv)
    assert says in capsys.readouterr().err
