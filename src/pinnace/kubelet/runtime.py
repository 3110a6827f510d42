"""What the node agent asks of a container runtime: sandboxes, containers, images and streams, as values of our own.

Whoever implements `ContainerRuntime` keeps pods by the UID in their labels, so that the agent can be restarted and find them again.
Errors are `RuntimeFailure`; `NotThere` when a named thing is gone. Upstream: cri-api `pkg/apis/services.go`.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field

from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams import CommandStreams

POD_NAME, POD_NAMESPACE, POD_UID = "io.kubernetes.pod.name", "io.kubernetes.pod.namespace", "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
RESTART_COUNT = "io.kubernetes.container.restartCount"
CONTAINER_HASH = "io.kubernetes.container.hash"
TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_POLICY = "io.kubernetes.container.terminationMessagePolicy"


class RuntimeFailure(Exception):
    """The runtime could not do what it was asked; the text is its own."""


class NotThere(RuntimeFailure):
    """The sandbox, container or image is not known to the runtime."""


class State(StrEnum):
    """How far a container is."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


class PortMapping(Struct, frozen=True, kw_only=True):
    """A port of the node that leads into the pod."""

    container_port: int
    host_port: int
    protocol: str = "TCP"
    host_ip: str = ""


class SandboxConfig(Struct, frozen=True, kw_only=True):
    """Everything that a sandbox is made from."""

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    hostname: str = ""
    log_directory: str = ""
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cgroup_parent: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_processes: bool = False
    privileged: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[int, ...] = ()


class Mount(Struct, frozen=True, kw_only=True):
    """A path of the node inside a container."""

    container_path: str
    host_path: str
    read_only: bool = False
    propagation: str = "None"


