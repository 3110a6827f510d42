"""Rules that CNI plug-ins left behind."""

from pinnace.cluster.firewall_rules import removal

HEAD = """\
*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -j SOMEBODY-ELSE
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
"""
OURS = """\
-A POSTROUTING -s 10.244.0.5/32 -m comment --comment "name: \\"ours\\" id: \\"1\\"" -j CNI-aa11
-A CNI-aa11 -d 10.244.0.0/24 -m comment --comment "name: \\"ours\\" id: \\"1\\"" -j ACCEPT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"ours\\" id: \\"1\\"" -m multiport --dports 80 -j CNI-DN-bb22
-A CNI-DN-bb22 -s 10.244.0.0/24 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
"""
THEIRS = OURS.replace("ours", "theirs").replace("aa11", "cc33").replace("bb22", "dd44")


def test_removal_takes_the_shared_chains_with_the_last_network():
    """Our rules and chains go, then the jumps to the shared chains and those chains; other rules stay."""
    lines = removal(HEAD + OURS + "COMMIT\n", "ours").splitlines()
    jumps, chains = lines[: lines.index("COMMIT")], lines[lines.index("COMMIT") + 1 :]
    assert jumps[0] == chains[0] == "*nat"
    assert chains[-1] == "COMMIT"
    assert {line[:2] for line in jumps[1:]} == {"-D", "-F"}
    assert [line for line in lines if line.startswith("-X")] == [
        "-X CNI-DN-bb22",
        "-X CNI-aa11",
        "-X CNI-HOSTPORT-DNAT",
        "-X CNI-HOSTPORT-MASQ",
        "-X CNI-HOSTPORT-SETMARK",
    ]
    assert "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT" in lines
    assert not any("SOMEBODY-ELSE" in line for line in lines)


def test_removal_leaves_another_networks_rules_and_what_they_share():
    """While another network has a port open, the shared chains stay, and none of its rules is touched."""
    text = removal(HEAD + OURS + THEIRS + "COMMIT\n", "ours")
    assert "-X CNI-DN-bb22" in text
    assert not any(word in text for word in ("theirs", "cc33", "dd44", "-X CNI-HOSTPORT-DNAT", "-D PREROUTING"))


def test_removal_of_a_network_that_is_not_there_is_nothing():
    """A second clean-up has nothing to do."""
    assert removal(HEAD + THEIRS + "COMMIT\n", "ours") == ""
