// The request of what the reader asks for: a path and a body, as they are sent and as they are copied.

const MASK = /\[MASK(?::(\d+))?\]/g;
const ALTERNATIVES = 5;

/** Return whether a prompt has places to be filled. */
export const hasMasks = (prompt) => prompt.search(MASK) >= 0;

/**
 * Return {path, body}. asked: {prompt, tokens, grid, preset, options, steps, seed, condition}.
 * What the model or the preset does not take is null or empty there, and left out here.
 */
export function requestOf(model, asked) {
  const { path, body } = subject(model, asked);
  const shared = {
    preset: asked.preset || null,
    steps: asked.steps,
    options: Object.keys(asked.options).length ? asked.options : null,
    condition: asked.condition,
    seed: asked.seed,
    stream: true,
    stream_mode: "denoise",
  };
  const whole = { model: model.id, ...body, ...shared };
  return { path, body: Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== null)) };
}

function subject(model, { prompt, tokens, grid }) {
  const { kind, chat } = model.unmask;
  if (kind === "image" || kind === "board") return infill(rowOf(grid, model.unmask.layout.offset));
  if (kind === "ids") return infill({ ids: idsOf(prompt) });
  if (hasMasks(prompt)) return infill({ text: prompt });
  if (chat) {
    const messages = [{ role: "user", content: prompt }];
    return {
      path: "/v1/chat/completions",
      body: { messages, max_tokens: tokens, logprobs: true, top_logprobs: ALTERNATIVES },
    };
  }
  return { path: "/v1/completions", body: { prompt, max_tokens: tokens, logprobs: ALTERNATIVES } };
}

const infill = (body) => ({ path: "/v1/infill", body: { ...body, top_logprobs: ALTERNATIVES } });

/** Return a grid as it is, or as a row of ids where some that are not drawn stand before it. */
function rowOf(grid, offset) {
  return offset ? { ids: [...new Array(offset).fill(null), ...grid.flat()] } : { grid };
}

/**
 * Return the ids of a text of numbers; each `_` and each of n places of `[MASK:n]` is null. A word that
 * is no number stays one, for the server to refuse.
 */
export function idsOf(text) {
  const spread = text.replace(MASK, (_, count) => " _".repeat(Number(count ?? 1)) + " ");
  return spread.split(/[\s,]+/).filter(Boolean).map((word) => (word === "_" ? null : /^-?\d+$/.test(word) ? Number(word) : word));
}