class Limits(Struct, frozen=True, kw_only=True):
    """A container's share of the node, in the kernel's units; zero means unset."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory_bytes: int = 0
    oom_score_adj: int = 0


class Security(Struct, frozen=True, kw_only=True):
    """What a container's processes may do."""

    user: int | None = None
    username: str = ""
    group: int | None = None
    groups: tuple[int, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    seccomp: str = "Unconfined"
    seccomp_file: str = ""
    masked_paths: tuple[str, ...] = ()
    read_only_paths: tuple[str, ...] = ()


class ContainerConfig(Struct, frozen=True, kw_only=True):
    """Everything that a container is made from."""

    name: str
    attempt: int
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: Sequence[tuple[str, str]] = ()
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    limits: Limits = field(default_factory=Limits)
    security: Security = field(default_factory=Security)
    # The container whose processes this one sees; empty for its own or the pod's.
    process_target: str = ""


class Sandbox(Struct, frozen=True, kw_only=True):
    """A sandbox as the runtime sees it; addresses only where they were asked for."""

    id: str
    uid: str
    name: str
    namespace: str
    attempt: int
    ready: bool
    created_at: int
    ips: tuple[str, ...] = ()


class Instance(Struct, frozen=True, kw_only=True):
    """One run of a container as the runtime sees it; times in nanoseconds since the epoch."""

    id: str
    sandbox_id: str
    uid: str
    name: str
    state: State
    restart_count: int
    created_at: int
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


class PodRecord(Struct, frozen=True, kw_only=True):
    """All that the runtime has of one pod, newest first."""

    uid: str
    sandboxes: tuple[Sandbox, ...] = ()
    instances: tuple[Instance, ...] = ()

    @property
    def sandbox(self) -> Sandbox | None:
        """The newest sandbox."""
        return self.sandboxes[0] if self.sandboxes else None

    def of(self, name: str) -> tuple[Instance, ...]:
        """Return the runs of one container, newest first."""
        return tuple(instance for instance in self.instances if instance.name == name)


class Image(Struct, frozen=True, kw_only=True):
    """An image that is on the node."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size_bytes: int = 0
    user: int | None = None
    username: str = ""


class Credential(Struct, frozen=True):
    """What a registry is shown: a user and a password, or a token."""

    user: str
    password: str
    token: str = ""


class Health(Struct, frozen=True, kw_only=True):
    """What the runtime says of itself; each reason is empty when all is well."""

    version: str
    runtime_reason: str = ""
    network_reason: str = ""


class Executed(Struct, frozen=True, kw_only=True):
    """What a command gave back."""

    exit_code: int
    output: bytes


class Usage(Struct, frozen=True, kw_only=True):
    """What a running container has used up to a moment; nanoseconds, bytes and pieces."""

    container_id: str
    at: int
    cpu_nanos: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    inodes: int = 0


class PodRecords(Protocol):
    """What the runtime has."""

    @abstractmethod
    async def pods(self) -> Mapping[str, PodRecord]:
        """Return everything of every pod, by UID; what belongs to no pod is left out."""

    @abstractmethod
    async def pod(self, uid: str) -> PodRecord:
        """Return everything of one pod; an empty record when there is nothing."""

    @abstractmethod
    def changes(self) -> AsyncIterator[str]:
        """Yield the UIDs of pods in which something changed, as it happens; empty when it may be any of them.

        Ends when the runtime cannot tell any more (the caller asks again, and looks at everything meanwhile) and raises
        RuntimeFailure when it never can.
        """

    @abstractmethod
    async def usage(self) -> Sequence[Usage]:
        """Return what all running containers have used."""


class ContainerRuntime(Protocol):
    """Sandboxes and containers; every call may be repeated."""

    @abstractmethod
    async def run_sandbox(self, config: SandboxConfig) -> str:
        """Make a sandbox with its network and return its ID."""

    @abstractmethod
    async def end_sandbox(self, sandbox_id: str, *, remove: bool) -> None:
        """Stop a sandbox and its network, then forget it if `remove`; nothing happens when it is gone."""

    @abstractmethod
    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        """Make a container that does not run yet and return its ID."""

    @abstractmethod
    async def start_container(self, container_id: str) -> None:
        """Run a container that was made."""

    @abstractmethod
    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        """Signal a container, and kill it when the grace is over; returns once it has ended."""

    @abstractmethod
    async def remove_container(self, container_id: str) -> None:
        """Forget a container that has ended."""

    @abstractmethod
    async def health(self) -> Health:
        """Return the runtime's version and whether it and its network are ready."""

    @abstractmethod
    async def set_pod_cidr(self, cidr: str) -> None:
        """Learn from which network pods get their addresses."""


class Images(Protocol):
    """The node's images."""

    @abstractmethod
    async def image(self, name: str) -> Image | None:
        """Return an image that is present, or None."""

    @abstractmethod
    async def images(self) -> Sequence[Image]:
        """Return all images that are present."""

    @abstractmethod
    async def pull(self, name: str, credential: Credential | None) -> str:
        """Fetch an image and return its reference; None is anonymous."""

    @abstractmethod
    async def remove_image(self, image_id: str) -> None:
        """Take an image off the node; nothing happens when it is gone."""


class Streams(Protocol):
    """Commands in containers and connections into pods."""

    @abstractmethod
    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> Executed:
        """Run a command to its end; zero seconds is no limit."""

    @abstractmethod
    async def exec(self, container_id: str, streams: CommandStreams) -> int:
        """Run the command of `streams.options`, carry its streams to its end and return its exit code.

        Raises:
            CommandFailed: there is none.
        """

    @abstractmethod
    async def attach(self, container_id: str, streams: CommandStreams) -> int:
        """Carry the streams of a running container until it or the client ends; errors as for `exec`."""

    @abstractmethod
    async def forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        """Carry one connection to a port of a pod until the port's side has ended.

        Raises:
            PortForwardFailed: the port cannot be reached.
        """

    @abstractmethod
    async def reopen_log(self, container_id: str) -> None:
        """Go on with a new log file, after the old one was renamed."""


class Runtime(PodRecords, ContainerRuntime, Images, Streams, Protocol):
    """All that the agent asks of a runtime, in one object."""
