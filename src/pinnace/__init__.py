"""Pinnace: a whole Kubernetes in Python."""

__version__ = "0.1.0"
KUBERNETES_VERSION = "v1.36.2"
# What the server and its nodes say that they are.
VERSION = f"{KUBERNETES_VERSION}+pinnace.{__version__}"
