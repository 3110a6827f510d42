"""Which media type an answer has."""

import pytest

from pinnace.apiserver.endpoints.negotiation import JSON, YAML, input_type, negotiate, negotiate_error
from pinnace.component.http import Headers, Request
from pinnace.machinery.errors import NotAcceptable, UnsupportedMediaType

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def asking(accept="", agent="", query=""):
    return Request("GET", "/api/v1/pods", query=query, headers=Headers({"Accept": accept, "User-Agent": agent}))


@pytest.mark.parametrize(
    ("accept", "media", "transform"),
    [
        pytest.param("", JSON, "", id="nothing"),
        pytest.param("*/*", JSON, "", id="anything"),
        pytest.param("text/html,application/json", JSON, "", id="second"),
        pytest.param("application/json;q=0.5,application/yaml", YAML, "", id="quality"),
        pytest.param(TABLE, JSON, "Table", id="table"),
        pytest.param(
            "application/json;as=Table;v=v9;g=meta.k8s.io,application/json", JSON, "", id="bad-transform-passed-over"
        ),
        pytest.param("application/vnd.kubernetes.protobuf,application/json", JSON, "", id="protobuf-passed-over"),
    ],
)
def test_negotiate_chooses_the_first_usable_clause(accept, media, transform):
    """Clauses are tried by quality, then in order; what cannot be served is passed over."""
    output = negotiate(asking(accept))
    assert (output.media_type, output.transform) == (media, transform)


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        pytest.param("text/html", "Available representations: application/json", id="unknown"),
        pytest.param(
            "application/json;as=Nothing;v=v1;g=meta.k8s.io", "only the following media types", id="transform"
        ),
    ],
)
def test_negotiate_refuses_what_cannot_be_served(accept, text):
    """Nothing usable is 406, in different words for unknown types and unknown transforms."""
    with pytest.raises(NotAcceptable, match=text):
        negotiate(asking(accept))


def test_negotiate_refuses_yaml_watches():
    """A watch is a stream of JSON."""
    with pytest.raises(NotAcceptable, match="stream=watch"):
        negotiate(asking("application/yaml"), watch=True)


@pytest.mark.parametrize(
    ("agent", "query", "pretty"),
    [
        ("curl/8", "", True),
        ("kubectl/1.36", "", False),
        ("kubectl/1.36", "pretty=true", True),
        ("curl/8", "pretty=false", False),
        ("curl/8", "pretty=", True),
        ("curl/8", "pretty=yes", False),
    ],
)
def test_negotiate_indents_for_people(agent, query, pretty):
    """Programs with a person behind them get indented JSON unless they say otherwise."""
    assert negotiate(asking(agent=agent, query=query)).pretty is pretty


def test_negotiate_error_is_never_refused():
    """An error is JSON when the client accepts nothing that is served."""
    assert negotiate_error(asking("image/png")).media_type == JSON


def test_input_type_refuses_other_bodies():
    """JSON, YAML and protobuf can be read, and nothing else."""
    yaml = Request("POST", "/", headers=Headers({"Content-Type": "application/yaml; charset=utf-8"}))
    assert input_type(yaml) == YAML
    with pytest.raises(UnsupportedMediaType, match="unknown format"):
        input_type(Request("POST", "/", headers=Headers({"Content-Type": "application/xml"})))
