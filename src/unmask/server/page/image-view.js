// An image: its pixels as cells, parts of which can be erased by mouse, touch or keyboard.

import { make } from "./dom.js";
import { PLAIN, paint, shade } from "./colour.js";
import { moveByKeys } from "./grid-keys.js";

/** Shows an image of levels, and lets a brush erase it. onedit() is called after each change. */
export class ImageView {
  constructor({ layout, canvas, label, onedit }) {
    Object.assign(this, { layout, canvas, onedit });
    this.cells = canvas.values.map((_, i) => make("span", { role: "gridcell", class: "pixel", "data-cell": i }));
    const rows = Array.from({ length: layout.height }, (_, row) => make("span", { role: "row" },
      ...this.cells.slice(row * layout.width, (row + 1) * layout.width)));
    this.grid = make("div", {
      role: "grid", class: "image", "aria-label": `${label}. Space erases, arrow keys move.`,
    }, ...rows);
    this.grid.style.setProperty("--columns", layout.width);
    this.element = this.grid;
    moveByKeys(this.grid, this.cells, layout.width, (to, event) => event.shiftKey && this.erase(to));
    this.listen();
    this.showCanvas();
  }

  /** Show cells of a recording, by position; the first `offset` of them are not drawn. */
  show(cells, colouring, total) {
    this.cells.forEach((pixel, i) => {
      const cell = cells[i + this.layout.offset];
      this.draw(pixel, cell.token, colouring === PLAIN ? null : shade(cell, colouring, total));
      pixel.classList.toggle("fresh", cell.fresh);
      pixel.classList.toggle("map", colouring !== PLAIN && !cell.given && cell.token !== null);
    });
  }

  /** Show what is to be filled. */
  showCanvas() {
    this.cells.forEach((pixel, i) => {
      this.draw(pixel, this.canvas.values[i], null);
      pixel.classList.remove("fresh", "map");
    });
  }

  draw(pixel, level, strength) {
    pixel.classList.toggle("unknown", level === null);
    pixel.style.setProperty("--ink-share", `${level === null ? 0 : (100 * level) / (this.layout.levels - 1)}%`);
    paint(pixel, strength);
    const i = Number(pixel.dataset.cell);
    const place = `row ${Math.floor(i / this.layout.width) + 1}, column ${(i % this.layout.width) + 1}`;
    pixel.setAttribute("aria-label", `${place}: ${level === null ? "unknown" : `level ${level}`}`);
  }

  /** Erase what the brush covers around a cell. */
  erase(cell) {
    if (this.locked) return;
    this.canvas.erase(cell);
    this.onedit();
  }

  listen() {
    const at = (event) => {
      const pixel = document.elementFromPoint(event.clientX, event.clientY)?.closest(".pixel");
      return this.grid.contains(pixel) ? Number(pixel.dataset.cell) : null;
    };
    this.grid.addEventListener("pointerdown", (event) => {
      const cell = at(event);
      if (cell === null || event.button || this.locked) return;
      event.preventDefault();
      this.cells[cell].focus({ preventScroll: true });
      this.grid.setPointerCapture(event.pointerId);
      this.canvas.keep();
      this.drawing = true;
      this.erase(cell);
    });
    this.grid.addEventListener("pointermove", (event) => {
      const cell = this.drawing ? at(event) : null;
      if (cell !== null) this.erase(cell);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.grid.addEventListener(end, () => (this.drawing = false));
    }
    this.grid.addEventListener("keydown", (event) => {
      if (![" ", "Enter", "Delete", "Backspace"].includes(event.key) || this.locked) return;
      event.preventDefault();
      this.canvas.keep();
      this.erase(this.cells.indexOf(event.target));
    });
  }
}
