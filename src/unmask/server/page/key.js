// The API key, for as long as the tab is open.

const PLACE = "unmask-api-key";

/** Return the headers that carry the key, none where there is no key. */
export function authorization() {
  const key = sessionStorage.getItem(PLACE);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Return whether a key is kept. */
export const hasKey = () => Boolean(sessionStorage.getItem(PLACE));

/** Keep a key. */
export const keepKey = (key) => sessionStorage.setItem(PLACE, key);
