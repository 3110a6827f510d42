"""Requests a second through the API server's front door, beside a bare server in the same run.

The API server (memory store) and a bare aiohttp server with the same body and TLS, each driven by wrk over 16 keep-alive connections. The
ratios, not the figures, can be compared between machines.
"""

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from report import Figure
from servers import API_SERVER, ROOT, call, started

CONNECTIONS = 16
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


def measure(seconds: int) -> list[Figure]:
    """Drive both servers, for some seconds a case."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with started(API_SERVER, str(folder / "pki")) as url:
            rates, body = _drive(url, seconds, folder)
        (folder / "body").write_bytes(body)
        certificate, key = str(folder / "pki/server.crt"), str(folder / "pki/server.key")
        with started(str(ROOT / "bench/bare_server.py"), certificate, key, str(folder / "body")) as url:
            bare_get = _wrk("bare-get", url, LUA_GET, seconds, folder)
            bare_create = _wrk("bare-create", url, _create_script("/", 0), seconds, folder)
    return [
        _ratio("create pod / bare server", rates["create"], bare_create, goal=0.15),
        _ratio("get pod / bare server", rates["get"], bare_get, goal=0.4),
        Figure("list 500 pods", rates["list"], "/s"),
    ]


def _ratio(name: str, rate: float, bare: float, *, goal: float) -> Figure:
    return Figure(name, rate / bare, "×", goal, more_is_better=True, note=f"{rate:.0f} of {bare:.0f} a second")


def _drive(url: str, seconds: int, folder: Path) -> tuple[dict[str, float], bytes]:
    call(f"{url}/api/v1/namespaces", "POST", {"metadata": {"name": NAMESPACE}})
    call(f"{url}/api/v1/namespaces/{NAMESPACE}/serviceaccounts", "POST", {"metadata": {"name": "default"}})
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    body = call(url + pods, "POST", {**POD, "metadata": {"name": "one", "labels": {"app": "bench", "tier": "web"}}})
    rates = {
        "get": _wrk("get", f"{url}{pods}/one", LUA_GET, seconds, folder),
        "create": _wrk("create", url + pods, _create_script(pods, int(time.time())), seconds, folder),
        "list": _wrk("list", f"{url}{pods}?limit=500", LUA_GET, seconds, folder),
    }
    return rates, body


def _create_script(path: str, run: int) -> str:
    return LUA_CREATE % (json.dumps(POD, separators=(",", ":")), path, run)


def _wrk(name: str, url: str, script: str, seconds: int, folder: Path) -> float:
    file = folder / f"{name}.lua"
    file.write_text(script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(file), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    refused = re.search(r"Non-2xx or 3xx responses:\s+(\d+)", text)
    if rate is None or refused is not None:
        raise SystemExit(f"{name}: not every request was answered well\n{text}")
    return float(rate[1])
