// The strip that is always in sight: how many requests a second, answered by which versions, and how many failed.

rooms.strip = () => {
  const loads = Object.entries(feed.rates);
  if (!loads.length) return [h("p", { class: "quiet" }, T("noTrafficNow"))];
  return loads.map(([load, { rate_per_s: rate, by_version: counts }]) => {
    const versions = Object.entries(counts).sort(([a], [b]) => a.localeCompare(b));
    for (const [version] of versions) if (version !== "none") versionNumber(version);
    const sum = versions.reduce((total, [, count]) => total + count, 0);
    const failed = (result.traffic[load]?.failed ?? 0) + (feed.failed[load] ?? 0);
    return h("div", { class: "load", "data-key": load },
      h("span", { class: "name" }, load),
      h("span", { class: "rate" }, `${rate < 10 ? rate.toFixed(1) : Math.round(rate)}${T("perSecond")}`),
      h("span", { class: "mix", "aria-hidden": "true" }, versions.map(([version, count]) => {
        const part = swatch(version);
        part.className = "share";
        part.style.flexGrow = String(count);
        return part;
      })),
      h("span", { class: "shares" }, versions.map(([version, count]) =>
        h("span", { class: "key" }, swatch(version), `${version === "none" ? T("none") : version} ${Math.round((count / sum) * 100)} %`))),
      h("span", { class: failed ? "fails bad" : "fails" }, `✕ ${failed} ${T("failures")}`));
  });
};

const strip = () => h("section", { class: "strip", "aria-label": T("trafficNow") }, room("strip", { class: "loads" }));
