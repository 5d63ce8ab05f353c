// Two runs beside each other.

function compare() {
  const made = h("section", { id: "compare", class: "part" }, heading(T("compare")),
    h("p", {}, h("b", {}, "A "), `${RUN.name} · ${result.scenario} · ${result.profile} · ${T(result.outcome)}`, h("br", {}),
      h("b", { class: "b" }, "B "), `${B.name} · ${B.scenario} · ${B.profile} · ${T(B.outcome)}`));
  if (B.times.length) {
    made.append(h("table", { class: "grid times" },
      h("thead", {}, h("tr", {}, ["", T("stage"), "A", "B", T("ratio"), "B − A"].map((word) => h("th", { scope: "col" }, word)))),
      h("tbody", {}, B.times.map((each, index) => h("tr", { class: ["effective", "settled"].includes(each.stage) ? "sum" : "" },
        h("td", { class: "quiet" }, B.times[index - 1]?.rollout === each.rollout ? "" : each.rollout), h("th", { scope: "row" }, each.stage),
        h("td", { class: "amount" }, ms(each.a)), h("td", { class: "amount b" }, ms(each.b)),
        h("td", { class: "amount" }, each.ratio === null ? "–" : `×${each.ratio.toFixed(2)}`), h("td", { class: "amount" }, signed((each.b - each.a) * 1000)))))));
  }
  made.append(heading(T("verdicts"), "h3"));
  made.append(B.verdicts.length
    ? h("ul", { class: "checks" }, B.verdicts.map((each) => h("li", {}, h("code", {}, [each.place, each.path].filter(Boolean).join(".")),
        " ", h("span", { class: "gone" }, "before" in each ? factText(each.before) : "–"), " → ", h("span", { class: "added" }, "after" in each ? factText(each.after) : "–"))))
    : h("p", { class: "quiet" }, T("sameVerdicts")));
  made.append(heading(T("order"), "h3"));
  if (B.order === null) made.append(h("p", { class: "quiet" }, T("noOrder")));
  else if (!B.order.length) made.append(h("p", { class: "quiet" }, T("sameOrder")));
  else for (const { lane, lines } of B.order) made.append(h("h4", {}, lane), h("pre", { tabindex: "0" }, codeLines(lines)));
  return made;
}
