"""What is said of pods that cannot be: every rule of environment, probes, hooks, DNS, scheduling and Windows, in upstream's words."""

import pytest
from tests.support.kind_rules import Rules

PODS = Rules("pods")
CONTAINER = "spec.containers.0"
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def refused(changes):
    return PODS.refused(changes)


def env(**variable):
    return {f"{CONTAINER}.env": [{"name": "A", **variable}]}


def source(**kinds):
    return env(valueFrom=kinds)


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(env(name=""), ["spec.containers[0].env[0].name: Required value"], id="no-name"),
        pytest.param(
            env(value="1", valueFrom={"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}),
            ['spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
            id="value-and-source",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1", "fieldPath": "metadata.name"}, secretKeyRef={"name": "s", "key": "k"}),
            [
                'spec.containers[0].env[0].valueFrom: Invalid value: "": may not have more than one field specified at a time'
            ],
            id="two-sources",
        ),
        pytest.param(
            source(),
            [
                (
                    'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
                    "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
                )
            ],
            id="no-source",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1"}),
            ["spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Required value"],
            id="no-path",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v2", "fieldPath": "metadata.name"}),
            [
                (
                    'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name": error converting '
                    "fieldPath: unsupported pod version: v2"
                )
            ],
            id="another-version",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1", "fieldPath": "spec.volumes"}),
            [
                (
                    'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.volumes": error converting '
                    "fieldPath: field label not supported: spec.volumes"
                )
            ],
            id="unknown-path",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1", "fieldPath": "spec.nodeName['a']"}),
            [
                (
                    "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nodeName['a']\": error converting "
                    "fieldPath: field label does not support subscript: spec.nodeName['a']"
                )
            ],
            id="subscript",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1", "fieldPath": "metadata.labels['a b']"}),
            [f'spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: "a b": {QUALIFIED}'],
            id="key-of-a-label",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1", "fieldPath": "status.phase"}),
            [
                (
                    'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: '
                    '"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
                    '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'
                )
            ],
            id="path-that-is-no-environment",
        ),
        pytest.param(
            source(resourceFieldRef={"resource": "limits.gpu"}),
            [
                (
                    'spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported '
                    'values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", '
                    '"requests.ephemeral-storage", "requests.memory"'
                )
            ],
            id="resource",
        ),
        pytest.param(
            source(resourceFieldRef={"resource": "limits.cpu", "divisor": "2"}),
            [
                (
                    'spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s '
                    'values "1m", "1" are supported with the cpu resource'
                )
            ],
            id="divisor",
        ),
        pytest.param(
            source(configMapKeyRef={"name": "a", "key": ""}),
            ["spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value"],
            id="no-key",
        ),
        pytest.param(
            {f"{CONTAINER}.envFrom": [{}]},
            ['spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
            id="from-nothing",
        ),
        pytest.param(
            {f"{CONTAINER}.envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]},
            ['spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time'],
            id="from-both",
        ),
        pytest.param(
            source(fieldRef={"apiVersion": "v1", "fieldPath": "metadata.annotations['A.example/b']"}),
            [],
            id="annotation",
        ),
        pytest.param(
            source(resourceFieldRef={"resource": "limits.hugepages-2Mi", "divisor": "1Mi"}), [], id="huge-pages"
        ),
    ],
)
def test_environment_is_refused(changes, complaints):
    """Each variable has a name and one source at most."""
    assert refused(changes) == complaints


def probe(kind="livenessProbe", **fields):
    return {f"{CONTAINER}.{kind}": {"exec": {"command": ["true"]}, **fields}}


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {f"{CONTAINER}.livenessProbe": {}},
            ["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
            id="no-handler",
        ),
        pytest.param(
            probe(tcpSocket={"port": 80}),
            ["spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
            id="two-handlers",
        ),
        pytest.param(
            probe(exec={}), ["spec.containers[0].livenessProbe.exec.command: Required value"], id="no-command"
        ),
        pytest.param(
            probe(exec=None, httpGet={"port": 0, "scheme": "FTP", "httpHeaders": [{"name": "a b", "value": ""}]}),
            [
                "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
                'spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"',
                (
                    'spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of '
                    "alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
                ),
            ],
            id="http",
        ),
        pytest.param(
            probe(exec=None, grpc={"port": 70000}),
            [
                "spec.containers[0].livenessProbe.grpc.port: Invalid value: 70000: must be between 1 and 65535, inclusive"
            ],
            id="grpc",
        ),
        pytest.param(
            probe(successThreshold=2),
            ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
            id="threshold-of-liveness",
        ),
        pytest.param(
            probe("startupProbe", terminationGracePeriodSeconds=0, successThreshold=3),
            [
                "spec.containers[0].startupProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
                "spec.containers[0].startupProbe.successThreshold: Invalid value: 3: must be 1",
            ],
            id="grace-of-startup",
        ),
        pytest.param(
            probe("readinessProbe", terminationGracePeriodSeconds=0, successThreshold=2),
            [
                "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
                (
                    "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 0: must not be set for "
                    "readinessProbes"
                ),
            ],
            id="grace-of-readiness",
        ),
        pytest.param(
            probe(initialDelaySeconds=-1, failureThreshold=-2),
            [
                "spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.containers[0].livenessProbe.failureThreshold: Invalid value: -2: must be greater than or equal to 0",
            ],
            id="negative",
        ),
        pytest.param(
            {f"{CONTAINER}.lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            [
                (
                    "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
                    "terminationGracePeriodSeconds (30)"
                )
            ],
            id="long-sleep",
        ),
        pytest.param(
            {f"{CONTAINER}.lifecycle": {"postStart": {}}},
            ["spec.containers[0].lifecycle.postStart: Required value: must specify a handler type"],
            id="empty-hook",
        ),
        pytest.param({f"{CONTAINER}.lifecycle": {"preStop": {"sleep": {"seconds": 0}}}}, [], id="no-sleep"),
    ],
)
def test_probe_or_hook_is_refused(changes, complaints):
    """Each has one handler, and numbers that can be."""
    assert refused(changes) == complaints


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.dnsPolicy": "None"},
            ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
            id="none-without-settings",
        ),
        pytest.param(
            {"spec.dnsPolicy": "None", "spec.dnsConfig": {"searches": ["a"]}},
            [
                "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None"
            ],
            id="none-without-servers",
        ),
        pytest.param(
            {"spec.dnsPolicy": "Mine"},
            [
                (
                    'spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", '
                    '"Default", "None"'
                )
            ],
            id="policy",
        ),
        pytest.param(
            {"spec.dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "x"]}},
            [
                (
                    'spec.dnsConfig.nameservers: Invalid value: ["1.1.1.1","1.1.1.2","1.1.1.3","x"]: must not have more than 3 '
                    "nameservers"
                ),
                'spec.dnsConfig.nameservers[3]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
            ],
            id="servers",
        ),
        pytest.param(
            {"spec.dnsConfig": {"options": [{"value": "1"}]}},
            ["spec.dnsConfig.options[0]: Required value: must not be empty"],
            id="option",
        ),
        pytest.param({"spec.dnsConfig": {"searches": [".", "_tcp.a_b.example."]}}, [], id="searches"),
    ],
)
def test_name_resolution_is_refused(changes, complaints):
    """A pod that brings its own DNS brings all of it."""
    assert refused(changes) == complaints


