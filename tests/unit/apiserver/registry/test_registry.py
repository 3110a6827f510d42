"""Create, update and delete as every kind has them, over the memory store."""

import random
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from pinnace.api import resources
from pinnace.api.core_v1 import ConfigMap, Pod, PodSpec
from pinnace.api.meta_v1 import DeleteOptions, ObjectMeta, Preconditions
from pinnace.apiserver.registry import deletion
from pinnace.apiserver.registry.objects import RegistryObjects, system_call
from pinnace.apiserver.registry.store import Registry
from pinnace.apiserver.registry.strategy import Strategy, spec_changed
from pinnace.apiserver.storage import Storage
from pinnace.component.clock import VirtualClock
from pinnace.component.identity import Identity
from pinnace.machinery.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from pinnace.store.memory import open_memory


class Harness:
    """One registry and what a write needs."""

    def __init__(self, registry, clock, identity):
        self.registry = registry
        self.clock = clock
        self.objects = RegistryObjects(lambda _: registry, clock, identity)
        self.identity = identity

    def call(self, *, dry_run=False, put=False):
        call = system_call(self.registry.resource, self.clock, self.identity, self.objects)
        call.context = call.context if not dry_run else _dry(call.context)
        call.uid_is_precondition = put
        return call

    async def create(self, name="a", **kinds):
        meta = ObjectMeta(name=name, namespace="ns", **kinds)
        obj = self.registry.resource.type(
            kind=self.registry.resource.kind, api_version=self.registry.resource.api_version, metadata=meta
        )
        return (await self.registry.create(self.call(), obj)).object

    async def put(self, obj, *, subresource=""):
        async def build(entry):
            return obj

        return await self.registry.update(
            self.call(put=True), obj.metadata.name, obj.metadata.namespace, build, subresource=subresource
        )

    async def delete(self, name="a", **options):
        return await deletion.delete(self.registry, self.call(), name, "ns", DeleteOptions(**options))

    def stored(self, name="a"):
        entry = self.registry.storage.get(name, "ns")
        return None if entry is None else entry.object


def _dry(context):
    return replace(context, dry_run=True)


@asynccontextmanager
async def registry_of(cls, strategy=None):
    clock = VirtualClock()
    async with open_memory(clock) as store:
        storage = Storage(store, clock)
        resource = resources.by_type(cls)
        strategy = strategy or Strategy()
        one = storage.add(resource, fields_of=lambda obj: {"metadata.name": obj.metadata.name})
        async with storage.running():
            yield Harness(Registry(resource, strategy, one), clock, Identity(random.Random(1)))


async def test_create_sets_what_the_server_owns():
    """UID, creation time and resourceVersion come from the server, whatever was sent."""
    async with registry_of(ConfigMap) as harness:
        made = await harness.create(uid="mine", deletion_timestamp="2020-01-01T00:00:00Z", self_link="/x")
        meta = made.metadata
        assert meta.uid not in {"", "mine"}
        assert meta.creation_timestamp == "2026-01-01T00:00:00Z"
        assert meta.resource_version.isdigit()
        assert (meta.deletion_timestamp, meta.self_link) == (None, "")


async def test_create_generates_a_name():
    """A generateName gets five characters behind at most 58 of its own."""
    async with registry_of(ConfigMap) as harness:
        made = await harness.create(name="", generate_name="x" * 60)
        assert made.metadata.name.startswith("x" * 58)
        assert len(made.metadata.name) == 63


async def test_create_refuses_a_taken_name():
    """A name that is there is AlreadyExists, and says when the old object is going."""
    async with registry_of(ConfigMap) as harness:
        await harness.create(finalizers=("example.com/f",))
        with pytest.raises(AlreadyExists, match=r'^configmaps "a" already exists'):
            await harness.create()
        await harness.delete()
        with pytest.raises(AlreadyExists, match=r"^object is being deleted: "):
            await harness.create()


