"""The forms of answers: JSON as Go writes it, YAML, warnings, and compression."""

import gzip
import json

import pytest

from pinnace.apiserver.endpoints import responses
from pinnace.apiserver.endpoints.negotiation import negotiate
from pinnace.apiserver.endpoints.responses import compressed, respond, respond_error, to_yaml, warning_headers
from pinnace.component.http import Headers, Request, Response
from pinnace.machinery.codec import yaml as yaml_codec
from pinnace.machinery.errors import Details, ServiceUnavailable


def asked(method="GET", query="", **headers):
    return Request(method, "/", query=query, headers=Headers({k.replace("_", "-"): v for k, v in headers.items()}))


def test_json_is_escaped_as_go_escapes_it():
    """Characters of HTML and the line breaks of JavaScript are escapes; all others stand as they are."""
    body = json.dumps({"a": "<b> & c\u2028\u2029 ü –"}, ensure_ascii=False).encode()
    answer = respond(asked(), body, negotiate(asked()))
    assert answer.body == '{"a": "\\u003cb\\u003e \\u0026 c\\u2028\\u2029 ü –"}\n'.encode()
    assert json.loads(answer.body) == json.loads(body)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(asked(), b'{"a":1}\n', id="compact"),
        pytest.param(asked(query="pretty=true"), b'{\n  "a": 1\n}', id="pretty-without-a-newline"),
        pytest.param(asked(User_Agent="curl/8"), b'{\n  "a": 1\n}', id="for-people"),
        pytest.param(asked(query="pretty=false", User_Agent="curl/8"), b'{"a":1}\n', id="people-who-know-better"),
        pytest.param(asked(Accept="application/yaml"), b"a: 1\n", id="yaml"),
        pytest.param(asked("HEAD"), b"", id="head"),
    ],
)
def test_answer_has_the_form_that_was_asked_for(request_, expected):
    """Whoever asks decides, by parameter, header or name of the program."""
    assert respond(request_, b'{"a":1}', negotiate(request_)).body == expected


def test_yaml_quotes_what_would_read_as_something_else():
    """Texts stay texts: numbers, truth values and empty ones in quotes, lines as a block."""
    tree = {"z": "1", "y": "true", "x": "", "w": "a\nb\n", "v": "plain", "u": "null", "t": "n", "s": "1:30"}
    written = to_yaml(tree)
    assert written == b's: "1:30"\nt: "n"\nu: "null"\nv: plain\nw: |\n  a\n  b\nx: ""\n"y": "true"\nz: "1"\n'
    assert yaml_codec.parse(written).tree == tree


def test_warnings_are_said_once_and_quoted():
    """Each text has a header of its own; quotes and backslashes are escaped, control characters are none."""
    assert warning_headers(["a", 'b "c" \\', "a", "d\ne"]) == [
        ("Warning", '299 - "a"'),
        ("Warning", '299 - "b \\"c\\" \\\\"'),
        ("Warning", '299 - "d e"'),
    ]


def test_warnings_are_cut_when_they_are_too_many():
    """Only when all together are too long is each cut."""
    long = "x" * (responses.WARNINGS_TOTAL - 1)
    assert warning_headers([long])[0][1] == f'299 - "{long}"'
    cut = warning_headers([long, "yy"])
    assert [len(value) for _, value in cut] == [len('299 - ""') + responses.WARNING_CUT, len('299 - "yy"')]


def test_error_says_when_to_try_again():
    """What the Status says is also a header."""
    error = ServiceUnavailable("busy")
    error.details = Details(retry_after_seconds=3)
    answer = respond_error(asked(), error)
    assert (answer.status, answer.headers.get("Retry-After")) == (503, "3")
    assert "Retry-After" not in respond_error(asked(), ServiceUnavailable("busy")).headers


@pytest.mark.parametrize(
    ("request_", "size", "is_packed"),
    [
        pytest.param(asked(Accept_Encoding="gzip"), responses.GZIP_THRESHOLD_BYTES + 1, True, id="large"),
        pytest.param(
            asked(Accept_Encoding="deflate, gzip;q=0.5"), responses.GZIP_THRESHOLD_BYTES + 1, True, id="second"
        ),
        pytest.param(asked(Accept_Encoding="gzip"), responses.GZIP_THRESHOLD_BYTES, False, id="at-the-threshold"),
        pytest.param(asked(), responses.GZIP_THRESHOLD_BYTES + 1, False, id="not-asked-for"),
        pytest.param(asked("POST", Accept_Encoding="gzip"), responses.GZIP_THRESHOLD_BYTES + 1, False, id="write"),
    ],
)
async def test_large_answers_are_compressed_for_who_takes_it(request_, size, is_packed):
    """Compressed bytes say so, and say the same."""
    plain = Response(200, body=b"x" * size)
    answer = await compressed(request_, plain)
    assert (answer is plain) is not is_packed
    if is_packed:
        assert (answer.headers.get("Content-Encoding"), answer.headers.get("Vary")) == ("gzip", "Accept-Encoding")
        assert gzip.decompress(answer.body) == plain.body
