// A date in words, as C's strftime writes it in English and in local time. Used by globals.ts.

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** A directive that is not known stays as it is written. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([a-zA-Z%])/g, (whole, bare, directive) => {
    const text = directiveText(date, directive);
    if (text === null) return whole;
    return bare === '-' ? text.replace(/^[0 ]+(?=.)/, '') : text;
  });
}

function directiveText(date: Date, directive: string): string | null {
  const two = (value: number) => String(value).padStart(2, '0');
  const nested = (format: string) => strftime(date, format);
  switch (directive) {
    case 'a':
      return days[date.getDay()]!.slice(0, 3);
    case 'A':
      return days[date.getDay()]!;
    case 'b':
    case 'h':
      return months[date.getMonth()]!.slice(0, 3);
    case 'B':
      return months[date.getMonth()]!;
    case 'c':
      return nested('%a %b %e %H:%M:%S %Y');
    case 'd':
      return two(date.getDate());
    case 'D':
    case 'x':
      return nested('%m/%d/%y');
    case 'e':
      return String(date.getDate()).padStart(2, ' ');
    case 'F':
      return nested('%Y-%m-%d');
    case 'H':
      return two(date.getHours());
    case 'I':
      return two(date.getHours() % 12 || 12);
    case 'j':
      return String(dayOfYear(date)).padStart(3, '0');
    case 'm':
      return two(date.getMonth() + 1);
    case 'M':
      return two(date.getMinutes());
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM';
    case 'R':
      return nested('%H:%M');
    case 'S':
      return two(date.getSeconds());
    case 'T':
    case 'X':
      return nested('%H:%M:%S');
    case 'u':
      return String(date.getDay() || 7);
    case 'w':
      return String(date.getDay());
    case 'y':
      return two(date.getFullYear() % 100);
    case 'Y':
      return String(date.getFullYear());
    case 'z':
    case 'Z':
      return ''; // a date without a zone, as datetime.now() is
    case '%':
      return '%';
    default:
      return null;
  }
}

function dayOfYear(date: Date): number {
  const noon = (month: number, day: number) => Date.UTC(date.getFullYear(), month, day);
  return Math.round((noon(date.getMonth(), date.getDate()) - noon(0, 0)) / 86_400_000);
}
