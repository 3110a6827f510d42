"""Protobuf bodies as kubectl writes them."""

from __future__ import annotations

import pytest

from pinnace.api import apps_v1, codec, core_v1, protobuf

# `kubectl create configmap x --from-literal=a=b`, as it is sent.
CONFIG_MAP = bytes.fromhex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a0178120"
    "01a0022002a00320038004200120 60a01611201621a002200".replace(" ", "")
)


def message(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = message(1, api_version.encode()) + message(2, kind.encode())
    return protobuf.MAGIC + message(1, meta) + message(2, raw)


def test_parse_reads_what_kubectl_sends():
    """A ConfigMap from a real kubectl comes out as its JSON would."""
    tree = protobuf.parse(CONFIG_MAP, core_v1.ConfigMap)
    made = codec.convert(core_v1.ConfigMap, tree)
    assert (made.kind, made.api_version, made.metadata.name) == ("ConfigMap", "v1", "x")
    assert made.data == {"a": "b"}
    assert made.metadata.creation_timestamp is None


def test_parse_reads_bytes_as_base64():
    """A Secret's data are bytes on the protobuf wire and base64 in JSON."""
    entry = message(1, b"k") + message(2, b"v\x00")
    tree = protobuf.parse(envelope("v1", "Secret", message(2, entry)), core_v1.Secret)
    assert codec.convert(core_v1.Secret, tree).data == {"k": "dgA="}


def test_parse_reads_numbers_and_quantities():
    """Integers, quantities and int-or-string values keep their meaning."""
    rolling = message(1, b"\x08\x01\x1a\x0325%") + message(2, b"\x08\x00\x10\x02")
    spec = b"\x08\x03" + message(4, message(2, rolling))
    tree = protobuf.parse(envelope("apps/v1", "Deployment", message(2, spec)), apps_v1.Deployment)
    made = codec.convert(apps_v1.Deployment, tree)
    assert made.spec.replicas == 3
    assert made.spec.strategy.rolling_update == apps_v1.RollingUpdateDeployment(max_unavailable="25%", max_surge=2)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{}", id="no-magic"),
        pytest.param(protobuf.MAGIC + b"\x12\x7f", id="cut-off"),
        pytest.param(protobuf.MAGIC + b"\x0f", id="bad-wire-type"),
        pytest.param(CONFIG_MAP[:-3], id="short"),
    ],
)
def test_parse_refuses_what_is_no_message(data):
    """Damaged bytes are an error, never another object."""
    with pytest.raises(protobuf.ProtobufError):
        protobuf.parse(data, core_v1.ConfigMap)


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [
        pytest.param(60 * 10**9, "1m0s", id="minute"),
        pytest.param(3661 * 10**9, "1h1m1s", id="hour"),
        pytest.param(1_500_000_000, "1.5s", id="fraction"),
        pytest.param(-(10**9), "-1s", id="negative"),
    ],
)
def test_parse_prints_durations_as_go_does(monkeypatch, nanos, shown):
    """A duration is nanoseconds on the protobuf wire and Go's text in JSON; no kind of 1.36 has one, so one is made."""
    monkeypatch.setitem(protobuf.FIELDS, "core_v1.ConfigMap", (((2,), "data", "duration"),))
    number = nanos if nanos >= 0 else nanos + (1 << 64)
    varint = bytes((number >> shift & 0x7F) | 0x80 for shift in range(0, 63, 7)) + bytes([number >> 63])
    entry = message(1, b"k") + message(2, b"\x08" + varint)
    assert protobuf.parse(envelope("v1", "ConfigMap", message(2, entry)), core_v1.ConfigMap)["data"] == {"k": shown}
