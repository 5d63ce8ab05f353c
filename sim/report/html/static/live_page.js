// The live page: two views, their panels, and what the player has besides.

const CONSOLE_LINK = "#console";
const PANES = ["event", "steps", "deeds"];
// Which view is shown, and what stands in the pane beside the lanes.
Object.assign(live, { on: true, view: "player", paneShown: "event" });

live.link = () => (live.view === "console" ? CONSOLE_LINK.slice(1) : null);

live.follow = (hash) => {
  const view = hash === CONSOLE_LINK ? "console" : "player";
  if ($("main")) showView(view); else live.view = view;
  return view === "console";
};

live.badge = () => h("span", { id: "link", class: "badge opening" }, T("opening"));

live.tabs = () => h("nav", { class: "tabs choices", "aria-label": T("views") },
  h("a", { id: "tab-player", href: "#player" }, T("player")), h("a", { id: "tab-console", href: CONSOLE_LINK }, T("console")));

live.rows = () => [strip(), stopsBar(),
  h("div", { id: "trouble", class: "link-trouble", role: "alert", hidden: true }, h("p", {}), actButton("tryNow", T("tryNow")))];

live.scopes = () => [h("option", { value: "now" }, T("now"))];

live.controls = () => newsButton();

live.pane = () => {
  const words = { event: "eventTab", steps: "steps", deeds: "deeds" };
  return [
    h("div", { class: "bar pane-tabs" }, h("div", { class: "choices", role: "group", "aria-label": T("views") }, PANES.map((name) =>
      actButton("showPane", T(words[name]), { of: name, class: null, "aria-pressed": String(name === live.paneShown) })))),
    h("div", { class: "pane-room", "data-pane": "steps" }, room("steps")),
    h("div", { class: "pane-room", "data-pane": "deeds" }, room("deeds")),
  ];
};
acts.showPane = (button) => {
  live.paneShown = button.dataset.of;
  showPane();
};
function showPane() {
  for (const button of document.querySelectorAll("[data-act=showPane]")) button.setAttribute("aria-pressed", String(button.dataset.of === live.paneShown));
  for (const element of document.querySelectorAll("[data-pane]")) element.hidden = element.dataset.pane !== live.paneShown;
  for (const id of ["event", "payload-bar", "payload"]) $(id).hidden = live.paneShown !== "event";
}

live.views = () => [
  h("section", { id: "console", class: "console", "aria-label": T("console"), hidden: true },
    h("div", { class: "work" },
      h("section", { class: "panel", "aria-labelledby": "plugins-heading" },
        h("header", {}, h("h2", { id: "plugins-heading" }, T("plugins")), actButton("createPlugin", T("create"), { id: "create-plugin", class: "act main" })),
        room("plugins", { class: "cards" })),
      h("section", { class: "panel", "aria-labelledby": "operations-heading" },
        h("header", {}, h("h2", { id: "operations-heading" }, T("operations"))),
        h("div", { class: "operations" }, pushForm(), bumpForm(), loadForm(), requestForm(), partsPanel(), faultForm())),
      h("section", { class: "panel", "aria-labelledby": "places-heading" },
        h("header", {}, h("h2", { id: "places-heading" }, T("whereItIs"))), room("facts"))),
    h("aside", { class: "side" },
      h("section", { id: "editor", class: "panel editor", "aria-label": T("configure"), hidden: true }),
      h("section", { class: "panel", "aria-labelledby": "steps-heading" }, h("h2", { id: "steps-heading" }, T("steps")), room("steps")),
      h("section", { class: "panel", "aria-labelledby": "deeds-heading" }, h("h2", { id: "deeds-heading" }, T("deeds")), savePanel(), room("deeds")))),
  h("div", { id: "news-told", class: "hidden", role: "status", "aria-live": "polite" }),
];

live.built = () => {
  showLink();
  showPane();
  showEditor();
  showView(live.view);
  if (!feed.state) return;
  showState();
  typeAgain();
};

live.went = () => showNews();
live.scoped = () => { news.chosen = state.scope === null; };

live.started = () => {
  news.seen = newestTime();
  showNews();
  listenToActs();
  document.addEventListener("visibilitychange", catchUp);
  document.addEventListener("keydown", leave);
  openFeed();
};

live.key = (event) => {
  if (event.key === "n") {
    if (feed.state?.stops.next !== null) acts.stopsStep();
    return true;
  }
  // In the console there is nothing that plays.
  return live.view === "console" ? false : null;
};

// What was typed into the forms, which are made anew in another language.
const typedValues = new Map();
const typedFields = () => [...document.querySelectorAll("#console form:not(#editor-form) [name]")];
const fieldKey = (field) => `${field.form.dataset.act} ${field.form.dataset.of ?? ""} ${field.name}`;
live.leaving = () => {
  typedValues.clear();
  for (const field of typedFields()) typedValues.set(fieldKey(field), field.value);
};
function typeAgain() {
  for (const field of typedFields()) {
    const value = typedValues.get(fieldKey(field));
    if (value === undefined || field.value === value) continue;
    field.value = value;
    if (field.matches("form.fault [name=kind]")) {
      showKind(field.form);
      return typeAgain();
    }
  }
}

/** Escape leaves what was opened; a draft stays. */
function leave(event) {
  if (event.key !== "Escape") return;
  if (doomed !== null) acts.keepPlugin();
  else if ($("editor").contains(document.activeElement)) acts.closeEditor();
}

function showView(view) {
  const changed = live.view !== view;
  live.view = view;
  document.documentElement.dataset.view = view;
  $("main").hidden = view !== "player";
  $("console").hidden = view !== "console";
  for (const name of ["player", "console"]) {
    if (name === view) $(`tab-${name}`).setAttribute("aria-current", "page"); else $(`tab-${name}`).removeAttribute("aria-current");
  }
  if (!changed) return;
  scrollTo(0, 0);
  if (view === "console") setPlaying(false);
  else refresh();
}

/** Draw what came while nothing could be drawn. */
function catchUp() {
  if (!news.stale || !drawable()) return;
  const looked = windowTimes();
  layAxis();
  lookAt(looked);
  redraw();
}

/** Show what the server told last; each part only where it differs. */
function showState() {
  renew("stops", "steps", "deeds", "plugins", "parts", "loads", "faults", "facts");
  renewChoices();
  renewKinds();
  watchEdited();
  announceStop();
  showStep();
}
