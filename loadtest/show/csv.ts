// CSV, RFC 4180. Pure.

export type Cell = string | number | boolean | null;

/** By the column's name, what stands in it. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => Cell>>;

export function csvHead<Row>(columns: Columns<Row>): string {
  return line(Object.keys(columns));
}

export function csvLine<Row>(columns: Columns<Row>, row: Row, spelled = (cell: Cell): Cell => cell): string {
  return line(Object.values(columns).map((cell) => spelled(cell(row))));
}

/** One line with its end; a cell that a spreadsheet would take for a formula is kept from that. */
function line(cells: readonly Cell[]): string {
  return `${cells.map(quoted).join(',')}\n`;
}

function quoted(cell: Cell): string {
  if (cell === null) return '';
  const text = typeof cell === 'string' && /^[=+@\t-]/.test(cell) ? `'${cell}` : String(cell);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
