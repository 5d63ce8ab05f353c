// The run goes on: its data is replaced, and the reader keeps the place, the scope, the zoom and the open payload.

// `seen` is the time of the newest event when the reader was last at the end; `stale` says that a drawing is due;
// `chosen` that the reader chose the whole run, so that the player stays with it.
const news = { seen: -Infinity, stale: false, chosen: false };

const atEnd = () => state.pos >= listed().length;
const newestTime = () => items[listed()[listed().length - 1]]?.t ?? -Infinity;
const drawable = () => !document.hidden && live.view === "player";

function renewRun(data) {
  const item = current(), wasAtEnd = atEnd();
  const shown = item ? payloadSignature(item) : null;
  const scoped = ofOneRollout() ? rolloutKey(rollouts[state.scope]) : null;
  const looked = windowTimes();
  const shape = JSON.stringify(lanes), measured = JSON.stringify([RUN.stages, rollouts]), scenario = RUN.scenario;
  data.live = RUN.live;
  takeRun(data);
  if (scoped !== null) {
    const found = rollouts.findIndex((rollout) => rolloutKey(rollout) === scoped);
    state.scope = found < 0 ? null : found;
  }
  morphChildren($("scope"), h("select", {}, scopeOptions()));
  $("scope").value = scopeValue(state.scope);
  $("all").checked = state.all;
  if (JSON.stringify(lanes) !== shape) {
    $("names").replaceWith(laneNames());
    if (live.view === "player") layOut();
  }
  layAxis();
  lookAt(looked);
  state.pos = wasAtEnd && !state.playing ? Math.max(1, listed().length) : again(item);
  const now = current();
  if (wasAtEnd && !state.playing && now && !sameEvent(now, item)) {
    if (state.scope === null && !news.chosen && now.r) setScope(now.r[0], false); else drawBase();
    go(state.pos);
  } else {
    showPlace();
    if (now) updateChapters(now);
    if (now && payloadSignature(now) !== shown) showEvent(now);
    redraw();
  }
  live.went();
  morph($("legend"), legend());
  if (JSON.stringify([RUN.stages, rollouts]) !== measured) renewTimes();
  morph($("verdict"), verdict());
  if (RUN.scenario !== scenario) morph($("scenario"), scenarioSection());
  renewRows();
  renew("strip");
}

const sameEvent = (a, b) => Boolean(a && b) && a.t === b.t && a.ev === b.ev && a.lane === b.lane && a.nonce === b.nonce && a.type === b.type;

/** The position of an event among those listed by now; of one that is there no more, that of the next one. */
function again(item) {
  const seen = listed();
  if (!item) return 1;
  const first = firstSince(seen, item.t);
  for (let at = first; at < seen.length && items[seen[at]].t === item.t; at++) if (sameEvent(items[seen[at]], item)) return at + 1;
  return clamp(first + 1, 1, Math.max(1, seen.length));
}

/** All that the panes tell of an event, to see whether it has changed. */
function payloadSignature(item) {
  const source = item.pay ? item : latestWithPayload(item);
  const side = (found) => found && [items[found[0]]?.ev, docs[found[1]]];
  const payloads = (source?.pay ?? []).map(({ role, doc, part, hop, last }) => [role, docs[doc], docs[part], side(hop), side(last)]);
  return JSON.stringify([{ ...item, pay: null, r: null }, source?.ev, payloads]);
}

// -- what is looked at ---------------------------------------------------------------------------------------------

/** The edges of what is looked at, as times; null for all. */
const windowTimes = () => (state.win[0] === 0 && state.win[1] === 1 ? null : state.win.map(timeAt));

function lookAt(times) {
  if (!times) return;
  const [from, to] = times.map((t) => clamp(place(t), 0, 1));
  state.win = to - from > 1e-6 ? [from, to] : [0, 1];
}

function redraw() {
  news.stale = !drawable();
  if (news.stale) return;
  drawBase();
  drawOverlay();
}

function renewTimes() {
  const section = $("times");
  morph(section, times());
  // An observer looks after the elements that it was made with, and those that were there before have stayed.
  for (const article of section.querySelectorAll("[data-rollout]")) {
    if (article.childElementCount === 1) nearing.observe(article);
  }
}

// -- responses as they come ----------------------------------------------------------------------------------------

function takeDots(loads) {
  let first = Infinity;
  for (const [load, columns] of Object.entries(loads)) {
    const held = (dots[load] ??= new Responses(responsesKept()));
    const count = held.append(columns, held.last ?? -Infinity);
    if (count) first = Math.min(first, held.t[held.end - count]);
  }
  // Of one rollout the picture ends when it has; everywhere else it goes on.
  if (first === Infinity || (ofOneRollout() && first > domainOf(state.scope)[1])) return;
  if (!drawable()) {
    news.stale = true;
    return;
  }
  const looked = windowTimes();
  layAxis();
  lookAt(looked);
  redraw();
}

// -- the button that leads to what is new --------------------------------------------------------------------------

function newsButton() {
  return h("button", { type: "button", id: "news", class: "idle", "data-act": "newest", title: T("toNewest"), "aria-hidden": "true", tabindex: "-1" });
}

function showNews() {
  if (atEnd()) news.seen = newestTime();
  const seen = listed();
  const count = seen.length - firstSince(seen, news.seen + 1);
  const button = $("news");
  button.classList.toggle("idle", count === 0);
  button.setAttribute("aria-hidden", String(count === 0));
  button.tabIndex = count ? 0 : -1;
  button.textContent = count ? `${say(count === 1 ? "newEvent" : "newEvents", { n: count })} ▸▸` : "";
}

acts.newest = () => {
  setPlaying(false);
  go(listed().length);
  $("next").focus();
};
