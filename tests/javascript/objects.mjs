// The life of objects through @kubernetes/client-node, as its users write it. Prints one JSON object: what was seen at each step.
import * as k8s from '@kubernetes/client-node';

const [kubeconfig, namespace, name] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const labelSelector = `app=${name}`;
const seen = {};

function configMap(data) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: { app: name } }, data };
}

function withType(strategy) {
  return k8s.setHeaderOptions('Content-Type', strategy);
}

// Watches until an event has this type, and gives all types up to it; the first event calls the trigger.
function watched(path, last, trigger) {
  return new Promise((resolve, reject) => {
    const types = [];
    let triggered = false;
    new k8s.Watch(config)
      .watch(
        path,
        { labelSelector },
        (type) => {
          types.push(type);
          if (!triggered) {
            triggered = true;
            trigger().catch(reject);
          }
          if (type === last) resolve(types);
        },
        (error) => error && reject(error),
      )
      .catch(reject);
  });
}

await core.createNamespacedConfigMap({ namespace, body: configMap({ a: '1' }) });
seen.listed = (await core.listNamespacedConfigMap({ namespace, labelSelector })).items.map((one) => one.metadata.name);
seen.read = (await core.readNamespacedConfigMap({ name, namespace })).data;

const patch = (body, strategy) => core.patchNamespacedConfigMap({ name, namespace, body }, withType(strategy));
seen.merged = (await patch({ data: { b: '2' } }, k8s.PatchStrategy.MergePatch)).data;
seen.strategic = (await patch({ data: { c: '3' } }, k8s.PatchStrategy.StrategicMergePatch)).data;
seen.json = (await patch([{ op: 'remove', path: '/data/b' }], k8s.PatchStrategy.JsonPatch)).data;

const stored = await core.readNamespacedConfigMap({ name, namespace });
seen.replaced = (await core.replaceNamespacedConfigMap({ name, namespace, body: { ...stored, data: { d: '4' } } })).data;
const outdated = core.replaceNamespacedConfigMap({ name, namespace, body: stored });
seen.conflict = await outdated.then(() => 200, (error) => error.code);

const applied = configMap({ e: '5' });
delete applied.metadata.labels;
const result = await objects.patch(applied, undefined, undefined, 'script', true, k8s.PatchStrategy.ServerSideApply);
seen.applied = result.data;
seen.managers = result.metadata.managedFields.map((entry) => [entry.manager, entry.operation]).sort();

seen.watched = await watched(`/api/v1/namespaces/${namespace}/configmaps`, 'DELETED', async () => {
  await patch({ data: { f: '6' } }, k8s.PatchStrategy.MergePatch);
  await core.deleteNamespacedConfigMap({ name, namespace });
});
seen.gone = await core.readNamespacedConfigMap({ name, namespace }).then(() => 200, (error) => error.code);

const created = await objects.create({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace, labels: { app: name } },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: 'main', image: 'example.org/app:1' }] },
    },
  },
});
seen.created = [created.kind, created.spec.replicas];
const scale = { spec: { replicas: 2 } };
const scaled = await apps.patchNamespacedDeploymentScale(
  { name, namespace, body: scale },
  withType(k8s.PatchStrategy.MergePatch),
);
seen.scaled = scaled.spec.replicas;

const informer = k8s.makeInformer(
  config,
  `/apis/apps/v1/namespaces/${namespace}/deployments`,
  () => apps.listNamespacedDeployment({ namespace, labelSelector }),
  labelSelector,
);
seen.informed = await new Promise((resolve, reject) => {
  const events = [];
  informer.on('add', async (one) => {
    events.push(['add', one.metadata.name]);
    await objects.delete(created);
  });
  informer.on('delete', (one) => {
    events.push(['delete', one.metadata.name]);
    resolve(events);
  });
  informer.on('error', reject);
  informer.start().catch(reject);
});
await informer.stop();

const pages = [];
let _continue;
for (const suffix of ['x', 'y', 'z']) {
  await core.createNamespacedSecret({ namespace, body: { metadata: { name: `${name}-${suffix}`, labels: { app: name } } } });
}
do {
  const page = await core.listNamespacedSecret({ namespace, labelSelector, limit: 2, _continue });
  pages.push(page.items.length);
  _continue = page.metadata._continue;
} while (_continue);
seen.pages = pages;
await core.deleteCollectionNamespacedSecret({ namespace, labelSelector });
seen.left = (await core.listNamespacedSecret({ namespace, labelSelector })).items.length;
seen.version = (await config.makeApiClient(k8s.VersionApi).getCode()).minor;

console.log(JSON.stringify(seen));
process.exit(0);
