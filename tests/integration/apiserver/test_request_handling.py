"""What every request meets on its way through the server: seats, deadlines, the end of the server, compression."""

import asyncio
import gzip
import json

import pytest

from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.endpoints import request_info
from pinnace.component.http import Request, Response, UserInfo
from support.in_process import ADMIN, MAPS, running_server


@pytest.fixture
async def call():
    async with running_server() as running:
        yield running


async def test_answers_name_their_schema_and_level(call):
    """The flow-control headers carry the UIDs of the objects that clients can look up."""
    answer = await call("GET", MAPS)
    schema = json.loads((await call("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/exempt")).body)
    level = json.loads(
        (await call("GET", "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/exempt")).body
    )
    assert answer.headers.get("X-Kubernetes-PF-FlowSchema-UID") == schema["metadata"]["uid"]
    assert answer.headers.get("X-Kubernetes-PF-PriorityLevel-UID") == level["metadata"]["uid"]


async def test_refused_and_failed_requests_name_their_schema_too(call):
    """A 403 was classified before it was refused, a 401 was not."""
    refused = await call("GET", MAPS, user=UserInfo("ann", groups=("system:authenticated",)))
    assert refused.status == 403
    assert refused.headers.get("X-Kubernetes-PF-FlowSchema-UID")
    unknown = await call("GET", MAPS, user=None, Authorization="Bearer nonsense")
    assert unknown.status == 401
    assert "X-Kubernetes-PF-FlowSchema-UID" not in unknown.headers


async def test_node_lease_is_not_starved_by_lists(call):
    """While a hundred long lists are at work, a node's lease is read before more than a few of them are answered."""
    for number in range(501):
        await call.make_map(f"m{number}")
    order = []

    async def ask(name, path, user):
        answer = await call("GET", path, user=user)
        order.append((name, answer.status))

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(ask("list", MAPS, ADMIN))
        await asyncio.sleep(0)
        node = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
        group.create_task(ask("lease", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1", node))
    assert [name for name, _ in order].index("lease") < 10
    assert {status for name, status in order if name == "list"} == {200}


async def test_flooded_level_answers_429_with_retry_after():
    """Whoever finds no seat in time is told to come again."""
    async with running_server(ApiServerConfig(max_requests_inflight=1, max_mutating_requests_inflight=0)) as call:
        people = UserInfo("ann", groups=("system:authenticated",))
        control = call.server._flow_control
        flow = control.classify(*_list_of(people))
        while flow.level.take(1):
            pass
        asking = asyncio.create_task(call("GET", MAPS, user=people))
        await call.clock.advance(20)
        answer = await asking
    assert (answer.status, answer.body) == (429, b"Too many requests, please try again later.")
    assert answer.headers.get("Retry-After") == "1"
    assert answer.headers.get("X-Kubernetes-PF-PriorityLevel-UID")


def _list_of(user):
    return request_info.parse(Request("GET", MAPS)), user


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("timeout=10s", 200, id="fits"),
        pytest.param("timeout=ten", 400, id="no-duration"),
        pytest.param("timeout=5", 400, id="no-unit"),
    ],
)
async def test_timeout_parameter_is_a_duration(call, query, status):
    """What is none is refused before anything is done."""
    assert (await call("GET", MAPS, query=query)).status == status


async def test_request_that_takes_too_long_is_answered_504(call):
    """A list that waits for a version which does not come runs into the client's own limit."""
    asking = asyncio.create_task(call("GET", MAPS, query="resourceVersion=99999&timeout=1s"))
    await call.clock.advance(1.5)
    answer = await asking
    assert answer.status == 504
    assert json.loads(answer.body)["message"] == "Timeout: request did not complete within the allotted timeout"


async def test_server_ends_in_order():
    """First /readyz turns red while requests are served, then watches end and requests are refused with Retry-After."""
    async with running_server(ApiServerConfig(shutdown_delay_seconds=5.0)) as call:
        watch = await call("GET", MAPS, query="watch=1")
        assert isinstance(watch, Response)
        lines = []

        async def follow():
            lines.extend([line async for line in watch.body])

        following = asyncio.create_task(follow())
        accepting = call.server.accepting()
        await accepting.__aenter__()
        assert (await call("GET", "/readyz")).status == 200
        ending = asyncio.create_task(accepting.__aexit__(None, None, None))
        await call.clock.advance(1)
        assert (await call("GET", "/readyz")).status == 500
        assert (await call("GET", "/livez")).status == 200
        assert (await call("GET", MAPS)).status == 200
        assert not following.done()
        await call.clock.advance(5)
        await ending
        await following
        late = await call("GET", MAPS)
    assert late.status == 503
    assert late.headers.get("Retry-After") == "1"
    assert json.loads(late.body)["message"] == "apiserver is shutting down"


async def test_server_waits_for_requests_at_work():
    """A request that was let in gets its answer before the server ends."""
    async with running_server() as call:
        accepting = call.server.accepting()
        await accepting.__aenter__()
        slow = asyncio.create_task(call("GET", MAPS, query="resourceVersion=99999"))
        await asyncio.sleep(0)
        ending = asyncio.create_task(accepting.__aexit__(None, None, None))
        await call.clock.advance(2)
        assert not ending.done()
        await call.clock.advance(2)
        assert (await slow).status == 504
        await ending


async def test_large_answers_are_compressed_for_who_asks(call):
    """Over 128 KiB with gzip among the accepted encodings; never a small one, nor a write's."""
    await call.make_map("big", size=200_000)
    plain = await call("GET", f"{MAPS}/big")
    assert "Content-Encoding" not in plain.headers
    packed = await call("GET", f"{MAPS}/big", Accept_Encoding="deflate, gzip;q=0.5")
    assert (packed.headers.get("Content-Encoding"), packed.headers.get("Vary")) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed.body) == plain.body
    small = await call("GET", f"{MAPS}/kube-root-ca.crt", Accept_Encoding="gzip")
    assert "Content-Encoding" not in small.headers


async def test_metrics_count_requests_and_those_at_work(call):
    """Names and labels are upstream's; paths that clients make up make no series."""
    await call("GET", MAPS)
    await call("POST", MAPS, {"metadata": {"name": "m"}}, query="dryRun=All")
    await call("GET", "/api/v1/namespaces/default/nonsense")
    await call.make_map("there")
    watch = await call("GET", MAPS, query="watch=1")
    await anext(watch.body)
    text = (await call("GET", "/metrics")).body.decode()
    await watch.body.aclose()
    place = 'component="apiserver",{}group="",resource="configmaps",scope="{}",subresource="",verb="{}",version="v1"'
    listed = (
        'code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",'
    )
    assert f'apiserver_request_total{{{listed}verb="LIST",version="v1"}} 1.0' in text
    created = (
        'code="201",component="apiserver",dry_run="All",group="",resource="configmaps",scope="resource",subresource="",'
    )
    assert f'apiserver_request_total{{{created}verb="POST",version="v1"}} 1.0' in text
    assert f"apiserver_response_sizes_count{{{place.format('', 'namespace', 'LIST')}}} 1.0" in text
    assert f"apiserver_longrunning_requests{{{place.format('', 'cluster', 'WATCH')}}} 1.0" in text
    assert "nonsense" not in text
    assert 'apiserver_storage_objects{resource="flowschemas.flowcontrol.apiserver.k8s.io"} ' in text
    assert 'apiserver_resource_objects{group="apps",resource="deployments"} 0.0' in text
    assert 'apiserver_current_inflight_requests{request_kind="readOnly"} 1.0' in text
    assert "apiserver_flowcontrol_dispatched_requests_total{" in text
