// The base: lanes, ticks, what workers run, responses and marks. Drawn anew when the axis or the window changes.

function drawBase() {
  const css = colours();
  const ctx = context($("base"));
  ctx.fillStyle = css("--line");
  for (const lane of lanes) ctx.fillRect(0, Math.round(view.tops[lane.id]), view.width, 1);
  drawTicks(ctx, css);
  drawBands(ctx, css);
  const trail = trailPoints();
  drawTrail(ctx, trail, css("--trail"), 1);
  drawTrail(context(layers.trail), trail, css("--accent"), 1.75);
  const troubles = context(layers.troubles);
  for (const lane of lanes) {
    if (lane.kind !== "clients" || !dots[lane.load]) continue;
    drawDots(ctx, css, lane);
    drawFailures(troubles, css, lane);
  }
  if (B) drawGhosts(ctx, css);
  drawMarks(ctx, css);
  for (const hit of view.hits) if (hit.bad) drawBad(troubles, css, hit);
}

/** Of a list of positions in `items` the part that may be seen: [from, to). */
function visiblePart(list) {
  const [from, to] = state.win.map(timeAt);
  const slack = (to - from) / Math.max(1, view.width) * 4 + 1;
  return [firstSince(list, from - slack), firstSince(list, to + slack + longest)];
}

function drawTicks(ctx, css) {
  const zero = ofOneRollout() ? RUN.applied[state.scope] : 0;
  let edge = -Infinity;
  const tick = (t, text) => {
    const x = xOf(t);
    if (x < 0 || x > view.width - 4 || x - 2 < edge) return;
    const words = text(), width = widthOf(ctx, words);
    ctx.fillStyle = css("--grid");
    ctx.fillRect(Math.round(x), AXIS_PX - 6, 1, view.height);
    ctx.fillStyle = css("--muted");
    const at = Math.min(x + 3, view.width - width - 2);
    if (at < edge) return;
    ctx.fillText(words, at, AXIS_PX / 2 - 2);
    edge = at + width + 14;
  };
  if (scaleNow() === "log") {
    const wanted = ofOneRollout() ? toldOf[state.scope] : told;
    const [first, end] = visiblePart(wanted);
    for (let at = first; at < end; at++) {
      const { t } = items[wanted[at]];
      tick(t, () => (t === zero ? "0" : us(t - zero)));
    }
    return;
  }
  const from = timeAt(state.win[0]) - zero, to = timeAt(state.win[1]) - zero;
  const raw = (to - from) / Math.max(3, view.width / 120);
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= raw);
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) tick(t + zero, () => (Math.abs(t) < step / 2 ? "0" : us(t)));
}

function drawBands(ctx, css) {
  for (const [lane, list] of Object.entries(bands)) {
    if (!(lane in view.tops)) continue;
    list.forEach((band, index) => {
      const from = clamp(xOf(band.t), 0, view.width);
      const end = list[index + 1] ? xOf(list[index + 1].t) : view.width;
      const to = clamp(end < 0 ? 0 : end, 0, view.width);
      if (to <= from) return;
      ctx.fillStyle = css(versionVariable(band.version));
      ctx.globalAlpha = 0.22;
      ctx.fillRect(from, view.tops[lane] + 2, to - from, view.heights[lane] - 3);
      ctx.globalAlpha = 1;
    });
  }
}

