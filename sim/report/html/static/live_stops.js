// Step mode: where the rollout is held, what waits there, and letting it go on.

/** What waits before each step, and where; the table of the step mode. */
const WAITING = [
  ["theChange", "beforeCore"], ["thePlugins", "core–discovery"], ["theListeners", "discovery–agent"],
  ["theListeners", "agent–envoy"], ["theSubscription", "agent–envoy"], ["theConfig", "discovery–agent"],
  ["thePull", "inAgent"], ["theModule", "inAgent"], ["theLocal", "agent–envoy"],
];
/** Why nothing crosses at a step, of a rollout that waits further down. */
const NOTHING = { 3: "sameBytes", 4: "sameBytes", 5: "subscribedAlready", 7: "fromCache", 8: "fromCache" };

const placeOf = (where) => (where.includes("–") ? say("onLink", { link: where }) : T(where));

/** What is to be said of the stop, in two lines. */
function stopSaid({ on, next, waiting }) {
  if (next === null) return ["", T(on ? "stopsReady" : "stopsOff")];
  const [what, where] = WAITING[next - 1];
  const later = waiting.find((step) => step > next);
  let why = T("onTheWay");
  if (waiting.includes(next)) why = say("waitsThere", { what: T(what), where: placeOf(where) });
  else if (later !== undefined) {
    why = NOTHING[next] ? say("because", { what: T("nothingCrosses"), why: T(NOTHING[next]) }) : T("nothingCrosses");
    why += ` · ${say("waitsLater", { what: T(WAITING[later - 1][0]), n: later })}`;
  }
  return [say("heldBefore", { n: next, why }), inLang(RUN.steps[next - 1].text)];
}

rooms.stops = () => {
  const stops = feed.state?.stops ?? { on: false, next: null, waiting: [] };
  const held = stops.next !== null;
  const [what, note] = stopSaid(stops);
  return [
    h("button", { type: "button", role: "switch", class: "switch", "data-act": "stopsOn", "aria-checked": String(stops.on) }, T("stepMode")),
    h("ol", { class: "stops", "aria-label": T("stopsOf") }, RUN.steps.map((step, index) => stopMark(index + 1, step, stops))),
    actButton("stopsStep", [`${T("stepOn")} `, h("kbd", {}, "n")], { class: "act main", "aria-disabled": String(!held) }),
    actButton("stopsFinish", T("finish"), { "aria-disabled": String(!held) }),
    h("div", { class: "held-text" }, h("p", { class: "what", title: what }, what), h("p", { class: "why", title: note }, note)),
  ];
};

function stopMark(number, step, { next, waiting }) {
  const waits = waiting.includes(number);
  const phase = next === null ? "todo" : number < next ? "alreadyPassed" : number === next ? "upNext" : "todo";
  const said = { alreadyPassed: T("alreadyPassed"), upNext: T("upNext"), todo: T("stillToCome") }[phase];
  return h("li", { class: `${phase}${waits ? " waits" : ""}`, title: inLang(step.title), "aria-current": phase === "upNext" ? "step" : null },
    String(number), h("span", { class: "hidden" }, ` ${inLang(step.title)}: ${said}${waits ? `, ${T("waitsHere")}` : ""}`));
}

const stopsBar = () => h("section", { class: "stops-bar", "aria-label": T("stepMode") }, room("stops", { class: "stops-room" }), outcomeAt("stops"));

acts.stopsOn = (button) => perform("stops", "stops", { on: button.getAttribute("aria-checked") !== "true" });
acts.stopsStep = () => perform("stops", "stops", { step: true });
acts.stopsFinish = () => perform("stops", "stops", { finish: true });

let lastHeld = null;
/** Tell those who listen when the rollout stands before another step. */
function announceStop() {
  const { next, waiting } = feed.state.stops;
  const held = `${next} ${waiting}`;
  if (next !== null && held !== lastHeld) announce(stopSaid(feed.state.stops).join(". "));
  lastHeld = held;
}
