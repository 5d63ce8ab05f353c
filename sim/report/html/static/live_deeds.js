// The scenario's steps, what was done by whomever, and saving that as a scenario.

const SIGNS = { todo: "○", running: "◐", done: "✓", failed: "✕" };
const stateSign = (name) => h("span", { class: `sign ${name}`, role: "img", "aria-label": T(name) }, SIGNS[name]);

rooms.steps = () => {
  const steps = feed.state?.scenario_steps ?? [];
  const left = steps.some((step) => step.state === "todo" || step.state === "failed");
  const busy = steps.some((step) => step.state === "running");
  return [
    h("div", { class: "acts" },
      actButton("nextStep", T("nextStep"), { class: "act main", "aria-disabled": String(!left || busy) }),
      actButton("allSteps", T("allSteps"), { "aria-disabled": String(!left) })),
    outcomeAt("scenario"),
    steps.length ? "" : h("p", { class: "quiet" }, T("noSteps")),
    h("ol", { class: "listed" }, steps.map(({ number, text, state: how, error }) =>
      h("li", { class: how, "aria-current": how === "running" ? "step" : null }, stateSign(how), h("span", { class: "number" }, number),
        h("span", { class: "text" }, text, error ? h("span", { class: "error" }, error) : "")))),
    steps.length && !left && !busy ? h("p", { class: "quiet" }, T("allDone")) : "",
  ];
};

let stepShown = null;
/** Bring the step that is under way into sight, where the list is longer than its pane. */
function showStep() {
  const pane = document.querySelector("[data-pane=steps]"), step = pane.querySelector("[aria-current]");
  const number = step?.querySelector(".number").textContent ?? null;
  if (number === stepShown) return;
  stepShown = number;
  if (!step) return;
  const box = pane.getBoundingClientRect(), own = step.getBoundingClientRect();
  if (own.top < box.top || own.bottom > box.bottom) pane.scrollTop += own.top - box.top - box.height / 2;
}

acts.nextStep = () => perform("scenario", "scenario", { next: true });
acts.allSteps = () => perform("scenario", "scenario", { all: true });

const BY = { page: "byPage", kubectl: "byKubectl", folder: "byFolder", scenario: "byScenario" };

rooms.deeds = () => {
  const deeds = (feed.state?.deeds ?? []).map((deed, index) => ({ number: deed.n ?? index, ...deed })).reverse();
  if (!deeds.length) return [h("p", { class: "quiet" }, T("noDeeds"))];
  return [h("ol", { class: "listed" }, deeds.map(({ number, by, text, state: how, error }) =>
    h("li", { class: how, "data-key": String(number) }, stateSign(how),
      h("span", { class: "text" }, text, error ? h("span", { class: "error" }, error) : ""),
      h("span", { class: "by" }, BY[by] ? T(BY[by]) : by))))];
};

// -- saving --------------------------------------------------------------------------------------------------------

// `directory` is where the files were written, null when they were not.
const saved = { files: null, directory: null, wanted: "./my-scenario" };

rooms.saved = () => {
  if (!saved.files) return [];
  return [
    h("form", { class: "acts", "data-act": "writeScenario" },
      h("label", {}, T("directoryName"), h("input", { name: "directory", class: "wide", value: saved.wanted, autocomplete: "off", spellcheck: "false" })),
      h("button", { class: "act" }, T("write"))),
    outcomeAt("write"),
    saved.directory ? h("p", {}, `${T("writtenTo")} `, h("code", {}, saved.directory)) : "",
    ...Object.entries(saved.files).map(([name, text]) => h("details", { class: "file", "data-key": name, open: name === "scenario.yaml" },
      h("summary", {}, h("code", {}, name)),
      h("div", { class: "acts" }, actButton("copyFile", T("copy"), { of: name }), actButton("downloadFile", T("download"), { of: name })),
      h("pre", { tabindex: "0", "aria-label": name }, text))),
  ];
};

const savePanel = () => h("div", { class: "save" }, h("div", { class: "acts" }, actButton("saveScenario", T("save"), { title: T("saveText") })), outcomeAt("save"),
  room("saved", { class: "saved" }));

async function takeSaved(place, body) {
  const told = await perform(place, "save", body);
  if (!told) return;
  saved.files = told.files;
  saved.directory = told.directory ?? null;
  renew("saved");
}
acts.saveScenario = () => takeSaved("save");
acts.writeScenario = (form) => {
  saved.wanted = form.elements.directory.value;
  return takeSaved("write", { directory: saved.wanted });
};
acts.copyFile = (button) => copyText(saved.files[button.dataset.of], button);
acts.downloadFile = (button) => {
  const url = URL.createObjectURL(new Blob([saved.files[button.dataset.of]], { type: "text/yaml" }));
  h("a", { href: url, download: button.dataset.of.split("/").pop() }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
};
