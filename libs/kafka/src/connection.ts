// Sockets to Kafka: TLS, SASL and TCP options from the configuration, and the means to cut them all.
import { readFileSync } from 'node:fs';
import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { MirrorstreamError } from '@mirrorstream/domain';
import { type KafkaLogger, kafkajsLogger } from './logging.ts';
import type { KafkaConnectionOptions } from './port.ts';

const keepAliveDelayMs = 30_000;

export interface ConnectionSettings {
  readonly brokers: readonly { readonly host: string; readonly port: number }[];
  readonly requestTimeoutMs: number;
  /** For kafkajs's ConnectionPool, all but host and port. */
  readonly pool: object;
}

/** Checks the options and reads the files they name. Throws `badInput`. */
export function connectionSettings(options: KafkaConnectionOptions, logger: KafkaLogger): ConnectionSettings {
  const connectTimeoutMs = options.connectTimeoutMs ?? 5_000;
  const requestTimeoutMs = options.requestTimeoutMs ?? 30_000;
  return {
    brokers: parseBrokers(options.brokers),
    requestTimeoutMs,
    pool: {
      clientId: options.clientId,
      // Ours cuts the socket; kafkajs's would only stop waiting for it and take it over when it opens late.
      connectionTimeout: connectTimeoutMs + 1_000,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      ssl: tlsSettings(options),
      sasl: saslSettings(options),
      socketFactory: socketFactory(connectTimeoutMs),
      logger: kafkajsLogger(logger),
    },
  };
}

function badInput(message: string, hint: string, cause?: unknown): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'kafka', hint, cause });
}

/** `host:port`, `[v6]:port`. */
export function parseBrokers(brokers: readonly string[]): { host: string; port: number }[] {
  if (brokers.length === 0) throw badInput('no Kafka broker is given', 'Give at least one as HOST:PORT.');
  return brokers.map((broker) => {
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(broker);
    const port = Number(match?.[3]);
    if (match === null || port < 1 || port > 65_535) {
      throw badInput(
        `Kafka broker ${JSON.stringify(broker)} is not HOST:PORT`,
        'Write it as for instance 127.0.0.1:9092.',
      );
    }
    return { host: (match[1] ?? match[2]) as string, port };
  });
}

function readSetting(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw badInput(`the ${what} file ${path} cannot be read`, 'Check the path and its permissions.', cause);
  }
}

function tlsSettings({ tls }: KafkaConnectionOptions): object | null {
  if (tls === undefined) return null;
  return {
    ...(tls.caFile === undefined ? {} : { ca: [readSetting(tls.caFile, 'Kafka CA')] }),
    ...(tls.certFile === undefined ? {} : { cert: readSetting(tls.certFile, 'Kafka client certificate') }),
    ...(tls.keyFile === undefined ? {} : { key: readSetting(tls.keyFile, 'Kafka client key') }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}

function saslSettings({ sasl }: KafkaConnectionOptions): object | null {
  if (sasl === undefined) return null;
  return { mechanism: sasl.mechanism, username: sasl.username, password: saslPassword(sasl) };
}

function saslPassword(sasl: NonNullable<KafkaConnectionOptions['sasl']>): string {
  if (sasl.passwordFile !== undefined) return readSetting(sasl.passwordFile, 'Kafka password').replace(/\r?\n$/, '');
  const name = sasl.passwordEnv;
  if (name === undefined) {
    throw badInput('SASL is configured without a password', 'Name an environment variable or a file that holds it.');
  }
  const password = process.env[name];
  if (password === undefined)
    throw badInput(`the environment variable ${name} is not set`, 'It must hold the Kafka password.');
  return password;
}

interface SocketRequest {
  readonly host: string;
  readonly port: number;
  readonly ssl: object | null;
  readonly onConnect: () => void;
}

function socketFactory(connectTimeoutMs: number): (request: SocketRequest) => Socket | TLSSocket {
  return ({ host, port, ssl, onConnect }) => {
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no connection within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
    const opened = (): void => {
      clearTimeout(timer);
      onConnect();
    };
    const socket =
      ssl === null
        ? connectPlain({ host, port }, opened)
        : connectTls({ ...(isIP(host) ? {} : { servername: host }), ...ssl, host, port }, opened);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveDelayMs);
    socket.once('close', () => clearTimeout(timer));
    return socket;
  };
}
