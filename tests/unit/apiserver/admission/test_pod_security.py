import pytest

from pinnace.api.apps_v1 import Deployment, DeploymentSpec
from pinnace.api.core_v1 import (
    AppArmorProfile,
    Capabilities,
    Container,
    ContainerPort,
    EphemeralContainer,
    HostPathVolumeSource,
    HTTPGetAction,
    Namespace,
    NFSVolumeSource,
    Pod,
    PodOS,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    SeccompProfile,
    SecurityContext,
    SELinuxOptions,
    Sysctl,
    Volume,
    WindowsSecurityContextOptions,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.admission import CREATE, UPDATE, Attributes
from pinnace.apiserver.admission.pod_security import Exemptions, Level, LevelVersion, PodSecurity, Policy
from pinnace.apiserver.admission.pod_security.evaluation import violations
from pinnace.component.http import UserInfo
from pinnace.machinery.errors import ApiError

LABEL = "pod-security.kubernetes.io/"
HARDENED = SecurityContext(
    allow_privilege_escalation=False,
    capabilities=Capabilities(drop=("ALL",)),
    run_as_non_root=True,
    seccomp_profile=SeccompProfile(type="RuntimeDefault"),
)


class Objects:
    def __init__(self, *objects):
        self.objects = objects

    async def get(self, cls, name, namespace=""):
        return next((one for one in await self.list(cls, namespace) if one.metadata.name == name), None)

    async def list(self, cls, namespace=""):
        return tuple(
            one for one in self.objects if type(one) is cls and (not namespace or one.metadata.namespace == namespace)
        )


def make_spec(security_context=HARDENED, pod=None, **fields):
    container = {key: fields.pop(key) for key in ("ports", "liveness_probe") if key in fields}
    spec = {"containers": (Container(name="a", security_context=security_context, **container),), **fields}
    return PodSpec(security_context=pod, **spec)


def make_pod(spec, name="p", **meta):
    return Pod(metadata=ObjectMeta(name=name, namespace="ns", **meta), spec=spec)


def namespace(**labels):
    return Namespace(
        metadata=ObjectMeta(name="ns", labels={LABEL + key.replace("_", "-"): value for key, value in labels.items()})
    )


def attributes(resource="pods", group="", operation=CREATE, warnings=None, **fields):
    fields = {"namespace": "ns", "user": UserInfo("jane")} | fields
    warn = warnings.append if warnings is not None else lambda text: None
    return Attributes(operation=operation, group=group, resource=resource, warn=warn, **fields)


async def outcome(plugin, attrs, obj, old=None):
    try:
        await plugin.validate(attrs, obj, old)
    except ApiError as error:
        return error.message
    return ""


BASELINE = [
    (make_spec(host_network=True, host_pid=True), "host namespaces (hostNetwork=true, hostPID=true)"),
    (
        make_spec(SecurityContext(privileged=True)),
        'privileged (container "a" must not set securityContext.privileged=true)',
    ),
    (
        make_spec(volumes=(Volume(name="v", host_path=HostPathVolumeSource(path="/")),)),
        'hostPath volumes (volume "v")',
    ),
    (make_spec(ports=(ContainerPort(container_port=80, host_port=80),)), 'hostPort (container "a" uses hostPort 80)'),
    (
        make_spec(SecurityContext(capabilities=Capabilities(add=("SYS_ADMIN", "CHOWN", "NET_RAW")))),
        'non-default capabilities (container "a" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
    ),
    (
        make_spec(pod=PodSecurityContext(app_armor_profile=AppArmorProfile(type="Unconfined"))),
        'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
    ),
    (
        make_spec(liveness_probe=Probe(http_get=HTTPGetAction(host="10.0.0.1", port=80))),
        'probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1")',
    ),
    (
        make_spec(SecurityContext(proc_mount="Unmasked")),
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    ),
    (
        make_spec(
            SecurityContext(se_linux_options=SELinuxOptions(type="spc_t", user="u")),
            PodSecurityContext(se_linux_options=SELinuxOptions(role="r")),
        ),
        (
            'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; '
            "user may not be set; role may not be set)"
        ),
    ),
    (
        make_spec(SecurityContext(seccomp_profile=SeccompProfile(type="Unconfined"))),
        'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
    ),
    (
        make_spec(pod=PodSecurityContext(sysctls=(Sysctl(name="kernel.msgmax"), Sysctl(name="net.ipv4.tcp_rmem")))),
        "forbidden sysctl (kernel.msgmax)",
    ),
    (
        make_spec(pod=PodSecurityContext(windows_options=WindowsSecurityContextOptions(host_process=True))),
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    ),
]


@pytest.mark.parametrize(("spec", "text"), BASELINE)
def test_baseline_tells_what_breaks_it(spec, text):
    """Each baseline check, in upstream's words."""
    assert ", ".join(map(str, violations(spec, {}, LevelVersion(Level.BASELINE)))) == text


RESTRICTED = [
    (make_spec(), ""),
    (
        make_spec(None),
        (
            'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), '
            'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), '
            'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), '
            'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
            '"Localhost")'
        ),
    ),
    (
        make_spec(
            volumes=(
                Volume(name="v", host_path=HostPathVolumeSource(path="/")),
                Volume(name="n", nfs=NFSVolumeSource()),
            )
        ),
        'restricted volume types (volumes "v", "n" use restricted volume types "hostPath", "nfs")',
    ),
    (
        make_spec(pod=PodSecurityContext(run_as_user=0)),
        "runAsUser=0 (pod must not set runAsUser=0)",
    ),
    (
        make_spec(
            ephemeral_containers=(EphemeralContainer(name="e", security_context=SecurityContext(privileged=True)),)
        ),
        (
            'privileged (container "e" must not set securityContext.privileged=true), '
            'allowPrivilegeEscalation != false (container "e" must set securityContext.allowPrivilegeEscalation=false), '
            'unrestricted capabilities (container "e" must set securityContext.capabilities.drop=["ALL"]), '
            'runAsNonRoot != true (pod or container "e" must set securityContext.runAsNonRoot=true), '
            'seccompProfile (pod or container "e" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
            '"Localhost")'
        ),
    ),
]


@pytest.mark.parametrize(("spec", "text"), RESTRICTED)
def test_restricted_tells_what_breaks_it(spec, text):
    """The restricted checks come behind the baseline's, and stand in for those that they sharpen."""
    assert ", ".join(map(str, violations(spec, {}, LevelVersion(Level.RESTRICTED)))) == text


@pytest.mark.parametrize(
    ("spec", "minor", "allowed"),
    [
        pytest.param(
            make_spec(pod=PodSecurityContext(sysctls=(Sysctl(name="net.ipv4.tcp_rmem"),))), 31, False, id="sysctl"
        ),
        pytest.param(
            make_spec(pod=PodSecurityContext(sysctls=(Sysctl(name="net.ipv4.tcp_rmem"),))), 32, True, id="sysctl32"
        ),
        pytest.param(make_spec(None, PodSecurityContext(run_as_non_root=True)), 7, True, id="before-escalation"),
        pytest.param(make_spec(None, PodSecurityContext(run_as_non_root=True)), 8, False, id="escalation"),
        pytest.param(
            make_spec(
                SecurityContext(run_as_non_root=True),
                os=PodOS(name="windows"),
            ),
            25,
            True,
            id="windows",
        ),
        pytest.param(make_spec(SecurityContext(run_as_non_root=True), os=PodOS(name="windows")), 24, False, id="linux"),
    ],
)
def test_version_of_a_namespace_picks_the_rules_of_its_time(spec, minor, allowed):
    """A rule holds from the minor version on that brought it."""
    assert violations(spec, {}, LevelVersion(Level.RESTRICTED, minor)) is not allowed


def test_annotations_of_old_count_where_the_fields_came_later():
    """AppArmor's annotations always, seccomp's before 1.19."""
    notes = {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}
    (found,) = violations(make_spec(), notes, LevelVersion(Level.BASELINE))
    assert found.detail == (
        "annotation must not set AppArmor profile type to "
        '"container.apparmor.security.beta.kubernetes.io/a=\\"unconfined\\""'
    )
    notes = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    (found,) = violations(make_spec(), notes, LevelVersion(Level.BASELINE, 18))
    assert found.detail == 'forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined"'
    assert not violations(make_spec(), notes, LevelVersion(Level.BASELINE, 19))


async def test_pod_is_refused_where_the_level_is_enforced():
    """The refusal names level, version and each broken rule; an update of labels alone is let through."""
    plugin = PodSecurity(Objects(namespace(enforce="baseline", enforce_version="v1.30")))
    pod = make_pod(make_spec(host_network=True))
    assert await outcome(plugin, attributes(), pod) == (
        'pods "p" is forbidden: violates PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true)'
    )
    relabelled = make_pod(make_spec(host_network=True), labels={"a": "b"})
    assert not await outcome(plugin, attributes(operation=UPDATE), relabelled, pod)
    changed = make_pod(make_spec(None, host_network=True))
    assert await outcome(plugin, attributes(operation=UPDATE), changed, pod)


async def test_pod_and_its_controller_are_warned_of_where_the_level_only_warns():
    """Warnings refuse nothing; a controller is warned of, even where its pods would be refused."""
    plugin, warnings = PodSecurity(Objects(namespace(warn="baseline"))), []
    spec = make_spec(host_network=True)
    assert not await outcome(plugin, attributes(warnings=warnings), make_pod(spec))
    deployment = Deployment(spec=DeploymentSpec(template=PodTemplateSpec(spec=spec)))
    assert not await outcome(plugin, attributes("deployments", "apps", warnings=warnings), deployment)
    text = 'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    assert warnings == [text, text]


@pytest.mark.parametrize(
    ("exemptions", "user"),
    [
        (Exemptions(namespaces=frozenset({"ns"})), "jane"),
        (Exemptions(usernames=frozenset({"root"})), "root"),
        (Exemptions(runtime_classes=frozenset({"vm"})), "jane"),
    ],
)
async def test_exempt_pods_are_let_through(exemptions, user):
    """By namespace, by user, by runtime class."""
    plugin = PodSecurity(Objects(namespace(enforce="restricted")), exemptions=exemptions)
    pod = make_pod(make_spec(None, runtime_class_name="vm"))
    assert not await outcome(plugin, attributes(user=UserInfo(user)), pod)


async def test_default_policy_holds_where_a_namespace_says_nothing():
    """What a label does not say the configuration says."""
    plugin = PodSecurity(Objects(namespace()), Policy(enforce=LevelVersion(Level.BASELINE)))
    assert await outcome(plugin, attributes(), make_pod(make_spec(host_network=True)))


async def test_unreadable_label_is_refused_and_counts_as_restricted():
    """A namespace cannot be given a level that is none; one that has it enforces the strictest."""
    bad = namespace(enforce="strict", warn_version="1.30")
    text = await outcome(PodSecurity(Objects()), attributes("namespaces"), bad)
    assert text == (
        'Namespace "ns" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": '
        "must be one of privileged, baseline, restricted, "
        'metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.30": must be "latest" or "v1.x"]'
    )
    # What was there before may stay, so that the namespace can be changed at all.
    assert not await outcome(PodSecurity(Objects()), attributes("namespaces", operation=UPDATE), bad, bad)
    assert "restricted:latest" in await outcome(PodSecurity(Objects(bad)), attributes(), make_pod(make_spec(None)))


async def test_raised_level_warns_of_the_pods_that_are_there():
    """Pods are counted by what they break, and the first by name stands for the others."""
    pods = [make_pod(make_spec(host_network=True), name) for name in ("c", "a", "b")]
    pods += [make_pod(make_spec(host_ipc=True, host_network=True), "x"), make_pod(make_spec(), "fine")]
    warnings = []
    attrs = attributes("namespaces", operation=UPDATE, warnings=warnings)
    await PodSecurity(Objects(*pods)).validate(attrs, namespace(enforce="baseline"), namespace())
    assert warnings == [
        'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 3 other pods): host namespaces",
    ]
    warnings.clear()
    await PodSecurity(Objects(*pods)).validate(attrs, namespace(enforce="baseline"), namespace(enforce="restricted"))
    assert not warnings
