"""What CNI plug-ins wrote into iptables for one network, and how to take it out again.

Plug-ins remove their rules when a pod's network is torn down; what a killed machine left behind is found by the network's name, which
every one of their rules carries in a comment. The chains that all networks share go with the last rule in them. Pure, but for `remove`.
Written by: containernetworking plugins 1.x, `bridge` (ipMasq) and `portmap`.
"""

import re
import shutil
import subprocess

from pinnace.cluster.containerd_config import search_path

# The shared chains, in an order in which each is unused once those before it are gone.
_SHARED = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK")
_OWN = re.compile(r"^CNI-(DN-)?[0-9a-f]+$")


def removal(saved: str, network: str) -> str:
    """Return the input for `iptables-restore --noflush` that removes a network, from what `iptables-save` printed; empty when it is gone."""
    rules = [line for line in saved.splitlines() if line.startswith("-A ")]
    marked = [rule for rule in rules if f'name: \\"{network}\\"' in rule or f'name: "{network}"' in rule]
    chains = {word for rule in marked for word in (_chain(rule), _target(rule)) if _OWN.match(word)}
    gone = [rule for rule in rules if rule in marked or _chain(rule) in chains]
    if not gone:
        return ""
    unlinked = [f"-D {rule[3:]}" for rule in gone if _chain(rule) not in chains]
    emptied = sorted(chains)
    kept = [rule for rule in rules if rule not in gone]
    if not any(_chain(rule) == _SHARED[0] for rule in kept):
        unlinked += [f"-D {rule[3:]}" for rule in kept if _target(rule) in _SHARED and _chain(rule) not in _SHARED]
        declared = {line[1:].split(" ")[0] for line in saved.splitlines() if line.startswith(":")}
        emptied += [chain for chain in _SHARED if chain in declared]
    # Two transactions: the kernel still counts a jump that is deleted in the same one, and calls its chain busy.
    flush, delete = ([f"-{verb} {chain}" for chain in emptied] for verb in "FX")
    return "\n".join(["*nat", *unlinked, *flush, "COMMIT", "*nat", *delete, "COMMIT", ""])


def remove(network: str) -> str:
    """Take a network's rules out; returns the complaint of iptables, empty when all went well or there was nothing."""
    for family in ("iptables", "ip6tables"):
        save, restore = (shutil.which(f"{family}-{verb}", path=search_path()) for verb in ("save", "restore"))
        if save is None or restore is None:
            continue
        listed = subprocess.run([save, "-t", "nat"], capture_output=True, text=True, check=False)
        wanted = removal(listed.stdout, network)
        if not wanted:
            continue
        done = subprocess.run([restore, "--noflush"], input=wanted, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"{family}: {done.stderr.strip()}"
    return ""


def _chain(rule: str) -> str:
    return rule.split(" ", 2)[1]


def _target(rule: str) -> str:
    found = re.search(r" -j (\S+)", rule)
    return found[1] if found else ""
