// A short stable hash of text: 64-bit FNV-1a over UTF-16 units. It names things; it protects nothing.

export function fnv64(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < text.length; i++) hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}

/** 12 hexadecimal digits: the same shape and class have the same one everywhere. */
export const findingId = (fingerprint: string, className: string): string =>
  fnv64(`${fingerprint}/${className}`).slice(-12);
