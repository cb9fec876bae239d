// Things to begin with.

/** Return [name, text] pairs of prompts. */
export const PROMPTS = [
  ["Fill in", "ROMEO:\nWhat light is this,[MASK:24]\nI take thee at thy word."],
  ["Go on", "ROMEO:\nWhat light is this, that through the window breaks?\n\nJULIET:\n"],
];

/** Boards by their height × width: a line of symbols each, "." where unknown. */
export const BOARDS = {
  "4×4": "1..4.........2..",
  "9×9": "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79",
};