/** The line from event to event of each change: [x, y, whether it goes on from the one before]. */
function trailPoints() {
  const list = ofOneRollout() ? toldOf[state.scope] : told;
  const points = [];
  let before = null, column = null;
  const add = (x, y, joins) => {
    // Of what falls into one column of pixels, only the way up and down can be seen.
    if (column !== null && Math.round(x) === column.x) {
      if (y < column.low || y > column.high) points.push([x, y, true]);
      column.low = Math.min(column.low, y);
      column.high = Math.max(column.high, y);
      column.last = [x, y, true];
      return;
    }
    if (joins && column?.last) points.push(column.last);
    points.push([x, y, joins]);
    column = { x: Math.round(x), low: y, high: y, last: null };
  };
  let [first, end] = visiblePart(list);
  // One more on either side, so that lines leave the picture.
  do first--; while (first > 0 && !items[list[first]].step);
  while (end < list.length && !items[list[end]].step) end++;
  for (let at = Math.max(0, first); at < Math.min(list.length, end + 1); at++) {
    const item = items[list[at]];
    if (!item.step || !(item.lane in view.tops)) continue;
    const x = screenX(axis.places[list[at]]), y = itemY(item);
    const spans = item.s !== undefined && item.s >= (before?.t ?? -Infinity);
    add(spans ? xOf(item.s) : x, y, before !== null && before.r?.[0] === item.r?.[0]);
    if (spans) add(x, y, true);
    before = item;
  }
  if (column?.last) points.push(column.last);
  return points;
}

function drawTrail(ctx, points, colour, width) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.beginPath();
  // A path of thousands of lines takes far longer than as many lines in short paths.
  points.forEach(([x, y, joins], at) => {
    if (joins) ctx.lineTo(x, y);
    if (joins && at % 32) return;
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x, y);
  });
  ctx.stroke();
}

function drawDots(ctx, css, lane) {
  const load = dots[lane.load];
  const top = view.tops[lane.id] + 14, height = view.heights[lane.id] - 18;
  const rowHeight = height / load.rows;
  const size = clamp(Math.min(rowHeight * 0.7, 5), 1.5, 5);
  const columns = Math.ceil(view.width);
  const grid = new Int16Array(columns * load.rows).fill(-2);
  const [from, to] = state.win;
  const scale = view.width / (to - from);
  for (let i = load.start; i < load.end; i++) {
    const x = load.x[i];
    if (x < from || x > to) continue;
    const column = Math.min(columns - 1, ((x - from) * scale) | 0);
    grid[load.row[i] * columns + column] = load.version[i];
  }
  for (let row = 0; row < load.rows; row++) {
    const y = top + row * rowHeight + (rowHeight - size) / 2;
    // Squares of one version that overlap are one rectangle.
    let version = -2, first = 0, last = -Infinity;
    const draw = () => {
      if (version === -2) return;
      ctx.fillStyle = css(versionVariable(versions[version]));
      ctx.fillRect(first - size / 2, y, last - first + size, size);
    };
    for (let column = 0; column < columns; column++) {
      const found = grid[row * columns + column];
      if (found === -2) continue;
      if (found !== version || column - last >= size) {
        draw();
        [version, first] = [found, column];
      }
      last = column;
    }
    draw();
  }
}

/** Failed requests, above everything else: none may be missed. */
function drawFailures(ctx, css, lane) {
  const load = dots[lane.load];
  const top = view.tops[lane.id] + 14, rowHeight = (view.heights[lane.id] - 18) / load.rows;
  ctx.strokeStyle = ctx.fillStyle = css("--bad");
  let column = -1;
  const crossed = new Set();
  for (const position of load.failed) {
    const x = screenX(load.x[position]);
    if (x < 0 || x > view.width) continue;
    if (Math.round(x) !== column) {
      column = Math.round(x);
      crossed.clear();
      ctx.globalAlpha = 0.25;
      ctx.fillRect(column - 1, view.tops[lane.id] + 1, 3, view.heights[lane.id] - 1);
      ctx.globalAlpha = 1;
    }
    if (crossed.has(load.row[position])) continue;
    crossed.add(load.row[position]);
    cross(ctx, x, top + (load.row[position] + 0.5) * rowHeight, 5);
  }
}

