"""What a request is about, from its method and path."""

import pytest

from pinnace.apiserver.endpoints.request_info import parse
from pinnace.apiserver.endpoints.router import find_resource
from pinnace.component.http import Request
from pinnace.machinery.errors import ApiError


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "namespace", "resource", "name", "subresource"),
    [
        pytest.param("GET", "/api/v1/pods", "", "list", "", "pods", "", "", id="all-namespaces"),
        pytest.param("GET", "/api/v1/pods", "watch=1", "watch", "", "pods", "", "", id="watch"),
        pytest.param("GET", "/api/v1/pods", "watch=yes", "watch", "", "pods", "", "", id="watch-yes"),
        pytest.param("GET", "/api/v1/pods", "watch", "watch", "", "pods", "", "", id="watch-empty"),
        pytest.param("GET", "/api/v1/pods", "watch=0", "list", "", "pods", "", "", id="watch-0"),
        pytest.param("GET", "/api/v1/pods", "watch=False", "list", "", "pods", "", "", id="watch-false"),
        pytest.param("POST", "/api/v1/namespaces/a/pods", "", "create", "a", "pods", "", "", id="create"),
        pytest.param("GET", "/api/v1/namespaces/a", "", "get", "a", "namespaces", "a", "", id="namespace"),
        pytest.param(
            "PUT", "/api/v1/namespaces/a/finalize", "", "update", "a", "namespaces", "a", "finalize", id="finalize"
        ),
        pytest.param("DELETE", "/api/v1/namespaces/a/pods/", "", "deletecollection", "a", "pods", "", "", id="slash"),
        pytest.param("GET", "/api/v1/namespaces/a/pods/x//", "", "get", "a", "pods", "x", "", id="slashes"),
        pytest.param("GET", "/api/v1/namespaces/a/pods/x/log", "", "get", "a", "pods", "x", "log", id="subresource"),
        pytest.param("GET", "/api/v1/namespaces/a/pods/%61%2Fb", "", "get", "a", "pods", "a/b", "", id="escaped"),
        pytest.param("GET", "/api/v1/watch/namespaces/a/pods", "", "watch", "a", "pods", "", "", id="legacy-watch"),
        pytest.param("GET", "/apis/apps/v1/deployments", "", "list", "", "deployments", "", "", id="group"),
    ],
)
def test_request_info_reads_a_path(method, path, query, verb, namespace, resource, name, subresource):
    """Verb, namespace, resource, name and subresource follow from method, path and `watch`."""
    info = parse(Request(method, path, query=query))
    assert info.is_resource
    assert (info.verb, info.namespace, info.resource, info.name, info.subresource) == (
        verb,
        namespace,
        resource,
        name,
        subresource,
    )


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis/apps", "/apis/apps/v1", "/healthz/ping", "//api/v1/pods"]
)
def test_request_info_of_other_paths_is_no_resource(path):
    """Paths that lead to no collection keep the method as their verb."""
    info = parse(Request("GET", path))
    assert not info.is_resource
    assert info.verb == "get"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param("/api/v1/namespaces/a/services/x:80/proxy//", True, id="proxy-end"),
        pytest.param("/api/v1/namespaces/a/services/x:80/proxy//a//b", True, id="proxy-inside"),
        pytest.param("/api/v1/namespaces/a/services//", True, id="end"),
        pytest.param("/api/v1/namespaces/a//services", False, id="inside"),
        pytest.param("/api/v1/namespaces/a/services//proxy/a", False, id="no-name"),
    ],
)
def test_request_info_takes_empty_segments_behind_a_proxy_alone(path, found):
    """What a proxy passes on is for the backend to judge; anywhere else a slash too many is no path, but at the end."""
    info = parse(Request("GET", path))
    if found:
        assert find_resource(info).plural == "services"
    else:
        with pytest.raises(ApiError):
            find_resource(info)
