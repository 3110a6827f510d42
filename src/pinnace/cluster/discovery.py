"""How a machine that has only a token comes to trust a cluster: the authority, and what vouches for it.

    an authority in a file                           ▶ believed as it is
    cluster-info, read from a server nobody knows    ▶ believed when the token has signed it, and when the pinned key, if there is one,
                                                       is the authority's

Upstream: kubeadm `discovery/token`, `pubkeypin`.
"""

import base64
import binascii
import hmac
import ssl
from typing import Any

import yaml

from pinnace.api.bootstrap_tokens import split
from pinnace.api.core_v1 import ConfigMap
from pinnace.client import Client, HttpTransport
from pinnace.cluster.server_state import JoinError
from pinnace.component.http import HttpError
from pinnace.component.http.client import HttpClient
from pinnace.component.tls import CertificateError, public_key_pin
from pinnace.controllers.bootstrap_tokens import INFO, INFO_NAMESPACE, KUBECONFIG, SIGNATURE_PREFIX, signature
from pinnace.machinery.errors import ApiError


async def discover(server: str, token: str, pin: str = "") -> bytes:
    """Return the authority of the cluster behind `server`, PEM; `pin` is `sha256:<hex>` of its public key.

    Raises:
        JoinError: nobody answers there, or what answers cannot be believed.
    """
    token_id, token_secret = split(token)
    info = await _cluster_info(server)
    content = info.data.get(KUBECONFIG, "")
    given = info.data.get(SIGNATURE_PREFIX + token_id, "")
    if not given:
        raise JoinError(
            f"{server} does not know the token {token_id}: has it expired? make one with `pinnace token create`"
        )
    if not hmac.compare_digest(given, signature(content, token_id, token_secret)):
        raise JoinError(
            f"what {server} says of its authority was not signed with this token: it is wrong, or not your cluster"
        )
    authority = _authority(content, server)
    try:
        found = public_key_pin(authority)
    except CertificateError as error:
        raise JoinError(f"{server} names no usable authority: {error}") from error
    if pin and not hmac.compare_digest(pin.lower(), found):
        raise JoinError(
            f"the authority of {server} has the key {found}, not {pin}: it is not the cluster that you mean"
        )
    return authority


async def server_of(client: Client) -> str:
    """Return the URL by which a cluster says that other machines find its server.

    Raises:
        ApiError: it does not say.
    """
    info = await client.get(ConfigMap, INFO, INFO_NAMESPACE)
    config: Any = yaml.safe_load(info.data.get(KUBECONFIG, ""))
    return str(config["clusters"][0]["cluster"]["server"])


async def _cluster_info(server: str) -> ConfigMap:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing secret is sent, and what comes back is believed for its signature.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = Client(HttpTransport(HttpClient(server, context)), user_agent="pinnace-agent")
    try:
        return await client.get(ConfigMap, INFO, INFO_NAMESPACE)
    except (ApiError, HttpError) as error:
        raise JoinError(f"{server} does not say which cluster it is: {error}") from error
    finally:
        await client.close()


def _authority(content: str, server: str) -> bytes:
    try:
        config: Any = yaml.safe_load(content)
        return base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    except (yaml.YAMLError, TypeError, LookupError, binascii.Error) as error:
        raise JoinError(f"{server} does not say which authority it has") from error
