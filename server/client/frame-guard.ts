// Looks at the structure of a MessagePack frame before msgpackr decodes it. Owns the rule "plain data only":
// maps, arrays, strings, bytes, numbers, booleans, nil, nested to a bounded depth, in bounded number, ending with the frame.
// Never builds a value. msgpackr would also accept extensions (records compiled to functions, regular
// expressions, cyclic references, typed arrays); none of them belongs in a frame from a stranger.

export const FRAME_DEPTH_MAX = 16; // nested maps and arrays; our deepest message (tool schemas aside) has 5

const FRAME_VALUES_MAX = 128 * 1024; // a member of a map counts five times, as in JSON: each costs more than its bytes
const MEMBER_VALUES = 3; // beside its key and its value

/** What is wrong with a frame, in words for its sender; null when it is plain MessagePack. Linear in its values. */
export function frameFault(frame: Uint8Array, valuesMax = FRAME_VALUES_MAX): string | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const end = scanValue({ frame, view, valuesMax, valuesLeft: valuesMax }, 0, 0);
  if (typeof end === 'string') return end;
  return end === frame.length ? null : `${frame.length - end} bytes after the end of the message`;
}

interface Scan {
  readonly frame: Uint8Array;
  readonly view: DataView;
  readonly valuesMax: number;
  valuesLeft: number;
}

const TRUNCATED = 'the frame ends inside a value';

/** Position after the value that starts at `at`, or what is wrong with it. */
function scanValue(scan: Scan, at: number, depth: number): number | string {
  if (--scan.valuesLeft < 0) return `the frame holds more than ${scan.valuesMax} values (--body-values)`;
  const byte = scan.frame[at];
  if (byte === undefined) return TRUNCATED;
  if (byte < 0x80 || byte >= 0xe0) return at + 1; // small integers
  if (byte < 0x90) return scanMembers(scan, at + 1, byte & 0x0f, depth);
  if (byte < 0xa0) return scanItems(scan, at + 1, byte & 0x0f, depth);
  if (byte < 0xc0) return skip(scan, at + 1 + (byte & 0x1f)); // short string
  const fixedSize = FIXED_SIZES[byte - 0xc0]!;
  if (fixedSize > 0) return skip(scan, at + fixedSize);
  const lengthSize = LENGTH_SIZES[byte - 0xc0]!;
  if (lengthSize === 0) return `byte 0x${byte.toString(16)} at ${at} is no plain MessagePack value`;
  const body = at + 1 + lengthSize;
  if (body > scan.frame.length) return TRUNCATED;
  const length = readLength(scan.view, at + 1, lengthSize);
  if (byte >= 0xde) return scanMembers(scan, body, length, depth);
  if (byte >= 0xdc) return scanItems(scan, body, length, depth);
  return skip(scan, body + length);
}

function scanMembers(scan: Scan, start: number, count: number, depth: number): number | string {
  scan.valuesLeft -= MEMBER_VALUES * count;
  return scanItems(scan, start, 2 * count, depth);
}

/** `count` values in a row. Stops at the first fault, so a huge count in a short frame costs nothing. */
function scanItems(scan: Scan, start: number, count: number, depth: number): number | string {
  if (depth >= FRAME_DEPTH_MAX) return `values nest deeper than ${FRAME_DEPTH_MAX}`;
  let at = start;
  for (let i = 0; i < count; i++) {
    const next = scanValue(scan, at, depth + 1);
    if (typeof next === 'string') return next;
    at = next;
  }
  return at;
}

function skip(scan: Scan, to: number): number | string {
  return to <= scan.frame.length ? to : TRUNCATED;
}

function readLength(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at);
  return size === 2 ? view.getUint16(at) : view.getUint32(at);
}

// By first byte − 0xc0. Whole size of values of fixed size; 0 = not of fixed size.
//                  nil  ?  f  t  bin     ext    f32 f64 uint       int        fixext     str    array map
const FIXED_SIZES = [
  1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
// Bytes of the length that follows the first byte; 0 = none: the value is of fixed size, or not allowed here.
const LENGTH_SIZES = [
  0, 0, 0, 0, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
];