async def test_create_refuses_a_resource_version():
    """A new object has no version yet; upstream answers a bare 500."""
    async with registry_of(ConfigMap) as harness:
        with pytest.raises(ApiError) as caught:
            await harness.create(resource_version="5")
        assert (caught.value.code, caught.value.reason) == (500, "")


async def test_dry_run_stores_nothing():
    """A dry run answers with the object, without a resourceVersion, and keeps nothing."""
    async with registry_of(ConfigMap) as harness:
        obj = ConfigMap(metadata=ObjectMeta(name="a", namespace="ns"))
        written = await harness.registry.create(harness.call(dry_run=True), obj)
        assert written.object.metadata.resource_version == ""
        assert harness.stored() is None


async def test_update_without_a_change_is_no_write():
    """The same content again keeps the resourceVersion."""
    async with registry_of(ConfigMap) as harness:
        made = await harness.create(labels={"b": "1", "a": "2"})
        again = await harness.put(replace(made, metadata=replace(made.metadata, labels={"a": "2", "b": "1"})))
        assert again.object.metadata.resource_version == made.metadata.resource_version


async def test_update_with_an_old_version_conflicts():
    """A resourceVersion that is not the stored one is a Conflict; none overwrites."""
    async with registry_of(ConfigMap) as harness:
        made = await harness.create()
        await harness.put(replace(made, data={"x": "1"}))
        with pytest.raises(Conflict, match="the object has been modified"):
            await harness.put(replace(made, data={"x": "2"}))
        free = replace(made, data={"x": "3"}, metadata=replace(made.metadata, resource_version=""))
        assert (await harness.put(free)).object.data == {"x": "3"}


async def test_update_keeps_immutable_metadata():
    """Another UID is a precondition that fails; another creation time is ignored."""
    async with registry_of(ConfigMap) as harness:
        made = await harness.create()
        with pytest.raises(Conflict, match="Precondition failed: UID in precondition: other"):
            await harness.put(replace(made, metadata=replace(made.metadata, uid="other")))
        moved = replace(made, metadata=replace(made.metadata, creation_timestamp="2000-01-01T00:00:00Z"))
        assert (await harness.put(moved)).object.metadata.creation_timestamp == made.metadata.creation_timestamp


async def test_update_of_a_missing_object_is_not_found():
    """PUT does not create unless the kind allows it."""
    async with registry_of(ConfigMap) as harness:
        with pytest.raises(NotFound, match='configmaps "nope" not found'):
            await harness.put(ConfigMap(metadata=ObjectMeta(name="nope", namespace="ns")))


async def test_update_demands_a_version_where_the_kind_does():
    """Kinds without unconditional update refuse one, naming the resource as upstream does."""
    async with registry_of(ConfigMap, Strategy(allow_unconditional_update=False)) as harness:
        made = await harness.create()
        with pytest.raises(
            Invalid, match=r'configmaps "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified'
        ):
            await harness.put(replace(made, metadata=replace(made.metadata, resource_version="")))


async def test_status_and_spec_are_written_on_their_own_paths():
    """The main path ignores status, the status path everything else; only spec changes count the generation on."""
    async with registry_of(Pod, Strategy(generation=spec_changed)) as harness:
        made = await harness.create()
        assert made.metadata.generation == 1
        changed = replace(made, spec=PodSpec(node_name="n"), status=replace(made.status, phase="Running"))
        first = (await harness.put(changed)).object
        assert (first.spec.node_name, first.status.phase, first.metadata.generation) == ("n", "", 2)
        both = replace(first, spec=PodSpec(node_name="m"), status=replace(made.status, phase="Running"))
        second = (await harness.put(both, subresource="status")).object
        assert (second.spec.node_name, second.status.phase, second.metadata.generation) == ("n", "Running", 2)


async def test_delete_without_finalizers_removes_at_once():
    """The object is gone and its last state carries the revision of the deletion."""
    async with registry_of(ConfigMap) as harness:
        made = await harness.create()
        written = await harness.delete()
        assert written.deleted
        assert int(written.object.metadata.resource_version) > int(made.metadata.resource_version)
        assert harness.stored() is None


