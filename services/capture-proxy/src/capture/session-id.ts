// A session's id: the worker that captured it, and its number on the forwarding thread. Both threads know it without asking.

/** Unique over all proxies, workers and restarts, as the incarnation is. */
export const sessionIdOf = (incarnation: string, id: number): string => `${incarnation}-${(id >>> 0).toString(36)}`;
