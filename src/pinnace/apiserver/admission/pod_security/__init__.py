"""PodSecurity: the Pod Security Standards, enforced by the labels of namespaces."""

from pinnace.apiserver.admission.pod_security.plugin import Exemptions, PodSecurity
from pinnace.apiserver.admission.pod_security.policy import Level, LevelVersion, Policy

__all__ = ["Exemptions", "Level", "LevelVersion", "PodSecurity", "Policy"]
