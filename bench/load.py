"""Requests that wrk makes: what each is, and how fast they were answered.

In a path and a body, OBJECT becomes each of some stored objects in turn, NAME its name, and COUNT a number that never comes twice, so
that a create makes something new and an update changes something.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import Served

CONNECTIONS = 16
_LUA = """
local count, offset = 0, %(offset)d
local path, body, objects = [==[%(path)s]==], [==[%(body)s]==], {}
for line in io.lines("%(objects)s") do objects[#objects + 1] = line end
local headers = {["Authorization"] = "Bearer %(token)s", ["Content-Type"] = "%(media)s"}
function request()
  count = count + 1
  local object = objects[count %% math.max(#objects, 1) + 1] or ""
  local name = object:match('"metadata":{"name":"([^"]*)"')
  local function fill(text)
    return (text:gsub("OBJECT", function() return object end):gsub("NAME", name or ""):gsub("COUNT", offset + count))
  end
  return wrk.format("%(method)s", fill(path), headers, fill(body))
end
"""


@dataclass(frozen=True)
class Load:
    """One kind of request."""

    method: str
    path: str
    body: str = ""
    media: str = "application/json"
    objects: Sequence[str] = ()
    connections: int = CONNECTIONS


@dataclass(frozen=True)
class Answered:
    """How a second of it went."""

    per_second: float
    bytes_per_second: float
    # Microseconds of the server's processor time for one request.
    cpu_micros: float


class Wrk:
    """Drives servers; its files lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def drive(self, server: Served, load: Load, seconds: int = 1) -> Answered:
        """Put the load on a server."""
        self._runs += 1
        objects, file = self._folder / "objects", self._folder / "load.lua"
        objects.write_text("\n".join(load.objects))
        file.write_text(
            _LUA
            % {
                "offset": self._runs * 1_000_000,
                "path": load.path,
                "body": load.body,
                "objects": objects,
                "token": server.token,
                "media": load.media,
                "method": load.method,
            }
        )
        before = server.cpu_seconds()
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout=30s", "-s", str(file), server.url]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        counted = re.search(r"(\d+) requests in ([0-9.]+)s, ([0-9.]+)([KMG]?B) read", text)
        refused = re.search(r"Non-2xx or 3xx responses:\s+(\d+)", text)
        if counted is None or refused is not None:
            raise SystemExit(f"{load.method} {load.path}: not every request was answered well\n{text}")
        requests, spent = int(counted[1]), float(counted[2])
        read = float(counted[3]) * {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}[counted[4]]
        return Answered(requests / spent, read / spent, (server.cpu_seconds() - before) / max(requests, 1) * 1e6)
