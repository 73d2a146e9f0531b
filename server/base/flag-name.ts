// A flag as a person writes it, from the name by which commander keeps it.

/** `maxTokens` → `max-tokens`. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
