"""What this machine's processor is called in Go, and so by images, nodes and versions."""

import platform

_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Return the name: "amd64", "arm64"; the kernel's own where Go's is not known."""
    machine = platform.machine()
    return _GO_NAMES.get(machine, machine)
