// Creating a plugin, and writing its configuration or its whole manifest. What is typed is checked by the server.

// What is being edited: `mode` is "create", "config" or "manifest", null when nothing is. Drafts outlive the panel.
const editor = { mode: null, plugin: null, problems: [], checked: false, asked: 0, later: null, gutter: "" };
const drafts = new Map();
const EMPTY = { name: "", namespace: "higress-system", image: "", phase: "UNSPECIFIED_PHASE", priority: "", enabled: true, text: "" };
const PHASES = ["UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"];
const CHECK_AFTER_MS = 250;
const draftKey = () => `${editor.mode} ${editor.plugin ?? ""}`;
const draft = () => drafts.get(draftKey());

/** What the server has of what is edited. */
const textNow = () => pluginNamed(editor.plugin)?.[editor.mode === "config" ? "config_yaml" : "manifest_yaml"] ?? "";

/** A draft: the fields, `base`, the text that it began with, and whether it was `typed` in, and `applied`. */
function startDraft() {
  const text = editor.mode === "create" ? "" : textNow();
  drafts.set(draftKey(), { ...EMPTY, text, base: text, typed: false, applied: false });
}

function openEditor(mode, plugin) {
  // A draft that nobody changed is what the plugin was then, not what it is.
  if (draft()?.typed === false) drafts.delete(draftKey());
  Object.assign(editor, { mode, plugin, problems: [], checked: false });
  if (mode && !draft()) startDraft();
  showEditor();
  renew("plugins");
  if (mode) check();
}

/** The panel, made anew: when it opens, changes its mode, or the language changes. */
function showEditor() {
  $("editor").replaceChildren(...(editor.mode ? editorElements() : []));
  $("editor").hidden = !editor.mode;
  if (editor.mode) showProblems();
}

function editorElements() {
  const { mode, plugin } = editor;
  const tab = (name, word) => h("button", { type: "button", "data-act": "editorMode", "data-of": name, "aria-pressed": String(mode === name) }, T(word));
  const typed = draft();
  const text = h("textarea", { id: "yaml", name: "text", wrap: "off", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
    "aria-label": T(mode === "manifest" ? "manifest" : "configYaml"), "aria-describedby": "problems", onscroll: scrollGutter });
  text.value = typed.text;
  return [
    h("header", {}, h("h2", {}, mode === "create" ? T("create") : shortName(plugin)),
      actButton("closeEditor", "✕", { class: "plain", "aria-label": T("close"), title: T("close") })),
    h("form", { id: "editor-form", novalidate: true, "data-act": "applyEditor", oninput: takeDraft },
      mode === "create" ? createFields(typed)
        : h("span", { class: "choices", role: "group" }, tab("config", "configYaml"), tab("manifest", "manifest")),
      h("div", { id: "meanwhile", class: "meanwhile", hidden: true }, h("span", {}), actButton("takeNew", T("takeNew"))),
      mode === "create" ? h("label", { for: "yaml" }, T("configYaml")) : "",
      h("div", { class: "yaml" }, h("pre", { id: "gutter", class: "gutter", "aria-hidden": "true" }), text),
      h("div", { id: "problems", class: "problems", role: "group", "aria-label": T("problems") }),
      h("div", { class: "acts" }, h("button", { class: "act main" }, T(mode === "create" ? "create" : "apply")), actButton("closeEditor", T("close"))),
      outcomeAt("editor")),
  ];
}

