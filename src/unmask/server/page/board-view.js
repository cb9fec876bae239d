// A board: cells to type into, which settle in order.

import { make } from "./dom.js";
import { paint, shade } from "./colour.js";
import { clashes, verdict } from "./rules.js";
import { moveByKeys } from "./grid-keys.js";

/** Shows a board of symbols, and takes what is typed. onedit() is called after each change. */
export class BoardView {
  constructor({ layout, canvas, label, onedit }) {
    Object.assign(this, { layout, canvas, onedit });
    this.inputs = canvas.values.map((_, i) => make("input", {
      type: "text", inputmode: digits(layout) ? "numeric" : "text", autocomplete: "off",
      enterkeyhint: "next", "aria-label": `row ${this.row(i) + 1}, column ${this.column(i) + 1}`,
      "data-cell": i,
    }));
    const cells = this.inputs.map((input, i) =>
      make("span", { role: "gridcell", class: `cell ${this.edges(i)}` }, input));
    const rows = Array.from({ length: layout.height }, (_, row) =>
      make("span", { role: "row" }, ...cells.slice(row * layout.width, (row + 1) * layout.width)));
    this.element = make("div", { role: "grid", class: "board", "aria-label": label }, ...rows);
    this.element.style.setProperty("--columns", layout.width);
    moveByKeys(this.element, this.inputs, layout.width);
    this.listen();
    this.showCanvas();
  }

  /** Show cells of a recording, by position; the first `offset` of them are not drawn. */
  show(cells, colouring, total) {
    const drawn = cells.slice(this.layout.offset);
    drawn.forEach((cell, i) => {
      this.draw(i, cell.token, cell.given, shade(cell, colouring, total));
      this.inputs[i].parentElement.classList.toggle("fresh", cell.fresh);
    });
    this.mark(drawn.map((cell) => cell.token));
  }

  /** Show what is to be filled. */
  showCanvas() {
    this.canvas.values.forEach((value, i) => {
      this.draw(i, value, true, null);
      this.inputs[i].parentElement.classList.remove("fresh");
    });
    this.mark(this.canvas.values);
  }

  draw(i, token, given, strength) {
    const input = this.inputs[i];
    const text = token === null ? "" : this.layout.symbols[token];
    if (input.value !== text) input.value = text;
    input.parentElement.classList.toggle("given", given && token !== null);
    input.parentElement.classList.toggle("unknown", token === null);
    paint(input.parentElement, strength);
  }

  /** Return what is to be said of the board that is shown, null where there is nothing. */
  verdict() {
    return verdict(this.layout, this.values);
  }

  mark(values) {
    this.values = values;
    const wrong = clashes(this.layout, values);
    this.inputs.forEach((input, i) => {
      input.parentElement.classList.toggle("clash", wrong.has(i));
      input.setAttribute("aria-invalid", wrong.has(i));
    });
  }

  listen() {
    this.element.addEventListener("focusin", (event) => event.target.select?.());
    this.element.addEventListener("beforeinput", (event) => this.locked && event.preventDefault());
    this.element.addEventListener("input", (event) => this.enter(Number(event.target.dataset.cell), event.target.value));
    this.element.addEventListener("keydown", (event) => {
      if (this.locked || !["Backspace", "Delete"].includes(event.key)) return;
      event.preventDefault();
      this.enter(Number(event.target.dataset.cell), "");
    });
    this.element.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text").replace(/\s/g, "");
      if (text.length < 2 || this.locked) return;
      event.preventDefault();
      this.fill(text);
    });
  }

  /** Take what was typed into a cell; anything that is no symbol empties it. */
  enter(i, text) {
    const found = this.layout.symbols.indexOf(text.trim().slice(-1));
    this.canvas.keep();
    this.canvas.values[i] = found < 0 ? null : found;
    this.onedit();
    this.inputs[i].select(); // so that the next character replaces this one
  }

  /** Fill the board from a line of symbols; any other character is an unknown cell. */
  fill(text) {
    const values = this.canvas.values.map((_, i) => this.layout.symbols.indexOf(text[i] ?? "."));
    this.canvas.put(values.map((value) => (value < 0 ? null : value)));
    this.onedit();
  }

  row(i) {
    return Math.floor(i / this.layout.width);
  }

  column(i) {
    return i % this.layout.width;
  }

  /** Return the classes of a cell at the upper or left edge of a box. */
  edges(i) {
    const [tall, wide] = this.layout.box;
    const above = tall && this.row(i) && this.row(i) % tall === 0;
    const beside = wide && this.column(i) && this.column(i) % wide === 0;
    return `${above ? "box-top " : ""}${beside ? "box-left" : ""}`;
  }
}

const digits = (layout) => layout.symbols.every((symbol) => /^\d$/.test(symbol));
