"""Clients that write for as long as they are told, and keep book of what was answered, so that a test can ask what is missing.

A write whose answer was lost may have happened or not; nothing is claimed about it. A server that is away is tried again.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Book:
    """What one writer was answered; the value of an object is its uid and resourceVersion.

    Attributes:
        created: objects that were answered once and never touched again.
        updated: objects with the answer to their last update; missing from here once an update's answer was lost.
        deleted: names whose deletion was answered.
        revisions: every resourceVersion that was answered, in order.
        lost: how many answers were lost.
    """

    created: dict[str, tuple[str, str]] = field(default_factory=dict)
    updated: dict[str, tuple[str, str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    revisions: list[int] = field(default_factory=list)
    lost: int = 0


class Api:
    """One connection to an API server, as its administrator."""

    def __init__(self, url: str, pki: Path) -> None:
        self._host = urlsplit(url).netloc
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._connection: http.client.HTTPSConnection | None = None

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the object that was answered.

        Raises:
            OSError, http.client.HTTPException: no answer came.
            AssertionError: the answer was a refusal.
        """
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=10)
        try:
            data = json.dumps(body) if body is not None else None
            self._connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        assert answer.status < 300, f"{method} {path}: {answer.status} {text.decode(errors='replace')}"
        return json.loads(text)

    def close(self) -> None:
        """Drop the connection; the next call makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Writer(threading.Thread):
    """Creates config maps, updates every third, deletes every fourth, until it is stopped."""

    def __init__(self, api: Api, namespace: str, number: int) -> None:
        super().__init__(name=f"writer {number}")
        self.book = Book()
        self.failure: BaseException | None = None
        self._api, self._number = api, number
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._ending = threading.Event()

    def run(self) -> None:
        try:
            count = 0
            while not self._ending.is_set():
                count += 1
                try:
                    self._write(f"w{self._number}-{count}", count)
                except (OSError, http.client.HTTPException):
                    self.book.lost += 1
                    self._ending.wait(0.05)
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            self.failure = error
        finally:
            self._api.close()

    def end(self) -> None:
        """Stop, and raise what went wrong."""
        self._ending.set()
        self.join(30)
        if self.failure is not None:
            raise self.failure

    def _write(self, name: str, count: int) -> None:
        made = self._api.call("POST", self._path, {"metadata": {"name": name}, "data": {"count": "0"}})
        identity = self._answered(made)
        if count % 3 == 0:
            self.book.updated[name] = identity
            for round_ in range(1, 4):
                made["data"] = {"count": str(round_)}
                del self.book.updated[name]
                made = self._api.call("PUT", f"{self._path}/{name}", made)
                self.book.updated[name] = self._answered(made)
        elif count % 4 == 0:
            self._api.call("DELETE", f"{self._path}/{name}")
            self.book.deleted.add(name)
        else:
            self.book.created[name] = identity

    def _answered(self, made: Any) -> tuple[str, str]:
        self.book.revisions.append(int(made["metadata"]["resourceVersion"]))
        return made["metadata"]["uid"], made["metadata"]["resourceVersion"]


@contextmanager
def writing(url: str, pki: Path, namespace: str, writers: int) -> Iterator[list[Book]]:
    """Write beside the body; gives the books, which are closed once the body has ended."""
    threads = [Writer(Api(url, pki), namespace, number) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield [thread.book for thread in threads]
    finally:
        for thread in threads:
            thread.end()
