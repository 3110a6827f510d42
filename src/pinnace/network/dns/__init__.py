"""Cluster DNS: names of Services and pods, and everything else by the machine's own resolvers."""
