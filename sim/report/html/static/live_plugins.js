// The plugins as cards, as Higress Console has them: what each is, and what may be done to it.

const pluginNamed = (name) => feed.state?.plugins.find((plugin) => plugin.plugin === name);
const shortName = (plugin) => plugin.slice(plugin.indexOf("/") + 1);
const namespaceOf = (plugin) => plugin.slice(0, plugin.indexOf("/"));
// The plugin whose deletion is asked about.
let doomed = null;

const STATUS_SIGNS = { pending: "◐", acked: "✓", nacked: "✕", failed: "✕", effective: "✓" };

rooms.plugins = () => {
  const plugins = feed.state?.plugins ?? [];
  if (!plugins.length) return [h("p", { class: "quiet" }, T("noPlugins"))];
  return plugins.map(pluginCard);
};

function pluginCard(plugin) {
  const name = plugin.plugin;
  const bad = plugin.status === "nacked" || plugin.status === "failed";
  const fact = (key, value) => [h("dt", {}, T(key)), h("dd", {}, String(value ?? "–"))];
  return h("article", { class: `card ${plugin.enabled ? "" : "off"} ${editor.plugin === name ? "edited" : ""}`, "data-key": name, "aria-label": name },
    h("header", {},
      h("div", { class: "who" }, h("h3", {}, shortName(name)), h("p", { class: "quiet" }, namespaceOf(name))),
      h("span", { class: `status ${plugin.status}` }, `${STATUS_SIGNS[plugin.status] ?? ""} ${T(plugin.status)}`)),
    h("p", { class: "mono url" }, plugin.url ?? "–"),
    h("dl", { class: "facts" }, fact("tag", plugin.tag), fact("phase", plugin.phase), fact("priority", plugin.priority)),
    tagForm(plugin),
    doomed === name
      ? h("div", { class: "acts sure", "data-key": "sure", role: "group", "aria-label": T("reallyRemove") }, h("b", {}, T("reallyRemove")),
        actButton("deletePlugin", T("yesRemove"), { of: name, class: "act danger" }), actButton("keepPlugin", T("keep"), { of: name }))
      : h("div", { class: "acts", "data-key": "acts" },
        h("button", { type: "button", role: "switch", class: "switch", "data-act": "switchPlugin", "data-of": name, "aria-checked": String(plugin.enabled),
          "aria-label": `${shortName(name)}: ${T(plugin.enabled ? "switchOff" : "switchOn")}` }, T(plugin.enabled ? "on" : "off")),
        actButton("configurePlugin", T("configure"), { of: name }),
        actButton("askToDelete", T("deletePlugin"), { of: name })),
    h("p", { class: `trouble-text ${bad ? "bad" : ""}`, title: plugin.error }, plugin.error ?? ""),
    outcomeAt(`plugin ${name}`));
}

/** The tags that the registry has of a plugin's image. */
function tagsOf(plugin) {
  const [repository] = (plugin.repository ?? (plugin.url ?? "").replace(/^oci:\/\//, "").replace(/(:[^:/]*|@.*)$/, "")).split("@");
  const known = feed.state.images.find((image) => image.repository === repository || repository.endsWith(`/${image.repository}`));
  return known?.tags ?? [];
}

function tagForm(plugin) {
  const name = plugin.plugin;
  return h("form", { class: "tags", "data-act": "changeTag", "data-of": name },
    h("span", { class: "choices", role: "group", "aria-label": T("tag") }, tagsOf(plugin).slice(-6).map((tag) =>
      h("button", { type: "button", "data-act": "chooseTag", "data-of": tag, "aria-pressed": String(tag === plugin.tag) }, tag))),
    textField("tag", { "data-own": true, "aria-label": `${shortName(name)}: ${T("tag")}`, placeholder: T("tag") }),
    h("button", { class: "act" }, T("changeTag")));
}
acts.chooseTag = (button) => {
  const field = button.form.elements.tag;
  field.value = button.dataset.of;
  field.focus();
};
acts.changeTag = async (form) => {
  const field = form.elements.tag, tag = field.value.trim(), plugin = form.dataset.of;
  if (!tag) return field.focus();
  const told = await perform(`plugin ${plugin}`, "step", { bump: { plugin, tag } });
  // Somebody quick may have typed the next one.
  if (told && field.value.trim() === tag) field.value = "";
};

acts.switchPlugin = (button) => {
  const plugin = button.dataset.of;
  return perform(`plugin ${plugin}`, "enable", { plugin, enabled: button.getAttribute("aria-checked") !== "true" });
};
acts.askToDelete = (button) => {
  doomed = button.dataset.of;
  renew("plugins");
  cardOf(doomed).querySelector("[data-act=keepPlugin]").focus();
};
acts.keepPlugin = () => {
  const kept = doomed;
  doomed = null;
  renew("plugins");
  cardOf(kept)?.querySelector("[data-act=askToDelete]").focus();
};
acts.deletePlugin = async (button) => {
  const plugin = button.dataset.of;
  acts.keepPlugin();
  await perform(`plugin ${plugin}`, "delete", { plugin });
};
const cardOf = (plugin) => document.querySelector(`.card[data-key="${CSS.escape(plugin)}"]`);

// -- where everything is -------------------------------------------------------------------------------------------

rooms.facts = () => {
  const run = feed.state?.run;
  if (!run) return [];
  const entries = [["gatewayAt", run.gateway], ["registryAt", run.registry], ["kubectlAt", run.kubeconfig && `kubectl --kubeconfig ${run.kubeconfig}`],
    ["folderAt", run.manifests]];
  return [h("dl", { class: "places" }, entries.filter(([, value]) => value).map(([key, value]) =>
    h("div", { "data-key": key }, h("dt", {}, T(key)), h("dd", {}, h("code", {}, value), actButton("copyText", T("copy"), { of: value })))))];
};
acts.copyText = (button) => copyText(button.dataset.of, button);
