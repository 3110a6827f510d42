"""Bootstrap tokens after their making: they sign what joining nodes are told, and go when their time is over.

A joining node believes the ConfigMap `cluster-info`, which it reads before it knows the cluster's authority, by the signature that its
token made. Upstream: pkg/controller/bootstrap `bootstrapsigner.go`, `tokencleaner.go`, `jws.go`.
"""

import base64
import hashlib
import hmac
import json

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.bootstrap_tokens import NAMESPACE, SECRET_TYPE, SIGNING, token_of
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery import timestamps
from pinnace.machinery.errors import Conflict, NotFound

INFO_NAMESPACE, INFO, KUBECONFIG, SIGNATURE_PREFIX = "kube-public", "cluster-info", "kubeconfig", "jws-kubeconfig-"
_KEY = f"{INFO_NAMESPACE}/{INFO}"


def signature(content: str, token_id: str, token_secret: str) -> str:
    """Return a detached JWS (RFC 7515, appendix F): header and signature, nothing between."""
    header = _base64url(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    signed = f"{header}.{_base64url(content.encode())}"
    return f"{header}..{_base64url(hmac.digest(token_secret.encode(), signed.encode(), hashlib.sha256))}"


class BootstrapSigner(Controller):
    """Reconciles the one ConfigMap: a signature for each token that may sign."""

    name = "bootstrap-signer"
    component = "bootstrap-signer"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        selected = f"metadata.name={INFO}"
        self._infos = informers.informer(core_v1.ConfigMap, namespace=INFO_NAMESPACE, field_selector=selected)
        self._secrets = informers.informer(core_v1.Secret, namespace=NAMESPACE, field_selector=f"type={SECRET_TYPE}")
        self._infos.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._secrets.add_handler(*(lambda *_: self.enqueue_key(_KEY) for _ in range(3)))

    async def reconcile(self, key: str) -> float | None:
        info = self._infos.cache.get(key)
        if info is None or KUBECONFIG not in info.data:
            return None
        content, now = info.data[KUBECONFIG], self.clock.time()
        known = filter(None, map(token_of, self._secrets.cache.list()))
        signers = [token for token in known if SIGNING in token.usages and not token.has_expired(now)]
        wanted = {key: value for key, value in info.data.items() if not key.startswith(SIGNATURE_PREFIX)}
        for token in signers:
            wanted[SIGNATURE_PREFIX + token.id] = signature(content, token.id, token.secret)
        if wanted != info.data:
            await self.client.update(replace(info, data=wanted))
        ends = [timestamps.parse(token.expiration) - now for token in signers if token.expiration]
        return min(ends, default=None)


class TokenCleaner(Controller):
    """Reconciles tokens: deletes each when its time is over."""

    name = "token-cleaner"
    component = "token-cleaner"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._secrets = informers.informer(core_v1.Secret, namespace=NAMESPACE, field_selector=f"type={SECRET_TYPE}")
        self._secrets.add_handler(self.enqueue, lambda _, new: self.enqueue(new))

    async def reconcile(self, key: str) -> float | None:
        secret = self._secrets.cache.get(key)
        token = token_of(secret) if secret is not None else None
        if secret is None or token is None or not token.expiration:
            return None
        now = self.clock.time()
        if not token.has_expired(now):
            return timestamps.parse(token.expiration) - now
        try:
            await self.client.delete(
                core_v1.Secret, secret.metadata.name, secret.metadata.namespace, uid=secret.metadata.uid
            )
        except (NotFound, Conflict):
            return None
        return None


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
