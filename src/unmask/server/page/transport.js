// The controls of a replay: play, the step slider, the colours and their legend.

import { byId, chips, make } from "./dom.js";
import { COLOURINGS, PLAIN, STEP, shades, paint } from "./colour.js";
import { Player } from "./player.js";

const [play, slider, place] = ["play", "slider", "place"].map(byId);

/** A player with its controls. show(position, colouring, settled) draws a step. */
export class Transport {
  constructor(show) {
    this.colouring = STEP;
    this.draw = () => show(this.player.position, this.colouring, !this.player.live);
    this.player = new Player(() => {
      this.draw();
      this.showPosition();
    });
    play.addEventListener("click", () => (this.player.playing ? this.player.pause() : this.player.play(), this.showPosition()));
    slider.addEventListener("input", () => this.player.seek(Number(slider.value)));
  }

  /** Offer the colours, beginning with the one that suits the kind of model. */
  offer(kind) {
    this.colour(kind === "image" ? PLAIN : STEP);
    const entries = COLOURINGS.map(([value, name]) => [value, name]);
    chips(byId("colours"), "colour", entries, this.colouring, (value) => (this.colour(value), this.draw()));
  }

  colour(value) {
    this.colouring = value;
    const [, , left, right] = COLOURINGS.find(([each]) => each === value);
    const swatches = shades(value, 7).map((strength) => {
      const swatch = make("i", {});
      paint(swatch, strength);
      return swatch;
    });
    byId("legend").replaceChildren(...(value === PLAIN ? [] : [left, ...swatches, right]));
  }

  showPosition() {
    const { position, length, playing, live } = this.player;
    slider.max = length;
    slider.value = position;
    slider.style.setProperty("--share", `${length ? (100 * position) / length : 0}%`);
    slider.setAttribute("aria-valuetext", `step ${position} of ${length}`);
    place.textContent = `${position} / ${length}`;
    play.classList.toggle("playing", playing && (live || position < length));
    play.setAttribute("aria-label", playing ? "Pause" : "Replay");
  }
}
