"""The page on which images are labelled: on this machine alone, and nothing is lost whenever it is closed."""

import codecs
import csv
import functools
import http.server
import io
import json
import os
import secrets
import sys
import threading
from pathlib import Path

from ssljax import contact_sheet
from ssljax.data import table
from ssljax.labeling import pool
from ssljax.storage import paths
from ssljax.targets.multilabel import NONE, parsed
from ssljax.text.literal import clean

HOST = '127.0.0.1'
MOST = 4096  # bytes of a request's body
PAGE = Path(__file__).with_name('page.html')
TYPES = {b'\xff\xd8': 'image/jpeg', b'\x89P': 'image/png', b'GI': 'image/gif', b'RI': 'image/webp'}  # browsers show


class Labels:
    """An append-only CSV with the columns path and label: the last row of a path counts, and an empty label withdraws
    it."""

    def __init__(self, path):
        self.path, self._lock = Path(paths.expand(path)), threading.Lock()
        there = self.path.exists()
        content = self.path.read_bytes() if self.path.is_file() else b''
        if content and content.removeprefix(codecs.BOM_UTF8).split(b'\n', 1)[0].strip() != b'path,label':
            pool.read(self.path)  # which says what else it is
            raise ValueError(
                f'{self.path} does not begin with the line path,label in UTF-8, so rows of the page would not fit it: '
                'give another --labels, and leave this file as it is.'
            )
        if content and not content.endswith(b'\n'):  # a truncated row must not swallow the next
            self._add(b'"\n' if content.count(b'"') % 2 else b'\n')
        self.known = pool.read(self.path)
        if not content:
            if not there:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._append(['path', 'label'])

    def put(self, name: str, label: str) -> None:
        """Adds a row; it is on the disk when this returns."""
        with self._lock:
            self._append([table.written(name), label])
            self.known[name] = label

    def _append(self, row) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerow(row)
        self._add(text.getvalue().encode('utf-8', 'surrogateescape'))

    def _add(self, content: bytes) -> None:
        with open(self.path, 'ab') as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())


def serve(found, labels, port: int = 0) -> None:
    """Serves the page until it is closed by its button or a signal.

    Args:
      found: a Suggestion.
      labels: the path of the CSV.
      port: to listen on; 0: a free one.

    Raises:
      OSError: the CSV cannot be written to.
      ValueError: the port cannot be used, or the CSV is not a list of labels.
    """
    with Server(found, Labels(labels), port) as server:
        address = f'http://{HOST}:{server.server_address[1]}/?{server.token}'
        print(f'Open {address}\n(labels go to {labels}; close the page with its button, or press Ctrl-C)', flush=True)
        server.serve_forever()
    count = sum(map(bool, server.labels.known.values()))
    print(f'{count} labels in {labels}; to train on them as well: --config.data.annotations={labels}')


class Server(http.server.ThreadingHTTPServer):
    """It does not run yet; `token` is what the page must know."""

    daemon_threads = True

    def __init__(self, found, labels: Labels, port: int = 0):
        if not 0 <= port < 2**16:
            raise ValueError(f'--port={port}: a port is a number from 1 to 65535; 0 picks a free one.')
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise ValueError(
                f'--port={port} cannot be used ({error.strerror}): leave it out for a free one.'
            ) from error
        self.found, self.labels, self.token = found, labels, secrets.token_urlsafe(16)

    def handle_error(self, request, client_address):
        """A browser that leaves before its answer is not an error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """GET / (the page), /items, /image/N; POST /label {"item", "label"} and /close. Other sites' pages can ask for
    nothing: each request must bear the token, and have this machine as its Host."""

    server: Server

    def do_GET(self):
        where, _, token = self.path.partition('?')
        if not self._allowed(token):
            return
        if where == '/':
            self._send(PAGE.read_bytes(), 'text/html; charset=utf-8')
        elif where == '/items':
            self._send(json.dumps(_items(self.server.found, self.server.labels)).encode(), 'application/json')
        elif where.startswith('/image/') and (number := self._item(where.removeprefix('/image/'))) is not None:
            try:
                self._send(*_image(self.server.found, number))
            except ValueError:  # archive.Changed: it was moved or removed meanwhile
                self.send_error(410)
        else:
            self.send_error(404)

    def do_POST(self):
        where, _, token = self.path.partition('?')
        if not self._allowed(token):
            return
        if where == '/close':
            self._send(b'{}', 'application/json')
            threading.Thread(target=self.server.shutdown).start()
            return
        try:
            size = int(self.headers['Content-Length'])
            asked = json.loads(self.rfile.read(size)) if 0 <= size <= MOST else None
            number, label = self._item(asked['item']), asked['label']
        except (ValueError, TypeError, KeyError, RecursionError):
            number, label = None, None
        found = self.server.found
        if where != '/label' or number is None or not _names(found, label):
            self.send_error(400)
            return
        try:
            self.server.labels.put(found.paths[number], label)
        except OSError as error:
            self._send(json.dumps({'error': f'not saved: {error.strerror}'}).encode(), 'application/json', 507)
            return
        self._send(b'{}', 'application/json')

    def _allowed(self, token) -> bool:
        host = (self.headers['Host'] or '').rpartition(':')[0]
        if host in (HOST, 'localhost') and secrets.compare_digest(token.encode(), self.server.token.encode()):
            return True
        self.send_error(403, explain='Open the whole address that ssljax label printed, with its question mark')
        return False

    def _item(self, text) -> int | None:
        number = int(text) if str(text).isdecimal() and len(str(text)) < 9 else -1
        return number if 0 <= number < len(self.server.found.paths) else None

    def _send(self, content: bytes, kind: str, status: int = 200):
        self.send_response(status)
        for name, value in (
            ('Content-Type', kind),
            ('Content-Length', str(len(content))),
            ('Cache-Control', 'no-store'),
            ('X-Content-Type-Options', 'nosniff'),
            ('Content-Security-Policy', "default-src 'self' 'unsafe-inline'; img-src 'self' data:"),
            ('Referrer-Policy', 'no-referrer'),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """The terminal stays quiet."""


def _names(found, label) -> bool:
    """Whether a label is '', which withdraws one, a class or, for multi-label images, several or ';', none of them."""
    classes = {'', *map(str, found.classes)}
    if found.pool.multilabel and isinstance(label, str):
        return set(parsed(label)) <= classes
    return label in classes


def _items(found, labels: Labels) -> dict:
    rows = zip(found.paths, found.why, found.labels, found.confidence.tolist())
    return {
        'classes': [str(name) for name in found.classes],
        'several': found.pool.multilabel,
        'items': [
            {
                'name': clean(path),
                'why': why,
                'says': ('none of them' if label == NONE else label) + ('' if p != p else f' {100 * p:.0f}%')
                if label
                else '',
                'label': labels.known.get(path, ''),
            }
            for path, why, label, p in rows
        ],
    }


@functools.lru_cache(maxsize=64)
def _image_of(images, row: int):
    """(bytes, type) of one image: its file if browsers can show that, else a PNG of what the network sees."""
    (content,) = images.encoded([row])
    if kind := TYPES.get(content[:2]):
        return content, kind
    out = io.BytesIO()
    contact_sheet.picture(images.read([row])[0]).save(out, 'PNG')
    return out.getvalue(), 'image/png'


def _image(found, number: int):
    split = found.pool.unlabeled
    return _image_of(split.images, int(split.rows[found.rows[number]]))
