"""What the kernel says of network interfaces, and what summaries say of it."""

from __future__ import annotations

from pinnace.kubelet.network_usage import interfaces, parse, summary

LINE = "  eth0: 1500 12 1 0 0 0 0 0 900 8 2 0 0 0 0 0"


def test_line_of_the_kernel_is_understood() -> None:
    """Bytes and errors stand first and third, of what came and of what went."""
    found = parse(LINE)
    assert (found.name, found.received_bytes, found.receive_errors) == ("eth0", 1500, 1)
    assert (found.sent_bytes, found.send_errors) == (900, 2)


def test_summary_stands_for_the_usual_interface() -> None:
    """The interface that pods have comes first, and its counters are the whole's; all are listed."""
    other = parse(LINE.replace("eth0", "br0").replace("1500", "7"))
    made = summary((other, parse(LINE)), "now")
    assert (made["time"], made["name"], made["rxBytes"], made["txBytes"]) == ("now", "eth0", 1500, 900)
    assert [part["name"] for part in made["interfaces"]] == ["eth0", "br0"]


def test_process_that_has_gone_has_no_interfaces() -> None:
    """A pod may end between two looks."""
    assert interfaces("none") == ()
