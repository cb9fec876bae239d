// The card of a token: when it was committed, how surely, and what else could stand there.

import { byId, make } from "./dom.js";
import { probability } from "./colour.js";
import { wordOf } from "./recording.js";

const card = byId("card");

/** Show the card of a token beside its element, or hide it for null. The token's label says the same. */
export function showCard(element, cell, total) {
  card.hidden = !element || cell.token === null;
  if (card.hidden) return;
  card.replaceChildren(...(cell.given ? [make("p", { class: "when" }, "Given")] : details(cell, total)));
  element.setAttribute("aria-label", labelOf(cell, total));
  place(element);
}

function details(cell, total) {
  const listed = [...(cell.alternatives ?? [])];
  if (!listed.some(({ token }) => token === cell.token)) listed.push(cell);
  const rows = listed.map((each) => {
    const row = make("li", { class: each.token === cell.token ? "chosen" : false },
      make("span", { class: "word" }, visible(wordOf(each.token, each.text))),
      make("span", { class: "share" }, percent(probability(each))));
    row.style.setProperty("--share", `${100 * probability(each)}%`);
    return row;
  });
  const when = make("p", { class: "when" }, `Step ${cell.step} of ${total}`,
    make("span", {}, `log p ${cell.logprob === null ? "–" : cell.logprob.toFixed(2).replace("-", "\u2212")}`));
  return [when, make("ol", {}, ...rows)];
}

function labelOf(cell, total) {
  if (cell.given) return `${visible(cell.text)}, given`;
  const others = (cell.alternatives ?? [])
    .filter(({ token }) => token !== cell.token)
    .map((each) => `${visible(wordOf(each.token, each.text))} ${percent(probability(each))}`);
  const beside = others.length ? `; others: ${others.join(", ")}` : "";
  return `${visible(cell.text)}, step ${cell.step} of ${total}, ${percent(probability(cell))}${beside}`;
}

function place(element) {
  const box = element.getClientRects()[0] ?? element.getBoundingClientRect();
  const width = document.documentElement.clientWidth;
  const left = Math.max(12, Math.min(box.left, width - card.offsetWidth - 12));
  const below = box.bottom + 8;
  const above = box.top - card.offsetHeight - 8;
  const fits = below + card.offsetHeight < innerHeight || above < 0;
  card.style.left = `${left + scrollX}px`;
  card.style.top = `${(fits ? below : above) + scrollY}px`;
}

/** Return a token's text with its blanks to be seen. */
const visible = (text) => (text ?? "").replace(/\n/g, "↵").replace(/ /g, "␣") || "∅";

const percent = (share) => (share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`);
