// The rule of sudoku and its kin: a symbol once in each row, column and box.

/** Return whether a board is of this kind: as many symbols as rows, columns, and cells of a box. */
export function isSudoku({ kind, height, width, symbols, box }) {
  const size = symbols.length;
  return kind === "board" && height === size && width === size && box[0] * box[1] === size;
}

/** Return the set of cells whose symbol stands twice in a row, column or box. */
export function clashes(layout, values) {
  const found = new Set();
  if (!isSudoku(layout)) return found;
  const { width, box: [tall, wide] } = layout;
  const seen = new Map();
  values.forEach((value, i) => {
    if (value === null) return;
    const [row, column] = [Math.floor(i / width), i % width];
    const box = `${Math.floor(row / tall)},${Math.floor(column / wide)}`;
    for (const unit of [`row ${row}`, `column ${column}`, `box ${box}`]) {
      const key = `${unit}: ${value}`;
      if (seen.has(key)) found.add(i).add(seen.get(key));
      else seen.set(key, i);
    }
  });
  return found;
}

/** Return what is to be said of a full board, null where there is nothing. */
export function verdict(layout, values) {
  if (!isSudoku(layout) || values.includes(null)) return null;
  const count = clashes(layout, values).size;
  return count ? `${count} cells clash` : "Every row, column and box is complete";
}
