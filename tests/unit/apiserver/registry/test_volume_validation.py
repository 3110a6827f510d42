"""What is said of volumes that cannot be: each rule of each source, in upstream's words and at the fields where it reports them."""

import pytest
from tests.support.kind_rules import Rules

PODS = Rules("pods")
MODE = "must be a number between 0 and 0777 (octal), both inclusive"
PARTITION = "must be between 1 and 255, inclusive"
LUN = "must be between 0 and 255, inclusive"
FORMAT = "must be valid format"
START = f"{FORMAT} starting with iqn, eui, or naa"
PAIR = "must be a host:port pair or multiple pairs separated by commas"
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
PORTAL = "1.2.3.4:3260"
IQN = "iqn.2015-02.example.com:test"
FIELD_REF = {"apiVersion": "v1", "fieldPath": "metadata.name"}


def refused(*volumes):
    return PODS.refused({"spec.volumes": list(volumes)})


def iscsi(**fields):
    return {"iscsi": {"targetPortal": PORTAL, "iqn": IQN, "lun": 1, **fields}}


def projected(*sources, **fields):
    return {"projected": {"sources": list(sources), **fields}}


def keys(*paths, name="s"):
    return {"name": name, "items": [{"key": "k", "path": path} for path in paths]}


def token(**fields):
    return {"serviceAccountToken": {"path": "t", **fields}}


def downward(**fields):
    return {"downwardAPI": {"items": [{"path": "p", "fieldRef": FIELD_REF, **fields}]}}


def claim(**spec):
    whole = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"ephemeral": {"volumeClaimTemplate": {"spec": {**whole, **spec}}}}


def row(source, *complaints, id):
    return pytest.param(source, list(complaints), id=id)


