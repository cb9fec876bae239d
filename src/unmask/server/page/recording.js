// What a stream has said of one row, so that any of its steps can be shown.

/** Return the text of a token, the id itself where it has none. */
export const wordOf = (token, text) => text ?? (token === null ? null : String(token));

/**
 * A row and its steps. length: positions. steps: the events "step" of this row. response: the whole
 * answer, once it is there. A frame has a cell for each position: {token, text, logprob, step,
 * given, fresh, alternatives}, token null where unknown.
 */
export class Recording {
  constructor(start, index = 0) {
    const row = start.rows[index];
    this.length = row.length;
    this.steps = [];
    this.response = null;
    this.first = row.tokens.map((token, i) => ({
      token, text: wordOf(token, row.text[i]), logprob: null, step: 0, given: token !== null, fresh: false,
    }));
    this.rewind();
  }

  add(step) {
    this.steps.push(step);
  }

  /** Return the cells after `count` steps; 0 is the start. Those of the last call are reused. */
  frame(count) {
    const wanted = Math.min(count, this.steps.length);
    if (wanted < this.at) this.rewind();
    while (this.at < wanted) this.apply(this.steps[this.at++]);
    return this.cells;
  }

  /** Return copies of the cells of the last step. */
  get last() {
    return this.frame(this.steps.length).map((cell) => ({ ...cell }));
  }

  /** Return the network passes after so many steps. */
  forwards(count) {
    const step = this.steps[Math.min(count, this.steps.length) - 1];
    return step ? step.forwards : 0;
  }

  rewind() {
    this.at = 0;
    this.cells = this.first.map((cell) => ({ ...cell }));
  }

  apply(step) {
    for (const cell of this.cells) cell.fresh = false;
    for (const position of step.remasked) {
      Object.assign(this.cells[position], { token: null, text: null, logprob: null, step: 0 });
    }
    step.positions.forEach((position, i) => {
      Object.assign(this.cells[position], {
        token: step.tokens[i],
        text: wordOf(step.tokens[i], step.text[i]),
        logprob: step.logprobs[i],
        step: this.at,
        fresh: true,
        alternatives: step.alternatives?.[i] ?? null,
      });
    });
  }
}
