"""Where others reach this machine. Apart from all that is heavy, as commands ask it before they start anything."""

import socket


def local_addresses() -> tuple[str, ...]:
    """Return the address that this machine's default route leaves by; none without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; TEST-NET-1 of RFC 5737
        except OSError:
            return ()
        return (str(probe.getsockname()[0]),)
