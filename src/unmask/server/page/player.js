// The step that is shown: live, in a replay, or where the reader put the slider.

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const WHOLE = 2600; // milliseconds that a replay takes, within the limits of a step
const [SHORTEST, LONGEST] = [24, 220];

/** Plays steps 0..length at a steady pace, and calls show(position) for each that is shown. */
export class Player {
  constructor(show) {
    this.show = show;
    this.reset();
  }

  /** Begin a run of about so many steps, which come in by `reach`. */
  reset(expected = 0) {
    clearTimeout(this.timer);
    Object.assign(this, { position: 0, length: 0, expected, playing: true, live: true, timer: null });
  }

  /** Say that so many steps are there. */
  reach(length) {
    this.length = Math.max(this.length, length);
    if (CALM.matches && this.live) this.seek(this.length, true);
    else if (this.playing && this.timer === null) this.tick();
  }

  /** Say that no step follows. */
  finish() {
    this.live = false;
    if (this.position >= this.length) this.pause();
    this.show(this.position);
  }

  /** Show a step. */
  seek(position, playing = false) {
    if (!playing) this.pause();
    this.position = Math.min(position, this.length);
    this.show(this.position);
  }

  /** Play on, from the beginning if the end is shown. */
  play() {
    if (this.position >= this.length && !this.live) this.position = 0;
    this.playing = true;
    this.show(this.position);
    this.timer ??= setTimeout(() => this.tick(), this.pace);
  }

  pause() {
    clearTimeout(this.timer);
    Object.assign(this, { timer: null, playing: false });
  }

  get pace() {
    const steps = Math.max(this.length, this.live ? this.expected : 0, 1);
    return Math.min(LONGEST, Math.max(SHORTEST, WHOLE / steps));
  }

  tick() {
    this.timer = null;
    if (this.position < this.length) {
      this.position += 1;
      this.show(this.position);
      this.timer = setTimeout(() => this.tick(), this.pace);
    } else if (!this.live) {
      this.playing = false;
      this.show(this.position);
    }
  }
}
