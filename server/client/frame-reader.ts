// A frame of plain MessagePack → its value. Pure; reads only what frame-guard.ts has let through, so it looks at no bound
// itself. Ours and not msgpackr's for its texts: that takes 25 to 40 ms for 4 MiB beyond ASCII, and reads what is no UTF-8 as
// if it were. Before it: frame-guard.ts; after it: protocol.ts, which checks the message.
import { textOfUtf8 } from '../base/utf8.ts';

const SHORT_MAX = 32; // bytes that are read one by one, while they are ASCII

/** Integers beyond 2^53 are bigints. Throws TypeError where a text is no UTF-8 or a key is neither text nor number. */
export function readFrame(frame: Uint8Array): unknown {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return new FrameReader(frame, view).value();
}

class FrameReader {
  readonly #frame: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(frame: Uint8Array, view: DataView) {
    this.#frame = frame;
    this.#view = view;
  }

  value(): unknown {
    const byte = this.#frame[this.#at++]!;
    if (byte < 0x80) return byte;
    if (byte >= 0xe0) return byte - 0x100;
    if (byte < 0x90) return this.#map(byte & 0x0f);
    if (byte < 0xa0) return this.#array(byte & 0x0f);
    if (byte < 0xc0) return this.#text(byte & 0x1f);
    return byte < 0xc4 || (byte >= 0xca && byte < 0xd4) ? this.#scalar(byte) : this.#sized(byte);
  }

  #scalar(byte: number): unknown {
    switch (byte) {
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.#view.getFloat32(this.#take(4));
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      case 0xcf:
        return exact(this.#view.getBigUint64(this.#take(8)));
      case 0xd0:
        return this.#view.getInt8(this.#take(1));
      case 0xd1:
        return this.#view.getInt16(this.#take(2));
      case 0xd2:
        return this.#view.getInt32(this.#take(4));
      case 0xd3:
        return exact(this.#view.getBigInt64(this.#take(8)));
      default:
        return byte < 0xcc ? null : this.#count(byte - 0xcc);
    }
  }

  #sized(byte: number): unknown {
    if (byte >= 0xde) return this.#map(this.#count(byte - 0xde + 1));
    if (byte >= 0xdc) return this.#array(this.#count(byte - 0xdc + 1));
    if (byte >= 0xd9) return this.#text(this.#count(byte - 0xd9));
    const size = this.#count(byte - 0xc4);
    const start = this.#take(size);
    return new Uint8Array(this.#frame.subarray(start, start + size)); // a copy: the frame may be reused
  }

  /** An unsigned integer of 1, 2 or 4 bytes. */
  #count(width: number): number {
    if (width === 0) return this.#view.getUint8(this.#take(1));
    return width === 1 ? this.#view.getUint16(this.#take(2)) : this.#view.getUint32(this.#take(4));
  }

  #map(count: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const key = this.value();
      if (typeof key !== 'string' && typeof key !== 'number') throw new TypeError('a key is no text');
      const value = this.value();
      if (key !== '__proto__') map[key] = value; // no message has it, and it would not be a member
    }
    return map;
  }

  #array(count: number): unknown[] {
    const items: unknown[] = [];
    for (let i = 0; i < count; i++) items.push(this.value());
    return items;
  }

  #text(size: number): string {
    const start = this.#take(size);
    if (size > SHORT_MAX) return textOfUtf8(this.#frame.subarray(start, start + size));
    let text = '';
    for (let at = start; at < start + size; at++) {
      const byte = this.#frame[at]!;
      if (byte >= 0x80) return textOfUtf8(this.#frame.subarray(start, start + size));
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** Where the next `size` bytes begin. */
  #take(size: number): number {
    const start = this.#at;
    this.#at += size;
    return start;
  }
}

function exact(integer: bigint): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}
