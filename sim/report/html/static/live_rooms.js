// Rooms: parts of the page that show what the server told last. A room is made anew and what differs is put in place,
// so that the focus, the scrolling and what is being typed stay. Its buttons name their act; who listens is the page.

const rooms = {};
const acts = {};

const room = (name, attributes) => h("div", { ...attributes, "data-room": name }, rooms[name]());

/** Show what these rooms have to show by now, wherever they are. */
function renew(...names) {
  for (const name of names)
    for (const element of document.querySelectorAll(`[data-room="${name}"]`)) morphChildren(element, h("div", {}, rooms[name]()));
}

/** Make `old` what `fresh` is. What belongs to the reader is left: open details, typed values, elements marked as own. */
function morph(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.hasAttribute("data-own") || old.isEqualNode(fresh)) return;
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && name !== "open" && name !== "style") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (!["style", "value", "open"].includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  // The policy forbids styles that come as text; set one by one they are the script's.
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const wantedKeys = new Set([...fresh.children].map((child) => child.dataset?.key));
  const keyed = new Map();
  for (const child of [...old.children]) {
    const key = child.dataset?.key;
    // What goes, goes first: what stays need not be moved then, and a move would cost it the focus.
    if (key && wantedKeys.has(key)) keyed.set(key, child);
    else if (key) child.remove();
  }
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = wanted.dataset?.key;
    const found = key ? keyed.get(key) : place && !place.dataset?.key && place.nodeName === wanted.nodeName ? place : null;
    if (found && found.nodeName === wanted.nodeName) {
      if (found === place) place = place.nextSibling;
      else old.insertBefore(found, place);
      morph(found, wanted);
    } else if (key || !place || place.dataset?.key) {
      old.insertBefore(wanted, place);
    } else {
      const next = place.nextSibling;
      place.replaceWith(wanted);
      place = next;
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** A button that names its act, and what it is about. */
function actButton(act, text, { of, ...attributes } = {}) {
  return h("button", { type: "button", class: "act", "data-act": act, "data-of": of, ...attributes }, text);
}

function listenToActs() {
  const carryOut = (event, wanted) => {
    const on = event.target.closest?.("[data-act]");
    if (!on || on.matches("form") !== wanted || on.getAttribute("aria-disabled") === "true") return;
    event.preventDefault();
    acts[on.dataset.act](on);
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("button, a")) return;
    carryOut(event, false);
  });
  document.addEventListener("submit", (event) => carryOut(event, true));
}
