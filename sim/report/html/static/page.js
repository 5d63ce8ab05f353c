// The page as a whole: its head and its sections, in the language and the colours that were chosen.

function build() {
  document.documentElement.lang = state.lang === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.theme = state.theme ?? (dark.matches ? "dark" : "light");
  const sections = [["player", "player"], ["times", "times"], ["verdict", live.on ? "soFar" : "verdict"],
    ...(B ? [["compare", "compare"]] : []), ["scenario", "scenario"], ["events", "events"]];
  const title = inLang(RUN.title) || result.scenario;
  const top = h("header", { class: "top" },
    h("div", { class: "who" }, h("h1", {}, title),
      h("p", {}, [result.scenario, result.combination, result.profile, result.environment.envoy && `Envoy ${result.environment.envoy}`]
        .filter(Boolean).join(" · "))),
    live.badge() ?? h("span", { class: `badge ${result.outcome}` }, T(result.outcome)),
    live.tabs(),
    B && h("p", { class: "versus" }, h("b", {}, "A"), ` ${RUN.name} `, h("b", { class: "b" }, "B"), ` ${B.name}`),
    h("nav", { "aria-label": "sections" }, sections.filter(([id]) => !live.on || id !== "player").map(([id, word]) =>
      h("button", { type: "button", class: "link", onclick: () => jump(id) }, T(word)))),
    h("button", { type: "button", id: "language", class: "plain", lang: state.lang === "zh" ? "en" : "zh-CN", onclick: () => {
      state.lang = state.lang === "zh" ? "en" : "zh";
      rebuild();
      $("language").focus();
    } }, T("language")),
    h("button", { type: "button", class: "plain", "aria-label": T("theme"), title: T("theme"), onclick: switchTheme }, "◐"));
  $("app").replaceChildren(top, ...live.rows(),
    h("main", { id: "main" }, player(), times(), verdict(), B ? compare() : "", scenarioSection(), eventsSection()),
    ...live.views(), controls(), h("div", { id: "live", class: "hidden", role: "status", "aria-live": "polite" }));
  listen();
  live.built();
}

function jump(id) {
  const target = $(id);
  target.scrollIntoView({ behavior: reduced.matches ? "auto" : "smooth", block: "start" });
  target.querySelector("h2, button")?.focus({ preventScroll: true });
}

function switchTheme() {
  state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = state.theme;
  drawBase();
  drawOverlay();
}

function rebuild() {
  setPlaying(false);
  live.leaving();
  build();
  refresh();
}

function refresh() {
  layOut();
  layAxis();
  drawBase();
  showCurrent();
  drawOverlay();
}
