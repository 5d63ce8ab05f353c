// The pointer on the timeline, and the keys.

function listen() {
  const wrap = $("canvases");
  let dragged = null;
  wrap.addEventListener("pointerdown", (event) => { dragged = { x: event.clientX, win: [...state.win], moved: false }; wrap.setPointerCapture(event.pointerId); });
  wrap.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const by = event.clientX - dragged.x;
    if (Math.abs(by) > 4) dragged.moved = true;
    const wide = dragged.win[1] - dragged.win[0];
    if (dragged.moved && wide < 1) setWindow(dragged.win[0] - (by / view.width) * wide, wide);
  });
  wrap.addEventListener("pointerup", (event) => {
    const was = dragged;
    dragged = null;
    if (!was || was.moved) return;
    const box = $("overlay").getBoundingClientRect();
    const found = nearestHit(event.clientX - box.left, event.clientY - box.top);
    if (found) go(found.position);
  });
  wrap.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      event.preventDefault();
      const box = $("overlay").getBoundingClientRect();
      const at = state.win[0] + ((event.clientX - box.left) / view.width) * (state.win[1] - state.win[0]);
      zoom(event.deltaY < 0 ? 1.25 : 0.8, at);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && state.win[1] - state.win[0] < 1) {
      event.preventDefault();
      pan((event.deltaX / view.width) * (state.win[1] - state.win[0]));
    }
  }, { passive: false });
}

/** The mark that a click means; none when all are too far away. */
function nearestHit(x, y) {
  let found = null, least = 40;
  for (const hit of view.hits) {
    const far = Math.hypot(hit.x - x, (hit.y - y) * 0.6);
    if (far < least) [found, least] = [hit, far];
  }
  return found;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target;
  const typing = on.matches?.("select, textarea, input:not([type=range]):not([type=checkbox])");
  if (typing) return;
  const taken = live.key(event);
  if (taken !== null) {
    if (taken) event.preventDefault();
    return;
  }
  const ranged = on.matches?.("input[type=range]"), reading = on.matches?.("pre");
  const pressed = on.matches?.("button, summary, a, input[type=checkbox]");
  const act = {
    " ": () => !pressed && (setPlaying(!state.playing), true),
    ArrowRight: () => !ranged && !reading && (go(state.pos + 1), true),
    ArrowLeft: () => !ranged && !reading && (go(state.pos - 1), true),
    Home: () => !ranged && !reading && (go(1), true),
    End: () => !ranged && !reading && (go(listed().length), true),
    "+": () => (zoom(1.6), true), "=": () => (zoom(1.6), true), "-": () => (zoom(1 / 1.6), true), 0: () => (zoom(1e-9), true),
  }[event.key] ?? (/^[1-9]$/.test(event.key) ? () => (chapter(Number(event.key)), true) : null);
  if (act?.()) event.preventDefault();
}
