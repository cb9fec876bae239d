// What the reader has put into a grid: an id or null (unknown) for each cell, with a way back.

/** Values of a grid of height × width cells, all unknown at first. */
export class Canvas {
  constructor({ height, width }) {
    this.height = height;
    this.width = width;
    this.values = new Array(height * width).fill(null);
    this.past = [];
    this.brush = Math.max(1, Math.round(width / 5)); // side of what a stroke erases
  }

  /** Remember the values, so that `undo` returns to them. */
  keep() {
    this.past.push([...this.values]);
  }

  undo() {
    if (this.past.length) this.values = this.past.pop();
  }

  clear() {
    this.keep();
    this.values.fill(null);
  }

  /** Put in values, one a cell. */
  put(values) {
    this.keep();
    this.values = [...values];
  }

  get unknown() {
    return this.values.filter((value) => value === null).length;
  }

  /** Return rows of values. */
  get grid() {
    return Array.from({ length: this.height }, (_, row) =>
      this.values.slice(row * this.width, (row + 1) * this.width));
  }

  /** Erase what the brush covers around a cell. */
  erase(cell) {
    for (const each of this.covered(cell)) this.values[each] = null;
  }

  covered(cell) {
    const size = this.brush;
    const [row, column] = [Math.floor(cell / this.width), cell % this.width];
    const from = -Math.floor((size - 1) / 2);
    const found = [];
    for (let i = from; i < from + size; i++) {
      for (let j = from; j < from + size; j++) {
        const [y, x] = [row + i, column + j];
        if (y >= 0 && y < this.height && x >= 0 && x < this.width) found.push(y * this.width + x);
      }
    }
    return found;
  }
}
