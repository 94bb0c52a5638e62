// What happens to connections, as numbers and log lines: each event is counted once and, where somebody may want to act, said.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { MetricRegistry, MetricSample, ServiceKit } from '@mirrorstream/service-kit';
import type { ProxyEvent } from './forward/proxy-events.ts';
import type { Refusal } from './forward/refusals.ts';
import type { Credentials } from './forward/tls/credentials.ts';
import { metricPrefix } from './metrics.ts';
import { occasionally } from './occasionally.ts';

type Logger = ServiceKit['logger'];
type Say = (details: Readonly<Record<string, unknown>>, message: string) => void;
export type TlsLeg = 'client' | 'source';

const legs: readonly TlsLeg[] = ['client', 'source'];
const outcomes = ['done', 'failed'] as const;
const opaqueReasons = ['encrypted', 'unknownProtocol'] as const;
const refusals: readonly Refusal['kind'][] = [
  'sourceUnreachable',
  'tooManySessions',
  'tlsRequired',
  'protocolViolation',
];
const sayEveryMs = 10_000;

export class ConnectionTelemetry {
  readonly #logger: Logger;
  readonly #warn: Say;
  readonly #error: Say;
  readonly #counts = new Map<string, number>();
  readonly #expiry = new Map<TlsLeg, number>();
  #channelBindingSaid = false;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#warn = occasionally(sayEveryMs, (details, message) => logger.warn(details, message));
    this.#error = occasionally(sayEveryMs, (details, message) => logger.error(details, message));
  }

  onEvent(event: ProxyEvent): void {
    switch (event.kind) {
      case 'connectFailed':
        this.#count('connectFailed');
        this.#warn({ code: event.code, source: event.address }, 'the source does not answer at this address');
        return;
      case 'refused':
        this.#count(`refused ${event.refusal.kind}`);
        if (event.refusal.kind === 'sourceUnreachable')
          this.#warn({ code: event.refusal.code }, 'the source is unreachable: clients are told so');
        else if (event.refusal.kind === 'tooManySessions')
          this.#warn({}, 'as many sessions as --max-sessions allows are open: clients are refused');
        return;
      case 'opaque':
        this.#count(`opaque ${event.why}`);
        this.#warn({ why: event.why }, 'a connection that cannot be read here passes uncaptured');
        return;
      case 'handshake':
        this.#count(`handshake ${event.leg} ${event.outcome}`);
        if (event.outcome === 'failed')
          this.#warn(
            { code: event.code },
            `a TLS handshake with ${event.leg === 'client' ? 'a client' : 'the source'} failed`,
          );
        return;
      case 'channelBindingUnusable':
        this.#sayChannelBinding();
        return;
      case 'sessionFailed':
        this.#error({ err: event.error }, 'a bug ended one session; the others go on');
        return;
      default:
        event satisfies never;
    }
  }

  onCredentials(leg: TlsLeg, credentials: Credentials, reloaded: boolean): void {
    const { certificate, warnings } = credentials;
    if (certificate !== null) this.#expiry.set(leg, certificate.validToDate.getTime() / 1000);
    for (const warning of warnings) this.#logger.warn({}, warning);
    if (!reloaded) return;
    this.#count('reload done');
    this.#logger.info({ leg, validTo: certificate?.validTo }, 'TLS files were read again: new handshakes use them');
  }

  onCredentialsRejected(leg: TlsLeg, error: unknown): void {
    this.#count('reload failed');
    const hint = error instanceof MirrorstreamError ? error.hint : undefined;
    const reason = error instanceof Error ? error.message : String(error);
    this.#logger.error({ leg, reason, hint }, 'changed TLS files cannot be used: those in use stay');
  }

  registerMetrics(metrics: MetricRegistry): void {
    const counter = (name: string, help: string, read: () => number | MetricSample[]): void => {
      metrics.register({ name: `${metricPrefix}_${name}`, help, kind: 'counter', read });
    };
    counter('tls_handshakes_total', 'TLS handshakes, by leg and outcome.', () =>
      legs.flatMap((leg) => outcomes.map((outcome) => this.#sample(`handshake ${leg} ${outcome}`, { leg, outcome }))),
    );
    counter('tls_reloads_total', 'Times that changed TLS files were read again, by outcome.', () =>
      outcomes.map((outcome) => this.#sample(`reload ${outcome}`, { outcome })),
    );
    counter('opaque_sessions_total', 'Connections that passed unread and uncaptured, by reason.', () =>
      opaqueReasons.map((reason) => this.#sample(`opaque ${reason}`, { reason })),
    );
    counter('sessions_refused_total', 'Clients that got an error from the proxy itself, by reason.', () =>
      refusals.map((reason) => this.#sample(`refused ${reason}`, { reason })),
    );
    counter('source_connect_failures_total', 'Attempts to reach an address of the source that failed.', () =>
      this.#read('connectFailed'),
    );
    metrics.register({
      name: `${metricPrefix}_tls_certificate_expiry_seconds`,
      help: 'When the certificate of a leg expires, in seconds since 1970.',
      kind: 'gauge',
      read: () => [...this.#expiry].map(([leg, value]) => ({ labels: { leg }, value })),
    });
  }

  /** Once: it is true of every such client until somebody changes the configuration. */
  #sayChannelBinding(): void {
    if (this.#channelBindingSaid) return;
    this.#channelBindingSaid = true;
    this.#logger.warn(
      {
        hint:
          'Give the proxy the certificate and key of the source, or let those clients connect with channel_binding=disable. ' +
          'docs/tls.md has the whole matrix.',
      },
      'the source offers SCRAM-SHA-256-PLUS and has another certificate than the proxy: clients that use channel binding cannot log in',
    );
  }

  #count(what: string): void {
    this.#counts.set(what, this.#read(what) + 1);
  }

  #read(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  #sample(what: string, labels: Readonly<Record<string, string>>): MetricSample {
    return { labels, value: this.#read(what) };
  }
}
