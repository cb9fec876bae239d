// Buttons beside the main one: what a prompt, an image or a board can begin with.

import { byId, make } from "./dom.js";
import { BOARDS, PROMPTS } from "./examples.js";

/** Show the buttons of a model. canvas: of an image or board; view: the first; onedit: after a change. */
export function showTools(model, canvas, view, onedit) {
  const { kind, layout } = model.unmask;
  const edit = (name, change) => button(name, () => { change(); onedit(); });
  const undo = () => edit("Undo", () => canvas.undo());
  const made = {
    text: () => PROMPTS.map(([name, text]) => button(name, () => write(text))),
    ids: () => [],
    image: () => [
      edit("Erase all", () => canvas.clear()),
      edit("Erase lower half", () => erase(canvas, canvas.values.length / 2)),
      undo(),
      ...brush(canvas),
    ],
    board: () => [
      ...example(layout).map((line) => button("Example", () => view.fill(line))),
      edit("Clear", () => canvas.clear()),
      undo(),
    ],
  }[kind]();
  byId("tools").replaceChildren(...made);
}

const button = (name, onclick) => make("button", { type: "button", class: "plain", onclick }, name);

function write(text) {
  const prompt = byId("prompt");
  prompt.value = text;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  prompt.focus();
}

function erase(canvas, from) {
  canvas.keep();
  canvas.values.fill(null, Math.ceil(from));
}

function example(layout) {
  const line = BOARDS[`${layout.height}×${layout.width}`];
  const fits = line && [...line].every((symbol) => symbol === "." || layout.symbols.includes(symbol));
  return fits ? [line] : [];
}

function brush(canvas) {
  const most = Math.max(1, Math.round(Math.min(canvas.height, canvas.width) / 2));
  const field = make("input", {
    id: "brush", type: "range", min: 1, max: most, value: canvas.brush, "aria-label": "Size of the brush",
    oninput: () => (canvas.brush = Number(field.value)),
  });
  return [make("label", { class: "brush" }, "Brush", field)];
}
