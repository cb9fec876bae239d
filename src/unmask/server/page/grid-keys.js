// Arrow keys in a grid: one cell at a time is in the order of tabs.

/** Let the arrow keys, Home and End move the focus among cells that stand in rows of `width`. */
export function moveByKeys(grid, cells, width, onmove = () => {}) {
  cells.forEach((cell, i) => (cell.tabIndex = i === 0 ? 0 : -1));
  grid.addEventListener("focusin", (event) => {
    const at = cells.indexOf(event.target);
    if (at >= 0) cells.forEach((cell, i) => (cell.tabIndex = i === at ? 0 : -1));
  });
  grid.addEventListener("keydown", (event) => {
    const at = cells.indexOf(event.target);
    const to = at < 0 ? null : target(event.key, at, width, cells.length);
    if (to === null) return;
    event.preventDefault();
    cells[to].focus();
    onmove(to, event);
  });
}

function target(key, at, width, count) {
  const start = at - (at % width);
  switch (key) {
    case "ArrowLeft": return at > start ? at - 1 : at;
    case "ArrowRight": return at < start + width - 1 ? at + 1 : at;
    case "ArrowUp": return at >= width ? at - width : at;
    case "ArrowDown": return at + width < count ? at + width : at;
    case "Home": return start;
    case "End": return start + width - 1;
    default: return null;
  }
}
