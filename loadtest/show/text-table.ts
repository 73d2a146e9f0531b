// Text tables for terminals: columns padded to their widest cell. Pure.

type Rows = readonly (readonly string[])[];

/** The first `leftCount` columns to the left, the others to the right. */
export function columns(rows: Rows, leftCount: number): string[] {
  return aligned(rows, (column) => column >= leftCount);
}

/** Rows of equal length under `head`, set in; columns of numbers to the right. */
export function table(head: readonly string[], rows: Rows): string {
  const isNumeric = head.map((_, column) =>
    rows.every((row) => /^[−+]?[0-9]/.test(row[column]!) || row[column] === ''),
  );
  return aligned([head, ...rows], (column) => isNumeric[column]!)
    .map((text) => `  ${text}`)
    .join('\n');
}

function aligned(rows: Rows, isRight: (column: number) => boolean): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const padded = (cell: string, column: number) =>
    isRight(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return rows.map((row) => row.map(padded).join('  ').trimEnd());
}
