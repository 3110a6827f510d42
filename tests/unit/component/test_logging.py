import io
import json
import logging

import pytest
import structlog

from pinnace.component.logging import LogFormat, configure, get_logger


@pytest.fixture
def stream():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_log_line_is_json_with_its_facts(stream):
    """An event is a phrase and its facts, the component among them."""
    configure(LogFormat.JSON, stream=stream)
    get_logger("kubelet").info("pod started", pod="ns/a")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "pod started", "component": "kubelet", "pod": "ns/a", "level": "info"}


def test_log_level_holds_back_what_is_below(stream):
    """Debug lines cost nothing when nobody wants them."""
    configure(LogFormat.JSON, logging.WARNING, stream=stream)
    get_logger("x").info("quiet")
    get_logger("x").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_secrets_never_reach_a_line(stream):
    """Values under names of secrets are hidden, whatever the case."""
    configure(LogFormat.JSON, logging.DEBUG, stream=stream)
    get_logger("x").debug("request", Authorization="Bearer s3cret", token="s3cret", password="s3cret")
    assert "s3cret" not in stream.getvalue()


def test_libraries_lines_join_ours_and_aiohttps_stay_out(stream):
    """A library's warning is one of our lines; aiohttp's, which print requests, are none."""
    configure(LogFormat.JSON, stream=stream)
    logging.getLogger("somelib").warning("look %s", "here")
    logging.getLogger("aiohttp.server").error("Error handling request: Bearer s3cret")
    assert [line["message"] for line in lines(stream)] == ["look here"]


def test_text_is_for_people(stream):
    """The text format is no JSON."""
    configure(LogFormat.TEXT, stream=stream)
    get_logger("x").info("hello", pod="a")
    assert "hello" in stream.getvalue()
    assert "pod=a" in stream.getvalue()


@pytest.mark.parametrize("format_", [LogFormat.JSON, LogFormat.TEXT])
def test_log_line_stays_one_line(stream, format_):
    """A name that a client chooses begins no line of its own and moves no terminal's cursor."""
    configure(format_, stream=stream)
    get_logger("apiserver").info("bearer token refused", user="a\nlevel=info event=\x1b[2Jnothing happened\r\u2028b")
    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line
    assert "nothing happened" in line
