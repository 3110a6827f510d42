"""The machine that a simulated node claims to be."""

from __future__ import annotations

from pinnace.api import core_v1
from pinnace.kubelet.simulated.host import SimulatedMachine


def info(name: str) -> core_v1.NodeSystemInfo:
    machine = SimulatedMachine(
        cpu="1", memory="1Gi", ephemeral_storage="1Gi", extended_resources={}, architecture="amd64", name=name
    )
    return machine.info()


def test_machine_of_one_name_is_the_same_in_every_process() -> None:
    """A simulation that is started anew has rebooted nothing; two nodes are two machines."""
    assert info("n1") == info("n1")
    assert len({info("n1").machine_id, info("n1").boot_id, info("n2").machine_id, info("n2").boot_id}) == 4
