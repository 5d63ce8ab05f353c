// What the reader chose, and what the live page adds.

const SPEEDS = [0.5, 1, 2, 4, 8];
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

const query = new URLSearchParams(location.search);
// `scope` is the number of a rollout; null is the whole run; the live page has "now" too.
const state = {
  lang: query.get("lang") === "zh" ? "zh" : "en", theme: query.get("theme"), all: false, pos: 1, scope: null, scale: "log",
  win: [0, 1], playing: false, speed: 1, view: "hop", format: "yaml", role: null,
};
const ofOneRollout = () => typeof state.scope === "number";
const inScope = (item) => !ofOneRollout() || Boolean(item.r?.includes(state.scope));

// The live page's sources put themselves in here; a report is made without them.
const live = {
  on: false,
  /** What a link leads to, where that is no event. */
  link: () => null,
  /** Takes a link; whether it was one of the live page's. */
  follow: () => false,
  /** A key: whether it did something, null where it is the player's. */
  key: () => null,
  /** What stands in place of the verdict, and between the head and the sections. */
  badge: () => null,
  tabs: () => null,
  rows: () => [],
  /** Beside the player's sections, below its controls, and over the pane of the payload. */
  views: () => [],
  controls: () => null,
  pane: () => [],
  scopes: () => [],
  /** All is ready; the page is going to be built anew; it was; the reader went to an event. */
  started: () => {},
  leaving: () => {},
  built: () => {},
  went: () => {},
  /** The reader chose a scope. */
  scoped: () => {},
};
