"""Where a cluster keeps its files: everything under one folder that only its owner may enter."""

import os
import socket
from pathlib import Path

from msgspec import Struct


class ForeignFolder(Exception):
    """A folder that belongs to somebody else; the text names it and says what to do."""


def default_data_dir(name: str) -> Path:
    """Return where a cluster of this name lives when nobody says otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/pinnace") / name
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(home) / "pinnace" / name


def default_agent_dir(node: str) -> Path:
    """Return where the agent of a node keeps its things when nobody says otherwise."""
    return Path("/var/lib/pinnace-agent") / node


class ClusterPaths(Struct, frozen=True):
    """The files of one cluster."""

    root: Path

    @property
    def marker(self) -> Path:
        """Says that the folder was made for a cluster, so that it may be removed with it."""
        return self.root / ".pinnace"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def store(self) -> Path:
        return self.root / "store" / "state.db"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.root / "admin.kubeconfig"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def state(self) -> Path:
        """What a running server tells the commands: its process, its address."""
        return self.root / "server.json"

    @property
    def lock(self) -> Path:
        """Held by the server while it runs."""
        return self.root / "server.lock"

    @property
    def nodes(self) -> Path:
        """The folders of further nodes on this machine, each like a cluster's own."""
        return self.root / "nodes"

    @property
    def node_name(self) -> str:
        """What this machine is called as a node: by its host name, unless the cluster was made with another."""
        try:
            return (self.root / "node-name").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return socket.gethostname().lower()

    def name_node(self, name: str) -> None:
        """Call this machine something else as a node, from its first start on."""
        self.make()
        (self.root / "node-name").write_text(f"{name}\n", encoding="utf-8")

    def make(self) -> None:
        """Make the folders, for the owner alone.

        Raises:
            ForeignFolder: the folder holds something else already.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.is_cluster():
            if any(self.root.iterdir()):
                raise ForeignFolder(f"{self.root} is not empty and holds no cluster: choose another --data-dir")
            self.marker.touch(mode=0o600)
        for folder in (self.pki, self.store.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)

    def is_cluster(self) -> bool:
        """Tell whether the folder was made for a cluster."""
        return self.marker.exists()
