"""Work directories, runs and archives of images on buckets: gs://, s3:// and whatever else fsspec has a driver for.

A run works in a folder on this machine, with all that this offers: locks, appended logs, Orbax's renames. What is
complete is copied to the bucket in snapshots (snapshot.py), by `mirror`, and read back from there by a machine that has
no copy, or an older one. `fetch` reads a run, or one object, that is not written to.
"""
