// Asking the server, and telling where a button was pressed how it went.

/** What was asked for at a place: {state, deed, problem}. Places are names such as "bump higress-system/request-block". */
const outcomes = new Map();
const OUTCOMES_KEPT = 200;

/** Ask the server; what it answers. Throws {message, hint, where}. */
async function ask(path, body) {
  const headers = { Authorization: `Bearer ${RUN.live.token}`, "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(`/api/${path}`, body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw { message: T("unreachable"), hint: T("unreachableHint"), where: null };
  }
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw told.error ?? { message: `${response.status} ${response.statusText}`, hint: null, where: null };
  return told;
}

/** Have something done, and tell at `place` how it went; what the server answered, null when it refused.
 * `after` is called when it is done. */
async function perform(place, path, body, after) {
  setOutcome(place, { state: "sending" });
  const told = await ask(path, body).catch((problem) => {
    setOutcome(place, { state: "failed", problem });
    return null;
  });
  if (told === null) return null;
  setOutcome(place, { state: told.deed === undefined ? "done" : "running", deed: told.deed, after });
  settleOutcomes();
  return told;
}

function setOutcome(place, outcome) {
  outcomes.delete(place);
  outcomes.set(place, outcome);
  if (outcomes.size > OUTCOMES_KEPT) outcomes.delete(outcomes.keys().next().value);
  showOutcomes(place);
  if (outcome.state === "failed") announce(problemText(outcome.problem));
  if (outcome.state === "done") outcome.after?.();
}

/** What became of the deeds that were asked for here. */
function settleOutcomes() {
  if (!feed.state) return;
  const numbers = new Map(feed.state.deeds.map((deed, index) => [deed.n ?? index, deed]));
  // Of what was done long ago only the latest are listed.
  const oldest = numbers.size ? Math.min(...numbers.keys()) : -Infinity;
  for (const [place, outcome] of outcomes) {
    if (outcome.state !== "running") continue;
    const deed = numbers.get(outcome.deed);
    if (deed?.state === "failed") setOutcome(place, { state: "failed", problem: { message: deed.error ?? T("failed") } });
    else if (deed?.state === "done" || outcome.deed < oldest) setOutcome(place, { ...outcome, state: "done" });
  }
}

const problemText = ({ message, hint, where }) => `${where ? `${where}: ` : ""}${message}${hint ? ` — ${hint}` : ""}`;

/** Where it is told how what was asked for at `place` went. It has its room from the start, so that nothing moves. */
const outcomeAt = (place) => {
  const made = h("p", { class: "outcome-at", "data-own": true, "data-place": place });
  fillOutcome(made);
  return made;
};

function fillOutcome(element) {
  const { place } = element.dataset, outcome = outcomes.get(place);
  element.className = `outcome-at ${outcome?.state ?? ""}`;
  // A manifest that is applied is not yet a rollout that went well.
  const done = /^(plugin |editor$|bump$)/.test(place) ? "applied" : "done";
  const signs = { sending: T("sending"), running: `… ${T("running")}`, done: `✓ ${T(done)}` };
  element.textContent = !outcome ? "" : outcome.state === "failed" ? `✕ ${problemText(outcome.problem)}` : signs[outcome.state];
}

function showOutcomes(place) {
  const wanted = place === undefined ? "[data-place]" : `[data-place="${CSS.escape(place)}"]`;
  for (const element of document.querySelectorAll(wanted)) fillOutcome(element);
}

/** Tell those who listen to the page. */
function announce(text) {
  const told = $("news-told");
  if (told) told.textContent = text;
}

/** Put a text on the clipboard, and say so on the button. */
async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without the permission the old way is left.
    const held = h("textarea", { class: "hidden" });
    held.value = text;
    button.after(held);
    held.select();
    document.execCommand("copy");
    held.remove();
    button.focus();
  }
  button.textContent = T("copied");
}
