// How it ended: expectations, thresholds, traffic, and where it ran.

function verdict() {
  const made = h("section", { id: "verdict", class: "part" }, heading(T(live.on ? "soFar" : "verdict")),
    live.on ? "" : h("p", { class: `outcome ${result.outcome}` }, T(result.outcome)));
  if (result.error) {
    const { message, part, where, hint, log_tail } = result.error;
    made.append(h("div", { class: "trouble" }, h("p", {}, h("b", {}, [where, part].filter(Boolean).join(" · ")), " ", message),
      hint ? h("p", {}, `${T("hint")}: ${hint}`) : "", log_tail ? h("details", {}, h("summary", {}, T("log_tail")), h("pre", {}, log_tail)) : ""));
  }
  const held = result.expectations.filter((each) => each.passed).length;
  if (result.expectations.length) {
    made.append(heading(`${T("expectations")} · ${held}/${result.expectations.length} ${T("hold")}`, "h3"),
      h("ul", { class: "checks" }, result.expectations.map((each) => h("li", { class: each.passed ? "good" : "bad" },
        sign(each.passed), h("code", {}, each.that), h("span", { class: "quiet" }, each.where),
        each.passed ? "" : h("div", { class: "seen" }, each.error ? h("p", {}, each.error) : "",
          h("dl", { class: "facts" }, Object.entries(each.actual).flatMap(([path, value]) => [h("dt", {}, path), h("dd", {}, factText(value))])),
          each.trace.length ? h("pre", {}, each.trace.map((moment) =>
            `${moment.step ? `step ${moment.step} ` : ""}${moment.after_ms >= 0 ? "+" : ""}${moment.after_ms.toFixed(1)} ms ${moment.event} ${moment.text}`).join("\n")) : "")))));
  }
  if (result.thresholds.length) {
    made.append(heading(T("thresholds"), "h3"), h("table", { class: "grid" },
      h("thead", {}, h("tr", {}, ["", "metric", "", T("actual"), T("samples"), "min", "med", "p95", "max"].map((word) => h("th", { scope: "col" }, word)))),
      h("tbody", {}, result.thresholds.map((each) => h("tr", { class: each.passed ? "" : "bad" }, h("td", {}, sign(each.passed)),
        h("td", { class: "mono" }, each.metric), h("td", { class: "mono" }, each.that),
        h("td", {}, each.error ?? String(each.actual ?? "–")), h("td", {}, `${each.count}/${each.rollouts}`),
        ["min", "med", "p95", "max"].map((name) => h("td", {}, each.distribution ? ms(each.distribution[name]) : "–")))))));
  }
  for (const [name, load] of Object.entries(result.traffic)) {
    made.append(heading(`${T("traffic")} ${name}`, "h3"), h("dl", { class: "figures" },
      figure(T("requests"), String(load.requests)), figure(T("failures"), String(load.failed), null, load.failed > 0),
      figure(T("opened"), String(load.connections_opened)), figure(T("broken"), String(load.connections_broken), null, load.connections_broken > 0),
      figure(T("drained"), String(load.connections_drained)),
      ...Object.entries(load.by_version).map(([version, count]) => figure(version === "none" ? T("none") : version, String(count))),
      figure("p50", ms(load.latency_ms.p50)), figure("p99", ms(load.latency_ms.p99)), figure("max", ms(load.latency_ms.max)), figure(T("gap"), ms(load.longest_gap_ms))));
    if (!RUN.dots[name]) made.append(h("p", { class: "quiet" }, T("noTraffic")));
  }
  const environment = result.environment;
  made.append(heading(T("environment"), "h3"), h("dl", { class: "figures" },
    ...Object.entries({ ecdsim: environment.ecdsim, Envoy: environment.envoy ?? "–", Python: environment.python, [T("workers")]: environment.workers,
      [T("seed")]: environment.seed, profile: result.profile, [T("duration")]: ms(result.duration_ms), [T("directory")]: RUN.name })
      .map(([key, value]) => figure(key, String(value)))));
  return made;
}

const sign = (passed) => h("span", { class: "sign", role: "img", "aria-label": T(passed ? "holds" : "fails") }, passed ? "✓" : "✕");

function scenarioSection() {
  const made = h("section", { id: "scenario", class: "part" }, heading(T("scenario")));
  if (RUN.notes) made.append(h("p", { class: "prose" }, inLang(RUN.notes)));
  made.append(h("p", { class: "quiet" }, T("resolved")), h("pre", { tabindex: "0", "aria-label": T("resolved") }, RUN.scenario));
  return made;
}
