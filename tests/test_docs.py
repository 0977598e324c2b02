"""The documentation is built without a warning, and what it names is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ssljax import config, verbs

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / 'docs').glob('*.md')) + [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md']


def test_it_is_built_with_warnings_as_errors(tmp_path):
    pytest.importorskip('mkdocs')
    pytest.importorskip('mkdocstrings_handlers.python')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '-q', '--strict', f'--site-dir={tmp_path}/site'], cwd=ROOT,
        capture_output=True, text=True, env=os.environ | {'NO_MKDOCS_2_WARNING': '1'},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'include:' not in done.stdout + ''.join(p.read_text() for p in (tmp_path / 'site').rglob('index.html'))
    assert 'ssljax predict' in (tmp_path / 'site/own_images/index.html').read_text()
    assert 'calibrated' in (tmp_path / 'site/python/index.html').read_text()  # of a docstring


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_verbs_and_fields_exist(page):
    text = page.read_text('utf-8')
    around = page.parent
    for path in re.findall(r'\]\((?!https?:|#|mailto:)([^)#\s]+)', text):
        assert (around / path).exists() or (ROOT / path).exists(), path
    for verb in re.findall(r'^ +ssljax (\w+)', text, re.MULTILINE):
        assert verb in (*verbs.VERBS, *verbs.ALIASES), verb
    known = config.definitions()
    for field in re.findall(r'--config\.([a-z_0-9.]+)=', text):
        assert field in known, field
