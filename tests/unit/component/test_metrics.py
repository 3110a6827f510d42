import pytest

from pinnace.component.metrics import Metrics


def test_metrics_of_two_clusters_are_apart():
    """The same name in two clusters counts twice."""
    one, two = Metrics(), Metrics()
    for made in (one, two):
        made.counter("apiserver_requests", "Requests.", ("verb",)).labels("get").inc()
    assert b'apiserver_requests_total{verb="get"} 1.0' in one.response().body
    assert one.response().headers.get("Content-Type").startswith("text/plain; version=0.0.4")


def test_metric_asked_for_again_is_the_same():
    """Parts of a program share a metric by its name, and cannot mistake its kind."""
    made = Metrics()
    assert made.gauge("depth", "Depth.") is made.gauge("depth", "Depth.")
    with pytest.raises(TypeError, match="no counter"):
        made.counter("depth", "Depth.")


def test_histogram_has_the_buckets_given():
    """Buckets are the caller's."""
    made = Metrics()
    made.histogram("seconds", "Time.", buckets=(1.0, 2.0)).observe(1.5)
    text = made.response().body.decode()
    assert 'seconds_bucket{le="1.0"} 0.0' in text
    assert 'seconds_bucket{le="2.0"} 1.0' in text


def test_process_metrics_on_request():
    """Only the process that serves them has memory and CPU among its metrics."""
    assert b"process_resident_memory_bytes" in Metrics(process=True).response().body
    assert b"process_resident_memory_bytes" not in Metrics().response().body
