// Tries whether a server can be reached at all, to warn early: neither the source nor a mirror has to be there yet.
import { connect } from 'node:net';
import type { HostPort } from '../address.ts';

const timeoutMs = 3000;

/** undefined when a connection is accepted; else the system's code, `ECONNREFUSED` or the like. */
export function whyUnreachable({ host, port }: HostPort): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (reason: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reason);
    };
    const timer = setTimeout(() => finish(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    socket.once('connect', () => finish(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'cannot connect'));
  });
}
