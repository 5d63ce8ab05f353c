// The player's elements: chapters, timeline, panes, and the controls below, which never move.

function player() {
  const scale = (name) => h("button", { type: "button", id: `scale-${name}`, "aria-pressed": String(scaleNow() === name), onclick: () => {
    state.scale = name;
    setScope(state.scope);
  } }, T(name));
  const everything = h("input", { type: "checkbox", id: "all", onchange: (event) => showAll(event.target.checked) });
  everything.checked = state.all;
  return h("section", { id: "player", "aria-label": T("player") },
    h("ol", { class: "chapters", "aria-label": T("chapters") }, RUN.steps.map((step, index) => h("li", {},
      h("button", { type: "button", id: `chapter-${index + 1}`, title: inLang(step.text), onclick: () => chapter(index + 1) },
        h("span", { class: "number" }, String(index + 1)), h("span", { class: "name" }, inLang(step.title)), h("span", { class: "took" }))))),
    h("p", { id: "note", class: "note" }),
    h("div", { class: "stage" },
      h("div", { class: "timeline" },
        h("div", { class: "bar" }, scopeChoice(),
          h("div", { class: "choices", role: "group", "aria-label": T("scale") }, scale("log"), scale("linear")),
          h("div", { class: "choices", role: "group", "aria-label": "zoom" },
            h("button", { type: "button", "aria-label": T("zoomOut"), title: T("zoomOut"), onclick: () => zoom(1 / 1.6) }, "−"),
            h("button", { type: "button", "aria-label": T("zoomIn"), title: T("zoomIn"), onclick: () => zoom(1.6) }, "+"),
            h("button", { type: "button", onclick: () => zoom(1e-9) }, T("fit"))),
          h("label", { class: "check" }, everything, T("all"))),
        h("div", { id: "lanes", class: "lanes" }, laneNames(),
          h("div", { id: "canvases", class: "canvases" },
            h("canvas", { id: "base", role: "img", "aria-label": T("timeline") }), h("canvas", { id: "overlay", "aria-hidden": "true" }))),
        legend()),
      h("aside", { class: "pane", "aria-label": T("payloadPane") }, live.pane(),
        h("div", { id: "event", class: "event" }), h("div", { id: "payload-bar", class: "bar" }), h("div", { id: "payload", class: "payload" }))));
}

function scopeOptions() {
  return [h("option", { value: "whole" }, T("whole")), ...live.scopes(), ...rollouts.map((rollout, index) =>
    h("option", { value: String(index) }, `rollouts[${index}] · ${T(rollout.change)}${rollout.gateway ? ` · ${rollout.gateway}` : ""}`))];
}

function scopeChoice() {
  const made = h("select", { id: "scope", "aria-label": T("show"), onchange: (event) => {
    setScope(scopeOf(event.target.value), false);
    live.scoped();
    const first = listed().findIndex((index) => inScope(items[index]));
    if (current() && !inScope(current()) && first >= 0) go(first + 1); else drawOverlay();
  } }, scopeOptions());
  made.value = scopeValue(state.scope);
  return made;
}

/** Stop at every event or at those that are told, and stay where the player is, or as near as can be. */
function showAll(all) {
  const item = current();
  state.all = all;
  state.pos = positionOf(item);
  drawBase();
  go(state.pos);
}

/** The position of an event among those listed; of one that is not, the next one's. */
function positionOf(item) {
  const seen = listed();
  const at = firstSince(seen, item?.t ?? 0);
  for (let i = at; i < seen.length && items[seen[i]].t === item?.t; i++) if (items[seen[i]] === item) return i + 1;
  return Math.max(1, Math.min(seen.length, at + 1));
}

function laneNames() {
  return h("div", { id: "names", class: "names" }, lanes.map((lane) => h("div", { id: `lane-${lane.id}`, class: `lane ${lane.kind}` },
    laneName(lane), lane.gateway ? h("span", { class: "gateway" }, lane.gateway) : "")));
}
function laneName(lane) {
  if (lane.kind === "worker") return `${T("worker")} ${lane.number}`;
  return lane.kind === "clients" ? `${T("clients")} ${lane.load}` : T(lane.kind);
}

function swatch(version) {
  const made = h("span", { class: "swatch" });
  made.style.background = `var(${versionVariable(version)})`;
  return made;
}

function legend() {
  const counts = {};
  for (const load of Object.values(result.traffic))
    for (const [version, count] of Object.entries(load.by_version)) counts[version] = (counts[version] ?? 0) + count;
  const entries = Object.entries(counts).map(([version, count]) =>
    h("span", { class: "key" }, swatch(version), `${version === "none" ? T("none") : version} ${count}`));
  const failed = Object.values(result.traffic).reduce((sum, load) => sum + load.failed, 0);
  const broken = Object.values(result.traffic).reduce((sum, load) => sum + load.connections_broken, 0);
  if (Object.keys(result.traffic).length)
    entries.push(h("span", { class: failed || broken ? "key bad" : "key" }, `✕ ${failed} ${T("failures")} · ${broken} ${T("broken")}`));
  if (B) entries.push(h("span", { class: "key" }, h("span", { class: "swatch ghost" }), T("ghost")));
  return h("div", { id: "legend", class: "legend" }, entries);
}

function controls() {
  const seen = listed();
  const button = (id, sign, word, act) => h("button", { type: "button", id, "aria-label": T(word), title: T(word), onclick: act }, sign);
  const speed = h("select", { id: "speed", "aria-label": T("speed"), onchange: (event) => {
    state.speed = Number(event.target.value);
    if (state.playing) setPlaying(true);
  } }, SPEEDS.map((each) => h("option", { value: String(each) }, `${each}×`)));
  speed.value = String(state.speed);
  return h("footer", { class: "controls", role: "group", "aria-label": T("controls") },
    button("previous", "◀◀", "previous", () => go(state.pos - 1)),
    button("play", state.playing ? "❚❚" : "▶", state.playing ? "pause" : "play", () => setPlaying(!state.playing)),
    button("next", "▶▶", "next", () => go(state.pos + 1)),
    h("output", { id: "position", for: "scrub" }, `${state.pos}/${seen.length}`),
    h("input", { type: "range", id: "scrub", min: "1", max: String(Math.max(1, seen.length)), value: String(state.pos), "aria-label": T("position"),
      oninput: (event) => go(Number(event.target.value)) }),
    h("output", { id: "clock" }), speed, live.controls(), h("span", { class: "keys" }, T("keys")));
}
