// What was measured: each rollout, step by step.

const heading = (text, level = "h2") => h(level, { tabindex: "-1" }, text);
const STAGE_COLOUR = (stage) => `stage-${stage}`;

// Of very many rollouts those far from sight are filled in when they come near, a few at a time.
const FILLED_AT_ONCE = 20;
const FILLED_A_FRAME = 2;
const near = new Set();
let nearing = null;

function times() {
  const made = h("section", { id: "times", class: "part" }, heading(T("times")));
  if (!rollouts.length) made.append(h("p", { class: "quiet" }, T("noRollouts")));
  nearing?.disconnect();
  near.clear();
  nearing = new IntersectionObserver((entries) => {
    if (!near.size) requestAnimationFrame(fillNear);
    for (const { target, isIntersecting } of entries) if (isIntersecting) near.add(target); else near.delete(target);
  }, { rootMargin: "1200px" });
  rollouts.forEach((rollout, index) => {
    const article = h("article", { class: "rollout", "data-key": rolloutKey(rollout), "data-rollout": String(index) }, rolloutHead(rollout, index));
    if (index < FILLED_AT_ONCE) fillRollout(article); else nearing.observe(article);
    made.append(article);
  });
  return made;
}
addEventListener("beforeprint", () => document.querySelectorAll("[data-rollout]").forEach(fillRollout));

function fillNear() {
  for (const article of [...near].slice(0, FILLED_A_FRAME)) fillRollout(article);
  if (near.size) requestAnimationFrame(fillNear);
}

function fillRollout(article) {
  nearing.unobserve(article);
  near.delete(article);
  const index = Number(article.dataset.rollout);
  if (article.childElementCount === 1) article.append(...rolloutBody(rollouts[index], index));
}

/** What makes a rollout the same one when the run is taken anew. */
const rolloutKey = ({ plugin, gateway, t_ns }) => `${plugin} ${gateway ?? ""} ${t_ns}`;

const rolloutHead = (rollout, index) =>
  h("h3", {}, rollout.plugin, h("span", { class: "kind" }, ` ${T(rollout.change)} · rollouts[${index}]${rollout.gateway ? ` · ${rollout.gateway}` : ""}`));

function rolloutBody(rollout, index) {
  const own = RUN.stages[index];
  const pair = B?.pairs[index] ?? null;
  const other = pair === null ? null : B.stages[pair];
  const span = Math.max(own.span, other?.span ?? 0) || 1;
  const change = rollout.from && rollout.to && rollout.from !== rollout.to ? `${rollout.from} → ${tagOf(rollout.to) ?? rollout.to}` : rollout.to ?? rollout.from ?? "";
  const rows = own.rows.map((row) => {
    const theirs = other?.rows[row.step - 1];
    const step = RUN.steps[row.step - 1];
    const detail = row.segments.length > 1 ? row.segments.map(([stage, , length]) => `${stage} ${ms(length)}`).join(" · ") : "";
    return h("tr", { class: row.failed ? "bad" : "" },
      h("th", { scope: "row" }, h("span", { class: "number" }, String(row.step)), inLang(step.title)),
      h("td", { class: "amount" }, total(row)),
      other ? h("td", { class: "amount b" }, total(theirs)) : null,
      h("td", { class: "track" }, bars(row, span, ""), other ? bars(theirs, span, "b") : "",
        h("span", { class: "detail" }, [inLang(row.note), detail].filter(Boolean).join(" · "))));
  });
  return [
    h("p", { class: "mono quiet" }, change),
    h("dl", { class: "figures" },
      figure(T("effective"), ms(rollout.effective_ms), other && ms(B.effective[pair])),
      figure(T("settled"), ms(rollout.settled_ms)),
      ...rollout.workers.map((each) => figure(`${T("worker")} ${each.worker}`, each.ready_ms === null ? T("never") : ms(each.ready_ms))),
      figure(T("answer"), rollout.nacked ? T("nack") : rollout.acked ? T("ack") : T("noAnswer"), null, rollout.nacked),
      rollout.listener_updates === null ? null : figure(T("listener"), String(rollout.listener_updates))),
    rollout.error ? h("p", { class: "bad" }, rollout.error) : "",
    h("table", { class: "waterfall" },
      h("caption", { class: "hidden" }, `${rollout.plugin} ${T("times")}`),
      other ? h("thead", {}, h("tr", {}, h("th", {}), h("th", { scope: "col", class: "amount" }, "A"), h("th", { scope: "col", class: "amount b" }, "B"), h("td", {}))) : "",
      h("tbody", {}, rows))];
}

function figure(name, value, other, bad) {
  return h("div", { class: bad ? "bad" : "" }, h("dt", {}, name), h("dd", {}, value, other ? h("span", { class: "b" }, ` ${other}`) : ""));
}

function total(row) {
  if (row.segments.length) return ms(row.segments.reduce((sum, [, , length]) => sum + length, 0));
  return row.at === null ? "–" : `@ ${ms(row.at)}`;
}

function bars(row, span, kind) {
  const track = h("span", { class: `bars ${kind}`, "aria-hidden": "true" });
  for (const [stage, start, length] of row.segments) {
    const bar = h("span", { class: STAGE_COLOUR(stage), title: `${stage} ${ms(length)}` });
    bar.style.left = `${(start / span) * 100}%`;
    bar.style.width = `max(2px, ${(length / span) * 100}%)`;
    track.append(bar);
  }
  if (row.at !== null) {
    const moment = h("span", { class: "moment", title: ms(row.at) });
    moment.style.left = `${(row.at / span) * 100}%`;
    track.append(moment);
  }
  return track;
}
