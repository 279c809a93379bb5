// What a bucket may be called, told while one types; the Hub has the last word.
export type NameFault = "empty" | "letters" | "ends" | "long";

const LONGEST = 96;

export function nameFault(name: string): NameFault | null {
  if (name === "") return "empty";
  if (!/^[A-Za-z0-9._-]+$/.test(name)) return "letters";
  if (name.length > LONGEST) return "long";
  if (/^[.-]|[.-]$|--|\.\./.test(name)) return "ends";
  return null;
}
