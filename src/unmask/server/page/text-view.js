// A row of text: its tokens in place, each of which can be chosen.

import { make } from "./dom.js";
import { paint, shade } from "./colour.js";

let made = 0;

/** Shows frames of a text. onchoose(element, cell) is called for the token that is chosen, or null. */
export class TextView {
  constructor({ label, bare, onchoose }) {
    this.name = `tokens-${++made}`;
    this.bare = bare; // ids rather than words: spaces stand between them
    this.onchoose = onchoose;
    this.prompt = make("span", { class: "prompt-text" });
    this.list = make("span", { role: "listbox", tabindex: "0", "aria-label": label, class: "tokens" });
    this.element = make("div", { class: bare ? "text bare" : "text" }, this.prompt, this.list);
    this.tokens = [];
    this.chosen = -1;
    this.listen();
  }

  /** Begin a row of so many positions. prompt: the text before them. */
  reset(length, prompt) {
    this.prompt.textContent = prompt;
    this.choose(-1);
    this.tokens = Array.from({ length }, (_, i) =>
      make("span", { role: "option", class: "token unknown", id: `${this.name}-${i}`, "aria-selected": "false" }));
    this.list.replaceChildren(...this.tokens);
    this.drawn = this.tokens.map(() => "");
  }

  /** Show cells. final: the cells of the end, so that a replay does not move; null while live. */
  show(cells, colouring, total, final) {
    cells.forEach((cell, i) => {
      const text = cell.text ?? final?.[i].text ?? null;
      const strength = shade(cell, colouring, total);
      const look = `${cell.token}|${text}|${strength}|${cell.fresh}|${cell.given}`;
      if (this.drawn[i] === look) return;
      this.drawn[i] = look;
      this.draw(this.tokens[i], cell, text, strength);
    });
    this.cells = cells;
    if (this.chosen >= 0) this.choose(this.chosen);
  }

  draw(token, cell, text, strength) {
    const unknown = cell.token === null;
    token.className = "token";
    token.classList.toggle("unknown", unknown);
    token.classList.toggle("given", cell.given);
    token.classList.toggle("fresh", cell.fresh);
    token.classList.toggle("empty", text === null);
    token.replaceChildren(...nodesOf(text ?? "\u2003", this.bare));
    token.setAttribute("aria-label", unknown ? "unknown" : text.trim() || JSON.stringify(text));
    paint(token, strength);
  }

  choose(index) {
    this.tokens[this.chosen]?.setAttribute("aria-selected", "false");
    this.chosen = index;
    const token = this.tokens[index];
    if (!token) {
      this.list.removeAttribute("aria-activedescendant");
      return this.onchoose(null);
    }
    token.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", token.id);
    this.onchoose(token, this.cells[index]);
  }

  listen() {
    const at = (event) => this.tokens.indexOf(event.target.closest(".token"));
    this.list.addEventListener("pointerover", (event) => at(event) >= 0 && this.choose(at(event)));
    this.list.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.choose(-1));
    this.list.addEventListener("click", (event) => at(event) >= 0 && this.choose(at(event)));
    this.list.addEventListener("blur", () => this.choose(-1));
    this.list.addEventListener("focus", () => this.chosen < 0 && this.tokens.length && this.choose(0));
    this.list.addEventListener("keydown", (event) => this.move(event));
  }

  move(event) {
    const last = this.tokens.length - 1;
    const places = {
      ArrowRight: this.chosen + 1, ArrowDown: this.chosen + 1,
      ArrowLeft: this.chosen - 1, ArrowUp: this.chosen - 1, Home: 0, End: last, Escape: -1,
    };
    if (!(event.key in places) || !this.tokens.length) return;
    event.preventDefault();
    this.choose(event.key === "Escape" ? -1 : Math.max(0, Math.min(last, places[event.key])));
  }
}

/** Return the nodes of a token: line ends get a mark that can be pointed at. */
function nodesOf(text, bare) {
  if (bare) return [text, " "];
  return text.split(/(\n)/).flatMap((part) =>
    part === "\n" ? [make("span", { class: "newline", "aria-hidden": "true" }, "↵"), "\n"] : [part]);
}
