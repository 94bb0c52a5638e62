// TLS and SASL against a real broker: what the flags promise.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { connectKafka, type KafkaConnectionOptions } from '@mirrorstream/kafka';
import { findJava, freePort, type KafkaBroker } from '@mirrorstream/local';
import { startKafka, temporaryDirectory, uniqueName } from '@mirrorstream/testkit';

const run = promisify(execFile);
const storePassword = 'only-for-this-test';
const userPassword = 'wonderland';

/** A key store for the broker and the certificate that clients must trust. */
async function makeKeys(dir: string): Promise<{ readonly keyStore: string; readonly caFile: string }> {
  const keytool = (await findJava()).command.replace(/java$/, 'keytool');
  const keyStore = join(dir, 'broker.p12');
  const caFile = join(dir, 'ca.pem');
  const store = ['-keystore', keyStore, '-storetype', 'PKCS12', '-storepass', storePassword, '-alias', 'broker'];
  const subject = ['-dname', 'CN=localhost', '-ext', 'san=dns:localhost,ip:127.0.0.1'];
  await run(keytool, [
    '-genkeypair',
    '-keyalg',
    'EC',
    '-groupname',
    'secp256r1',
    '-validity',
    '2',
    ...subject,
    ...store,
  ]);
  await run(keytool, ['-exportcert', '-rfc', '-file', caFile, ...store]);
  return { keyStore, caFile };
}

async function startSecureBroker(
  dir: string,
  keyStore: string,
): Promise<{ readonly broker: KafkaBroker; readonly secure: string }> {
  const [port, securePort, controllerPort] = [await freePort(), await freePort(), await freePort()];
  const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="${userPassword}";`;
  const broker = await startKafka({
    dataDir: join(dir, 'data'),
    port,
    settings: {
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort},SECURE://127.0.0.1:${securePort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},SECURE://localhost:${securePort}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
      'listener.name.secure.ssl.keystore.type': 'PKCS12',
      'listener.name.secure.ssl.keystore.location': keyStore,
      'listener.name.secure.ssl.keystore.password': storePassword,
      'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.secure.plain.sasl.jaas.config': jaas,
      // Sessions end while the test runs: connections must authenticate again.
      'listener.name.secure.plain.connections.max.reauth.ms': '60000',
    },
  });
  return { broker, secure: `localhost:${securePort}` };
}

describe('TLS and SASL', () => {
  let broker: KafkaBroker;
  let options: KafkaConnectionOptions;
  let dir: string;

  before(async () => {
    dir = await temporaryDirectory('kafka-security');
    const { keyStore, caFile } = await makeKeys(dir);
    const started = await startSecureBroker(dir, keyStore);
    broker = started.broker;
    const passwordFile = join(dir, 'password');
    await writeFile(passwordFile, `${userPassword}\n`);
    options = {
      brokers: [started.secure],
      clientId: 'secure',
      requestTimeoutMs: 3_000,
      tls: { caFile },
      sasl: { mechanism: 'plain', username: 'alice', passwordFile },
    };
  });
  after(() => broker.kill9());

  it('carry everything: topics, records, groups, commits', async () => {
    const client = connectKafka(options);
    const admin = await client.admin();
    const topic = uniqueName('secure');
    await admin.ensureTopics([{ topic, partitions: 2, config: {} }]);
    const producer = await client.producer({ compression: 'zstd' });
    await producer.send(
      [0, 1].map((partition) => ({ topic, partition, key: null, value: Buffer.from(`v${partition}`) })),
    );
    const seen: string[] = [];
    const arrived = Promise.withResolvers<void>();
    const consumer = await client.consume(
      { group: uniqueName('group'), topics: [topic] },
      {
        onAssigned: async () => new Map(),
        onBatch({ records }) {
          seen.push(...records.map(({ value }) => value?.toString() ?? ''));
          if (seen.length === 2) arrived.resolve();
        },
        onCrash: arrived.reject,
      },
    );
    await arrived.promise;
    assert.deepEqual(seen.sort(), ['v0', 'v1']);
    await consumer.commit([{ topic, partition: 0, offset: 1n }]);
    await client.close();
  });

  it('refuse a wrong password with a hint and without telling it', async () => {
    process.env['SECURE_TEST_PASSWORD'] = 'not-wonderland';
    const sasl = { mechanism: 'plain', username: 'alice', passwordEnv: 'SECURE_TEST_PASSWORD' } as const;
    const client = connectKafka({ ...options, sasl });
    const admin = await client.admin();
    await assert.rejects(admin.partitionCounts(['any']), (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, 'kafkaRefused');
      assert.match(error.hint ?? '', /password/);
      assert.doesNotMatch(`${error.message} ${error.stack} ${error.hint}`, /wonderland/);
      return true;
    });
    await client.close();
  });

  it('do not connect to a broker whose certificate is not trusted, nor without TLS', async () => {
    for (const tls of [{}, undefined]) {
      const { tls: _trusted, ...rest } = options;
      const client = connectKafka({ ...rest, requestTimeoutMs: 1_000, ...(tls === undefined ? {} : { tls }) });
      const admin = await client.admin();
      await assert.rejects(admin.partitionCounts(['any']), { name: 'MirrorstreamError', code: 'kafkaUnavailable' });
      await client.close();
    }
  });

  it('name the file or variable that is missing', () => {
    const missing = { code: 'badInput' };
    assert.throws(() => connectKafka({ ...options, tls: { caFile: join(dir, 'nowhere.pem') } }), {
      ...missing,
      message: /nowhere\.pem/,
    });
    const sasl = { mechanism: 'plain', username: 'alice', passwordEnv: 'NO_SUCH_VARIABLE' } as const;
    assert.throws(() => connectKafka({ ...options, sasl }), { ...missing, message: /NO_SUCH_VARIABLE/ });
    assert.throws(() => connectKafka({ ...options, brokers: ['localhost'] }), { ...missing, message: /localhost/ });
  });
});
