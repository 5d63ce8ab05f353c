// The run as data, and what is played of it. Everything in it is shown by textContent or on the canvas, never as markup.

let RUN, result, items, docs, lanes, rollouts, B;
// Positions in `items`: of all, of those at which the player stops, and of these each rollout's.
let every, told, toldOf;
// The longest span, µs: how far before what is visible something may have begun.
let longest;

function takeRun(data) {
  RUN = data;
  ({ result, items, docs, lanes } = data);
  rollouts = result.rollouts;
  B = data.against;
  every = [];
  told = [];
  toldOf = rollouts.map(() => []);
  longest = 0;
  items.forEach((item, index) => {
    every.push(index);
    if (item.s !== undefined) longest = Math.max(longest, item.t - item.s);
    if (!item.told) return;
    told.push(index);
    for (const own of item.r ?? []) toldOf[own]?.push(index);
  });
  learnVersions();
  takeResponses(data.dots);
  layBands();
  domains.clear();
}

const listed = () => (state.all || !told.length ? every : told);
const current = () => items[listed()[state.pos - 1]];

/** In a list of positions in `items` the first whose time is not before `t`. */
function firstSince(list, t) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[list[middle]].t < t) low = middle + 1; else high = middle;
  }
  return low;
}

function sinceApply(item) {
  const own = item.r?.[0];
  return own === undefined ? null : item.t - RUN.applied[own];
}

function shortLabel(item) {
  const name = item.ev.slice(item.ev.indexOf(".") + 1).replaceAll("_", " ");
  if (item.ev === "discovery.push" || item.ev === "agent.forward" || item.ev === "envoy.ack" || item.ev === "envoy.nack")
    return `${name} ${item.type ?? ""}`.trim();
  if (item.ev === "registry.request") return `${item.data?.method ?? ""} ${pathEnd(item.data?.path)} ${item.data?.status ?? ""}`;
  if (item.ev === "envoy.worker_ready") return workerVersion(item) ?? name;
  if (item.ev === "traffic.first_response") return item.data?.version ?? T("none");
  return name;
}
/** Which version a worker switches to: the tag of the rollout that it is ready for. */
function workerVersion(item) {
  const rollout = rollouts[item.r?.[0]];
  if (!rollout?.to) return null;
  return `→ ${onePlugin(rollout.gateway) ? "" : `${rollout.plugin.split("/").pop()} `}${tagOf(rollout.to) ?? ""}`.trimEnd();
}
function pathEnd(path) {
  const parts = (path ?? "").split("/");
  const kind = parts[parts.length - 2];
  return ["manifests", "blobs"].includes(kind) ? kind : (path ?? "");
}

// -- versions ------------------------------------------------------------------------------------------------------

const VERSION_COLOURS = ["--v0", "--v1", "--v2", "--v3", "--v4", "--v5"];
// Every version that was seen. One that is known keeps its number, and so its colour.
const versions = [];
const versionNumbers = new Map();
const tagOf = (url) => (url ? /[:@]([^:@/]+)$/.exec(url)?.[1] ?? null : null);

function versionNumber(version) {
  if (!versionNumbers.has(version)) versionNumbers.set(version, versions.push(version) - 1);
  return versionNumbers.get(version);
}
function learnVersions() {
  const drawn = Object.values(RUN.dots).flatMap((load) => load.versions);
  const counted = Object.values(result.traffic).flatMap((load) => Object.keys(load.by_version)).filter((version) => version !== "none");
  // What is drawn of a run that goes on is its end; what was counted begins with the first version.
  for (const version of live.on ? [...counted, ...drawn] : [...drawn, ...counted]) versionNumber(version);
}
function versionVariable(version) {
  const number = versionNumbers.get(version);
  return number === undefined ? "--none" : VERSION_COLOURS[number % VERSION_COLOURS.length];
}

// -- what each worker runs from when on ----------------------------------------------------------------------------

let bands, pluginsOn;
// Of several plugins there is no one version to colour a worker by.
const onePlugin = (gateway) => pluginsOn.get(gateway)?.size === 1;
const workerLane = (worker, gateway) => (gateway ? `worker${worker}:${gateway}` : `worker${worker}`);

function layBands() {
  bands = {};
  pluginsOn = new Map();
  for (const { gateway, plugin } of rollouts) pluginsOn.set(gateway, (pluginsOn.get(gateway) ?? new Set()).add(plugin));
  rollouts.forEach((rollout, index) => {
    if (!onePlugin(rollout.gateway)) return;
    const begins = (worker, after_ms, version) =>
      (bands[workerLane(worker, rollout.gateway)] ??= []).push({ t: RUN.applied[index] + after_ms * 1000, version });
    for (const { worker, ready_ms } of rollout.workers) if (ready_ms !== null) begins(worker, ready_ms, tagOf(rollout.to));
    const gone = rollout.replaced_by || rollout.change === "remove";
    if (gone && rollout.effective_ms !== null)
      for (const lane of lanes)
        if (lane.kind === "worker" && (lane.gateway ?? null) === rollout.gateway) begins(lane.number, rollout.effective_ms, null);
  });
  for (const list of Object.values(bands)) list.sort((a, b) => a.t - b.t);
}
