"""Imports run one way: no module is needed, however late, by one that it needs itself."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules() -> dict:
    """{name: path} of the package."""
    found = {}
    for path in (ROOT / 'ssljax').rglob('*.py'):
        parts = list(path.relative_to(ROOT).with_suffix('').parts)
        found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


def imported(path: Path, known) -> set[str]:
    """The modules of the package that a file imports anywhere, in functions too; `if TYPE_CHECKING` apart."""
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update(n if (n := f'{node.module}.{alias.name}') in known else node.module for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return {name for name in found if name in known and name != 'ssljax'}


def circle(graph: dict) -> list[str]:
    """The names of one circle; [] where there is none."""
    done, path = set(), []

    def walk(name):
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        path.append(name)
        found = next(filter(None, map(walk, sorted(graph[name]))), [])
        path.pop()
        done.add(name)
        return found

    return next(filter(None, map(walk, sorted(graph))), [])


def test_no_import_leads_back():
    known = modules()
    graph = {name: imported(path, known) - {name} for name, path in known.items() if name != 'ssljax'}
    assert len(graph) > 200 and circle({'a': {'b'}, 'b': {'c'}, 'c': {'a'}}) == ['a', 'b', 'c']
    assert circle(graph) == []