@pytest.mark.parametrize(
    ("source", "complaints"),
    [
        row({"emptyDir": {"sizeLimit": "-1"}}, "emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity", id="empty dir size"),
        row({"hostPath": {"path": ""}}, "hostPath.path: Required value", id="host path"),
        row({"hostPath": {"path": "/a/../b"}}, "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'", id="host path climbs"),
        row({"hostPath": {"path": "/a", "type": "X"}}, 'hostPath.type: Unsupported value: "X": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"', id="host path type"),
        row({"gitRepo": {"repository": ""}}, "gitRepo.repository: Required value", id="repository"),
        row({"gitRepo": {"repository": "r", "directory": "/a"}}, 'gitRepo.directory: Invalid value: "/a": must be a relative path', id="absolute directory"),
        row({"gitRepo": {"repository": "r", "directory": "a/.."}}, "gitRepo.directory: Invalid value: \"a/..\": must not contain '..'", id="directory climbs"),
        row({"gitRepo": {"repository": "r", "directory": "..a"}}, id="directory may begin with dots"),
        row({"gcePersistentDisk": {"pdName": ""}}, "persistentDisk.pdName: Required value", id="gce name"),
        row({"gcePersistentDisk": {"pdName": "d", "partition": 256}}, f"persistentDisk.partition: Invalid value: 256: {PARTITION}", id="gce partition"),
        row({"awsElasticBlockStore": {"volumeID": ""}}, "awsElasticBlockStore.volumeID: Required value", id="aws id"),
        row({"awsElasticBlockStore": {"volumeID": "d", "partition": -1}}, f"awsElasticBlockStore.partition: Invalid value: -1: {PARTITION}", id="aws partition"),
        row({"secret": {"secretName": ""}}, "secret.secretName: Required value", id="secret name"),
        row({"secret": {"secretName": "s", "defaultMode": 0o1000}}, f"secret.defaultMode: Invalid value: 512: {MODE}", id="secret mode"),
        row({"secret": {"secretName": "s", "items": [{"key": "", "path": ""}]}}, "secret.items[0].key: Required value", "secret.items[0].path: Required value", id="empty item"),
        row({"secret": {"secretName": "s", "items": [{"key": "k", "path": "/a"}]}}, 'secret.items[0].path: Invalid value: "/a": must be a relative path', id="absolute item"),
        row({"secret": {"secretName": "s", "items": [{"key": "k", "path": "a/../b"}]}}, "secret.items[0].path: Invalid value: \"a/../b\": must not contain '..'", id="item climbs"),
        row({"secret": {"secretName": "s", "items": [{"key": "k", "path": "..a"}]}}, "secret.items[0].path: Invalid value: \"..a\": must not start with '..'", id="reserved item"),
        row({"secret": {"secretName": "s", "items": [{"key": "k", "path": "p", "mode": -1}]}}, f"secret.items[0].mode: Invalid value: -1: {MODE}", id="item mode"),
        row({"configMap": {"name": ""}}, "configMap.name: Required value", id="config map name"),
        row({"configMap": {"name": "c", "defaultMode": -1}}, f"configMap.defaultMode: Invalid value: -1: {MODE}", id="config map mode"),
        row({"nfs": {"server": "", "path": ""}}, "nfs.server: Required value", "nfs.path: Required value", 'nfs.path: Invalid value: "": must be an absolute path', id="nfs"),
        row({"nfs": {"server": "s", "path": "a"}}, 'nfs.path: Invalid value: "a": must be an absolute path', id="nfs path"),
        row(iscsi(targetPortal="", iqn=""), "iscsi.targetPortal: Required value", "iscsi.iqn: Required value", id="iscsi"),
        row(iscsi(iqn="xyz.1"), f'iscsi.iqn: Invalid value: "xyz.1": {START}', id="iscsi start"),
        row(iscsi(iqn="iqn.2015-02"), f'iscsi.iqn: Invalid value: "iqn.2015-02": {FORMAT}', id="iscsi iqn"),
        row(iscsi(iqn="eui.12"), f'iscsi.iqn: Invalid value: "eui.12": {FORMAT}', id="iscsi eui"),
        row(iscsi(iqn="naa.12"), f'iscsi.iqn: Invalid value: "naa.12": {FORMAT}', id="iscsi naa"),
        row(iscsi(iqn="naa." + "1" * 32), id="good naa"),
        row(iscsi(lun=256), f"iscsi.lun: Invalid value: 256: {LUN}", id="iscsi lun"),
        row(iscsi(chapAuthSession=True), "iscsi.secretRef: Required value", id="iscsi secret"),
        row(iscsi(initiatorName="x"), f'iscsi.initiatorname: Invalid value: "x": {START}', id="iscsi initiator"),
        row(iscsi(initiatorName=IQN, targetPortal="p" * 63), 'name: Invalid value: "v": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.', id="iscsi name"),
        row({"glusterfs": {"endpoints": "", "path": ""}}, "glusterfs.endpoints: Required value", "glusterfs.path: Required value", id="glusterfs"),
        row({"flocker": {}}, "flocker: Required value: one of datasetName and datasetUUID is required", id="flocker"),
        row({"flocker": {"datasetName": "a", "datasetUUID": "b"}}, 'flocker: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously', id="flocker both"),
        row({"flocker": {"datasetName": "a/b"}}, "flocker.datasetName: Invalid value: \"a/b\": must not contain '/'", id="flocker name"),
        row({"persistentVolumeClaim": {"claimName": ""}}, "persistentVolumeClaim.claimName: Required value", id="claim"),
        row({"rbd": {"monitors": [], "image": ""}}, "rbd.monitors: Required value", "rbd.image: Required value", id="rbd"),
        row({"cinder": {"volumeID": "", "secretRef": {}}}, "cinder.volumeID: Required value", "cinder.secretRef.name: Required value", id="cinder"),
        row({"cephfs": {"monitors": []}}, "cephfs.monitors: Required value", id="cephfs"),
        row({"quobyte": {"registry": "", "volume": ""}}, f"quobyte.registry: Required value: {PAIR}", "quobyte.volume: Required value", id="quobyte"),
        row({"quobyte": {"registry": "h:1,h", "volume": "v"}}, f'quobyte.registry: Invalid value: "h:1,h": {PAIR}', id="quobyte pairs"),
        row({"quobyte": {"registry": "[::1]:1", "volume": "v"}}, id="quobyte six"),
        row({"quobyte": {"registry": "h:1", "volume": "v", "tenant": "t" * 65}}, "quobyte.tenant: Required value: must be a UUID and may not exceed a length of 64 characters", id="quobyte tenant"),
        row({"fc": {}}, "fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both", id="fc"),
        row({"fc": {"targetWWNs": ["a"]}}, "fc.lun: Required value: lun is required if targetWWNs is specified", id="fc lun"),
        row({"fc": {"targetWWNs": ["a"], "lun": 256}}, f"fc.lun: Invalid value: 256: {LUN}", id="fc high lun"),
        row({"flexVolume": {"driver": ""}}, "flexVolume.driver: Required value", id="flex"),
        row({"flexVolume": {"driver": "d", "options": {"x.k8s.io/a": "b"}}}, 'flexVolume.options[x.k8s.io/a]: Invalid value: "x.k8s.io/a": kubernetes.io and k8s.io namespaces are reserved', id="flex option"),
        row({"azureFile": {"secretName": "", "shareName": ""}}, "azureFile.secretName: Required value", "azureFile.shareName: Required value", id="azure file"),
        row({"vsphereVolume": {"volumePath": ""}}, "vsphereVolume.volumePath: Required value", id="vsphere"),
        row({"photonPersistentDisk": {"pdID": ""}}, "photonPersistentDisk.pdID: Required value", id="photon"),
        row({"portworxVolume": {"volumeID": ""}}, "portworxVolume.volumeID: Required value", id="portworx"),
        row({"azureDisk": {"diskName": "", "diskURI": ""}}, "azureDisk.diskName: Required value", "azureDisk.diskURI: Required value", 'azureDisk.diskURI: Unsupported value: "": supported values: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"', id="azure disk"),
        row({"azureDisk": {"diskName": "d", "diskURI": "https://a", "kind": "Managed"}}, 'azureDisk.diskURI: Unsupported value: "https://a": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"', id="azure managed disk"),
        row({"azureDisk": {"diskName": "d", "diskURI": "https://a", "cachingMode": "X"}}, 'azureDisk.cachingMode: Unsupported value: "X": supported values: "None", "ReadOnly", "ReadWrite"', id="azure caching"),
        row({"storageos": {}}, "storageos.volumeName: Required value", id="storageos"),
        row({"storageos": {"volumeName": "A", "volumeNamespace": "B", "secretRef": {}}}, f'storageos.volumeName: Invalid value: "A": {LABEL}', f'storageos.volumeNamespace: Invalid value: "B": {LABEL}', "storageos.secretRef.name: Required value", id="storageos names"),
        row({"scaleIO": {"gateway": "", "system": "", "volumeName": "", "secretRef": {}}}, "scaleIO.gateway: Required value", "scaleIO.system: Required value", "scaleIO.volumeName: Required value", id="scale io"),
        row({"csi": {"driver": ""}}, "csi.driver: Required value", id="csi"),
        row({"csi": {"driver": "a" * 64}}, "csi.driver: Too long: may not be more than 63 bytes", id="csi long"),
        row({"csi": {"driver": "d", "nodePublishSecretRef": {}}}, "csi.nodePublishSecretRef.name: Required value", id="csi secret"),
        row({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "A"}}}, f'csi.name: Invalid value: "A": {SUBDOMAIN}', id="csi secret name"),
        row({"ephemeral": {}}, "ephemeral.volumeClaimTemplate: Required value", id="ephemeral"),
        row(claim(accessModes=[]), "ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required", id="ephemeral claim"),
        row({"image": {"reference": "", "pullPolicy": "Always"}}, "image.reference: Required value", id="image"),
        row({"image": {"reference": "i", "pullPolicy": "X"}}, 'image.pullPolicy: Unsupported value: "X": supported values: "Always", "IfNotPresent", "Never"', id="image policy"),
        row(downward(path=""), "downwardAPI.path: Required value", id="downward path"),
        row(downward(fieldRef=None), "downwardAPI: Required value: one of fieldRef and resourceFieldRef is required", id="downward nothing"),
        row(downward(resourceFieldRef={"containerName": "c", "resource": "limits.cpu"}), 'downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously', id="downward both"),
        row(downward(mode=-1), f"downwardAPI.mode: Invalid value: -1: {MODE}", id="downward mode"),
        row(projected(defaultMode=-1), f"projected.defaultMode: Invalid value: -1: {MODE}", id="projected mode"),
        row(projected({"secret": keys("a", name="")}), "projected.sources[0].secret.name: Required value", id="projected secret"),
        row(projected({"configMap": keys("..a")}), "projected.sources[0].configMap.items[0].path: Invalid value: \"..a\": must not start with '..'", id="projected item"),
        row(projected(downward(path="/a")), 'projected.sources[0].downwardAPI.path: Invalid value: "/a": must be a relative path', id="projected field"),
        row(projected({"secret": keys("a")}, {"configMap": keys("a", name="c")}), 'projected: Invalid value: "c": conflicting duplicate paths', id="projected twice"),
        row(projected({"secret": keys("p")}, downward()), 'projected: Invalid value: "p": conflicting duplicate paths', id="projected field twice"),
        row(projected({"secret": keys("t")}, token()), id="projected token beside"),
        row(projected(token(expirationSeconds=599)), "projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes", id="token short"),
        row(projected(token(expirationSeconds=(1 << 32) + 1)), "projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds", id="token long"),
        row(projected(token(path="")), "projected.path: Required value", id="token path"),
        row(projected(token(path="/t")), 'projected.path: Invalid value: "/t": must be a relative path', id="token absolute"),
        row(projected({"secret": keys("a"), "configMap": keys("b")}), "projected.sources[0]: Forbidden: may not specify more than 1 volume type per source", id="projected two"),
    ],
)  # fmt: skip
def test_source_is_refused(source, complaints):
    """A source that is not whole; none of the complaints means that it is good."""
    assert refused({"name": "v", **source}) == [f"spec.volumes[0].{text}" for text in complaints]


