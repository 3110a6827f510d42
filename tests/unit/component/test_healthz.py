import pytest

from pinnace.component.healthz import PING, Check, HealthChecks
from pinnace.component.http import Request


def checks(failure=""):
    async def etcd():
        if failure == "raise":
            raise OSError("disk")
        return failure

    return HealthChecks("/readyz", [PING, Check("etcd", etcd)])


async def ask(made, path, query=""):
    response = await made.handle(Request("GET", path, query=query))
    return response.status, response.body.decode()


async def test_health_is_ok_in_a_word():
    """Probes read `ok`."""
    assert await ask(checks(), "/readyz") == (200, "ok")
    assert await ask(checks(), "/readyz/etcd") == (200, "ok")


async def test_health_verbose_lists_the_checks():
    """kubectl get --raw '/readyz?verbose' shows each check."""
    assert await ask(checks(), "/readyz", "verbose") == (200, "[+]ping ok\n[+]etcd ok\nreadyz check passed\n")


@pytest.mark.parametrize("failure", ["the disk is full", "raise"])
async def test_health_failure_is_500_without_its_reason(failure):
    """What failed is said, why is only logged; a check that raises has failed."""
    expected = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"
    assert await ask(checks(failure), "/readyz") == (500, expected)
    assert await ask(checks(failure), "/readyz/etcd") == (500, "internal server error: reason withheld\n")
    assert list(await checks(failure).failures()) == ["etcd"]


async def test_health_check_can_be_excluded():
    """An excluded check does not count; an unknown one is warned of."""
    assert await ask(checks("x"), "/readyz", "exclude=etcd") == (200, "ok")
    status, text = await ask(checks("x"), "/readyz", "exclude=etcd&exclude=none&verbose")
    assert status == 200
    assert '[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for "none"\n' in text


async def test_unknown_health_check_is_404():
    """A name that is no check is not found."""
    assert await ask(checks(), "/readyz/none") == (404, "404 page not found\n")


def test_health_check_names_differ():
    """Two checks of one name could not be told apart."""
    made = checks()
    with pytest.raises(ValueError, match="ping exists already"):
        made.add(PING)