function createFields(typed) {
  const field = (word, name, attributes) => {
    const input = h("input", { name, autocomplete: "off", spellcheck: "false", ...attributes });
    input.value = typed[name];
    return h("label", { class: `field ${name}` }, T(word), input);
  };
  const phase = h("select", { name: "phase" }, PHASES.map((each) => h("option", {}, each)));
  phase.value = typed.phase;
  const enabled = h("input", { type: "checkbox", name: "enabled" });
  enabled.checked = typed.enabled;
  return h("div", { class: "fields" },
    field("pluginName", "name", { placeholder: "my-plugin" }), field("namespace", "namespace", {}),
    field("imageAddress", "image", { list: "known-images", placeholder: "oci://registry.local/plugins/my-plugin:1.0.0" }),
    h("datalist", { id: "known-images" }, (feed.state?.images ?? []).flatMap(({ repository, tags }) =>
      tags.map((tag) => h("option", { value: `oci://${repository}:${tag}` })))),
    h("label", { class: "field" }, T("phase"), phase), field("priority", "priority", { type: "number", placeholder: "0" }),
    h("label", { class: "check" }, enabled, T("atOnce")));
}

function takeDraft() {
  const { elements } = $("editor-form");
  const typed = draft();
  typed.typed = true;
  typed.text = elements.text.value;
  if (editor.mode === "create") {
    for (const name of ["name", "namespace", "image", "phase", "priority"]) typed[name] = elements[name].value.trim();
    typed.enabled = elements.enabled.checked;
  }
  editor.checked = false;
  showProblems();
  clearTimeout(editor.later);
  editor.later = setTimeout(check, CHECK_AFTER_MS);
}

// -- the manifest that the server sees -----------------------------------------------------------------------------

/** The manifest, and how many of its lines come before the text that is typed. */
function manifestOf() {
  const typed = draft();
  if (editor.mode === "manifest") return { yaml: typed.text, before: 0 };
  const plugin = pluginNamed(editor.plugin);
  const create = editor.mode === "create";
  const key = (plugin?.apiVersion ?? "").startsWith("extensions.istio.io") ? "pluginConfig" : "defaultConfig";
  const lines = [
    `apiVersion: ${scalar(plugin?.apiVersion ?? "extensions.higress.io/v1alpha1")}`, "kind: WasmPlugin", "metadata:",
    `  name: ${scalar(create ? typed.name : shortName(editor.plugin))}`,
    `  namespace: ${scalar(create ? typed.namespace : namespaceOf(editor.plugin))}`,
    "spec:",
    `  url: ${scalar(create ? withScheme(typed.image) : plugin?.url ?? "")}`,
  ];
  if (create) {
    lines.push(`  phase: ${typed.phase}`);
    if (typed.priority !== "") lines.push(`  priority: ${Number(typed.priority)}`);
    if (!typed.enabled) lines.push("  defaultConfigDisable: true");
  }
  if (!typed.text.trim()) return { yaml: `${lines.join("\n")}\n`, before: lines.length };
  lines.push(`  ${key}:`);
  return { yaml: `${[...lines, ...typed.text.split("\n").map((line) => (line ? `    ${line}` : line))].join("\n")}\n`, before: lines.length };
}
const withScheme = (image) => (/^\w+:\/\//.test(image) || !image ? image : `oci://${image}`);

/** Have the server look at what is typed, unless more is typed meanwhile. */
async function check() {
  const asked = ++editor.asked;
  if (!editor.mode) return;
  const { yaml: text, before } = manifestOf();
  const problems = [];
  if (editor.mode === "create") {
    const typed = draft();
    if (!typed.name) problems.push({ message: T("nameMissing") });
    if (!typed.image) problems.push({ message: T("imageMissing") });
    if (pluginNamed(`${typed.namespace}/${typed.name}`)) problems.push({ message: T("exists") });
  }
  if (!problems.length) {
    try {
      problems.push(...(await ask("check", { yaml: text })).problems);
    } catch (problem) {
      problems.push(problem);
    }
  }
  if (asked !== editor.asked) return;
  editor.problems = problems.map((problem) => located(problem, before));
  editor.checked = true;
  showProblems();
}

/** A problem with the line of the text that is typed, where it is in there. */
function located(problem, before) {
  const line = Number(/line (\d+)/.exec(problem.where ?? "")?.[1] ?? NaN) - before;
  const within = line >= 1 && line <= draft().text.split("\n").length;
  return { ...problem, line: within ? line : null };
}

function showProblems() {
  const { problems, checked } = editor;
  // Of what nobody has begun to write, nothing is wrong yet.
  const begun = editor.mode !== "create" || draft().typed;
  const quiet = !begun ? "" : !checked ? T("checking") : T("valid");
  $("problems").replaceChildren(...(problems.length && checked && begun
    ? problems.map(({ message, hint, line, where }) => h("p", { class: "bad" },
      line ? actButton("toLine", `${T("line")} ${line}`, { of: String(line), class: "plain line-link" }) : where ? `${where}: ` : "",
      ` ${message}`, hint ? h("span", { class: "quiet" }, ` — ${hint}`) : ""))
    : [h("p", { class: "quiet" }, quiet)]));
  showGutter(new Set(checked ? problems.map((problem) => problem.line) : []));
}

function showGutter(bad) {
  const count = Math.min(draft().text.split("\n").length, 5000);
  const shown = `${count} ${[...bad]}`;
  if (editor.gutter === shown && $("gutter").childElementCount) return;
  editor.gutter = shown;
  $("gutter").replaceChildren(...Array.from({ length: count }, (_, index) =>
    h("span", { class: bad.has(index + 1) ? "bad" : "" }, String(index + 1))));
  scrollGutter();
}
const scrollGutter = () => { $("gutter").scrollTop = $("yaml").scrollTop; };

acts.toLine = (button) => {
  const area = $("yaml"), number = Number(button.dataset.of);
  const lines = area.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + lines[number - 1].length);
};

