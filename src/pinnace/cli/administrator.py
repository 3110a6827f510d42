"""Calls that commands make as the administrator of a cluster of this machine."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pinnace.api.bootstrap_tokens import BootstrapToken
from pinnace.client import Client, HttpTransport
from pinnace.cluster.discovery import server_of
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.token_secrets import create_token
from pinnace.component.clock import RealClock
from pinnace.component.identity import system_identity
from pinnace.component.kubeconfig import access

T = TypeVar("T")


def as_administrator(paths: ClusterPaths, call: Callable[[Client], Awaitable[T]]) -> T:
    """Return what a call as the cluster's administrator gives.

    Raises:
        ApiError, HttpError: the call failed.
    """

    async def calling() -> T:
        client = Client(HttpTransport.to(access(paths.admin_kubeconfig)), user_agent="pinnace")
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(calling())


def new_token(paths: ClusterPaths, lifetime_seconds: float, description: str) -> tuple[BootstrapToken, str]:
    """Make a token; return it and the URL by which other machines find the server."""

    async def make(client: Client) -> tuple[BootstrapToken, str]:
        now = RealClock().time()
        token = await create_token(
            client, system_identity(), now, lifetime_seconds=lifetime_seconds, description=description
        )
        return token, await server_of(client)

    return as_administrator(paths, make)
