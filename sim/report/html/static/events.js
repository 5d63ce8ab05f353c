// The list of the events that are told. Of a long one only the rows in sight are there.

const ROWS_AT_ONCE = 400;
const rowsShown = { from: 0, to: 0, height: 0 };

function eventsSection() {
  const list = h("details", { id: "event-list" }, h("summary", {}),
    h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["#", T("time"), T("event"), ""].map((word) => h("th", { scope: "col" }, word)))),
      h("tbody", {})));
  list.addEventListener("toggle", renewRows);
  const made = h("section", { id: "events", class: "part" }, heading(T("events")), list);
  list.querySelector("summary").textContent = `${told.length} ${T("events")}`;
  return made;
}

/** Make the rows anew, of what the run is by now. */
function renewRows() {
  const list = $("event-list");
  list.querySelector("summary").textContent = `${told.length} ${T("events")}`;
  if (!list.open) return;
  const table = list.querySelector("table"), body = table.tBodies[0];
  const long = told.length > ROWS_AT_ONCE;
  table.classList.toggle("long", long);
  table.setAttribute("aria-rowcount", String(told.length + 1));
  const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  body.replaceChildren();
  if (!long) {
    body.append(...told.map((index, position) => eventRow(position)));
    if (focused) body.querySelector(`[href="${focused}"]`)?.focus({ preventScroll: true });
    return;
  }
  body.append(filler(), eventRow(0), filler());
  rowsShown.height = body.rows[1].getBoundingClientRect().height;
  Object.assign(rowsShown, { from: 0, to: 1 });
  placeRows();
}
const filler = () => h("tr", { class: "filler", "aria-hidden": "true" }, h("td", { colspan: "4" }));

/** Of a long list, bring in the rows that are in sight and take the others away. */
function placeRows() {
  const list = $("event-list");
  if (!list?.open || told.length <= ROWS_AT_ONCE) return;
  const body = list.querySelector("tbody");
  const above = -body.getBoundingClientRect().top, spare = 20;
  const from = clamp(Math.floor(above / rowsShown.height) - spare, 0, told.length);
  const to = clamp(Math.ceil((above + innerHeight) / rowsShown.height) + spare, from, told.length);
  const [before, after] = [body.firstElementChild, body.lastElementChild];
  for (; rowsShown.from < Math.min(from, rowsShown.to); rowsShown.from++) before.nextElementSibling.remove();
  for (; rowsShown.to > Math.max(to, rowsShown.from); rowsShown.to--) after.previousElementSibling.remove();
  if (rowsShown.from === rowsShown.to) rowsShown.from = rowsShown.to = from;
  while (rowsShown.from > from) before.after(eventRow(--rowsShown.from));
  while (rowsShown.to < to) after.before(eventRow(rowsShown.to++));
  before.firstElementChild.style.height = `${rowsShown.from * rowsShown.height}px`;
  after.firstElementChild.style.height = `${(told.length - rowsShown.to) * rowsShown.height}px`;
}

function eventRow(position) {
  const item = items[told[position]];
  const since = sinceApply(item);
  return h("tr", { class: item.bad ? "bad" : "", "aria-rowindex": String(position + 2) },
    h("td", {}, h("a", { href: `#e=${position + 1}` }, String(position + 1))),
    h("td", { class: "amount" }, since === null ? us(item.t) : signed(since)), h("td", { class: "mono" }, `${item.ev} ${item.type ?? ""}`),
    h("td", {}, inLang(item.say)));
}
