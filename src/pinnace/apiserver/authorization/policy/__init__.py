"""The roles and bindings that every cluster begins with, and how they are kept."""
