// The message catalogue: looks a message up, chooses its plural form, fills its names in.
// The types make a missing message, a missing value and a wrong name errors of the compiler.
import { en } from "./en";
import { pseudo } from "./pseudo";

type Plural = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };
export type Message = string | Plural;
export type Catalogue = Record<keyof typeof en, Message>;
export type MessageKey = keyof typeof en;

type NamesIn<S> = S extends `${string}{${infer Name}}${infer Rest}` ? Name | NamesIn<Rest> : never;
type TextOf<M> = M extends string ? M : M extends { other: infer Other } ? Other : never;
type ValueNames<K extends MessageKey> =
  | NamesIn<TextOf<(typeof en)[K]>>
  | ((typeof en)[K] extends string ? never : "count");
type Values<K extends MessageKey> = { [Name in ValueNames<K>]: string | number };
export type Arguments<K extends MessageKey> = [ValueNames<K>] extends [never] ? [] : [Values<K>];

export interface Texts {
  locale: string;
  t: <K extends MessageKey>(key: K, ...values: Arguments<K>) => string;
}

/** Fills `{name}`s in; numbers are written as the locale writes them. A name without a value stays as it is. */
export function fill(text: string, values: Record<string, string | number>, number: Intl.NumberFormat): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number.format(value) : value;
  });
}

export function makeTexts(catalogue: Catalogue, locale: string, wrap: (text: string) => string = (text) => text): Texts {
  // The words are English whatever the locale writes numbers like, so plurals go by English.
  const rules = new Intl.PluralRules("en");
  const number = new Intl.NumberFormat(locale);
  return {
    locale,
    t(key, ...rest) {
      const values = (rest[0] ?? {}) as Record<string, string | number>;
      const message: Message = catalogue[key];
      if (typeof message === "string") return fill(wrap(message), values, number);
      const form = message[rules.select(Number(values["count"] ?? 0))] ?? message.other;
      return fill(wrap(form), values, number);
    },
  };
}

/** The pseudo-locale marks and lengthens every message, so that a test finds what is not in the catalogue or is cut. */
export const PSEUDO = "en-XA";

export function textsFor(locale: string): Texts {
  return locale === PSEUDO ? makeTexts(en, "en", pseudo) : makeTexts(en, locale);
}
