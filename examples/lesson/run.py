"""Runs the lesson's pods on a cluster that `pinnace up` started, waits until they run, and prints what kubectl would.

Usage: python examples/lesson/run.py [KUBECONFIG]; without it, the default cluster's. Running it again changes nothing.
"""

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from pinnace.cluster.paths import ClusterPaths, default_data_dir
from pinnace.component.kubeconfig import Access, access

MANIFESTS = ("mypod-with-env-var.yaml", "mypod-with-ports.yml", "mypod-with-hostnetwork.yml")
PODS = "/api/v1/namespaces/default/pods"
LIMIT_SECONDS = 120


class Api:
    """Plain requests to one API server, with nothing but the standard library."""

    def __init__(self, entry: Access) -> None:
        self._server = entry.server
        self._context = ssl.create_default_context(cadata=entry.ca_pem.decode())
        with NamedTemporaryFile() as pair:
            pair.write(entry.certificate_pem + entry.key_pem)
            pair.flush()
            self._context.load_cert_chain(pair.name)

    def call(self, method: str, path: str, body: Any = None, accept: str = "application/json") -> Any:
        """Return the answer's JSON; an answer of 409 (it is there already) is as good as a success."""
        headers = {"Content-Type": "application/json", "Accept": accept}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._server + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
            if error.code != 409:
                raise SystemExit(f"{method} {path}: {answer.get('message')}") from error
            return answer

    def table(self, path: str) -> list[list[str]]:
        """Return what `kubectl get` prints for a list: names of columns, then rows."""
        found = self.call("GET", path, accept="application/json;as=Table;g=meta.k8s.io;v=v1")
        shown = [index for index, column in enumerate(found["columnDefinitions"]) if column["priority"] == 0]
        rows = [[str(row["cells"][index]) for index in shown] for row in found.get("rows") or []]
        return [[found["columnDefinitions"][index]["name"].upper() for index in shown], *rows]


def main() -> None:
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else ClusterPaths(default_data_dir("pinnace")).admin_kubeconfig
    api = Api(access(given))
    if not api.call("GET", "/api/v1/nodes")["items"]:
        print_table(api.table("/api/v1/namespaces"))
        print("\nno node, so no pods: `pinnace doctor` says what real containers need")
        return
    names = set()
    for manifest in MANIFESTS:
        pod = yaml.safe_load((Path(__file__).parent / manifest).read_text())
        names.add(pod["metadata"]["name"])
        api.call("POST", PODS, pod)
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (running := names <= names_running(api)) and time.monotonic() < deadline:
        time.sleep(0.1)
    print_table(api.table("/api/v1/nodes"))
    print()
    print_table(api.table(PODS))
    if not running:
        raise SystemExit(f"\nnot all pods run after {LIMIT_SECONDS} s: see `pinnace kubectl describe pods`")


def names_running(api: Api) -> set[str]:
    """Return the pods of which every container is ready."""
    found = api.call("GET", PODS)["items"]
    conditions = {pod["metadata"]["name"]: pod["status"].get("conditions", []) for pod in found}
    return {name for name, listed in conditions.items() if {"Ready": "True"}.items() <= statuses(listed).items()}


def statuses(conditions: list[dict[str, str]]) -> dict[str, str]:
    """Return condition → status."""
    return {condition["type"]: condition["status"] for condition in conditions}


def print_table(rows: list[list[str]]) -> None:
    """Print rows with their columns in line."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
