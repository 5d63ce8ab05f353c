// Operations: pushing images, changing tags and loads, restarting and killing parts, sending a request.

const FORMATS = ["docker", "oci", "artifact", "guide"];

/** A form with its heading, its fields, its button, and where it tells how it went. */
function operation(act, title, button, ...fields) {
  return h("form", { class: "operation", "data-act": act, novalidate: true, "aria-label": T(title) },
    h("h3", {}, T(title)), h("div", { class: "fields" }, fields, h("button", { class: "act main" }, T(button))), outcomeAt(act));
}
const labelled = (word, field, wide = "") => h("label", { class: `field ${wide}` }, T(word), field);
const textField = (name, attributes) => h("input", { name, autocomplete: "off", spellcheck: "false", ...attributes });

const pushForm = () => operation("push", "pushTag", "push",
  labelled("plugin", h("select", { name: "plugin", "data-choices": "bundled" }), "some"),
  labelled("tag", textField("tag", { placeholder: "3.0.0" })),
  labelled("format", h("select", { name: "format" }, FORMATS.map((each) => h("option", {}, each)))));
acts.push = (form) => {
  const { plugin, tag, format } = form.elements;
  return perform("push", "step", { push: { plugin: plugin.value, tag: tag.value.trim(), format: format.value } });
};

const bumpForm = () => operation("bump", "bumpTag", "bump",
  labelled("plugin", h("select", { name: "plugin", "data-choices": "plugins" }), "wide"),
  labelled("tag", textField("tag", { list: "bump-tags", placeholder: "2.0.0" })), h("datalist", { id: "bump-tags" }));
acts.bump = (form) => {
  const { plugin, tag } = form.elements;
  return perform("bump", "step", { bump: { plugin: plugin.value, tag: tag.value.trim() } });
};

const loadForm = () => operation("changeLoad", "changeLoad", "set",
  labelled("load", h("select", { name: "traffic", "data-choices": "loads" })),
  labelled("rate", h("span", { class: "unit" }, textField("rate", { type: "number", min: "0", placeholder: "400" }), T("perSecond"))),
  room("loads", { class: "quiet" }));
rooms.loads = () => Object.entries(feed.state?.traffic ?? {}).map(([load, { rate_per_s: rate, connections }]) =>
  h("p", {}, `${load}: ${rate}${T("perSecond")} · ${connections} ${T("connections")}`));
acts.changeLoad = (form) => {
  const { traffic, rate } = form.elements;
  return perform("changeLoad", "step", { load: { traffic: traffic.value, rate: `${rate.value}/s` } });
};

const requestForm = () => operation("request", "sendRequest", "send", labelled("path", textField("path", { value: "/" }), "wide"));
acts.request = (form) => perform("request", "step", { request: { path: form.elements.path.value } });

rooms.parts = () => (feed.state?.parts ?? []).map(({ part, running }) =>
  h("li", { "data-key": part },
    h("span", { class: `sign ${running ? "done" : "failed"}`, role: "img", "aria-label": T(running ? "up" : "down") }, running ? "●" : "○"),
    h("span", { class: "text" }, part),
    actButton("restart", T("restart"), { of: part, "aria-label": `${T("restart")} ${part}` }),
    actButton("kill", T("kill"), { of: part, "aria-label": `${T("kill")} ${part}`, class: "act danger", "aria-disabled": String(!running) })));
const partsPanel = () => h("section", { class: "operation", "aria-label": T("parts") }, h("h3", {}, T("parts")),
  h("ul", { class: "parts", "data-room": "parts" }, rooms.parts()), outcomeAt("parts"));
acts.restart = (button) => perform("parts", "step", { restart: button.dataset.of });
acts.kill = (button) => perform("parts", "step", { kill: button.dataset.of });

/** What can be chosen, as it is by now; the choice stays where it can. */
const CHOICES = {
  bundled: (now) => now.bundled,
  plugins: (now) => now.plugins.map((plugin) => plugin.plugin),
  loads: (now) => Object.keys(now.traffic),
};

function renewChoices() {
  for (const select of document.querySelectorAll("select[data-choices]")) {
    const wanted = CHOICES[select.dataset.choices](feed.state);
    if (JSON.stringify([...select.options].map((option) => option.value)) === JSON.stringify(wanted)) continue;
    const chosen = select.value;
    select.replaceChildren(...wanted.map((value) => h("option", { value }, value)));
    if (wanted.includes(chosen)) select.value = chosen;
  }
  const plugin = pluginNamed(document.querySelector("form[data-act=bump] select").value);
  const tags = plugin ? tagsOf(plugin) : [];
  morphChildren($("bump-tags"), h("datalist", {}, tags.map((tag) => h("option", { value: tag }))));
}
document.addEventListener("change", (event) => { if (event.target.matches?.("select[data-choices]") && feed.state) renewChoices(); });
