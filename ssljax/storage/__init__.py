"""Files that are written completely or not at all, with checksums; directories that are held; checkpoints."""
