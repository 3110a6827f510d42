"""Puts components together: certificates, files, and the one process that runs them all."""
