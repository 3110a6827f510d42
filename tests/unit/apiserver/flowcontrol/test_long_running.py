"""Which requests have no deadline and take no seat."""

import pytest

from pinnace.apiserver.endpoints.request_info import parse
from pinnace.apiserver.flowcontrol import is_long_running
from pinnace.component.http import Request

NAMESPACE = "/api/v1/namespaces/a"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        pytest.param("GET", f"{NAMESPACE}/pods?watch=1", True, id="watch"),
        pytest.param("GET", "/api/v1/watch/pods", True, id="legacy-watch"),
        pytest.param("GET", f"{NAMESPACE}/pods/p/log", True, id="log"),
        pytest.param("POST", f"{NAMESPACE}/pods/p/exec", True, id="exec"),
        pytest.param("POST", f"{NAMESPACE}/pods/p/attach", True, id="attach"),
        pytest.param("GET", f"{NAMESPACE}/pods/p/portforward", True, id="port-forward"),
        pytest.param("PUT", f"{NAMESPACE}/services/s/proxy/x", True, id="proxy"),
        pytest.param("GET", "/debug/pprof/profile", True, id="profile"),
        pytest.param("GET", f"{NAMESPACE}/pods", False, id="list"),
        pytest.param("GET", f"{NAMESPACE}/pods/p?watch=1", False, id="watch-of-one-object-is-a-get"),
        pytest.param("POST", f"{NAMESPACE}/pods/p/eviction", False, id="eviction"),
        pytest.param("GET", "/metrics", False, id="metrics"),
    ],
)
def test_request_lasts_as_long_as_its_client_likes(method, target, expected):
    """Watches, streams and profiles do; nothing else does."""
    path, _, query = target.partition("?")
    assert is_long_running(parse(Request(method, path, query=query))) is expected
