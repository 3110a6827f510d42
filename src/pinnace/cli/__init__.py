"""The command line: parses, builds a configuration, calls; holds no rule."""
