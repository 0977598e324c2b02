"""What a run records: what it was begun with, what it read, what it did, and its result."""
