"""Buckets of tests: a folder through fsspec, and S3 by a server of moto's in this process."""

import contextlib
import logging
import secrets

import pytest


@contextlib.contextmanager
def bucket(kind, folder, patch):
    """The URL of an empty bucket; processes that are started see it, too."""
    patch.setenv('SSLJAX_BUCKETS', str(folder / 'copies'))
    if kind == 'file':
        yield f'file://{folder}/bucket'
        return
    for package in ('s3fs', 'flask', 'moto'):
        pytest.importorskip(package)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    server.start()
    try:
        patch.setenv('AWS_ENDPOINT_URL', f'http://127.0.0.1:{server.get_host_and_port()[1]}')
        patch.setenv('AWS_ACCESS_KEY_ID', 'tests')
        patch.setenv('AWS_SECRET_ACCESS_KEY', 'tests')
        patch.setenv('AWS_DEFAULT_REGION', 'us-east-1')
        patch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
        import s3fs

        logging.getLogger('werkzeug').setLevel(logging.ERROR)
        name = f'runs-{secrets.token_hex(4)}'  # a server has the buckets of all before it
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
        yield f's3://{name}'
    finally:
        server.stop()
