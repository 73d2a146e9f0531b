// The record of one KV block in a segment file: a header with its key and checksums, then the bytes of the block. Owns
// the layout and what counts as whole; pure. Used by kv-archive.ts.
//
//   0   magic "SKV1"      4   payload size, bytes     8   key, 32 bytes
//   40  CRC-32 of payload 44  CRC-32 of bytes 0–43    48  zero up to 64; then the payload
import { crc32 } from 'node:zlib';
import type { BlockKey } from '../engine/block-archive.ts';
import { KEY_SIZE } from './key-chain.ts';

export const HEADER_SIZE = 64;

const MAGIC = 0x31564b53; // "SKV1", little-endian
const PAYLOAD_SIZE_MAX = 2 ** 28; // more is no header of ours

export interface RecordHeader {
  readonly key: BlockKey;
  readonly payloadSize: number;
  readonly payloadSum: number;
}

/** Completes a record whose payload is in place behind the header. */
export function sealRecord(record: Buffer, key: BlockKey): void {
  const payload = record.subarray(HEADER_SIZE);
  record.fill(0, 0, HEADER_SIZE);
  record.writeUInt32LE(MAGIC, 0);
  record.writeUInt32LE(payload.length, 4);
  record.write(key, 8, KEY_SIZE, 'latin1');
  record.writeUInt32LE(crc32(payload), 40);
  record.writeUInt32LE(crc32(record.subarray(0, 44)), 44);
}

/** Null for anything but a whole header: the end of a file that was being written, or damage. */
export function readRecordHeader(bytes: Buffer): RecordHeader | null {
  if (bytes.length < HEADER_SIZE || bytes.readUInt32LE(0) !== MAGIC) return null;
  if (crc32(bytes.subarray(0, 44)) !== bytes.readUInt32LE(44)) return null;
  const payloadSize = bytes.readUInt32LE(4);
  if (payloadSize === 0 || payloadSize > PAYLOAD_SIZE_MAX) return null;
  return { key: bytes.toString('latin1', 8, 8 + KEY_SIZE), payloadSize, payloadSum: bytes.readUInt32LE(40) };
}

/** Whether the header is that of `key` and the pieces are its payload, whole and undamaged. */
export function isWhole(header: Buffer, payload: readonly Uint8Array[], key: BlockKey): boolean {
  const read = readRecordHeader(header);
  if (read === null || read.key !== key) return false;
  let size = 0;
  let sum = 0;
  for (const piece of payload) {
    size += piece.length;
    sum = crc32(piece, sum);
  }
  return size === read.payloadSize && sum === read.payloadSum;
}
