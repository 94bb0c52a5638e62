// The sampling draw of a session: a hash of its id, uniform in [0, 1), so that every mirror's exposure nests in a larger one.

/** FNV-1a over the UTF-16 units, then murmur3's finaliser, which spreads the low bits of short ids over the whole word. */
export function samplingDrawOf(sessionId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < sessionId.length; i++) {
    hash = Math.imul(hash ^ sessionId.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
