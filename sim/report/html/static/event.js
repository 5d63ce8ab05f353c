// The current event: its place, its facts, its chapter.

function showCurrent() {
  const item = current();
  showPlace();
  if (!item) return;
  updateChapters(item);
  showEvent(item);
}

/** Where the player stands. */
function showPlace() {
  const seen = listed(), item = current();
  $("position").textContent = `${item ? state.pos : 0}/${seen.length}`;
  const scrub = $("scrub");
  scrub.max = String(Math.max(1, seen.length));
  scrub.value = String(state.pos);
  if (!item) return;
  scrub.setAttribute("aria-valuetext", `${state.pos}/${seen.length} ${item.ev}`);
  const since = sinceApply(item);
  $("clock").textContent = since === null ? us(item.t) : signed(since);
}

function showEvent(item) {
  for (let number = 1; number <= 9; number++) {
    const button = $(`chapter-${number}`);
    if (item.step === number) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
  }
  const step = item.step ? RUN.steps[item.step - 1] : null;
  $("note").replaceChildren(...(step ? [h("b", {}, `${item.step} `), inLang(step.text)] : [inLang(item.say)]));
  const facts = [];
  const add = (name, value) => facts.push(h("dt", {}, name), h("dd", {}, value));
  if (item.type) add("type", item.type);
  if (item.image) add("image", item.image);
  if (item.v) add("version_info", item.v);
  if (item.nonce) add("nonce", item.nonce);
  for (const [key, value] of Object.entries(item.data ?? {})) add(key, factText(value));
  const since = sinceApply(item);
  const when = since === null ? us(item.t) : `${signed(since)} ${T("after")}`;
  const lasted = item.s === undefined ? "" : ` · ${T("took")} ${us(item.t - item.s)}`;
  $("event").replaceChildren(
    h("p", { class: "when" }, when, lasted),
    h("h2", { class: item.bad ? "bad" : "" }, item.ev, item.type ? h("span", { class: "type" }, ` ${item.type}`) : ""),
    h("p", { class: "say" }, inLang(item.say)),
    facts.length ? h("dl", { class: "facts" }, facts) : "");
  showPayload(item);
  $("live").textContent = `${state.pos}/${listed().length}. ${item.ev} ${item.type ?? ""}. ${inLang(item.say)} ${when}`;
}

function updateChapters(item) {
  const own = item.r?.[0] ?? state.scope;
  const rows = own === null || own === undefined ? null : RUN.stages[own]?.rows;
  RUN.steps.forEach((step, index) => {
    const button = $(`chapter-${index + 1}`);
    const row = rows?.[index];
    const total = row?.segments.reduce((sum, [, , length]) => sum + length, 0);
    const did = row && (row.segments.length || row.at !== null);
    button.querySelector(".took").textContent = !row ? "" : row.segments.length ? ms(total) : row.at !== null ? ms(row.at) : inLang(row.note).split(/[,，]/)[0] || "–";
    button.classList.toggle("bad", Boolean(row?.failed));
    button.classList.toggle("idle", Boolean(row) && !did && !row.failed);
  });
}
