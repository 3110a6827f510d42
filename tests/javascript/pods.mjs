// A running pod through @kubernetes/client-node: exec, attach, logs, port-forward. Prints one JSON object: what was seen.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const [kubeconfig, namespace, name, image] = process.argv.slice(2);
const config = new k8s.KubeConfig();
config.loadFromFile(kubeconfig);
const core = config.makeApiClient(k8s.CoreV1Api);
const seen = {};

class Collected extends Writable {
  text = '';
  _write(chunk, _, done) {
    this.text += chunk;
    this.emit('more');
    done();
  }
  until(words) {
    return new Promise((resolve) => {
      const look = () => this.text.includes(words) && resolve(this.text);
      this.on('more', look);
      look();
    });
  }
}

await core.createNamespacedPod({
  namespace,
  body: {
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: 'main', image },
        { name: 'talk', image, command: ['sh', '-c', 'echo hello; while true; do echo again; sleep 1; done'] },
      ],
    },
  },
});
await new Promise((resolve, reject) => {
  new k8s.Watch(config)
    .watch(
      `/api/v1/namespaces/${namespace}/pods`,
      { labelSelector: `app=${name}` },
      (_, pod) => {
        const ready = pod.status?.conditions?.find((one) => one.type === 'Ready');
        if (ready?.status === 'True') resolve();
      },
      (error) => error && reject(error),
    )
    .catch(reject);
});

async function exec(command, input) {
  const [out, err] = [new Collected(), new Collected()];
  const stdin = input === undefined ? null : Readable.from([input]);
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec(namespace, name, 'main', command, out, err, stdin, false, resolve).catch(reject);
  });
  const cause = status.details?.causes?.find((one) => one.reason === 'ExitCode');
  return { status: status.status, code: cause ? Number(cause.message) : 0, out: out.text, err: err.text };
}
seen.exec = await exec(['sh', '-c', 'echo out; echo err >&2']);
seen.failed = await exec(['sh', '-c', 'exit 7']);
seen.stdin = await exec(['head', '-n', '1'], 'typed\n');
seen.ended = await exec(['sort'], 'b\na\n');
seen.missing = await exec(['no-such-program']);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'copied-'));
fs.writeFileSync(path.join(folder, 'file'), 'through');
await new k8s.Cp(config).cpToPod(namespace, name, 'main', folder, '/tmp');
// The copy goes on when the call has returned.
seen.copied = (await exec(['sh', '-c', 'until grep through /tmp/file 2>/dev/null; do sleep 0.1; done'])).out;
fs.rmSync(folder, { recursive: true });

seen.log = (await core.readNamespacedPodLog({ name, namespace, container: 'talk', limitBytes: 6 })).trim();
const followed = new Collected();
const following = await new k8s.Log(config).log(namespace, name, 'talk', followed, { follow: true });
seen.followed = (await followed.until('again')).startsWith('hello');
following.abort();

const attached = new Collected();
const socket = await new k8s.Attach(config).attach(namespace, name, 'talk', attached, null, null, false);
seen.attached = (await attached.until('again')).includes('again');
socket.close();

const forward = new k8s.PortForward(config);
const server = net.createServer((connection) => {
  forward.portForward(namespace, name, [80], connection, null, connection);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
seen.forwarded = (await fetch(`http://127.0.0.1:${server.address().port}/`)).status;

await core.deleteNamespacedPod({ name, namespace, gracePeriodSeconds: 0 });
seen.gone = await core.readNamespacedPod({ name, namespace }).then(() => 200, (error) => error.code);
console.log(JSON.stringify(seen));
process.exit(0);
