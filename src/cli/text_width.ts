/** Text by the columns that it takes on a terminal, which are not its characters. */

/** The text as far as it fits; what was cut off is shown by an ellipsis. */
export function cut(text: string, width: number): string {
  const cells = [...text].map((char) => ({
    char,
    size: widthOf(char),
  }));
  if (cells.reduce((sum, { size }) => sum + size, 0) <= width) return text;
  let used = 0;
  const end = cells.findIndex(({ size }) => (used += size) > width - 1);
  return `${cells.slice(0, end).map(({ char }) => char).join("")}…`;
}

/** What joins the character before it. */
const NARROWEST = /^[\p{M}\p{Cf}]$/u;
/** East Asian wide and full-width characters, and pictures. */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

/** How many columns a character takes. */
function widthOf(char: string): number {
  if (NARROWEST.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}

/** The text in exactly so many columns: cut, or filled up with spaces. */
export function padded(text: string, width: number): string {
  const kept = cut(text, width);
  return kept + " ".repeat(Math.max(0, width - columnsOf(kept)));
}

/** The text on as many lines as it takes, none of them wider than `width`. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  let used = 0;
  for (const char of text) {
    const size = widthOf(char);
    if (line !== "" && used + size > width) {
      lines.push(line);
      [line, used] = ["", 0];
    }
    line += char;
    used += size;
  }
  return [...lines, line];
}

/** How many columns the text takes. */
export function columnsOf(text: string): number {
  return [...text].reduce((sum, char) => sum + widthOf(char), 0);
}
