// OutcomesError: a file of tasks that cannot be used: which file, why. Apart from database.ts, so that the server can name
// it without loading SQLite, which only its thread and the reports need.

export class OutcomesError extends Error {
  override readonly name = 'OutcomesError';
}
