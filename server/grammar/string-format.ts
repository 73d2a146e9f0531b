// JSON Schema's `format` for strings as patterns: the ones OpenAI's structured outputs name. All are ASCII, so they
// read the same inside a JSON string. Before it: json-schema.ts; after it: pattern.ts.

const month31 = '(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])';
const month30 = '(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)';
const february = '02-(?:0[1-9]|1\\d|2[0-8])';
const leapYear = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const date = `(?:\\d{4}-(?:${month31}|${month30}|${february})|${leapYear}-02-29)`;
const clock = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?';
const zone = '(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const byte = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const ipv4 = `${byte}(?:\\.${byte}){3}`;
const group = '[0-9a-fA-F]{1,4}';
const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,32}";

/** Full addresses and those with one `::`; none with an IPv4 tail. */
const ipv6 = [
  `(?:${group}:){7}${group}`,
  '::',
  ...Array.from({ length: 7 }, (_, before) => {
    const left = before === 0 ? '' : `${group}(?::${group}){${before - 1}}`;
    const right = `(?:${group}(?::${group}){0,${6 - before}})?`;
    return before === 0 ? `::${group}(?::${group}){0,6}` : `${left}::${right}`;
  }),
].join('|');

const durationTime = 'T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)';
const durationDate = '(?:\\d{1,9}D|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?)';

export const stringFormats: ReadonlyMap<string, string> = new Map([
  ['date', date],
  ['time', `${clock}${zone}`],
  ['date-time', `${date}T${clock}${zone}`],
  ['duration', `P(?:${durationDate}(?:${durationTime})?|${durationTime}|\\d{1,9}W)`],
  ['email', `${atom}(?:\\.${atom}){0,3}@(?:${label}\\.){1,3}[a-zA-Z]{2,24}`],
  ['hostname', `(?:${label})(?:\\.${label}){0,2}`], // three labels at most: never longer than 253 characters
  ['ipv4', ipv4],
  ['ipv6', ipv6],
  ['uuid', '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'],
]);
