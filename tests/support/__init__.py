"""What several test roots share: running clusters, kubectl binaries, waiting for a condition."""
