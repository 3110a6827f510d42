"""Patches over plain trees: JSON patch, merge patch, strategic merge patch.

Every `apply` returns a new tree and leaves both arguments as they are; parts that did not change are shared.
"""
