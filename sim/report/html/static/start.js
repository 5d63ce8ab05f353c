// Where it begins.

takeRun(JSON.parse(document.getElementById("run").textContent));
const linked = fromLink();
if (!linked) state.pos = live.on ? Math.max(1, listed().length) : Math.max(0, told.findIndex((index) => items[index].r)) + 1;
state.scope = current()?.r?.[0] ?? null;
build();
refresh();
go(state.pos);
document.addEventListener("keydown", onKey);
addEventListener("hashchange", () => { if (fromLink()) { drawBase(); go(state.pos); $("player").scrollIntoView(); } });
dark.addEventListener("change", () => {
  if (state.theme) return;
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  drawBase();
  drawOverlay();
});
let resizing = null;
addEventListener("resize", () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => { layOut(); drawBase(); drawOverlay(); placeRows(); });
});
let scrolling = null;
addEventListener("scroll", () => {
  cancelAnimationFrame(scrolling);
  scrolling = requestAnimationFrame(placeRows);
}, { passive: true });
live.started();
