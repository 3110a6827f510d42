"""Certificates in use: TLS contexts whose certificates are replaced, while handshakes go on, before they expire.

    files ──a start, or the look every few hours, finds less than a fifth of their life left──▶ new files ──▶ every context

Connections that stand keep what they shook hands with. A renewal that fails (a full disk) is told and tried again at the next look,
long before anything expires. What is in files and what is issued for one process's life are treated alike.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Never, TypeAlias

from msgspec import Struct

from pinnace.cluster.pki import ClusterPki, load_or_create
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.component.tls import (
    CertificateError,
    KeyPair,
    certificate_facts,
    client_context,
    server_context,
    use_key_pair,
)

# Seconds between looks at whether certificates are about to expire.
RENEWAL_PERIOD_SECONDS = 3600.0 * 6
# Picks a key pair of the cluster's, or issues one.
Issue: TypeAlias = Callable[[ClusterPki], KeyPair]
_log = get_logger("cluster")


class _InUse(Struct):
    context: ssl.SSLContext
    issue: Issue
    pair: KeyPair


class Certificates:
    """The certificates of one cluster on this machine; `run` keeps them good."""

    def __init__(self, folder: Path, clock: Clock, names: tuple[str, ...]) -> None:
        """Load or make them; `names` are those of the API server.

        Raises:
            CertificateError: a file is damaged; it is named.
            OSError: a file cannot be read or written.
        """
        self._folder, self._clock, self._names = folder, clock, names
        self._in_use: list[_InUse] = []
        self.pki = load_or_create(folder, clock.time(), names=names)
        self.on_renewed: Callable[[ClusterPki], None] = lambda _: None

    def serving(self, issue: Issue) -> ssl.SSLContext:
        """Return a context for a server that asks for client certificates of the cluster's authority."""
        pair = issue(self.pki)
        return self._kept(server_context(pair, self.pki.authority.certificate_pem), issue, pair)

    def calling(self, issue: Issue) -> ssl.SSLContext:
        """Return a context for a client that trusts the cluster's authority alone."""
        pair = issue(self.pki)
        return self._kept(client_context(self.pki.authority.certificate_pem, pair), issue, pair)

    async def run(self) -> Never:
        """Look for ever."""
        async for _ in self._clock.ticker(RENEWAL_PERIOD_SECONDS):
            try:
                self.renew()
            except (OSError, CertificateError) as error:
                _log.warning("certificates not renewed", error=str(error))
        raise AssertionError("a ticker does not end")

    def renew(self) -> None:
        """Replace what has little of its life left.

        Raises:
            CertificateError, OSError: as at the start.
        """
        now = self._clock.time()
        renewed = load_or_create(self._folder, now, names=self._names)
        for entry in self._in_use:
            if certificate_facts(entry.pair.certificate_pem).needs_renewal(now):
                entry.pair = entry.issue(renewed)
                use_key_pair(entry.context, entry.pair)
                _log.info("certificate renewed", subject=certificate_facts(entry.pair.certificate_pem).common_name)
        if renewed != self.pki:
            self.pki = renewed
            self.on_renewed(renewed)

    def _kept(self, context: ssl.SSLContext, issue: Issue, pair: KeyPair) -> ssl.SSLContext:
        self._in_use.append(_InUse(context, issue, pair))
        return context
