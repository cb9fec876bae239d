// Colours of cells: how strongly the accent shades each, from 0 to 1.

export const PLAIN = "plain", STEP = "step", CONFIDENCE = "confidence";

/** [value, name, left end of the legend, right end] of each way to colour. */
export const COLOURINGS = [
  [PLAIN, "None", "", ""],
  [STEP, "Step", "first step", "last step"],
  [CONFIDENCE, "Confidence", "certain", "unsure"],
];

const WEAKEST = 0.1, STRONGEST = 0.62;
const UNSURE = 6; // nats: tokens of this surprisal and more have the strongest shade

/** Return the shade of a cell, null where none is due. total: steps of the whole recording. */
export function shade(cell, colouring, total) {
  if (cell.token === null || cell.given || colouring === PLAIN) return null;
  return shadeAt(colouring === STEP ? lateness(cell.step, total) : surprisal(cell), colouring);
}

/** Return `count` shades of a legend, from its left end to its right. */
export const shades = (colouring, count) =>
  Array.from({ length: count }, (_, i) => shadeAt(i / (count - 1), colouring));

/** Return the shade of a place on the legend, from 0 at its left end to 1. */
function shadeAt(place, colouring) {
  const strength = colouring === STEP ? 1 - place : place;
  return WEAKEST + (STRONGEST - WEAKEST) * strength;
}

/** Return the probability that a cell's token was committed with. */
export const probability = (cell) => Math.min(1, Math.exp(cell.logprob ?? 0));

const surprisal = (cell) => Math.min(1, -(cell.logprob ?? 0) / UNSURE);
const lateness = (step, total) => (total > 1 ? (step - 1) / (total - 1) : 0);

/** Set an element's shade, which the style sheets mix with the accent. */
export function paint(element, strength) {
  if (strength === null) element.style.removeProperty("--shade");
  else element.style.setProperty("--shade", `${(100 * strength).toFixed(1)}%`);
}
