// What crosses the hop at the current event, and what it is held against.

/** Where nothing crosses, what crossed last on the same rollout. */
function latestWithPayload(item) {
  const own = item.r?.[0];
  for (let at = items.indexOf(item); at >= 0 && own !== undefined; at--)
    if (items[at].pay && items[at].told && items[at].r?.includes(own)) return items[at];
  return null;
}

/** An element of the bar that chooses how payloads are shown; the one that had the focus keeps it. */
function choice(name, pressed, text, choose, disabled) {
  return h("button", { type: "button", "data-choice": name, "aria-pressed": String(pressed), disabled, onclick: () => {
    choose();
    showPayload(current());
    $("payload-bar").querySelector(`[data-choice="${CSS.escape(name)}"]`)?.focus();
  } }, text);
}

function showPayload(shown) {
  const box = $("payload"), bar = $("payload-bar");
  bar.replaceChildren();
  const item = shown.pay ? shown : latestWithPayload(shown);
  if (!item) {
    box.replaceChildren(h("p", { class: "quiet" }, T("nothing")));
    return;
  }
  if (item !== shown) bar.append(h("p", { class: "quiet last" }, `${T("nothing")} ${T("latest")} ${item.ev} ${signed(sinceApply(item))}`));
  const found = item.pay;
  const entry = found.find((each) => each.role === state.role) ?? found[found.length - 1];
  const chosen = state.view === "payload" || !entry[state.view] ? (state.view !== "payload" && entry.hop ? "hop" : "payload") : state.view;
  bar.append(h("div", { class: "choices", role: "group", "aria-label": T("payloadPane") },
    ["payload", "hop", "last"].map((name) =>
      choice(name, chosen === name, T(name), () => { state.view = name; }, name !== "payload" && !entry[name]))));
  if (found.length > 1)
    bar.append(h("div", { class: "choices", role: "group" },
      found.map((each) => choice(`role ${each.role}`, each === entry, each.role, () => { state.role = each.role; }))));
  bar.append(h("div", { class: "choices right", role: "group" },
    ["yaml", "json"].map((name) => choice(name, state.format === name, name.toUpperCase(), () => { state.format = name; }))));
  if (chosen === "payload") {
    const pre = h("pre", { tabindex: "0", "aria-label": T("payloadPane") });
    box.replaceChildren(fill(pre, written(entry.doc, item).map((line) => [" ", line])));
    return;
  }
  const [position, number] = entry[chosen];
  const other = items[position];
  const since = RUN.applied[other.r?.[0]] !== undefined ? ` ${signed(sinceApply(other))}` : "";
  const label = h("p", { class: "held" }, h("span", { class: "gone" }, `− ${other.ev}${since}`), " ", h("span", { class: "added" }, `+ ${item.ev} · ${entry.role}`));
  const mine = entry.part ?? entry.doc;
  const lines = difference(written(number, other), written(mine, item));
  const same = number === mine;
  const differs = lines.some(([mark]) => mark !== " ");
  box.replaceChildren(label, same ? h("p", { class: "same" }, T("same")) : "",
    differs ? fill(h("pre", { tabindex: "0", "aria-label": T(chosen) }), folded(lines)) : "");
}
