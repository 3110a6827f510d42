"""Quantities and times in the form in which they are stored."""

import pytest

from pinnace.api.coordination_v1 import Lease, LeaseSpec
from pinnace.api.core_v1 import Container, Pod, PodSpec, ResourceRequirements, Secret
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints.scalars import canonical


def make_pod(**requests):
    resources = ResourceRequirements(requests=requests)
    return Pod(spec=PodSpec(containers=(Container(name="c", resources=resources),)))


def test_quantities_become_canonical_at_any_depth():
    """Amounts are kept in one spelling, rounded up to thousandths."""
    pod = canonical(make_pod(cpu="1000m", memory="0.5Gi", storage="1n"))
    assert pod.spec.containers[0].resources.requests == {"cpu": "1", "memory": "512Mi", "storage": "1m"}


def test_canonical_object_is_returned_as_it_is():
    """Nothing is built anew where nothing changes."""
    pod = make_pod(cpu="1")
    assert canonical(pod) is pod


def test_times_become_utc():
    """A time in another zone is kept in UTC."""
    pod = Pod(metadata=ObjectMeta(creation_timestamp="2026-01-02T05:04:05+02:00"))
    assert canonical(pod).metadata.creation_timestamp == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param("2026-01-02T03:04:05.000006Z", "2026-01-02T03:04:05.000006Z", id="as stored"),
        pytest.param("2026-01-02T05:04:05.123456+02:00", "2026-01-02T03:04:05.123456Z", id="another zone"),
    ],
)
def test_micro_times_become_utc(text, stored):
    """Parts of a second stay, whatever the zone."""
    assert canonical(Lease(spec=LeaseSpec(renew_time=text))).spec.renew_time == stored


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        pytest.param(make_pod(cpu="x y"), "quantities must match the regular expression", id="quantity"),
        pytest.param(
            Pod(metadata=ObjectMeta(creation_timestamp="yesterday")),
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
            id="time",
        ),
        pytest.param(
            Lease(spec=LeaseSpec(renew_time="2020-01-01T00:00:00.123Z")),
            'cannot parse ".123Z" as ".000000"',
            id="micro time",
        ),
        pytest.param(
            Lease(spec=LeaseSpec(renew_time="2020-13-01T00:00:00.123456Z")),
            'parsing time "2020-13-01T00:00:00.123456Z"',
            id="month of a micro time",
        ),
    ],
)
def test_unreadable_scalars_are_refused_in_gos_words(obj, words):
    """What is no quantity or time at all does not get in."""
    with pytest.raises(ValueError) as refused:
        canonical(obj)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("***", 0, id="foreign bytes"),
        pytest.param("YQ", 0, id="no padding"),
        pytest.param("YWFhYQ", 4, id="no padding in the second group"),
        pytest.param("YWF=YQ==", 4, id="text behind padding"),
        pytest.param("YQ=", 3, id="half a padding"),
        pytest.param("=YQ=", 0, id="padding first"),
    ],
)
def test_bytes_that_are_no_base64_are_refused_where_go_stops(text, at):
    """The complaint names the byte at which Go's decoder gives up."""
    with pytest.raises(ValueError, match=f"^illegal base64 data at input byte {at}$"):
        canonical(Secret(data={"a": text}))


def test_bytes_lose_line_breaks():
    """What Go would write back is what is stored."""
    assert canonical(Secret(data={"a": "YW\nFh\r\n"})).data == {"a": "YWFh"}
