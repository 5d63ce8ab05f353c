// What lies over the base: the veil over what is still to come, the way so far, and the current event.

/** Of a glide `where` is its place on the axis; without it the line stands at the current event. */
function drawOverlay(where) {
  const css = colours();
  const ctx = context($("overlay"));
  const item = current();
  if (!item) return;
  const x = screenX(where ?? place(item.t));
  ctx.fillStyle = css("--veil");
  ctx.fillRect(Math.max(0, x), AXIS_PX, view.width, view.height);
  copyLayer(ctx, layers.troubles);
  if (where === undefined) copyLayer(ctx, layers.trail, x);
  ctx.fillStyle = css("--accent");
  ctx.fillRect(Math.round(x) - 0.75, AXIS_PX - 6, 1.5, view.height);
  if (where !== undefined || !(item.lane in view.tops)) return;
  const y = itemY(item);
  const colour = item.bad ? css("--bad") : css("--accent");
  ctx.fillStyle = css("--surface");
  disc(ctx, x, y, 9);
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.arc(x, y, 9, 0, Math.PI * 2);
  ctx.stroke();
  disc(ctx, x, y, 5);
  // Its label stands beside it already.
  if (startsVersion(item)) return;
  const label = shortLabel(item);
  ctx.font = `600 ${ctx.font}`;
  const width = ctx.measureText(label).width;
  const at = clamp(x - 4, 4, view.width - width - 8);
  const ly = ofClients(item) ? y + 18 : labelY(item.lane);
  ctx.fillStyle = css("--surface");
  ctx.fillRect(at - 5, ly - 9, width + 10, 18);
  ctx.fillStyle = colour;
  ctx.fillText(label, at, ly);
}