@pytest.mark.parametrize(
    ("second", "named"),
    [
        pytest.param({"hostPath": {"path": "/"}}, "hostPath", id="host path"),
        pytest.param({"gcePersistentDisk": {"pdName": ""}}, "gcePersistentDisk", id="gce"),
        pytest.param({"cephfs": {"monitors": []}}, "cephFS", id="cephfs"),
        pytest.param({"downwardAPI": {}}, "downwarAPI", id="downward"),
        pytest.param({"image": {"reference": ""}}, "image", id="image"),
    ],
)
def test_second_source_is_one_too_many(second, named):
    """It is refused unread, at upstream's name for it, slips of the pen included."""
    complaint = f"spec.volumes[0].{named}: Forbidden: may not specify more than 1 volume type"
    assert refused({"name": "v", "emptyDir": {}, **second}) == [complaint]


def test_names_of_volumes_are_labels_that_stand_once():
    """A volume that is refused does not take its name from another."""
    assert refused({"name": "", "emptyDir": {}}) == ["spec.volumes[0].name: Required value"]
    assert refused({"name": "A", "emptyDir": {}}) == [f'spec.volumes[0].name: Invalid value: "A": {LABEL}']
    twice = {"name": "v", "emptyDir": {}}
    assert refused(twice, twice) == ['spec.volumes[1].name: Duplicate value: "v"']


def test_claim_made_for_a_pod_has_a_name_of_its_own():
    """Nobody else's volume may refer to it, and its name, made of two, must be one."""
    pod = PODS.body["metadata"]["name"]
    other = {"name": "w", "persistentVolumeClaim": {"claimName": f"{pod}-v"}}
    text = "must not reference a PVC that gets created for an ephemeral volume"
    complaint = f'spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "{pod}-v": {text}'
    assert refused({"name": "v", **claim()}, other) == [complaint]
    long = "p" * 251
    changes = {"metadata.name": long, "spec.volumes": [{"name": "vol", **claim()}]}
    assert PODS.refused(changes) == [
        f'spec.volumes[0].name: Invalid value: "vol": PVC name "{long}-vol": must be no more than 253 characters'
    ]
