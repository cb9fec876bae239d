// A lane: one preset's request, its recording, and the view of it.

import { denoise } from "./api.js";
import { make } from "./dom.js";
import { Recording } from "./recording.js";

/** Runs requests and shows their steps. view: a TextView, ImageView or BoardView; unit: of its cells. */
export class Lane {
  constructor(view, unit) {
    Object.assign(this, { view, unit });
    this.title = make("h2", {});
    this.facts = make("p", { class: "facts" });
    this.note = make("p", { class: "note" });
    this.element = make("article", { class: "lane" },
      make("header", {}, this.title, this.facts), view.element, this.note);
    this.clear();
  }

  /** Steps that are there. */
  get total() {
    return this.recording?.steps.length ?? 0;
  }

  /** Show what stands here before anything runs. */
  clear() {
    this.recording = this.final = null;
    this.facts.textContent = this.note.textContent = "";
    this.view.showCanvas?.();
  }

  /** Run a request to its end. onstep() is called after the start and after each step. */
  async run(request, prompt, signal, onstep) {
    this.clear();
    for await (const event of denoise(request, signal)) {
      if (event.type === "start") {
        this.title.textContent = event.preset;
        this.recording = new Recording(event);
        this.view.reset?.(this.recording.length, prompt);
      }
      if (event.type === "step") this.recording.add(event);
      if (event.type === "end") this.recording.response = event.response;
      onstep();
    }
  }

  /** Show the cells after so many steps. settled: no step follows. */
  show(position, colouring, settled) {
    const { recording, total } = this;
    if (!recording) return;
    if (settled) this.final ??= recording.last;
    this.view.show(recording.frame(position), colouring, total, this.final);
    this.showFacts(recording, Math.min(position, total));
    this.note.textContent = (position >= total && this.view.verdict?.()) || "";
  }

  /** Return the result in a sentence, for those who do not see it. */
  get summary() {
    const { response, steps } = this.recording;
    const [choice] = response.choices;
    const text = choice.text ?? choice.message?.content ?? this.view.verdict?.() ?? "";
    return `${this.title.textContent} finished in ${steps.length} steps. ${text}`.trim();
  }

  showFacts(recording, position) {
    const cells = recording.cells.filter((cell) => !cell.given);
    const known = cells.filter((cell) => cell.token !== null).length;
    const forwards = recording.forwards(position);
    const facts = [`${known} of ${cells.length} ${this.unit}`, `${forwards} ${forwards === 1 ? "pass" : "passes"}`];
    if (forwards) facts.push(`${(known / forwards).toFixed(1)} a pass`);
    if (known) facts.push(`log p ${nats(sum(cells))}`);
    this.facts.replaceChildren(...facts.map((fact) => make("span", {}, fact)));
  }
}

const nats = (value) => value.toFixed(value > -0.95 ? 2 : 1).replace(/^-(?=[0.]+$)/, "").replace("-", "\u2212");
const sum = (cells) => cells.reduce((total, cell) => total + (cell.logprob ?? 0), 0);
