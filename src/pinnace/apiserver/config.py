"""What an API server may be told: one frozen record, filled from defaults, file, environment and flags.

Flag names are upstream's kube-apiserver's where the meaning is the same.
"""

from msgspec import Struct


class ApiServerConfig(Struct, frozen=True, kw_only=True):
    """How the API server behaves; where it listens and what it stores in is for whoever composes it."""

    # The address that the `kubernetes` Service leads to, and the port there; no address leaves it without endpoints.
    advertise_address: str = ""
    secure_port: int = 6443
    # Addresses that Services may have, and ports of nodes that they may take, first and last.
    service_cluster_ip_range: str = "10.96.0.0/12"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    # Who issues service-account tokens, and for whom they are meant when a request names nobody.
    service_account_issuer: str = "https://kubernetes.default.svc.cluster.local"
    # Admission plug-ins by name: those that are off unless they are asked for, and those that are not wanted.
    enable_admission_plugins: tuple[str, ...] = ()
    disable_admission_plugins: tuple[str, ...] = ()
    # Requests at work at once; together the seats that priority levels share, 0 and 0 set no bound. Upstream's values.
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    # Seconds until a request that is neither a watch nor a stream is answered 504.
    request_timeout_seconds: float = 60.0
    # Seconds for which a server that is to stop still serves, with /readyz red.
    shutdown_delay_seconds: float = 0.0
    # Seconds a watch lasts at least when the client does not say; up to twice as long, at random.
    min_request_timeout_seconds: float = 1800.0
    # Seconds for which events are kept.
    event_ttl_seconds: float = 3600.0
    # Answer requests without credentials as system:anonymous (authorization then allows health and version only).
    anonymous_auth: bool = True
