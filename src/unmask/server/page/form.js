// The form: what the reader asks for.

import { byId, fillGroups, fillSelect } from "./dom.js";
import { optionsIn, presetOf, recommended, showOptions, stepsOf, titleOf } from "./presets.js";
import { hasMasks } from "./request.js";

const [preset, rival, steps, tokens, condition, seed, compare, prompt] = [
  "preset", "rival", "steps", "tokens", "condition", "seed", "compare", "prompt",
].map(byId);
const options = byId("options"), keep = byId("keep");

const HINTS = {
  text: "[MASK:8] marks eight tokens to fill in. Without one, the text goes on.",
  ids: "Numbers, and _ or [MASK:8] where they are unknown.",
};

/** Show the fields that a model takes. */
export function showForm(model) {
  const { kind, presets, conditions } = model.unmask;
  const words = kind === "text" || kind === "ids";
  byId("prompt-row").hidden = !words;
  byId("prompt-hint").textContent = HINTS[kind] ?? "";
  byId("prompt-label").textContent = kind === "ids" ? "Ids" : "Prompt";
  byId("condition-field").hidden = !conditions;
  const classes = Array.from({ length: conditions?.classes ?? 0 }, (_, i) => [String(i), String(i)]);
  fillSelect(condition, [["", "any"], ...classes], "");
  const names = presets.map(({ name }) => [name, name]);
  const { name } = recommended(model);
  const others = names.filter(([value]) => value !== name);
  fillGroups(preset, { Recommended: [[name, titleOf(name)]], Others: others }, name);
  fillSelect(rival, names, (others[0] ?? names[0])[0]);
  showCompare();
  showPreset(model);
  showTokens(model);
}

/** Show the steps and options of the chosen preset. */
export function showPreset(model) {
  const count = stepsOf(model, preset.value);
  steps.disabled = count === null;
  steps.value = count ?? "";
  steps.placeholder = count === null ? "its own" : "";
  byId("more").hidden = showOptions(options, model, preset.value) === 0;
}

/** Show how many tokens are asked for, where a prompt does not say so. */
export function showTokens(model) {
  byId("tokens-field").hidden = model.unmask.kind !== "text" || hasMasks(prompt.value);
}

/** Show the second preset, or hide it. */
export function showCompare() {
  byId("rival-field").hidden = !compare.checked;
  byId("preset-label").textContent = compare.checked ? "Preset on the left" : "Preset";
}

/** Offer to keep a seed that was drawn. */
export function offerSeed(drawn) {
  keep.hidden = seed.value !== "";
  keep.textContent = `keep ${drawn}`;
  keep.onclick = () => {
    seed.value = drawn;
    keep.hidden = true;
    seed.focus();
  };
}

/** Return the names of the presets that are asked for: one, or two side by side. */
export const chosenPresets = () => (compare.checked ? [preset.value, rival.value] : [preset.value]);

/** Return what is asked for: an entry for each chosen preset, on the same seed. grid: of an image or board. */
export function readForm(model, grid) {
  const shared = {
    prompt: prompt.value,
    tokens: numberIn(tokens),
    grid,
    condition: numberIn(condition),
    seed: numberIn(seed) ?? Math.floor(Math.random() * 1e6),
  };
  const left = { ...shared, preset: preset.value, steps: numberIn(steps), options: optionsIn(options) };
  if (!compare.checked) return [left];
  const takesSteps = "steps" in presetOf(model, rival.value).options;
  const count = takesSteps ? left.steps ?? stepsOf(model, rival.value) : null;
  return [left, { ...shared, preset: rival.value, steps: count, options: {} }];
}

const numberIn = (field) => (field.disabled || field.value === "" ? null : Number(field.value));
