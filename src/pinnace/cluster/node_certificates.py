"""A node's own certificates: asked for by request, kept in files, renewed in the last fifth of their life.

    token ──▶ client certificate `system:node:<name>` ──▶ serving certificate for the node's addresses
                     ▲ renewed with itself                      ▲ renewed with the client certificate

Contexts in use get the new certificates; connections that stand keep theirs. Upstream: client-go `util/certificate`, kubelet
`certificate/{bootstrap,kubelet.go}`.
"""

import asyncio
import base64
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Never

from msgspec import Struct

from pinnace.api.certificates_v1 import CertificateSigningRequest, CertificateSigningRequestSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, HttpTransport
from pinnace.cluster.server_state import JoinError
from pinnace.component.certificate_requests import make_request
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.http.client import HttpClient
from pinnace.component.kubeconfig import Access
from pinnace.component.logging import get_logger
from pinnace.component.tls import (
    CertificateError,
    KeyPair,
    certificate_facts,
    client_context,
    server_context,
    use_key_pair,
)
from pinnace.controllers.certificate_requests import KUBELET_CLIENT, KUBELET_SERVING, NODE_USER, NODES
from pinnace.machinery.errors import ApiError

# Seconds to wait for a certificate, between looks for it, and between looks at those that are there.
ISSUE_LIMIT_SECONDS, _LOOK_SECONDS, RENEWAL_PERIOD_SECONDS = 60.0, 0.05, 600.0
_RETRY_SECONDS = 5.0
_log = get_logger("agent")


