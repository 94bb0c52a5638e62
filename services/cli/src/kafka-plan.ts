// Which Kafka to talk to and how: from flags and file to connection options and to the services' flags.
import type { ConfigFile } from '@mirrorstream/domain';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import { parseHostPort } from './address.ts';
import { badFlag, type CommandSpec, type GivenFlags } from './command-line.ts';

/** `clientId` is added by whoever connects. Holds no secret: a password is named by variable or file. */
export type KafkaAccess = Omit<KafkaConnectionOptions, 'clientId'>;

export type KafkaPlan = { readonly kind: 'embedded' } | { readonly kind: 'own'; readonly access: KafkaAccess };

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;

/** Throws `badInput`. */
export function planKafka(command: CommandSpec, flags: GivenFlags, config: ConfigFile['kafka']): KafkaPlan {
  const brokers = flags.last('brokers')?.split(',') ?? config?.brokers;
  const place = flags.has('brokers') ? '--brokers' : 'kafka.brokers';
  for (const broker of brokers ?? []) parseHostPort(broker.trim(), place);
  if (brokers === undefined) {
    const stray = [
      'kafka-tls-ca',
      'kafka-sasl-mechanism',
      'kafka-sasl-username',
      'kafka-sasl-password-env',
      'kafka-sasl-password-file',
    ];
    const given = stray.find((name) => flags.has(name));
    if (given === undefined) return { kind: 'embedded' };
    throw badFlag(
      command,
      `--${given}`,
      'needs --brokers',
      'The embedded Kafka listens on loopback only, without TLS and passwords.',
    );
  }
  const caFile = flags.last('kafka-tls-ca');
  const tls = caFile === undefined ? config?.tls : { ...config?.tls, caFile };
  const sasl = planSasl(command, flags, config);
  const access = {
    brokers: brokers.map((broker) => broker.trim()),
    tls: withoutUndefined(tls),
    sasl: withoutUndefined(sasl),
  };
  return { kind: 'own', access: withoutUndefined(access) as KafkaAccess };
}

function planSasl(command: CommandSpec, flags: GivenFlags, config: ConfigFile['kafka']): KafkaAccess['sasl'] {
  const passwordEnv = flags.last('kafka-sasl-password-env');
  const passwordFile = flags.last('kafka-sasl-password-file');
  const mechanism = flags.last('kafka-sasl-mechanism') ?? config?.sasl?.mechanism;
  const username = flags.last('kafka-sasl-username') ?? config?.sasl?.username;
  const password =
    passwordEnv !== undefined || passwordFile !== undefined
      ? { passwordEnv, passwordFile }
      : { passwordEnv: config?.sasl?.passwordEnv, passwordFile: config?.sasl?.passwordFile };
  if (mechanism === undefined && username === undefined && !password.passwordEnv && !password.passwordFile)
    return undefined;
  const known = mechanisms.find((name) => name === mechanism);
  if (known === undefined)
    throw badFlag(command, '--kafka-sasl-mechanism', `is not one of ${mechanisms.join(', ')}`, 'Name one of them.');
  if (username === undefined) throw badFlag(command, '--kafka-sasl-username', 'is missing', 'SASL needs a user name.');
  if ((password.passwordEnv === undefined) === (password.passwordFile === undefined)) {
    throw badFlag(
      command,
      '--kafka-sasl-password-env',
      'or --kafka-sasl-password-file: exactly one is needed',
      'Name where the password is.',
    );
  }
  return withoutUndefined({ mechanism: known, username, ...password }) as NonNullable<KafkaAccess['sasl']>;
}

/** The same access as flags of a service. */
export function kafkaArguments({ brokers, tls, sasl }: KafkaAccess): string[] {
  const flags: [string, string | undefined][] = [
    ...brokers.map((broker): [string, string] => ['brokers', broker]),
    ['kafka-tls-ca', tls?.caFile],
    ['kafka-tls-cert', tls?.certFile],
    ['kafka-tls-key', tls?.keyFile],
    ['kafka-tls-server-name', tls?.serverName],
    ['kafka-sasl-mechanism', sasl?.mechanism],
    ['kafka-sasl-username', sasl?.username],
    ['kafka-sasl-password-env', sasl?.passwordEnv],
    ['kafka-sasl-password-file', sasl?.passwordFile],
  ];
  const values = flags.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
  return tls === undefined ? values : ['--kafka-tls', ...values];
}

function withoutUndefined<T extends object>(value: T | undefined): T | undefined {
  if (value === undefined) return undefined;
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}