def tolerates(**toleration):
    return {"spec.tolerations": [toleration]}


def spread(**constraint):
    one = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", **constraint}
    return {"spec.topologySpreadConstraints": [one]}


def on_nodes(**requirement):
    required = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    return {"spec.affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


TERM = (
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]"
)


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            tolerates(operator="Equal", value="b"),
            [
                (
                    'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means '
                    '"match all values and all keys"'
                )
            ],
            id="no-key",
        ),
        pytest.param(
            tolerates(key="a", operator="Exists", value="b"),
            ["spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"],
            id="exists-with-value",
        ),
        pytest.param(
            tolerates(key="a", value="-" * 64),
            [f'spec.tolerations[0].operator: Invalid value: "{"-" * 64}": must be no more than 63 bytes;{LABEL_VALUE}'],
            id="two-complaints-in-one",
        ),
        pytest.param(
            tolerates(key="a", operator="Like"),
            ['spec.tolerations[0].operator: Unsupported value: "Like": supported values: "Equal", "Exists"'],
            id="operator",
        ),
        pytest.param(
            tolerates(key="a", operator="Exists", effect="NoSchedule", tolerationSeconds=5),
            [
                (
                    "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when "
                    "`tolerationSeconds` is set"
                )
            ],
            id="seconds",
        ),
        pytest.param(
            tolerates(key="a", operator="Exists", effect="Never"),
            [
                (
                    'spec.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", '
                    '"NoExecute"'
                )
            ],
            id="effect",
        ),
        pytest.param(
            spread(maxSkew=0, topologyKey="", whenUnsatisfiable="Maybe"),
            [
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
                (
                    'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Maybe": supported values: '
                    '"DoNotSchedule", "ScheduleAnyway"'
                ),
            ],
            id="spread",
        ),
        pytest.param(
            spread(minDomains=0, whenUnsatisfiable="ScheduleAnyway"),
            [
                "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be greater than zero",
                (
                    "spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: can only use minDomains if "
                    "whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
                ),
            ],
            id="domains",
        ),
        pytest.param(
            spread(nodeTaintsPolicy="Look", matchLabelKeys=["a"]),
            [
                (
                    'spec.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "Look": supported values: "Honor", '
                    '"Ignore"'
                ),
                (
                    "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not "
                    "set"
                ),
            ],
            id="spread-policies",
        ),
        pytest.param(
            {"spec.topologySpreadConstraints": [spread()["spec.topologySpreadConstraints"][0]] * 2},
            [
                'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{zone, DoNotSchedule}"'
            ],
            id="spread-twice",
        ),
        pytest.param(
            on_nodes(key="a", operator="In"),
            [f"{TERM}.values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
            id="in-nothing",
        ),
        pytest.param(
            on_nodes(key="a", operator="Exists", values=["b"]),
            [f"{TERM}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"],
            id="exists-in",
        ),
        pytest.param(
            on_nodes(key="a", operator="Gt", values=["1", "2"]),
            [f"{TERM}.values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'"],
            id="greater-than-two",
        ),
        pytest.param(
            on_nodes(key="a", operator="Near", values=["b"]),
            [f'{TERM}.operator: Invalid value: "Near": not a valid selector operator'],
            id="selector-operator",
        ),
        pytest.param(
            {
                "spec.affinity": {
                    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
                }
            },
            [
                (
                    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
                    "must have at least one node selector term"
                )
            ],
            id="no-terms",
        ),
        pytest.param(
            {"spec.schedulingGates": [{"name": "a.b/c"}, {"name": "a.b/c"}]},
            ['spec.schedulingGates[1]: Duplicate value: "a.b/c"'],
            id="gate-twice",
        ),
    ],
)
def test_wish_for_nodes_is_refused(changes, complaints):
    """Tolerations, spreading, affinity and gates say what they mean."""
    assert refused(changes) == complaints


