"""All figures of the project, or some: `python bench/run.py [requests|watchers|startup|pods|node-life|nodes]...`.

Needs wrk for the requests; figures of real pods need root and containerd, and are left out with a word where they cannot be had.
"""

import argparse

import api_requests
import node_life
import nodes
import pods
import startup
import watchers
from report import Figure, show
from servers import missing_for_containers

PARTS = ("requests", "watchers", "startup", "pods", "node-life", "nodes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"what to measure: {', '.join(PARTS)}; all by default")
    parser.add_argument("--seconds", type=int, default=5, help="time for each case of requests and watchers")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind")
    parser.add_argument("--pods", type=int, default=20, help="pods to start, one after another")
    parser.add_argument("--idle-seconds", type=float, default=30.0, help="how long to look at an idle cluster")
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000, 5000], help="how many simulated nodes")
    given = parser.parse_args()
    parts = given.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    if "requests" in parts:
        figures += api_requests.measure(given.seconds)
    if "watchers" in parts:
        figures += watchers.measure(given.seconds)
    if "startup" in parts:
        figures += startup.measure(given.rounds)
    if "pods" in parts:
        if reason := missing_for_containers():
            print(f"pods: left out: {reason}")
        else:
            figures += pods.measure(given.pods, given.idle_seconds)
    if "node-life" in parts:
        figures += node_life.measure(given.rounds)
    if "nodes" in parts:
        figures += nodes.measure(given.nodes, given.idle_seconds)
    show(figures)


if __name__ == "__main__":
    main()
