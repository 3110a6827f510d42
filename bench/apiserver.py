"""Requests a second through the API server's front door, beside a bare server in the same run.

Starts the API server (memory store) and a bare aiohttp server with the same body and TLS, drives each with wrk over 16 keep-alive
connections, and prints a table and a line of JSON. The ratios, not the figures, can be compared between machines.
"""

import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "bench"
CONNECTIONS = 16
TARGETS = {"create": 0.15, "get": 0.4}
NAMESPACE = "bench"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "NAME", "labels": {"app": "bench", "tier": "web"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "registry.example/app:1",
                "env": [{"name": f"VAR_{i}", "value": "value" * 4} for i in range(8)],
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }
        ]
    },
}
LUA_GET = 'wrk.headers["Authorization"] = "Bearer bench"\n'
LUA_CREATE = """
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
local count = 0
local body = [==[%s]==]
local headers = {["Authorization"] = "Bearer bench", ["Content-Type"] = "application/json"}
function request()
  count = count + 1
  return wrk.format("POST", "%s", headers, (body:gsub("NAME", "p-%d-" .. id .. "-" .. count)))
end
"""


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    per_second: float
    errors: int


@contextmanager
def started(*command: str) -> Iterator[str]:
    """Run a server and yield its URL."""
    environment = {**os.environ, "PINNACE_TEST_TOKEN": TOKEN}
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("READY"):
            raise SystemExit(f"{command[0]} did not start")
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(10)


def call(url: str, method: str = "GET", body: object = None) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return bytes(answer.read())


def wrk(name: str, url: str, script: str, seconds: int, folder: Path) -> Result:
    file = folder / f"{name.replace(' ', '-')}.lua"
    file.write_text(script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(file), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    failed = re.search(r"Non-2xx or 3xx responses:\s+(\d+)", text)
    assert rate is not None, text
    return Result(name, float(rate[1]), int(failed[1]) if failed else 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    seconds = parser.parse_args().seconds
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with started(str(ROOT / "tests/conformance/serve_apiserver.py"), str(folder / "pki")) as url:
            results, body = measure(url, seconds, folder)
        (folder / "body").write_bytes(body)
        key = folder / "pki/server.key"
        with started(
            str(ROOT / "bench/bare_server.py"), str(folder / "pki/server.crt"), str(key), str(folder / "body")
        ) as url:
            bare_get = wrk("bare get", url, LUA_GET, seconds, folder)
            bare_create = wrk("bare create", url, create_script("/", 0), seconds, folder)
    report(results, {"get": bare_get, "create": bare_create})


def create_script(path: str, run: int) -> str:
    return LUA_CREATE % (json.dumps(POD, separators=(",", ":")), path, run)


def measure(url: str, seconds: int, folder: Path) -> tuple[dict[str, Result], bytes]:
    call(f"{url}/api/v1/namespaces", "POST", {"metadata": {"name": NAMESPACE}})
    call(f"{url}/api/v1/namespaces/{NAMESPACE}/serviceaccounts", "POST", {"metadata": {"name": "default"}})
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    body = call(url + pods, "POST", {**POD, "metadata": {**POD["metadata"], "name": "one"}})
    results = {
        "get": wrk("get", f"{url}{pods}/one", LUA_GET, seconds, folder),
        "create": wrk("create", url + pods, create_script(pods, int(time.time())), seconds, folder),
        "list 500": wrk("list 500", f"{url}{pods}?limit=500", LUA_GET, seconds, folder),
    }
    return results, body


def report(results: dict[str, Result], bare: dict[str, Result]) -> None:
    print(f"{'request':<12}{'per second':>12}{'bare':>12}{'ratio':>8}{'target':>8}{'errors':>8}")
    rows = []
    for name, result in results.items():
        yardstick = bare.get(name)
        ratio = result.per_second / yardstick.per_second if yardstick else None
        rows.append({"request": name, "per_second": result.per_second, "ratio": ratio, "target": TARGETS.get(name)})
        shown = f"{ratio:.3f}" if ratio is not None else ""
        beside = f"{yardstick.per_second:.0f}" if yardstick else ""
        print(f"{name:<12}{result.per_second:>12.0f}{beside:>12}{shown:>8}{TARGETS.get(name, ''):>8}{result.errors:>8}")
    print(json.dumps({"bench": "apiserver", "connections": CONNECTIONS, "rows": rows}))


if __name__ == "__main__":
    main()
