"""What the documentation takes from the repository: sections of its other Markdown files, and links into its code."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^<!-- include: (?P<file>[\w/]+\.md)(?: # (?P<heading>.+?))? -->$', re.MULTILINE)
NOTEBOOK = re.compile(r'^<!-- notebook: (?P<file>[\w/]+\.ipynb) -->$', re.MULTILINE)
LINK = re.compile(r'(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>(?!https?:|#|mailto:)[^)\s]+)\)')
PICTURE = re.compile(r'!\[(?P<text>[^\]]*)\]\(docs/(?P<path>[^)\s]+)\)')


def on_page_markdown(markdown, page, config, files):
    """Includes what `<!-- include: FILE # HEADING -->` asks for. Links to pages stay; others, to code, become names of
    files."""
    pages = {file.src_uri for file in files.documentation_pages()}
    markdown = INCLUDE.sub(lambda found: _section(found['file'], found['heading']), markdown)
    markdown = NOTEBOOK.sub(lambda found: _notebook(found['file']), markdown)
    markdown = PICTURE.sub(r'![\g<text>](\g<path>)', markdown)
    return LINK.sub(lambda found: _link(found, pages), markdown)


def _section(file: str, heading: str | None) -> str:
    """A Markdown file without its title, or what stands under one of its headings of level two.

    Raises:
      ValueError: it has no such heading.
    """
    text = (ROOT / file).read_text('utf-8')
    if heading is None:
        return re.sub(r'\A# .*\n', '', text)
    parts = re.split(r'^## (.+)\n', text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2]))
    if heading not in sections:
        raise ValueError(f'{file} has no section {heading!r}, only {list(sections)}')
    return sections[heading].strip()


def _notebook(file: str) -> str:
    """The cells of a notebook, and what they print."""
    parts = []
    for cell in json.loads((ROOT / file).read_text('utf-8'))['cells']:
        text = ''.join(cell['source'])
        parts.append(text if cell['cell_type'] == 'markdown' else f'```python\n{text}\n```')
        parts += [f'```text\n{"".join(output["text"]).rstrip()}\n```' for output in cell.get('outputs', ())]
    return '\n\n'.join(parts)


def _link(found, pages) -> str:
    path, _, anchor = found['path'].removeprefix('docs/').partition('#')
    if path in pages:
        return f'[{found["text"]}]({path}{"#" * bool(anchor)}{anchor})'
    name = path.removeprefix('../')
    return found['text'] if found['text'].strip('`') == name else f'{found["text"]} (`{name}`)'