WINDOWS = {"spec.os": {"name": "windows"}}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        pytest.param({"spec.hostPID": True, "spec.hostIPC": True}, ["spec.hostPID", "spec.hostIPC"], id="host"),
        pytest.param({"spec.shareProcessNamespace": False}, ["spec.shareProcessNamespace"], id="shared-processes"),
        pytest.param(
            {"spec.securityContext": {"runAsUser": 1, "fsGroup": 2, "supplementalGroups": [3]}},
            [
                "spec.securityContext.fsGroup",
                "spec.securityContext.runAsUser",
                "spec.securityContext.supplementalGroups",
            ],
            id="pod",
        ),
        pytest.param(
            {f"{CONTAINER}.securityContext": {"privileged": False, "runAsUser": 1, "capabilities": {}}},
            [
                "spec.containers[0].securityContext.capabilities",
                "spec.containers[0].securityContext.privileged",
                "spec.containers[0].securityContext.runAsUser",
            ],
            id="container",
        ),
        pytest.param({f"{CONTAINER}.securityContext": {"runAsNonRoot": True}}, [], id="what-windows-has"),
    ],
)
def test_pod_for_windows_may_not_ask_for_what_linux_has(changes, fields):
    """Each such setting is named, whatever its value."""
    assert refused({**WINDOWS, **changes}) == [
        f"{field}: Forbidden: cannot be set for a windows pod" for field in fields
    ]


def test_pod_for_linux_may_not_ask_for_what_windows_has():
    """Its options are refused for the pod and for each container, those that come first first."""
    options = {"windowsOptions": {"runAsUserName": "a"}}
    changes = {
        "spec.os": {"name": "linux"},
        "spec.securityContext": options,
        "spec.initContainers": [{"name": "i", "image": "i", "securityContext": options}],
        f"{CONTAINER}.securityContext": options,
    }
    places = ("spec", "spec.initContainers[0]", "spec.containers[0]")
    text = "windowsOptions: Forbidden: windows options cannot be set for a linux pod"
    assert refused(changes) == [f"{place}.securityContext.{text}" for place in places]