// -- what may be done ----------------------------------------------------------------------------------------------

acts.createPlugin = () => {
  openEditor("create", null);
  $("editor-form").elements.name.focus();
};
acts.configurePlugin = (button) => {
  openEditor("config", button.dataset.of);
  $("yaml").focus();
};
acts.editorMode = (button) => {
  openEditor(button.dataset.of, editor.plugin);
  $("editor").querySelector("[aria-pressed=true]").focus();
};
acts.closeEditor = () => {
  const { plugin } = editor;
  openEditor(null, null);
  (plugin ? cardOf(plugin)?.querySelector("[data-act=configurePlugin]") : $("create-plugin"))?.focus();
};
acts.takeNew = () => {
  startDraft();
  showEditor();
  check();
  $("yaml").focus();
};
acts.applyEditor = async () => {
  const { mode, plugin } = editor, key = draftKey();
  if (mode === "create") {
    draft().typed = true;
    await check();
    if (editor.problems.length) return announce(problemText(editor.problems[0]));
  }
  const closed = () => {
    drafts.delete(key);
    if (draftKey() === key) acts.closeEditor();
  };
  const told = mode === "config"
    ? await perform("editor", "config", { plugin, yaml: draft().text })
    : await perform("editor", "apply", { yaml: manifestOf().yaml }, mode === "create" ? closed : null);
  if (told && drafts.has(key)) Object.assign(drafts.get(key), { typed: false, applied: true });
};

/** The plugin may be changed by others while it is edited. */
function watchEdited() {
  if (!editor.mode || editor.mode === "create") return;
  const plugin = pluginNamed(editor.plugin), typed = draft(), now = textNow();
  if (plugin && now !== typed.base && (!typed.typed || typed.applied || now === typed.text)) {
    // What was applied here stays as it was written, comments and all; what was only opened follows.
    if (!typed.applied) typed.text = now;
    Object.assign(typed, { base: now, applied: false });
    if ($("yaml").value !== typed.text) $("yaml").value = typed.text;
    showProblems();
  }
  const meanwhile = $("meanwhile");
  meanwhile.hidden = plugin !== undefined && now === typed.base;
  meanwhile.firstElementChild.textContent = T(plugin ? "changedMeanwhile" : "removedMeanwhile");
  meanwhile.lastElementChild.hidden = !plugin;
}
