"""How long one write takes to reach all of many watchers, over TLS.

A second process is the clients: connections that watch one namespace's config maps, and one writer at a fixed rate. A write's
time runs from before the request is sent until the last watcher has read the event. Prints p50 and p99 of it.
"""

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from report import Figure, median, percentile
from servers import NAMESPACE, Served, api_server

MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
CASES = ((1000, 20), (200, 100))
TARGET_MS = 50.0


class Arrivals:
    """Counts who has seen which write."""

    def __init__(self, watchers: int) -> None:
        self._watchers = watchers
        self._seen: dict[bytes, int] = {}
        self._done: dict[bytes, asyncio.Future[float]] = {}

    def expect(self, mark: bytes) -> "asyncio.Future[float]":
        self._seen[mark] = 0
        self._done[mark] = asyncio.get_running_loop().create_future()
        return self._done[mark]

    def saw(self, mark: bytes) -> None:
        self._seen[mark] += 1
        if self._seen[mark] == self._watchers:
            self._done.pop(mark).set_result(time.perf_counter())


class WatchConnection(asyncio.Protocol):
    """One watch; finds the marks of writes in what arrives."""

    def __init__(self, head: str, arrivals: Arrivals, opened: "asyncio.Future[None]") -> None:
        self._head, self._arrivals, self._opened = head, arrivals, opened
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._head.encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self._opened.done():
            assert data.startswith(b"HTTP/1.1 200"), data[:200]
            self._opened.set_result(None)
        data = self._rest + data
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            at = line.find(b'"mark":"')
            if at >= 0:
                self._arrivals.saw(line[at + 8 : line.index(b'"', at + 8)])


async def clients(server: Served, watchers: int, rate: int, writes: int) -> list[float]:
    host, port = server.url.removeprefix("https://").split(":")
    fields = f"Host: localhost\r\nAuthorization: Bearer {server.token}\r\n"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    version = json.loads(server.call(MAPS))["metadata"]["resourceVersion"]
    head = f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.1\r\n{fields}\r\n"
    arrivals = Arrivals(watchers)
    opened = []
    for _ in range(watchers):
        future: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda f=future: WatchConnection(head, arrivals, f), host, int(port), ssl=context)
        opened.append(future)
    await asyncio.gather(*opened)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    times = []
    pending = []
    start = loop.time() + 0.2
    for number in range(writes):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        mark = f"{watchers}-{number}"
        body = json.dumps({"metadata": {"name": f"m-{mark}"}, "data": {"mark": mark}}, separators=(",", ":"))
        done = arrivals.expect(mark.encode())
        begun = time.perf_counter()
        writer.write(
            (
                f"POST {MAPS} HTTP/1.1\r\n{fields}Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
        pending.append((begun, done))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 201"), answer
        length = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
    for begun, done in pending:
        times.append(await asyncio.wait_for(done, 30) - begun)
    return times


def measure(seconds: int) -> list[Figure]:
    """Run every case against a server of its own."""
    figures = []
    for watchers, rate in CASES:
        with tempfile.TemporaryDirectory() as folder, api_server(Path(folder)) as server:
            command = [
                sys.executable,
                __file__,
                "--url",
                server.url,
                "--token",
                server.token,
                "--watchers",
                str(watchers),
            ]
            command += ["--rate", str(rate), "--writes", str(rate * seconds)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        times = json.loads(out)
        name = f"write to {watchers} watchers, {rate} a second"
        p50 = f"p50 {median(times) * 1000:.1f}"
        figures.append(Figure(f"{name}, p99", percentile(times, 0.99) * 1000, "ms", TARGET_MS, note=p50))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--watchers", type=int, required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--writes", type=int, required=True)
    given = parser.parse_args()
    print(json.dumps(uvloop.run(clients(Served(0, given.url, given.token), given.watchers, given.rate, given.writes))))


if __name__ == "__main__":
    main()
