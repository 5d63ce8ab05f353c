// Injecting faults, with a form that is made of the schema of each kind, and clearing them.

const FAMILIES = [
  ["ofBytes", (kind) => kind.on.includes("agent-registry")],
  ["ofMessages", (kind) => !kind.on.includes("registry")],
  ["ofAnswers", () => true],
];
const familyOf = (kind) => FAMILIES.find(([, fits]) => fits(kind))[0];
const kindNamed = (name) => feed.state?.fault_kinds.find((kind) => kind.kind === name);
let kindsShown = null;

const faultForm = () => h("form", { class: "operation fault", "data-act": "inject", novalidate: true, "aria-label": T("faults") },
  h("h3", {}, T("faults")),
  h("div", { class: "fields" }, labelled("kindOfFault", h("select", { name: "kind" })), labelled("place", h("select", { name: "on" })),
    labelled("faultName", textField("name", {}))),
  h("p", { class: "quiet fault-text" }),
  h("div", { class: "fields attributes" }),
  h("div", { class: "acts" }, h("button", { class: "act main" }, T("inject")), actButton("clearAll", T("clearAll"))),
  outcomeAt("inject"),
  h("h4", {}, T("inForce")), h("ul", { class: "parts", "data-room": "faults" }, rooms.faults()));

rooms.faults = () => {
  const faults = feed.state?.faults ?? [];
  if (!faults.length) return [h("li", { class: "quiet" }, T("noFaults"))];
  return faults.map(({ name, kind, on, hits }) => h("li", { "data-key": name },
    h("span", { class: "text" }, h("b", {}, name), ` ${kind === name ? "" : `${kind} `}· ${on} · ${say("hits", { n: hits })}`),
    actButton("clearFault", T("clear"), { of: name, "aria-label": `${T("clear")} ${name}` })));
};
acts.clearFault = (button) => perform("inject", "step", { clear: button.dataset.of });
acts.clearAll = () => perform("inject", "step", { clear: "all" });

/** The kinds that the server knows, by family; made once, and again when the page is. */
function renewKinds() {
  const form = document.querySelector("form.fault");
  const kinds = JSON.stringify([feed.state.fault_kinds, state.lang]);
  if (kinds === kindsShown && form.elements.kind.options.length) return;
  kindsShown = kinds;
  const chosen = form.elements.kind.value;
  form.elements.kind.replaceChildren(...FAMILIES.map(([word]) => h("optgroup", { label: T(word) },
    feed.state.fault_kinds.filter((kind) => familyOf(kind) === word).map((kind) => h("option", {}, kind.kind)))));
  if (kindNamed(chosen)) form.elements.kind.value = chosen;
  showKind(form);
}
document.addEventListener("change", (event) => { if (event.target.matches?.("form.fault select[name=kind]")) showKind(event.target.form); });

function showKind(form) {
  const kind = kindNamed(form.elements.kind.value);
  if (!kind) return;
  const place = form.elements.on.value;
  form.elements.on.replaceChildren(...kind.on.map((each) => h("option", {}, each)));
  if (kind.on.includes(place)) form.elements.on.value = place;
  form.querySelector(".fault-text").textContent = kind.text;
  const schemas = Object.entries(kind.attributes).map(([name, schema]) => attributeField(name, schema));
  if (familyOf(kind) === "ofBytes" && schemas.length) schemas.push(...connectionFields());
  form.querySelector(".attributes").replaceChildren(...schemas);
}

/** A field for an attribute: what its JSON Schema says it is, what it is without, and an example. */
function attributeField(name, schema) {
  const types = (schema.anyOf ?? schema.oneOf ?? [schema]).filter((each) => each.type !== "null");
  const one = types.length === 1 ? types[0] : {};
  const needed = schema.default === undefined;
  const byDefault = schema.default === null || needed ? "" : say("byDefault", { value: schema.default });
  const about = { name: `attribute ${name}`, "data-attribute": name, "data-needed": needed };
  const choices = one.enum ?? (one.type === "boolean" ? [true, false] : null);
  let field;
  if (choices) {
    field = h("select", { ...about, "data-type": one.type === "boolean" ? "boolean" : "text" },
      needed ? "" : h("option", { value: "" }, byDefault || T("optional")), choices.map((value) => h("option", {}, String(value))));
  } else {
    const numeric = (type) => type.type === "integer" || type.type === "number";
    const example = (schema.examples ?? one.examples ?? [])[0];
    field = textField(about.name, { ...about, "data-type": numeric(one) ? "number" : types.some(numeric) ? "either" : "text",
      type: numeric(one) ? "number" : "text", min: one.minimum, max: one.maximum, step: one.type === "number" ? "any" : null,
      placeholder: byDefault || String(example ?? (needed ? "" : T("optional"))) });
  }
  return h("label", { class: "field" }, h("span", {}, h("code", {}, name), needed ? " *" : ""), field,
    h("span", { class: "quiet about" }, schema.description ?? ""));
}

/** What is of single connections stands beside the kind, not in it. */
function connectionFields() {
  const streams = h("select", { name: "stream" }, h("option", { value: "" }, say("byDefault", { value: "downstream" })),
    ["downstream", "upstream"].map((each) => h("option", {}, each)));
  const share = textField("toxicity", { type: "number", min: "0", max: "1", step: "any", placeholder: say("byDefault", { value: 1 }) });
  return [labelled("stream", streams), labelled("toxicity", share)];
}

acts.inject = (form) => {
  const { kind, on, name, stream, toxicity } = form.elements;
  const attributes = {};
  for (const field of form.querySelectorAll("[data-attribute]")) {
    const typed = field.value.trim();
    if (typed === "" && !("needed" in field.dataset)) continue;
    attributes[field.dataset.attribute] = attributeValue(typed, field.dataset.type);
  }
  const fault = { on: on.value, [kind.value]: attributes };
  if (name.value.trim()) fault.name = name.value.trim();
  if (stream?.value) fault.stream = stream.value;
  if (toxicity?.value) fault.toxicity = Number(toxicity.value);
  return perform("inject", "step", { fault });
};

function attributeValue(typed, type) {
  if (type === "boolean") return typed === "true";
  const number = typed !== "" && Number.isFinite(Number(typed));
  return (type === "number" || type === "either") && number ? Number(typed) : typed;
}
