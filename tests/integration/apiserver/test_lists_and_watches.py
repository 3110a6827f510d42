"""Lists, pages and watches: versions, tokens, bookmarks, selectors and forms, as upstream's tables have them."""

import asyncio
import base64
import json

import pytest

from pinnace.component.http import Response, UserInfo
from pinnace.store.interface import Revision
from support.in_process import MAPS, running_server

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
MARKED = "labelSelector=mine"


@pytest.fixture
async def call():
    async with running_server() as running:
        yield running


class Watch:
    """An answer to a watch, event by event."""

    def __init__(self, answer):
        assert isinstance(answer, Response)
        assert answer.status == 200, answer.body
        self._body = answer.body
        self._waiting = []

    async def next(self):
        while not self._waiting:
            self._waiting = [json.loads(line) for line in (await anext(self._body)).splitlines()]
        return self._waiting.pop(0)

    async def names(self, count):
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in events]

    async def close(self):
        await self._body.aclose()


async def watch(call, query="", path=MAPS, **headers):
    return Watch(await call("GET", path, query=f"watch=1&{MARKED}&{query}".rstrip("&"), **headers))


async def make_maps(call, *names):
    return [(await call.make_map(name, mine="yes"))["metadata"]["resourceVersion"] for name in names]


# ── pages ──


async def test_pages_hold_together_at_one_version(call):
    """Later pages show the list as it was when the first was read, and the last one has no token."""
    await make_maps(call, "a", "b", "c")
    first = await call.json("GET", MAPS, query=f"{MARKED}&limit=2")
    await make_maps(call, "bb")
    await call("DELETE", f"{MAPS}/c")
    second = await call.json("GET", MAPS, query=f"{MARKED}&limit=2&continue={first['metadata']['continue']}")
    assert [one["metadata"]["name"] for one in first["items"] + second["items"]] == ["a", "b", "c"]
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]
    # With a selector nobody counts what is left.
    assert "remainingItemCount" not in first["metadata"]


async def test_pages_count_what_is_left_without_a_selector(call):
    """The namespace has its root certificate's map as well."""
    await make_maps(call, "a", "b", "c")
    whole = await call.json("GET", MAPS)
    first = await call.json("GET", MAPS, query="limit=1")
    assert first["metadata"]["remainingItemCount"] == len(whole["items"]) - 1


async def test_compacted_token_leads_to_the_inconsistent_rest(call):
    """410 carries a token that goes on with the rest as it is now."""
    await make_maps(call, "a", "b", "c")
    first = await call.json("GET", MAPS, query=f"{MARKED}&limit=1")
    await make_maps(call, "bb")
    await call.store.compact(Revision(call.store.status().revision))
    expired = await call.json("GET", MAPS, query=f"{MARKED}&limit=1&continue={first['metadata']['continue']}")
    assert (expired["code"], expired["reason"]) == (410, "Expired")
    token = expired["metadata"]["continue"]
    assert json.loads(base64.urlsafe_b64decode(token + "==="))["rv"] == -1
    rest = await call.json("GET", MAPS, query=f"{MARKED}&continue={token}")
    assert [one["metadata"]["name"] for one in rest["items"]] == ["b", "bb", "c"]


def token_of(**members):
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("token", "text"),
    [
        pytest.param(
            "abc", "continue key is not valid: invalid character 'i' looking for beginning of value", id="json"
        ),
        pytest.param("*", "continue key is not valid: illegal base64 data at input byte 0", id="base64"),
        pytest.param(
            token_of(v="v9", rv=1, start="a"),
            "continue key is not valid: server does not recognize this encoded version v9",
            id="version",
        ),
        pytest.param(
            token_of(v="meta.k8s.io/v1", rv=0, start="a"),
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            id="no-revision",
        ),
        pytest.param(
            token_of(v="meta.k8s.io/v1", rv=1, start=""),
            "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)",
            id="no-start",
        ),
        pytest.param(
            token_of(v="meta.k8s.io/v1", rv=1, start="../secrets/x"),
            "continue key is not valid: ../secrets/x",
            id="out-of-its-prefix",
        ),
    ],
)
async def test_bad_tokens_are_refused(call, token, text):
    """None leads anywhere, and each is told what is wrong with it."""
    answer = await call.json("GET", MAPS, query=f"continue={token}")
    assert (answer["code"], answer["message"]) == (400, f"invalid continue token: {text}")


