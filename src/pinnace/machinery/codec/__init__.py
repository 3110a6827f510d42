"""Texts to plain trees, bounded, with what clients must be told about them."""