def host_process(value):
    return {"windowsOptions": {"hostProcess": value}}


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.securityContext": host_process(True), f"{CONTAINER}.securityContext": host_process(False)},
            [
                (
                    "spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: false: pod hostProcess value "
                    "must be identical if both are specified, was true"
                )
            ],
            id="another-value",
        ),
        pytest.param(
            {
                f"{CONTAINER}.securityContext": host_process(True),
                "spec.initContainers": [{"name": "i", "image": "i"}],
                "spec.hostNetwork": True,
            },
            [
                (
                    'spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess '
                    "containers"
                )
            ],
            id="some",
        ),
        pytest.param(
            {"spec.securityContext": host_process(True)},
            [
                (
                    "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess "
                    "containers"
                )
            ],
            id="without-its-network",
        ),
        pytest.param({"spec.securityContext": host_process(True), "spec.hostNetwork": True}, [], id="all"),
    ],
)
def test_processes_of_a_windows_host_are_all_or_none(changes, complaints):
    """Containers that are processes of the host share its network, and stand by no others."""
    assert refused(changes) == complaints


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.hostUsers": False, "spec.hostNetwork": True, "spec.hostPID": True, "spec.hostIPC": True},
            [
                "spec.hostNetwork: Forbidden: when `hostUsers` is false",
                "spec.HostPID: Forbidden: when `hostUsers` is false",
                "spec.HostIPC: Forbidden: when `hostUsers` is false",
            ],
            id="host",
        ),
        pytest.param(
            {f"{CONTAINER}.securityContext": {"procMount": "Unmasked"}},
            [
                (
                    'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use '
                    "`Unmasked`"
                )
            ],
            id="unmasked",
        ),
        pytest.param(
            {f"{CONTAINER}.securityContext": {"procMount": "Unmasked"}, "spec.hostUsers": False}, [], id="own"
        ),
    ],
)
def test_users_of_a_pod_are_its_own_or_the_hosts(changes, complaints):
    """Who has users of their own shares nothing of the host, and who has not sees no unmasked /proc."""
    assert refused(changes) == complaints


@pytest.mark.parametrize(
    ("context", "complaints"),
    [
        pytest.param(
            {"runAsUser": -1}, ["runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"], id="user"
        ),
        pytest.param(
            {"procMount": "Some"},
            ['procMount: Unsupported value: "Some": supported values: "Default", "Unmasked"'],
            id="proc",
        ),
        pytest.param(
            {"seccompProfile": {"type": "Localhost"}},
            ["seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"],
            id="seccomp-without-file",
        ),
        pytest.param(
            {"seccompProfile": {"type": ""}},
            ["seccompProfile.type: Required value: type is required when seccompProfile is set"],
            id="seccomp-without-type",
        ),
        pytest.param(
            {"appArmorProfile": {"type": "Localhost", "localhostProfile": " "}},
            ["appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost"],
            id="apparmor-without-name",
        ),
        pytest.param(
            {"appArmorProfile": {"type": "Unconfined", "localhostProfile": "a"}},
            ['appArmorProfile.localhostProfile: Invalid value: "a": can only be set when AppArmor type is Localhost'],
            id="apparmor-with-name",
        ),
        pytest.param(
            {"windowsOptions": {"runAsUserName": ""}},
            ['windowsOptions.runAsUserName: Invalid value: "": runAsUserName cannot be an empty string'],
            id="windows-user",
        ),
    ],
)
def test_security_context_is_refused(context, complaints):
    """What a container may not be, in the words of upstream."""
    at = "spec.containers[0].securityContext"
    assert refused({f"{CONTAINER}.securityContext": context}) == [f"{at}.{text}" for text in complaints]


def test_escalation_that_contradicts_itself_is_refused():
    """Whoever is privileged, or administers the system, cannot be kept from gaining privileges."""
    context = {"allowPrivilegeEscalation": False, "privileged": True, "capabilities": {"add": ["CAP_SYS_ADMIN"]}}
    first, second = refused({f"{CONTAINER}.securityContext": context})
    assert first.startswith(
        'spec.containers[0].securityContext: Invalid value: {"Capabilities":{"Add":["CAP_SYS_ADMIN"]'
    )
    assert first.endswith(": cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
    assert second.endswith(": cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
