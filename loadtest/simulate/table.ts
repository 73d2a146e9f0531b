// Text tables: columns padded to their widest cell, numbers to the right. For terminals; nothing here measures.

/** Rows of equal length under `head`. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  );
  const numeric = head.map((_, column) =>
    rows.every((row) => /^[−+]?[0-9]/.test(row[column]!) || row[column] === ''),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        numeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].map((text) => `  ${text}`).join('\n');
}
