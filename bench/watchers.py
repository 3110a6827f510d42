"""How long one write takes to reach all of many watchers, over TLS.

A second process is the clients: connections that watch one namespace's config maps, and a few that write at a fixed rate in turn. A
write's time runs from before the request is sent until the last watcher has read the event; in the end every watcher must have read
every event. Prints p50 and p99 of it.
"""

import argparse
import json
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from report import Figure, median, percentile
from servers import NAMESPACE, Served, api_server

MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
CASES = ((1000, 20), (200, 100))
TARGET_MS = 50.0
# Connections that write. On one alone, a request would wait for the answer to the one before it.
WRITERS = 4
# More than a TLS record holds, so that one read takes all that one has brought.
RECORD_BYTES = 65536


class Client:
    """One TLS connection, read without an event loop: one would cost more than what it measures."""

    def __init__(self, server: Served, context: ssl.SSLContext) -> None:
        host, port = server.url.removeprefix("https://").split(":")
        self.fields = f"Host: localhost\r\nAuthorization: Bearer {server.token}\r\n"
        self.socket = context.wrap_socket(socket.create_connection((host, int(port))))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: str) -> None:
        self.socket.setblocking(True)
        self.socket.sendall(request.encode())
        self.socket.setblocking(False)

    def read(self) -> bytes:
        """Return what one record has brought; empty when it is not whole yet."""
        try:
            return self.socket.recv(RECORD_BYTES)
        except ssl.SSLWantReadError:
            return b""


class Watcher(Client):
    """A client that watches; `has_begun` when the server has said that it does."""

    def __init__(self, server: Served, context: ssl.SSLContext, version: str) -> None:
        super().__init__(server, context)
        self.send(f"GET {MAPS}?watch=1&resourceVersion={version} HTTP/1.1\r\n{self.fields}\r\n")
        self.has_begun = False
        self.events = 0
        self._rest = b""

    def marks(self) -> Iterable[bytes]:
        """Return the marks of the events that have arrived whole."""
        data = self._rest + self.read()
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        if not self.has_begun and end:
            _check(data)
            self.has_begun = True
        marks = [event[: event.index(b'"')] for event in data[:end].split(b'"mark":"')[1:]]
        self.events += len(marks)
        return marks


class Writer(Client):
    """A client that writes."""

    def write(self, mark: str) -> None:
        body = json.dumps({"metadata": {"name": f"m-{mark}"}, "data": {"mark": mark}}, separators=(",", ":"))
        self.send(
            f"POST {MAPS} HTTP/1.1\r\n{self.fields}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def marks(self) -> Iterable[bytes]:
        """Check an answer; nothing in it counts."""
        if data := self.read():
            _check(data)
        return ()


def _check(answer: bytes) -> None:
    if answer.startswith(b"HTTP/1.1 ") and answer[9:12] not in {b"200", b"201"}:
        raise SystemExit(f"the server answers {answer!r}")


def clients(server: Served, watchers: int, rate: int, writes: int) -> list[float]:
    """Return the seconds that each write took to reach everyone."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    version = json.loads(server.call(MAPS))["metadata"]["resourceVersion"]
    watching = [Watcher(server, context, version) for _ in range(watchers)]
    writing = [Writer(server, context) for _ in range(WRITERS)]
    by_descriptor: dict[int, Watcher | Writer] = {client.socket.fileno(): client for client in (*watching, *writing)}
    poll = select.epoll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    while not all(client.has_begun for client in watching):
        for descriptor, _ in poll.poll(30.0):
            by_descriptor[descriptor].marks()
    begun: list[float] = []
    missing: dict[bytes, int] = {}
    seconds: list[float] = []
    begin = time.perf_counter() + 0.2
    deadline = begin + writes / rate + 30.0
    while len(seconds) < writes:
        now = time.perf_counter()
        if now > deadline:
            raise SystemExit(f"{len(seconds)} of {writes} writes have reached {watchers} watchers")
        if len(begun) < writes and now >= begin + len(begun) / rate:
            number = len(begun)
            missing[b"%d" % number] = watchers
            begun.append(now)
            writing[number % WRITERS].write(f"{number}")
        wait = begin + len(begun) / rate - time.perf_counter() if len(begun) < writes else 1.0
        for descriptor, _ in poll.poll(max(0.0, wait)):
            for mark in by_descriptor[descriptor].marks():
                missing[mark] -= 1
                if not missing[mark]:
                    seconds.append(time.perf_counter() - begun[int(mark)])
    if any(client.events != writes for client in watching):
        raise SystemExit("a watcher has read an event twice or not at all")
    return seconds


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
