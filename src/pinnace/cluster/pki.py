"""The cluster's own certificates: one authority, and what it issues to servers, components and the administrator.

    ca ─┬─ apiserver (server)              ├─ admin (client, system:masters)
        └─ apiserver-kubelet-client        └─ sa.key: signs service-account tokens, no certificate

Made on the first start, renewed when a start, or the daily look while running, finds less than a fifth of their life left. Keys are
0600. Upstream: kubeadm's `cmd/phases/certs`.
"""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.cluster.local_addresses import local_addresses
from pinnace.component.tls import CertificateAuthority, CertificateError, KeyPair, certificate_facts, write_atomically

ADMIN, MASTERS = "kubernetes-admin", "system:masters"
KUBELET_CLIENT = "kube-apiserver-kubelet-client"


class ClusterPki(Struct, frozen=True):
    """Certificates and keys of one cluster, loaded."""

    authority: CertificateAuthority
    server: KeyPair
    admin: KeyPair
    kubelet_client: KeyPair
    signing_key: SigningKey


def load_or_create(folder: Path, now: float, *, names: tuple[str, ...] = ()) -> ClusterPki:
    """Read what is there, make what is missing or about to expire; `names` are further names of the server.

    Raises:
        CertificateError: a file is damaged; it is named.
        OSError: a file cannot be read or written.
    """
    # To find an RSA key takes longer than all the rest: another thread does it meanwhile.
    with ThreadPoolExecutor(1, "signing key") as thread:
        signing_key = thread.submit(_signing_key, folder)
        authority = _authority(folder, now)
        return ClusterPki(
            authority=authority,
            server=_server(folder, authority, now, names),
            admin=_client(folder, "admin", authority, now, ADMIN, MASTERS),
            kubelet_client=_client(folder, "apiserver-kubelet-client", authority, now, KUBELET_CLIENT),
            signing_key=signing_key.result(),
        )


def server_names(service_ip: str) -> tuple[str, ...]:
    """Return what clients may call the server: by the Service's names, by this machine's name and addresses."""
    service = ["kubernetes", "default", "svc", "cluster", "local"]
    host = socket.gethostname()
    addresses = {service_ip, "127.0.0.1", "::1", *local_addresses()}
    return (*(".".join(service[:count]) for count in (1, 2, 3, 5)), "localhost", host, *sorted(addresses))


def _authority(folder: Path, now: float) -> CertificateAuthority:
    found = _read(folder, "ca")
    if found is None:
        made = CertificateAuthority.create("kubernetes", now)
        made.key_pair.write(folder / "ca.crt", folder / "ca.key")
        return made
    return CertificateAuthority(found)


def _server(folder: Path, authority: CertificateAuthority, now: float, names: tuple[str, ...]) -> KeyPair:
    found = _read(folder, "apiserver")
    if found is not None:
        facts = certificate_facts(found.certificate_pem)
        wanted = {_canonical(name) for name in names}
        if not facts.needs_renewal(now) and wanted <= {_canonical(name) for name in facts.names}:
            return found
    made = authority.issue_server("kube-apiserver", list(names), now)
    made.write(folder / "apiserver.crt", folder / "apiserver.key")
    return made


def _client(folder: Path, file: str, authority: CertificateAuthority, now: float, name: str, *groups: str) -> KeyPair:
    found = _read(folder, file)
    if found is not None:
        facts = certificate_facts(found.certificate_pem)
        if not facts.needs_renewal(now) and facts.organizations == groups:
            return found
    made = authority.issue_client(name, groups, now)
    made.write(folder / f"{file}.crt", folder / f"{file}.key")
    return made


def _signing_key(folder: Path) -> SigningKey:
    path = folder / "sa.key"
    if path.exists():
        try:
            return SigningKey.read(path.read_bytes())
        except (ValueError, TypeError) as error:
            raise CertificateError(
                f"{path}: {error}; remove it, and it will be made anew: tokens made before are then refused"
            ) from error
    made = SigningKey()
    write_atomically(path, made.key_pem, mode=0o600)
    return made


def _read(folder: Path, name: str) -> KeyPair | None:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    if not certificate.exists() or not key.exists():
        return None
    pair = KeyPair(certificate.read_bytes(), key.read_bytes())
    try:
        certificate_facts(pair.certificate_pem)
    except CertificateError as error:
        raise CertificateError(f"{certificate}: {error}; remove it and {key.name}, and it will be made anew") from error
    return pair


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
