"""The page of a run, which takes a second to draw, left out where a test does not look at it."""

from pathlib import Path

from ssljax import report


def leave_out(patch) -> None:
    """An empty report.html in its place, as long as `patch`, a pytest.MonkeyPatch, lasts."""

    def write(workdir):
        path = Path(workdir) / 'report.html'
        path.write_text('')
        return path

    patch.setattr(report, 'write', write)
