// The time axis: from a time to a place between 0 and 1, and back.

// `places` are those of the items, by their position.
const axis = { breaks: [0, 1], sums: [0, 1], total: 1, places: new Float64Array(0) };
const domains = new Map();
/** What the live page looks back on, µs. */
const NOW_US = 30e6;

/** What moves on all the time can't have pauses as wide as their logarithms. */
const scaleNow = () => (state.scope === "now" ? "linear" : state.scale);

const lastTime = () => Math.max(items[items.length - 1]?.t ?? 0, ...Object.values(dots).map((load) => load.last ?? 0));

function domainOf(scope) {
  if (scope === null) return [items[0]?.t ?? 0, Math.max(lastTime(), (items[0]?.t ?? 0) + 1)];
  if (scope === "now") return [Math.max(0, lastTime() - NOW_US), Math.max(lastTime(), 1)];
  if (!domains.has(scope)) domains.set(scope, rolloutDomain(scope));
  return domains.get(scope);
}

function rolloutDomain(scope) {
  const start = RUN.applied[scope];
  let end = start + 1000;
  for (const time of [rollouts[scope].effective_ms, rollouts[scope].settled_ms]) if (time !== null) end = Math.max(end, start + time * 1000);
  for (const index of toldOf[scope]) end = Math.max(end, items[index].t);
  const pad = (end - start) * 0.04;
  // What comes after the switch belongs to the picture.
  return [start - pad, end + pad * 4];
}

function layAxis() {
  const [start, end] = domainOf(state.scope);
  if (scaleNow() === "linear") {
    axis.breaks = [start, end];
    axis.sums = [0, 1];
  } else {
    // Each pause between two events is as wide as its logarithm, so that a debounce leaves room for what follows it.
    axis.breaks = [start];
    for (let at = firstSince(told, start); at < told.length && items[told[at]].t < end; at++) {
      const { t } = items[told[at]];
      if (t > axis.breaks[axis.breaks.length - 1]) axis.breaks.push(t);
    }
    axis.breaks.push(end);
    axis.sums = [0];
    for (let i = 1; i < axis.breaks.length; i++) {
      const edge = i === 1 || i === axis.breaks.length - 1;
      const wide = Math.log1p((axis.breaks[i] - axis.breaks[i - 1]) / 40);
      axis.sums.push(axis.sums[i - 1] + (edge ? Math.min(wide, i === 1 ? 2.5 : 7) : wide));
    }
  }
  axis.total = axis.sums[axis.sums.length - 1] || 1;
  axis.places = new Float64Array(items.length);
  placeAll((i) => items[i].t, axis.places, 0, items.length);
  for (const load of Object.values(dots)) placeAll((i) => load.t[i], load.x, load.start, load.end);
}

/** Where a time is on the whole axis: 0 to 1 within it, outside for what is earlier or later. */
function place(t) {
  const { breaks } = axis;
  const last = breaks.length - 1;
  if (t < breaks[0]) return -0.01;
  if (t > breaks[last]) return 1.01;
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (breaks[middle] <= t) low = middle; else high = middle;
  }
  return within(low, t);
}

function within(low, t) {
  const { breaks, sums, total } = axis;
  const part = (t - breaks[low]) / (breaks[low + 1] - breaks[low] || 1);
  return (sums[low] + part * (sums[low + 1] - sums[low])) / total;
}

/** As `place`, for times that come one after the other. */
function placeAll(timeOf, places, from, end) {
  const { breaks } = axis;
  const last = breaks.length - 1;
  let low = 0;
  for (let i = from; i < end; i++) {
    const t = timeOf(i);
    if (t < breaks[low]) {
      places[i] = place(t);
      continue;
    }
    while (low < last - 1 && breaks[low + 1] <= t) low++;
    places[i] = t > breaks[last] ? 1.01 : within(low, t);
  }
}

function timeAt(where) {
  const { breaks, sums, total } = axis;
  const sum = clamp(where, 0, 1) * total;
  let low = 1, high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle] < sum) low = middle + 1; else high = middle;
  }
  const part = (sum - sums[low - 1]) / (sums[low] - sums[low - 1] || 1);
  return breaks[low - 1] + part * (breaks[low] - breaks[low - 1]);
}
