"""Puts the flow schemas and priority levels in place that every server has, when it starts.

What is missing is made. What is there keeps its spec unless it asks to be kept up to date (the annotation), or nobody has touched
it since it was made; mandatory specs are always put right. Upstream: pkg/registry/flowcontrol/{rest,ensurer}.
"""

import asyncio
from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.flowcontrol_v1 import (
    FlowSchema,
    FlowSchemaSpec,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationSpec,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.flowcontrol import mandatory
from pinnace.apiserver.registry.strategy import Objects
from pinnace.machinery.errors import AlreadyExists, Conflict, NotFound

AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"

K = TypeVar("K", bound=FlowSchema | PriorityLevelConfiguration)


async def ensure(objects: Objects) -> None:
    """Make or mend all of them, together so that they reach the disk together."""
    async with asyncio.TaskGroup() as group:
        for levels, fixed in ((mandatory.PRIORITY_LEVELS, True), (mandatory.SUGGESTED_PRIORITY_LEVELS, False)):
            for name, level in levels.items():
                made = PriorityLevelConfiguration(metadata=_metadata(name), spec=level)
                group.create_task(_ensure(objects, made, fixed=fixed), name=f"priority level {name}")
        for schemas, fixed in ((mandatory.FLOW_SCHEMAS, True), (mandatory.SUGGESTED_FLOW_SCHEMAS, False)):
            for name, schema in schemas.items():
                wanted = FlowSchema(metadata=_metadata(name), spec=schema)
                group.create_task(_ensure(objects, wanted, fixed=fixed), name=f"flow schema {name}")


def _metadata(name: str) -> ObjectMeta:
    return ObjectMeta(name=name, annotations={AUTO_UPDATE: "true"})


async def _ensure(objects: Objects, wanted: K, *, fixed: bool) -> None:
    there = await objects.get(type(wanted), wanted.metadata.name)
    try:
        if there is None:
            await objects.create(wanted)
            return
        mark = there.metadata.annotations.get(AUTO_UPDATE)
        may_update = fixed or mark == "true" or (mark is None and there.metadata.generation == 1)
        if not may_update:
            return
        annotations = {**there.metadata.annotations, AUTO_UPDATE: "true"}
        mended = replace(there, metadata=replace(there.metadata, annotations=annotations), spec=_kept(wanted, there))
        if mended != there:
            await objects.update(mended)
    except (AlreadyExists, Conflict, NotFound):
        return  # another server did it meanwhile, or somebody does what they want with it


def _kept(wanted: K, there: K) -> FlowSchemaSpec | PriorityLevelConfigurationSpec:
    """Return the wanted spec; the exempt level may lend as its owner likes."""
    if isinstance(wanted, PriorityLevelConfiguration) and isinstance(there, PriorityLevelConfiguration):
        return replace(wanted.spec, exempt=there.spec.exempt or wanted.spec.exempt)
    return wanted.spec