async def test_delete_waits_for_finalizers():
    """A finalizer keeps the object, marked, until an update takes the last one away; none may be added."""
    async with registry_of(ConfigMap) as harness:
        await harness.create(finalizers=("example.com/f",))
        marked = (await harness.delete()).object
        assert marked.metadata.deletion_timestamp == "2026-01-01T00:00:00Z"
        assert marked.metadata.deletion_grace_period_seconds == 0
        more = replace(marked, metadata=replace(marked.metadata, finalizers=("example.com/f", "example.com/g")))
        with pytest.raises(Invalid, match="no new finalizers can be added"):
            await harness.put(more)
        freed = replace(marked, metadata=replace(marked.metadata, finalizers=()))
        assert (await harness.put(freed)).deleted
        assert harness.stored() is None


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"propagation_policy": "Orphan"}, ("orphan",)),
        ({"propagation_policy": "Foreground"}, ("foregroundDeletion",)),
        ({"orphan_dependents": True}, ("orphan",)),
    ],
)
async def test_delete_marks_the_propagation_with_a_finalizer(options, finalizers):
    """Orphan and Foreground leave the object to the garbage collector."""
    async with registry_of(ConfigMap) as harness:
        await harness.create()
        assert (await harness.delete(**options)).object.metadata.finalizers == finalizers


async def test_delete_holds_to_preconditions():
    """Another UID or version refuses, naming the kind rather than the resource."""
    async with registry_of(ConfigMap) as harness:
        await harness.create()
        with pytest.raises(Conflict, match='on ConfigMap "a": the UID in the precondition'):
            await harness.delete(preconditions=Preconditions(uid="other"))
        with pytest.raises(Conflict, match="the ResourceVersion in the precondition"):
            await harness.delete(preconditions=Preconditions(resource_version="999"))


@pytest.mark.parametrize(
    ("preconditions", "complaint"),
    [
        pytest.param(Preconditions(uid=""), r"the UID in the precondition \(\) does not match", id="uid"),
        pytest.param(
            Preconditions(resource_version=""),
            r"the ResourceVersion in the precondition \(\) does not match",
            id="version",
        ),
    ],
)
async def test_delete_holds_to_empty_preconditions(preconditions, complaint):
    """A precondition that is given, and empty, holds for no object."""
    async with registry_of(ConfigMap) as harness:
        await harness.create()
        with pytest.raises(Conflict, match=complaint):
            await harness.delete(preconditions=preconditions)


async def test_graceful_deletion_can_only_be_shortened():
    """A second DELETE brings the end nearer, never further off, and 0 ends it."""
    strategy = Strategy(grace_seconds=lambda obj, option: 30 if option is None else option)
    async with registry_of(Pod, strategy) as harness:
        await harness.create()
        marked = (await harness.delete()).object.metadata
        assert (marked.deletion_timestamp, marked.deletion_grace_period_seconds) == ("2026-01-01T00:00:30Z", 30)
        longer = (await harness.delete(grace_period_seconds=60)).object.metadata
        assert longer == marked
        shorter = (await harness.delete(grace_period_seconds=5)).object.metadata
        assert (shorter.deletion_timestamp, shorter.deletion_grace_period_seconds) == ("2026-01-01T00:00:05Z", 5)
        assert (await harness.delete(grace_period_seconds=0)).deleted


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        pytest.param({"name": "Bad_"}, "metadata.name: Invalid value", id="name"),
        pytest.param({"name": ""}, "name or generateName is required", id="no-name"),
        pytest.param({"labels": {"bad key": "x"}}, 'metadata.labels: Invalid value: "bad key"', id="label-key"),
        pytest.param({"annotations": {"a": "x" * 262145}}, "metadata.annotations: Too long", id="annotations"),
        pytest.param({"finalizers": ("odd",)}, "neither a standard finalizer name", id="finalizer"),
    ],
)
async def test_create_checks_metadata(meta, text):
    """Metadata is checked alike for every kind."""
    async with registry_of(ConfigMap) as harness:
        with pytest.raises(Invalid, match=text):
            await harness.create(**{"name": "a", **meta})
