"""One plug-in a file, each under upstream's name."""
