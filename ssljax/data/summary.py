"""What a source holds, in a few lines: printed before anything is trained, so that wrong classes are seen at once."""

_SHOWN = 20  # classes in full


def summary(source) -> str:
    """The size of each split, then a table of the classes with the images of each in each split.

    Args:
      source: sources.Source.
    """
    splits = {name: getattr(source, name) for name in ('train', 'val', 'test', 'unlabeled')}
    splits = {name: split for name, split in splits.items() if split is not None and len(split)}
    total = ', '.join(f'{len(split):,} {name}' for name, split in splits.items())
    shape = 'x'.join(map(str, source.shape))
    lines = [f'{source.name}: {len(source.classes)} classes; images of {shape}: {total}']
    if source.range is not None:
        low, high = source.range
        lines.append(f'  Stored values from {low:,g} to {high:,g} become 0 to 255 (config.data.range).')
    labeled = {name: split.labels for name, split in splits.items() if (split.labels >= 0).any()}
    names = [printable(name) for name in source.classes[:_SHOWN]]
    width = max([len(name) for name in names] + [5])
    lines.append(f'  {"class":<{width}}' + ''.join(f'{name:>9}' for name in labeled))
    for i, name in enumerate(names):
        lines.append(f'  {name:<{width}}' + ''.join(f'{int((labels == i).sum()):>9,}' for labels in labeled.values()))
    if (more := len(source.classes) - _SHOWN) > 0:
        rest = ''.join(f'{int((labels >= _SHOWN).sum()):>9,}' for labels in labeled.values())
        lines.append(f'  {f"{more} more":<{width}}{rest}')
    if unknown := int((splits['train'].labels < 0).sum()):
        lines.append(f'  {unknown:,} training images have no label.')
    return '\n'.join(lines)


def printable(name: str) -> str:
    """A file's or class's name on one line and in UTF-8, whatever bytes it has: the odd ones are escaped."""
    text = name.encode('utf-8', 'backslashreplace').decode()
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
