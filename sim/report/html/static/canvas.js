// The canvases: how large, where each lane is, and the colours and widths that drawing asks for again and again.

const AXIS_PX = 24;
// `hits` are the marks that a click may mean.
const view = { width: 0, height: 0, ratio: 1, tops: {}, heights: {}, hits: [] };
// Drawn once with the base and copied at every step: what lies over the veil, and the way that the change took.
const layers = { troubles: document.createElement("canvas"), trail: document.createElement("canvas") };

function colours() {
  const style = getComputedStyle(document.documentElement);
  const known = new Map();
  return (name) => {
    if (!known.has(name)) known.set(name, style.getPropertyValue(name).trim());
    return known.get(name);
  };
}
const screenX = (where) => ((where - state.win[0]) / (state.win[1] - state.win[0])) * view.width;
const xOf = (t) => screenX(place(t));

function layOut() {
  const box = $("lanes");
  const room = box.clientHeight - AXIS_PX - 2;
  const clients = lanes.filter((lane) => lane.kind === "clients");
  const others = lanes.length - clients.length;
  const thick = clamp(room * 0.26, clients.length > 1 ? 46 : 64, 170);
  const each = clamp((room - thick * clients.length) / Math.max(1, others), 25, 58);
  let top = AXIS_PX;
  view.tops = {};
  view.heights = {};
  for (const lane of lanes) {
    view.tops[lane.id] = top;
    view.heights[lane.id] = lane.kind === "clients" ? Math.max(thick, clients.length === 1 ? room - each * others : 0) : each;
    top += view.heights[lane.id];
  }
  view.height = top + 1;
  const names = $("names");
  names.style.height = `${view.height}px`;
  for (const lane of lanes) {
    const name = $(`lane-${lane.id}`);
    name.style.top = `${view.tops[lane.id]}px`;
    name.style.height = `${view.heights[lane.id]}px`;
  }
  const wrap = $("canvases");
  view.width = wrap.clientWidth;
  view.ratio = devicePixelRatio || 1;
  wrap.style.height = `${view.height}px`;
  for (const canvas of [$("base"), $("overlay"), layers.troubles, layers.trail]) {
    canvas.width = Math.round(view.width * view.ratio);
    canvas.height = Math.round(view.height * view.ratio);
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${view.height}px`;
  }
}

function context(canvas) {
  const drawing = canvas.getContext("2d");
  drawing.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  drawing.clearRect(0, 0, view.width, view.height);
  drawing.font = `${fontPx() * 0.78}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace`;
  drawing.textBaseline = "middle";
  return drawing;
}
const fontPx = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/** Put the left part of a layer, up to `x`, on another canvas. */
function copyLayer(ctx, layer, x = view.width) {
  const wide = Math.min(layer.width, Math.ceil(x * view.ratio));
  if (wide > 0 && layer.height > 0) ctx.drawImage(layer, 0, 0, wide, layer.height, 0, 0, wide / view.ratio, view.height);
}

// Measuring a text takes longer than drawing it, and most labels come again.
const widths = { font: "", known: new Map() };
function widthOf(ctx, text) {
  if (widths.font !== ctx.font || widths.known.size > 5000) Object.assign(widths, { font: ctx.font, known: new Map() });
  if (!widths.known.has(text)) widths.known.set(text, ctx.measureText(text).width);
  return widths.known.get(text);
}

const ofClients = (item) => item.lane.startsWith("clients");
const markY = (lane) => view.tops[lane] + view.heights[lane] * 0.66;
const labelY = (lane) => view.tops[lane] + view.heights[lane] * 0.28;
const itemY = (item) => (ofClients(item) ? view.tops[item.lane] + 8 : markY(item.lane));

function cross(ctx, x, y, r) {
  ctx.lineWidth = 2.25;
  ctx.beginPath();
  ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r);
  ctx.moveTo(x + r, y - r); ctx.lineTo(x - r, y + r);
  ctx.stroke();
}

function disc(ctx, x, y, r) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, Math.PI * 2);
  ctx.fill();
}
