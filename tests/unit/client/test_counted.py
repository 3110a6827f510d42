"""What clients ask is counted by method and status."""

import asyncio

import pytest

from pinnace.client import CountedTransport, Transport
from pinnace.component.clock import VirtualClock
from pinnace.component.http import ConnectFailed, Response
from pinnace.component.metrics import Metrics


class Server(Transport):
    """Answers with one status, after a time, or not at all."""

    def __init__(self, clock, status, seconds=0.0):
        self._clock, self._status, self._seconds = clock, status, seconds

    async def request(self, method, path, *, query="", headers, body=b"", stream=False):
        await self._clock.sleep(self._seconds)
        if self._status is None:
            raise ConnectFailed("nobody is there")
        return Response(self._status)

    async def close(self):
        pass


async def test_transport_counts_answers_and_how_long_they_took():
    """Names and labels are those of upstream's clients."""
    clock, metrics = VirtualClock(), Metrics()
    transport = CountedTransport(Server(clock, 404, seconds=0.75), metrics, clock, "server:6443")
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(transport.request("GET", "/api/v1/pods/x", headers={}))
        await clock.advance(1)
    assert asked.result().status == 404
    text = metrics.response().body.decode()
    assert 'rest_client_requests_total{code="404",host="server:6443",method="GET"} 1.0' in text
    assert 'rest_client_request_duration_seconds_sum{host="server:6443",verb="GET"} 0.75' in text


async def test_transport_counts_what_had_no_answer():
    """A request that failed stands under a code that is no number, and its error goes on."""
    clock, metrics = VirtualClock(), Metrics()
    transport = CountedTransport(Server(clock, None), metrics, clock)
    with pytest.raises(ConnectFailed):
        await transport.request("POST", "/api/v1/pods", headers={})
    expected = 'rest_client_requests_total{code="<error>",host="localhost",method="POST"} 1.0'
    assert expected in metrics.response().body.decode()
