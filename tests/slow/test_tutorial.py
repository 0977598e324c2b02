"""The tutorial runs as it stands, cell by cell."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_cell_runs_and_the_last_shows_probabilities(tmp_path):
    cells = json.loads((ROOT / 'docs/tutorial.ipynb').read_text('utf-8'))['cells']
    code = [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code']
    (tmp_path / 'cells.py').write_text('\n'.join(code))
    done = subprocess.run(
        [sys.executable, 'cells.py'], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    means = [line.split() for line in lines if line.startswith(('scratch ', 'freematch '))]
    accuracy = {words[0]: float(words[1]) for words in means}
    assert accuracy['freematch'] > accuracy['scratch'] > 60
    right = next(float(line.split('%')[0]) for line in lines if line.endswith('% right'))
    assert right > 80 and lines[-1].startswith('[[')