# ── versions ──


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("", "abc", id="unset"),
        pytest.param("limit=1", "a", id="unset-limit"),
        pytest.param("resourceVersion=0&limit=1", "abc", id="zero-ignores-the-limit"),
        pytest.param("resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=1", "abc", id="zero-not-older"),
        pytest.param("resourceVersion={b}", "abc", id="not-older-without-limit"),
        pytest.param("resourceVersion={b}&limit=5", "ab", id="exact-with-limit"),
        pytest.param("resourceVersion={b}&resourceVersionMatch=Exact", "ab", id="exact"),
        pytest.param("resourceVersion={b}&resourceVersionMatch=NotOlderThan&limit=2", "ab", id="not-older-with-limit"),
    ],
)
async def test_lists_mean_versions_as_upstream(call, query, names):
    """Unset is the newest, 0 anything, N not older, and exact where a limit or the match says so."""
    versions = dict(zip("abc", await make_maps(call, *"abc"), strict=True))
    answer = await call.json("GET", MAPS, query=f"{MARKED}&{query.format(**versions)}")
    assert "".join(one["metadata"]["name"] for one in answer["items"]) == names


@pytest.mark.parametrize("query", ["resourceVersion=99999", "resourceVersion=99999&resourceVersionMatch=Exact"])
@pytest.mark.parametrize("path", [MAPS, f"{MAPS}/kube-root-ca.crt"], ids=["list", "get"])
async def test_future_version_is_waited_for_and_then_504(call, query, path):
    """Three seconds, then a Timeout that says to come again."""
    asking = asyncio.create_task(call.json("GET", path, query=query))
    await call.clock.advance(3.5)
    answer = await asking
    assert (answer["code"], answer["reason"]) == (504, "Timeout")
    assert answer["message"].startswith("Timeout: Too large resource version: 99999, current: ")
    assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert answer["details"]["retryAfterSeconds"] == 1


FORBIDDEN = "resourceVersionMatch: Forbidden: "


@pytest.mark.parametrize(
    ("query", "text"),
    [
        pytest.param(
            "watch=1&sendInitialEvents=true",
            f"{FORBIDDEN}sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            id="initial-without-match",
        ),
        pytest.param(
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
            f"[{FORBIDDEN}sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, "
            'resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"]',
            id="initial-exact",
        ),
        pytest.param(
            "watch=1&resourceVersionMatch=NotOlderThan",
            f"{FORBIDDEN}resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            id="match-alone",
        ),
        pytest.param(
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
            f"{FORBIDDEN}resourceVersionMatch is forbidden when continue is provided",
            id="continued-watch",
        ),
        pytest.param(
            "sendInitialEvents=true",
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
            id="initial-of-a-list",
        ),
    ],
)
async def test_options_that_exclude_each_other_are_422(call, query, text):
    """All that is wrong is named, in upstream's order."""
    answer = await call.json("GET", MAPS, query=query)
    assert (answer["code"], answer["message"]) == (422, f'ListOptions.meta.k8s.io "" is invalid: {text}')


# ── watches ──


async def test_watch_without_a_version_begins_with_what_there_is(call):
    """Synthetic ADDED events in the order of keys, then what happens."""
    await make_maps(call, "b", "a")
    events = await watch(call)
    assert await events.names(2) == [("ADDED", "a"), ("ADDED", "b")]
    await call("DELETE", f"{MAPS}/a")
    assert await events.names(1) == [("DELETED", "a")]
    await events.close()


async def test_watch_from_a_version_shows_what_came_after(call):
    """Nothing at the version itself, and nothing before."""
    _, second = await make_maps(call, "a", "b")
    await make_maps(call, "c")
    events = await watch(call, f"resourceVersion={second}")
    assert await events.names(1) == [("ADDED", "c")]
    await events.close()


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("allowWatchBookmarks=true", id="implied"),
        pytest.param(
            "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", id="asked-for"
        ),
    ],
)
async def test_initial_events_end_with_a_bookmark(call, query):
    """It says so in an annotation, and its version is no older than the events before it."""
    (version,) = await make_maps(call, "a")
    events = await watch(call, query)
    assert await events.names(1) == [("ADDED", "a")]
    mark = await events.next()
    assert mark["type"] == "BOOKMARK"
    assert (mark["object"]["kind"], mark["object"]["apiVersion"]) == ("ConfigMap", "v1")
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(mark["object"]["metadata"]["resourceVersion"]) >= int(version)
    await events.close()


