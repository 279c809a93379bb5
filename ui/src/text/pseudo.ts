// The pseudo-locale en-XA: "Retry" becomes "⟦Ŕéţŕý one⟧": readable, foreign letters, a third longer, with marks at both ends.
const LETTERS = "áƀçđéƒĝĥíĵķĺḿñóþʠŕšţúṽŵẋýž";
const CAPITALS = "ÁƁÇĐÉƑĜĤÍĴĶĹḾÑÓÞɊŔŠŢÚṼŴẊÝŽ";
const PADDING = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

export function pseudo(text: string): string {
  // Names in braces stay: they are filled in afterwards.
  const foreign = text.replace(/\{\w+\}|[a-z]|[A-Z]/g, (found) => {
    if (found.length > 1) return found;
    const code = found.charCodeAt(0);
    return (code >= 97 ? LETTERS[code - 97] : CAPITALS[code - 65]) ?? found;
  });
  const wanted = Math.ceil(text.length * 0.35);
  let padding = "";
  for (let i = 0; padding.length < wanted; i = (i + 1) % PADDING.length) padding += ` ${PADDING[i]}`;
  return `⟦${foreign}${padding}⟧`;
}