class CertificateFiles(Struct, frozen=True):
    """Where a node keeps certificates and keys."""

    root: Path

    def read(self, name: str) -> KeyPair | None:
        """Return a pair, None when there is none that can be read."""
        try:
            pair = KeyPair(*(path.read_bytes() for path in self._paths(name)))
            certificate_facts(pair.certificate_pem)
        except (FileNotFoundError, CertificateError):
            return None
        return pair

    def write(self, name: str, pair: KeyPair) -> None:
        """Keep a pair, the key for its owner alone."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        pair.write(*self._paths(name))

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self.root / f"{name}.crt", self.root / f"{name}.key"


class NodeCertificates:
    """The certificates of one node in one cluster; `run` keeps them good."""

    def __init__(self, files: CertificateFiles, clock: Clock, node: str, server: str, ca_pem: bytes) -> None:
        self._files, self._clock, self._node = files, clock, node
        self._server, self._ca_pem = server, ca_pem
        self._calling: list[ssl.SSLContext] = []
        self._clients: list[Client] = []
        self._serving: ssl.SSLContext | None = None
        self._names: tuple[str, ...] = ()
        self._client: KeyPair | None = files.read("client")
        self._server_pair: KeyPair | None = files.read("serving")

    @property
    def is_member(self) -> bool:
        """Whether there is a client certificate that is still good."""
        found = self._client
        return found is not None and not certificate_facts(found.certificate_pem).is_expired(self._clock.time())

    @property
    def client_pair(self) -> KeyPair:
        """The certificate that says which node this is.

        Raises:
            JoinError: there is none.
        """
        if self._client is None:
            raise JoinError("this machine is no node of a cluster yet: give it a token")
        return self._client

    async def join(self, token: str) -> None:
        """Get the client certificate by a token.

        Raises:
            JoinError: the cluster does not take the token, has a node of this name, or does not answer.
        """
        client = Client(HttpTransport.to(Access(self._server, self._ca_pem, token=token)), user_agent="pinnace-agent")
        try:
            self._keep_client(await self._issued(client, KUBELET_CLIENT, "client auth"))
        finally:
            await client.close()

    def new_client(self, user_agent: str) -> Client:
        """Return a client that calls as this node; its certificate is renewed while it is in use."""
        context = client_context(self._ca_pem, self.client_pair)
        self._calling.append(context)
        self._clients.append(Client(HttpTransport(HttpClient(self._server, context)), user_agent=user_agent))
        return self._clients[-1]

    async def close(self) -> None:
        """Close the connections of every client that was given out."""
        for client in self._clients:
            await client.close()

    async def serving(self, client: Client, names: Sequence[str]) -> ssl.SSLContext:
        """Return the context of the node's server, which is called by `names`; waits for the certificate if need be."""
        self._names = tuple(names)
        pair = self._server_pair
        if pair is None or not self._suits(pair):
            pair = await self._serving_pair(client)
        self._serving = server_context(pair, self._ca_pem)
        return self._serving

    async def run(self, client: Client) -> Never:
        """Renew what has little of its life left, for ever."""
        async for _ in self._clock.ticker(RENEWAL_PERIOD_SECONDS):
            try:
                await self._renew(client)
            except (JoinError, ApiError, HttpError, OSError, CertificateError) as error:
                _log.warning("certificates not renewed", error=str(error))
        raise AssertionError("a ticker does not end")

    async def _renew(self, client: Client) -> None:
        now = self._clock.time()
        if certificate_facts(self.client_pair.certificate_pem).needs_renewal(now):
            self._keep_client(await self._issued(client, KUBELET_CLIENT, "client auth"))
            _log.info("client certificate renewed", node=self._node)
        if self._serving is not None and (self._server_pair is None or not self._suits(self._server_pair)):
            use_key_pair(self._serving, await self._serving_pair(client))
            _log.info("serving certificate renewed", node=self._node)

    def _suits(self, pair: KeyPair) -> bool:
        facts = certificate_facts(pair.certificate_pem)
        return not facts.needs_renewal(self._clock.time()) and set(self._names) <= set(facts.names)

    def _keep_client(self, pair: KeyPair) -> None:
        self._files.write("client", pair)
        self._client = pair
        for context in self._calling:
            use_key_pair(context, pair)

    async def _serving_pair(self, client: Client) -> KeyPair:
        while True:
            try:
                pair = await self._issued(client, KUBELET_SERVING, "server auth", self._names)
            except JoinError as error:
                _log.warning("no serving certificate yet", error=str(error))
                await self._clock.sleep(_RETRY_SECONDS)
                continue
            self._files.write("serving", pair)
            self._server_pair = pair
            return pair

    async def _issued(self, client: Client, signer: str, usage: str, names: Sequence[str] = ()) -> KeyPair:
        with self._clock.hold("a key for a certificate"):
            made = await asyncio.to_thread(make_request, NODE_USER + self._node, [NODES], names)
        spec = CertificateSigningRequestSpec(
            request=base64.b64encode(made.request_pem).decode(),
            signer_name=signer,
            usages=("digital signature", usage),
        )
        try:
            asked = await client.create(CertificateSigningRequest(metadata=ObjectMeta(generate_name="csr-"), spec=spec))
            async with self._clock.timeout(ISSUE_LIMIT_SECONDS):
                while not asked.status.certificate:
                    _insist_on_hope(asked)
                    await self._clock.sleep(_LOOK_SECONDS)
                    asked = await client.get(CertificateSigningRequest, asked.metadata.name)
        except TimeoutError as error:
            raise JoinError(
                f"request {asked.metadata.name} was not signed within {ISSUE_LIMIT_SECONDS:.0f} s: "
                f"see `kubectl describe csr {asked.metadata.name}`"
            ) from error
        except (ApiError, HttpError) as error:
            raise JoinError(f"the cluster gives no certificate for node {self._node}: {error}") from error
        return KeyPair(base64.b64decode(asked.status.certificate), made.key_pem)


def _insist_on_hope(asked: CertificateSigningRequest) -> None:
    """Give up on a request that was refused.

    Raises:
        JoinError: it was.
    """
    for condition in asked.status.conditions:
        if condition.type in {"Denied", "Failed"}:
            raise JoinError(f"request {asked.metadata.name}: {condition.type}: {condition.message or condition.reason}")