async def test_watch_can_begin_at_now_without_what_there_is(call):
    """sendInitialEvents=false without a version."""
    await make_maps(call, "a")
    events = await watch(call, "sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    following = asyncio.create_task(events.names(1))
    await call.clock.settle()
    await make_maps(call, "b")
    assert await following == [("ADDED", "b")]
    await events.close()


async def test_watch_ends_after_its_timeout_with_a_last_bookmark(call):
    """Bookmarks each minute and two seconds before the end; then the stream ends cleanly."""
    events = await watch(call, "timeoutSeconds=100&allowWatchBookmarks=true&resourceVersion=0")
    seen = []

    async def follow():
        try:
            while True:
                seen.append(((await events.next())["type"], call.clock.monotonic() - begun))
        except StopAsyncIteration:
            seen.append(("end", call.clock.monotonic() - begun))

    begun = call.clock.monotonic()
    following = asyncio.create_task(follow())
    await call.clock.advance(200)
    await following
    assert [kind for kind, _ in seen] == ["BOOKMARK", "BOOKMARK", "BOOKMARK", "end"]
    assert [round(at) for _, at in seen] == [0, 60, 98, 100]


async def test_watch_from_a_forgotten_version_is_an_error_event(call):
    """200, then one ERROR with a Status of 410, then the end; a hundred changes and 75 seconds are remembered at least."""
    await make_maps(call, *(f"m{number}" for number in range(101)))
    await call.clock.advance(80)
    await make_maps(call, "last")
    events = await watch(call, "resourceVersion=1")
    error = await events.next()
    assert error["type"] == "ERROR"
    assert (error["object"]["kind"], error["object"]["code"], error["object"]["reason"]) == ("Status", 410, "Expired")
    assert error["object"]["message"].startswith("too old resource version: 1 (")
    with pytest.raises(StopAsyncIteration):
        await events.next()


async def test_selectors_turn_changes_into_comings_and_goings(call):
    """What enters the selection is ADDED, what leaves it DELETED with its old content at the new version."""
    await make_maps(call, "a")
    events = await watch(call)
    await events.next()
    for labels in ({"mine": "no"}, {"mine": None}, {"mine": "yes"}):
        patch = {"metadata": {"labels": labels}}
        last = await call.json("PATCH", f"{MAPS}/a", patch, Content_Type="application/merge-patch+json")
    kinds = [await events.next() for _ in range(3)]
    assert [one["type"] for one in kinds] == ["MODIFIED", "DELETED", "ADDED"]
    assert kinds[1]["object"]["metadata"]["labels"] == {"mine": "no"}
    versions = [int(one["object"]["metadata"]["resourceVersion"]) for one in kinds]
    assert versions == sorted(versions)
    assert versions[2] == int(last["metadata"]["resourceVersion"])
    await events.close()


@pytest.mark.parametrize(
    ("path", "names"),
    [
        pytest.param("/api/v1/watch/namespaces/default/configmaps", ["a", "b"], id="namespace"),
        pytest.param("/api/v1/watch/configmaps", ["a", "b"], id="all-namespaces"),
        pytest.param("/api/v1/watch/namespaces/default/configmaps/b", ["b"], id="one-object"),
    ],
)
async def test_legacy_watch_paths_are_served(call, path, names):
    """Paths under /watch/ follow a collection, or one object of it."""
    await make_maps(call, "a", "b")
    events = Watch(await call("GET", path, query=MARKED))
    assert await events.names(len(names)) == [("ADDED", name) for name in names]
    await events.close()


async def test_legacy_watch_of_one_object_needs_no_right_to_see_others(call):
    """The verb asked for is `watch`, with the name."""
    answer = await call("GET", "/api/v1/watch/namespaces/default/configmaps/b", user=UserInfo("ann"))
    text = 'configmaps "b" is forbidden: User "ann" cannot watch resource "configmaps" in API group ""'
    assert json.loads(answer.body)["message"].startswith(text)


async def test_get_of_one_object_ignores_watch(call):
    """`?watch=1` behind a name returns the object."""
    await make_maps(call, "a")
    assert (await call.json("GET", f"{MAPS}/a", query="watch=1"))["kind"] == "ConfigMap"


# ── forms ──


async def test_metadata_alone_for_get_list_and_watch(call):
    """PartialObjectMetadata of one object, of a list, and of each event, bookmarks included."""
    await make_maps(call, "a")
    one = await call.json("GET", f"{MAPS}/a", Accept=PARTIAL)
    assert set(one) == {"kind", "apiVersion", "metadata"}
    assert (one["kind"], one["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    many = await call.json("GET", MAPS, query=MARKED, Accept=PARTIAL_LIST)
    assert many["kind"] == "PartialObjectMetadataList"
    assert [(item["kind"], item["metadata"]["name"]) for item in many["items"]] == [("PartialObjectMetadata", "a")]
    events = await watch(call, "allowWatchBookmarks=true", Accept=PARTIAL)
    seen = [await events.next(), await events.next()]
    assert [(event["type"], event["object"]["kind"]) for event in seen] == [
        ("ADDED", "PartialObjectMetadata"),
        ("BOOKMARK", "PartialObjectMetadata"),
    ]
    assert "data" not in seen[0]["object"]
    await events.close()


@pytest.mark.parametrize(
    ("path", "accept"), [pytest.param(MAPS, PARTIAL, id="list"), pytest.param(f"{MAPS}/a", PARTIAL_LIST, id="object")]
)
async def test_metadata_in_the_wrong_form_is_406(call, path, accept):
    """A list is no object, and an object is no list."""
    await make_maps(call, "a")
    assert (await call("GET", path, Accept=accept)).status == 406


async def test_table_watch_sends_columns_once(call):
    """One Table an event; the head comes with the first only."""
    await make_maps(call, "a", "b")
    events = await watch(call, Accept=TABLE)
    tables = [(await events.next())["object"] for _ in range(2)]
    assert [table["kind"] for table in tables] == ["Table", "Table"]
    assert tables[0]["columnDefinitions"][0]["name"] == "Name"
    assert tables[1]["columnDefinitions"] is None
    assert [table["rows"][0]["cells"][0] for table in tables] == ["a", "b"]
    await events.close()


async def test_watch_in_yaml_is_406(call):
    """A stream has no form in YAML."""
    answer = await call("GET", MAPS, query="watch=1", Accept="application/yaml")
    assert answer.status == 406
    assert b"application/json;stream=watch" in answer.body


# ── deletion of collections ──


async def test_delete_of_a_collection_takes_selectors_and_a_limit(call):
    """Only what is selected goes, at most a page of it, and the answer lists it."""
    await make_maps(call, "a", "b", "c")
    await call.make_map("other")
    answer = await call.json("DELETE", MAPS, query=f"{MARKED}&limit=2")
    assert [one["metadata"]["name"] for one in answer["items"]] == ["a", "b"]
    assert answer["metadata"]["continue"]
    left = [one["metadata"]["name"] for one in (await call.json("GET", MAPS))["items"]]
    assert "c" in left and "other" in left and "a" not in left  # noqa: PT018


async def test_dry_run_of_a_collection_deletes_nothing(call):
    """The answer is the same, and everything stays."""
    await make_maps(call, "a", "b")
    answer = await call.json("DELETE", MAPS, query=f"{MARKED}&dryRun=All")
    assert len(answer["items"]) == 2
    assert len((await call.json("GET", MAPS, query=MARKED))["items"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "media", "body"),
    [
        pytest.param("POST", MAPS, "application/json", {"metadata": {"name": "new"}}, id="create"),
        pytest.param(
            "PUT", f"{MAPS}/a", "application/json", {"metadata": {"name": "a"}, "data": {"x": "2"}}, id="update"
        ),
        pytest.param("PATCH", f"{MAPS}/a", "application/merge-patch+json", {"data": {"x": "2"}}, id="patch"),
        pytest.param("DELETE", f"{MAPS}/a", "application/json", None, id="delete"),
        pytest.param("DELETE", f"{MAPS}/a", "application/json", {"dryRun": ["All"]}, id="delete-by-body"),
    ],
)
async def test_dry_run_of_each_verb_changes_nothing(call, method, path, media, body):
    """A success is answered, and the store is as it was."""
    await make_maps(call, "a")
    before = call.store.status().revision
    query = "" if body == {"dryRun": ["All"]} else "dryRun=All"
    answer = await call(method, path, body, query=query, Content_Type=media)
    assert answer.status in {200, 201}
    assert call.store.status().revision == before


@pytest.mark.parametrize("value", ["", "all", "None"])
async def test_dry_run_of_anything_else_is_422(call, value):
    """There is one stage to leave out: all of them."""
    answer = await call.json("POST", MAPS, {"metadata": {"name": "x"}}, query=f"dryRun={value}")
    text = f'dryRun: Unsupported value: ["{value}"]: supported values: "All"'
    assert (answer["code"], answer["message"]) == (422, f'CreateOptions.meta.k8s.io "" is invalid: {text}')
