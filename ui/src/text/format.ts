// Sizes, rates, times and dates as the person's locale writes them.

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"] as const;

/** Decimal units, as Finder shows them: 3.4 MB is 3,400,000 bytes. */
export function bytes(count: number, locale: string): string {
  let unit = 0;
  let value = Math.max(0, count);
  // 999.5 would be shown as "1,000": it belongs to the next unit.
  while (value >= (unit === 0 ? 1000 : 999.5) && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: UNITS[unit] ?? "byte",
    unitDisplay: unit === 0 ? "long" : "short",
    maximumFractionDigits: digits,
  }).format(value);
}

export function percent(done: number, total: number, locale: string): string {
  const share = total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
  // 99.9 % is not yet 100 %: never call done what is not.
  return new Intl.NumberFormat(locale, { style: "percent" }).format(Math.floor(share * 100) / 100);
}

const unitOf = (value: number, unit: string, locale: string) =>
  new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 }).format(value);

/** A span rounded to what a person wants to know: "40 sec", "4 min", "2 hr 10 min", "3 days". */
export function duration(seconds: number, locale: string): string {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return unitOf(whole, "second", locale);
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return unitOf(minutes, "minute", locale);
  const hours = Math.floor(minutes / 60);
  if (hours < 24) {
    const rest = minutes % 60;
    return rest === 0 || hours >= 10
      ? unitOf(hours, "hour", locale)
      : `${unitOf(hours, "hour", locale)} ${unitOf(rest, "minute", locale)}`;
  }
  return unitOf(Math.round(hours / 24), "day", locale);
}

const sameDay = (a: Date, b: Date) =>
  a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate();

/** A moment, as short as it can be understood: "14:02" today, "Yesterday 14:02" in the locale's words, else the date. */
export function moment(ms: number, now: number, locale: string): string {
  const date = new Date(ms);
  const today = new Date(now);
  const time = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }).format(date);
  if (sameDay(date, today)) return time;
  const yesterday = new Date(now);
  yesterday.setDate(today.getDate() - 1);
  if (sameDay(date, yesterday)) {
    const word = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-1, "day");
    return `${word.charAt(0).toLocaleUpperCase(locale)}${word.slice(1)} ${time}`;
  }
  const year = date.getFullYear() === today.getFullYear() ? {} : ({ year: "numeric" } as const);
  return new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit", ...year }).format(date);
}

/** "Today", "Yesterday" or the date, in the locale's words. */
export function day(ms: number, now: number, locale: string): string {
  const date = new Date(ms);
  const ago = (days: number) => {
    const then = new Date(now);
    then.setDate(then.getDate() - days);
    return then;
  };
  for (const days of [0, 1]) {
    if (!sameDay(date, ago(days))) continue;
    const word = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-days, "day");
    return word.charAt(0).toLocaleUpperCase(locale) + word.slice(1);
  }
  return new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" }).format(date);
}

/** The whole date for a tooltip or a screen reader. */
export function fullMoment(ms: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" }).format(new Date(ms));
}

/** "14:02", to the minute; used for "until 14:02". */
export function clock(ms: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }).format(new Date(ms));
}
