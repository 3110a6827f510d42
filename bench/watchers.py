"""How long one write takes to reach all of many watchers, over TLS.

A second process is the clients: connections that watch one namespace's config maps, and one writer at a fixed rate. A write's
time runs from before the request is sent until the last watcher has read the event. Prints p50 and p99 of it.
"""

import argparse
import json
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Figure, median, percentile
from servers import NAMESPACE, Served, api_server

MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
CASES = ((1000, 20), (200, 100))
TARGET_MS = 50.0


class Arrivals:
    """Counts who has seen which write, and when the last of them had."""

    def __init__(self, watchers: int) -> None:
        self._watchers = watchers
        self._begun: dict[bytes, float] = {}
        self._seen: dict[bytes, int] = {}
        self.seconds: list[float] = []

    def expect(self, mark: bytes) -> None:
        self._seen[mark] = 0
        self._begun[mark] = time.perf_counter()

    def saw(self, mark: bytes) -> None:
        self._seen[mark] += 1
        if self._seen[mark] == self._watchers:
            self.seconds.append(time.perf_counter() - self._begun[mark])


class Client:
    """One TLS connection, read without an event loop: one would cost more than what it measures."""

    def __init__(self, server: Served, context: ssl.SSLContext) -> None:
        host, port = server.url.removeprefix("https://").split(":")
        self.fields = f"Host: localhost\r\nAuthorization: Bearer {server.token}\r\n"
        self.socket = context.wrap_socket(socket.create_connection((host, int(port))))
        self._rest = b""

    def send(self, request: str) -> None:
        self.socket.setblocking(True)
        self.socket.sendall(request.encode())
        self.socket.setblocking(False)

    def lines(self) -> list[bytes]:
        """Return the whole lines that have arrived."""
        data = self._rest
        try:
            while read := self.socket.recv(65536):
                data += read
                if not self.socket.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        *lines, self._rest = data.split(b"\n")
        return lines


def clients(server: Served, watchers: int, rate: int, writes: int) -> list[float]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    version = json.loads(server.call(MAPS))["metadata"]["resourceVersion"]
    arrivals, selector = Arrivals(watchers), selectors.EpollSelector()
    for _ in range(watchers):
        client = Client(server, context)
        client.send(f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.1\r\n{client.fields}\r\n")
        selector.register(client.socket, selectors.EVENT_READ, client)
    writer = Client(server, context)
    selector.register(writer.socket, selectors.EVENT_READ, writer)
    heads, refused, sent = 0, [], 0
    begin = time.perf_counter() + 0.2
    deadline = begin + writes / rate + 30.0
    while len(arrivals.seconds) < writes:
        now = time.perf_counter()
        if now > deadline:
            raise SystemExit(f"{len(arrivals.seconds)} of {writes} writes have reached {watchers} watchers")
        if heads < watchers:
            begin = now + 0.2
        elif sent < writes and now >= begin + sent / rate:
            mark = f"{watchers}-{sent}"
            body = json.dumps({"metadata": {"name": f"m-{mark}"}, "data": {"mark": mark}}, separators=(",", ":"))
            arrivals.expect(mark.encode())
            writer.send(
                f"POST {MAPS} HTTP/1.1\r\n{writer.fields}Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            )
            sent += 1
        wait = begin + sent / rate - time.perf_counter() if sent < writes else 1.0
        for key, _ in selector.select(max(0.0, wait)):
            for line in key.data.lines():
                if line.startswith(b"HTTP/1.1 "):
                    heads += 1
                    if line[9:12] not in {b"200", b"201"}:
                        refused.append(line)
                elif key.data is not writer and (at := line.find(b'"mark":"')) >= 0:
                    arrivals.saw(line[at + 8 : line.index(b'"', at + 8)])
        if refused:
            raise SystemExit(f"the server answers {refused[0]!r}")
    return arrivals.seconds


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
    print(json.dumps(clients(Served(0, given.url, given.token), given.watchers, given.rate, given.writes)))


if __name__ == "__main__":
    main()
