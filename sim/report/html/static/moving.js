// Moving: to an event, through the run by itself, to another part of the axis.

let timer = null, frame = null;

function follow(item) {
  const [start, end] = domainOf(state.scope);
  const outside = item.t < start || item.t > end;
  if (!inScope(item) || outside) {
    const elsewhere = item.r?.[0] ?? (outside ? null : state.scope);
    if (elsewhere !== state.scope) setScope(elsewhere, false);
  }
  const where = place(item.t), wide = state.win[1] - state.win[0];
  if (where < state.win[0] + wide * 0.02 || where > state.win[1] - wide * 0.02) {
    const from = clamp(where - wide / 2, 0, 1 - wide);
    if (from === state.win[0]) return;
    state.win = [from, from + wide];
    drawBase();
  }
}

function go(position, smooth = false) {
  const seen = listed();
  const before = current();
  const from = before ? place(before.t) : 0;
  const scope = state.scope;
  state.pos = clamp(Math.round(position) || 1, 1, Math.max(1, seen.length));
  const item = current();
  if (item) follow(item);
  link();
  showCurrent();
  if (item && item.lane in view.tops) {
    const box = $("lanes"), top = view.tops[item.lane], bottom = top + view.heights[item.lane];
    if (top < box.scrollTop + AXIS_PX) box.scrollTop = top - AXIS_PX;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
  }
  cancelAnimationFrame(frame);
  if (smooth && !reduced.matches && item && before && scope === state.scope) glide(from, place(item.t), 420 / state.speed);
  else drawOverlay();
  live.went();
}

// A browser takes only so many links in a short time; of many in a row the last one counts.
const links = { left: 50, since: 0, later: null };

function link() {
  clearTimeout(links.later);
  const now = performance.now();
  links.left = Math.min(50, links.left + (now - links.since) / 250);
  links.since = now;
  if (links.left < 1) {
    links.later = setTimeout(link, 300);
    return;
  }
  links.left -= 1;
  const hash = `#${live.link() ?? `e=${state.pos}${state.all ? "&all" : ""}`}`;
  if (hash === location.hash) return;
  try {
    history.replaceState(null, "", hash);
  } catch {
    location.replace(hash);
  }
}

function fromLink() {
  if (live.follow(location.hash)) return false;
  const found = /(?:^#|&)e=(\d+)/.exec(location.hash);
  if (!found) return false;
  state.all = /&all\b/.test(location.hash);
  if ($("all")) $("all").checked = state.all;
  state.pos = clamp(Number(found[1]), 1, Math.max(1, listed().length));
  return true;
}

function glide(from, to, length) {
  const begun = performance.now();
  const advance = (now) => {
    const part = clamp((now - begun) / length, 0, 1);
    if (part === 1) return drawOverlay();
    drawOverlay(from + (to - from) * (1 - (1 - part) ** 3));
    frame = requestAnimationFrame(advance);
  };
  frame = requestAnimationFrame(advance);
}

function setPlaying(playing) {
  clearInterval(timer);
  state.playing = playing;
  if (playing) {
    if (state.pos >= listed().length) go(1);
    timer = setInterval(() => {
      if (state.pos >= listed().length) setPlaying(false);
      else go(state.pos + 1, true);
    }, 1100 / state.speed);
  }
  const button = $("play");
  button.textContent = playing ? "❚❚" : "▶";
  button.setAttribute("aria-label", T(playing ? "pause" : "play"));
  button.title = T(playing ? "pause" : "play");
  $("live").setAttribute("aria-live", playing ? "off" : "polite");
}

function setScope(scope, draw = true) {
  state.scope = scope;
  state.win = [0, 1];
  $("scope").value = scopeValue(scope);
  for (const scale of ["log", "linear"]) $(`scale-${scale}`).setAttribute("aria-pressed", String(scale === scaleNow()));
  layAxis();
  drawBase();
  if (draw) drawOverlay();
}
const scopeValue = (scope) => (scope === null ? "whole" : String(scope));
const scopeOf = (value) => (value === "whole" ? null : value === "now" ? "now" : Number(value));

function setWindow(from, wide) {
  const start = clamp(from, 0, 1 - wide);
  state.win = [start, start + wide];
  drawBase();
  drawOverlay();
}

function zoom(factor, around) {
  const item = current();
  const centre = around ?? clamp(item ? place(item.t) : 0.5, state.win[0], state.win[1]);
  const wide = clamp((state.win[1] - state.win[0]) / factor, 0.0005, 1);
  const part = (centre - state.win[0]) / (state.win[1] - state.win[0]);
  setWindow(centre - part * wide, wide);
}

const pan = (by) => setWindow(state.win[0] + by, state.win[1] - state.win[0]);

function chapter(number) {
  const seen = listed();
  const scope = (ofOneRollout() ? state.scope : null) ?? current()?.r?.[0] ?? 0;
  const of = (index) => items[index].step === number;
  const own = seen.filter((index) => of(index) && items[index].r?.includes(scope));
  const found = own.find((index) => items[index].ev !== "registry.request") ?? own[0] ?? seen.find(of);
  if (found !== undefined) go(seen.indexOf(found) + 1);
}
