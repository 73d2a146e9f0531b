// Git LFS leaves a small text in place of a large file that was not fetched. Owns how such a text is recognised, whichever
// file it stands for. Used by model-file.ts, weights/safetensors.ts and gguf/gguf-file.ts.

const opening = Buffer.from('version https://git-lfs');

export const lfsProblem = 'is a Git LFS pointer, not the file itself: run git lfs pull in its repository';

/** `bytes` is the beginning of a file, of at least eight bytes. */
export function isLfsPointer(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, opening.length);
  return length >= 8 && Buffer.compare(bytes.subarray(0, length), opening.subarray(0, length)) === 0;
}
