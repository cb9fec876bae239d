// Things to begin with.

/** Return [name, text] pairs of prompts. */
export const PROMPTS = [
  ["Fill in", "Shall I compare thee to[MASK:8]?\nThou art more[MASK:6] and more temperate."],
  ["Go on", "ROMEO:\nWhat light is this,"],
];

/** Boards by their height × width: a line of symbols each, "." where unknown. */
export const BOARDS = {
  "4×4": "1..4.........2..",
  "9×9": "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79",
};
