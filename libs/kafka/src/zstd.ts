// zstd at the size a batch has: small ones on the calling thread, where a trip to another thread costs more than the work.
//
// Measured, µs of CPU here / in the whole process, level 1: 1 KiB 28/44 at once, 58/116 in libuv's threads; 16 KiB 42/53 and 45/202;
// 64 KiB 85/91 and 49/329.
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

/** Longer ones would hold up the event loop for more than a trip costs. */
const COMPRESS_AT_ONCE_BYTES = 16 * 1024;
/** Compressed; about four times as much when it is not. */
const DECOMPRESS_AT_ONCE_BYTES = 8 * 1024;

/** For the wire, not for the archive. */
const options = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const compressElsewhere = promisify(zstdCompress);
const decompressElsewhere = promisify(zstdDecompress);

export async function compressZstd(bytes: Uint8Array): Promise<Buffer> {
  return bytes.length <= COMPRESS_AT_ONCE_BYTES ? zstdCompressSync(bytes, options) : compressElsewhere(bytes, options);
}

/** Rejects what is not zstd. */
export async function decompressZstd(bytes: Uint8Array): Promise<Buffer> {
  return bytes.length <= DECOMPRESS_AT_ONCE_BYTES ? zstdDecompressSync(bytes) : decompressElsewhere(bytes);
}
