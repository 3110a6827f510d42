"""Says of each flow schema whether the priority level that it names is there: its status condition `Dangling`.

Level-triggered: whatever changes among schemas and levels, all schemas are looked at, and those are written whose condition is not
true. Upstream: apiserver `util/flowcontrol/apf_controller.go` (presyncFlowSchemaStatus).
"""

import asyncio
from typing import Never

from msgspec.structs import replace

from pinnace.api.flowcontrol_v1 import (
    FlowSchema,
    FlowSchemaCondition,
    FlowSchemaStatus,
    PriorityLevelConfiguration,
)
from pinnace.apiserver.registry.strategy import Objects
from pinnace.apiserver.storage import ResourceStorage
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import Conflict, NotFound

TYPE = "Dangling"
_log = get_logger("flow-control")


class DanglingConditions:
    """Keeps the condition true while it runs."""

    def __init__(
        self,
        schemas: ResourceStorage[FlowSchema],
        levels: ResourceStorage[PriorityLevelConfiguration],
        objects: Objects,
        clock: Clock,
    ) -> None:
        self._followed = (schemas, levels)
        self._objects = objects
        self._clock = clock
        self._settling = asyncio.Lock()

    async def run(self) -> Never:
        """Follow both kinds; ends by cancellation only."""
        async with asyncio.TaskGroup() as group:
            for storage in self._followed:
                group.create_task(self._follow(storage), name=f"conditions by {storage.resource.plural}")
        raise AssertionError("following ends only by cancellation")

    async def _follow(self, storage: ResourceStorage[FlowSchema] | ResourceStorage[PriorityLevelConfiguration]) -> None:
        # A watch that falls behind ends, and the next one begins with all there is.
        while True:
            async with storage.watch() as watcher:
                async for _ in watcher:
                    async with self._settling:
                        await self._settle()

    async def _settle(self) -> None:
        levels = {level.metadata.name for level in await self._objects.list(PriorityLevelConfiguration)}
        async with asyncio.TaskGroup() as group:
            for schema in await self._objects.list(FlowSchema):
                known = next((one for one in schema.status.conditions if one.type == TYPE), None)
                true = _condition(schema, levels)
                if known is None or (known.status, known.reason, known.message) != (
                    true.status,
                    true.reason,
                    true.message,
                ):
                    group.create_task(self._write(schema, true), name=f"condition of {schema.metadata.name}")

    async def _write(self, schema: FlowSchema, condition: FlowSchemaCondition) -> None:
        condition = replace(condition, last_transition_time=timestamps.format(self._clock.time()))
        others = (one for one in schema.status.conditions if one.type != TYPE)
        try:
            await self._objects.update(
                replace(schema, status=FlowSchemaStatus(conditions=(*others, condition))), "status"
            )
        except (Conflict, NotFound):
            # Whoever was faster is about to be seen.
            _log.debug("a flow schema changed meanwhile", schema=schema.metadata.name)


def _condition(schema: FlowSchema, levels: set[str]) -> FlowSchemaCondition:
    level = schema.spec.priority_level_configuration.name
    text = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    if level in levels:
        return FlowSchemaCondition(type=TYPE, status="False", reason="Found", message=f"{text} and it exists")
    return FlowSchemaCondition(
        type=TYPE, status="True", reason="NotFound", message=f"{text} but there is no such object"
    )