function drawGhosts(ctx, css) {
  ctx.strokeStyle = css("--ghost");
  ctx.lineWidth = 1.5;
  B.pairs.forEach((pair, index) => {
    if (pair === null || (ofOneRollout() && state.scope !== index)) return;
    for (const item of B.items) {
      if (!item.r?.includes(pair) || !(item.lane in view.tops) || ofClients(item)) continue;
      const x = xOf(RUN.applied[index] + item.t - B.applied[pair]);
      if (x < 0 || x > view.width) continue;
      ctx.strokeRect(x - 4, markY(item.lane) - 4, 8, 8);
    }
  });
}

function drawMarks(ctx, css) {
  view.hits = [];
  const edges = {}, runs = new Map(), labels = [];
  const seen = listed();
  const [first, end] = visiblePart(seen);
  for (let position = first; position < end; position++) {
    const item = items[seen[position]];
    if (!(item.lane in view.tops)) continue;
    const x = screenX(axis.places[seen[position]]);
    const from = item.s === undefined ? x : xOf(item.s);
    if (x < -2 || from > view.width + 2) continue;
    const client = ofClients(item), y = itemY(item);
    const colour = item.bad ? "--bad" : item.step ? "--accent" : "--muted";
    const kind = `${item.lane} ${colour} ${item.told ?? ""}`;
    const run = runs.get(kind);
    const apart = run ? x - run.to : Infinity;
    // Two that can't be told from each other are one to the pointer, too.
    if (apart < 0.5 && from === x && !startsVersion(item)) continue;
    view.hits.push({ x, y, position: position + 1, bad: item.bad, lane: item.lane });
    if (x - from > 3) drawSpan(ctx, css(colour), from, x, y);
    if (apart < 2) {
      run.to = x;
    } else {
      if (run) drawRun(ctx, css, run);
      runs.set(kind, { from: x, to: x, y, colour, told: item.told });
    }
    const edge = edges[item.lane] ?? -Infinity;
    if (Math.max(x - 4, 2) <= edge || !(client ? startsVersion(item) : item.told)) continue;
    const label = shortLabel(item);
    const width = widthOf(ctx, label);
    const at = clamp(x - 4, 2, view.width - width - 2);
    if (at <= edge) continue;
    labels.push({ item, label, x, y, at, width });
    edges[item.lane] = client ? x + width + 20 : at + width + 12;
  }
  for (const run of runs.values()) drawRun(ctx, css, run);
  for (const each of labels) drawLabel(ctx, css, each);
}

function drawSpan(ctx, colour, from, to, y) {
  ctx.fillStyle = colour;
  ctx.globalAlpha = 0.35;
  ctx.fillRect(from, y - 3, to - from, 6);
  ctx.globalAlpha = 1;
}

/** Marks that overlap, as one. Failures are drawn above everything else. */
function drawRun(ctx, css, { from, to, y, colour, told: stops }) {
  if (colour === "--bad") return;
  ctx.fillStyle = css(colour);
  if (!stops) {
    ctx.fillRect(from - 0.75, y - 5, to - from + 1.5, 10);
    return;
  }
  ctx.beginPath();
  ctx.arc(from, y, 4.5, Math.PI / 2, Math.PI * 1.5);
  ctx.arc(to, y, 4.5, -Math.PI / 2, Math.PI / 2);
  ctx.fill();
}

function drawLabel(ctx, css, { item, label, x, y, at, width }) {
  if (ofClients(item)) {
    ctx.fillStyle = css(versionVariable(item.data?.version));
    disc(ctx, x, y, 4.5);
    ctx.fillText(label, x + 9 + width > view.width ? x - 9 - width : x + 9, y);
  } else {
    ctx.fillStyle = item.bad ? css("--bad") : css("--soft");
    ctx.fillText(label, at, labelY(item.lane));
  }
}

const startsVersion = (item) => item.ev === "traffic.first_response";

function drawBad(ctx, css, { x, y, lane }) {
  ctx.fillStyle = ctx.strokeStyle = css("--bad");
  if (lane.startsWith("clients")) ctx.fillRect(Math.round(x) - 1, view.tops[lane] + 1, 2, view.heights[lane] - 1);
  cross(ctx, x, y, 5);
}
