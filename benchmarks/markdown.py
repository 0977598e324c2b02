"""Tables of the documentation."""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table whose first column is text."""
    lines = [header, ['---', *['---:'] * (len(header) - 1)], *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
