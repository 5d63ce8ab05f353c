"use strict";
(() => {
// The run as data. Everything in it is shown by textContent or on the canvas, never as markup.
const RUN = JSON.parse(document.getElementById("run").textContent);
const { result, items, docs, lanes } = RUN;
const B = RUN.against;

const WORDS = {
  en: {
    player: "Player", times: "Times", verdict: "Verdict", compare: "Compare", scenario: "Scenario", events: "Events",
    passed: "passed", failed: "failed", error: "error", theme: "Light or dark", language: "中文",
    play: "Play", pause: "Pause", previous: "Previous", next: "Next", speed: "Speed", position: "Position",
    whole: "whole run", show: "Show", scale: "Time axis", log: "log", linear: "linear", zoomIn: "Zoom in", zoomOut: "Zoom out",
    fit: "Fit", all: "every event", payload: "Payload", hop: "vs hop before", last: "vs last time", nothing: "No payload crosses here.", latest: "The latest:",
    same: "The resource is the same, byte by byte.", against: "held against", lines: "lines", chapters: "The nine steps",
    manifests: "manifests", core: "Core", discovery: "Discovery", agent: "Agent", registry: "registry, cache", envoy: "Envoy main",
    worker: "worker", clients: "clients", none: "no version", broken: "broken", failures: "failed", drained: "drained",
    timeline: "Timeline: lanes of the parts, events and responses over time", after: "after apply", took: "took",
    effective: "effective", settled: "settled", workers: "workers", answer: "answer", ack: "ACK by Envoy", nack: "NACK",
    noAnswer: "neither ACK nor NACK", listener: "listener updates", never: "never", environment: "Environment",
    expectations: "Expectations", thresholds: "Thresholds", traffic: "Traffic", requests: "requests", opened: "opened",
    gap: "longest gap", latency: "latency", byVersion: "by version", hold: "hold", holds: "holds", fails: "does not hold", actual: "actual", of: "of",
    stage: "stage", ratio: "ratio", order: "Order of events", sameOrder: "The order of events is the same.",
    noOrder: "There is no trace to compare the order.", verdicts: "Verdicts that differ", sameVerdicts: "The verdicts are the same.",
    keys: "space plays · ← → step · Home End · + − zoom · 0 fit · 1–9 chapters", resolved: "The scenario as it was resolved",
    noTraffic: "This run has no traffic.json: responses are not drawn.", directory: "run directory", duration: "duration", seed: "seed",
    add: "new plugin", image: "new image", config: "new configuration", remove: "removed", other: "changed", moment: "moment", samples: "samples",
    noRollouts: "No rollout was measured.", payloadPane: "What crosses this hop", time: "time", event: "event", hint: "hint",
    controls: "Playback", details: "Facts", log_tail: "end of its log", ghost: "B's events", slowdown: "events a second",
  },
  zh: {
    player: "播放", times: "耗时", verdict: "结论", compare: "对比", scenario: "场景", events: "事件",
    passed: "通过", failed: "失败", error: "错误", theme: "浅色或深色", language: "English",
    play: "播放", pause: "暂停", previous: "上一个", next: "下一个", speed: "速度", position: "位置",
    whole: "整个过程", show: "范围", scale: "时间轴", log: "对数", linear: "线性", zoomIn: "放大", zoomOut: "缩小",
    fit: "适应", all: "全部事件", payload: "内容", hop: "与上一跳对比", last: "与上一次对比", nothing: "此处没有传递内容。", latest: "最近一次：",
    same: "资源逐字节相同。", against: "对比对象", lines: "行", chapters: "九个步骤",
    manifests: "清单", core: "Core", discovery: "Discovery", agent: "Agent", registry: "仓库与缓存", envoy: "Envoy 主线程",
    worker: "worker", clients: "客户端", none: "无版本", broken: "断开", failures: "失败", drained: "排空",
    timeline: "时间线：各组件的泳道、事件与响应", after: "自应用起", took: "耗时",
    effective: "生效", settled: "稳定", workers: "worker", answer: "应答", ack: "Envoy 已 ACK", nack: "NACK",
    noAnswer: "既无 ACK 也无 NACK", listener: "监听器更新", never: "未发生", environment: "环境",
    expectations: "期望", thresholds: "阈值", traffic: "流量", requests: "请求", opened: "建立",
    gap: "最长间隔", latency: "延迟", byVersion: "按版本", hold: "成立", holds: "成立", fails: "不成立", actual: "实际", of: "/",
    stage: "阶段", ratio: "比值", order: "事件顺序", sameOrder: "事件顺序相同。",
    noOrder: "没有 trace，无法比较顺序。", verdicts: "不同的结论", sameVerdicts: "结论相同。",
    keys: "空格播放 · ← → 单步 · Home End · + − 缩放 · 0 适应 · 1–9 章节", resolved: "解析后的场景",
    noTraffic: "本次运行没有 traffic.json，未绘制响应。", directory: "运行目录", duration: "时长", seed: "种子",
    add: "新插件", image: "新镜像", config: "新配置", remove: "移除", other: "变更", moment: "时刻", samples: "样本",
    noRollouts: "没有测得任何发布。", payloadPane: "这一跳传递的内容", time: "时间", event: "事件", hint: "提示",
    controls: "播放控制", details: "详情", log_tail: "日志末尾", ghost: "B 的事件", slowdown: "每秒事件数",
  },
};
const VERSION_COLOURS = ["--v0", "--v1", "--v2", "--v3", "--v4", "--v5"];
const SPEEDS = [0.5, 1, 2, 4, 8];
const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

const query = new URLSearchParams(location.search);
const state = {
  lang: query.get("lang") === "zh" ? "zh" : "en", theme: query.get("theme"), all: false, pos: 1, scope: null, scale: "log",
  win: [0, 1], playing: false, speed: 1, view: "hop", format: "yaml", role: null,
};
const T = (key) => WORDS[state.lang][key] ?? key;
const inLang = (words) => (words ? words[state.lang] ?? words.en : "");

// -- elements ------------------------------------------------------------------------------------------------------

function h(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
const $ = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function ms(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0 ms";
  if (size < 10) return `${value.toFixed(2)} ms`;
  if (size < 1000) return `${value.toFixed(1)} ms`;
  return `${(value / 1000).toFixed(2)} s`;
}
const us = (value) => ms(value / 1000);
const signed = (value) => value === 0 ? "0 ms" : `${value < 0 ? "−" : "+"}${us(Math.abs(value))}`;

// -- what is played ------------------------------------------------------------------------------------------------

const told = items.map((item, index) => index).filter((index) => items[index].told);
const every = items.map((item, index) => index);
const listed = () => (state.all || !told.length ? every : told);
const current = () => items[listed()[state.pos - 1]];
const rollouts = result.rollouts;

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

const versions = [];
for (const load of Object.values(RUN.dots)) for (const version of load.versions) if (!versions.includes(version)) versions.push(version);
for (const load of Object.values(result.traffic)) for (const version of Object.keys(load.by_version)) {
  if (version !== "none" && !versions.includes(version)) versions.push(version);
}
const tagOf = (url) => (url ? /[:@]([^:@/]+)$/.exec(url)?.[1] ?? null : null);
function versionColour(version, css) {
  const index = versions.indexOf(version);
  return css(index < 0 ? "--none" : VERSION_COLOURS[index % VERSION_COLOURS.length]);
}

// Each load's dots: when, by which version, on which row. Typed arrays, so that a long run stays fluent.
const dots = {};
for (const [load, columns] of Object.entries(RUN.dots)) {
  const count = columns.t_us.length;
  const made = { count, t: new Float64Array(count), version: new Int16Array(count), row: new Uint16Array(count),
    x: new Float32Array(count), rows: columns.row_count, failed: columns.failed };
  let at = columns.t0;
  for (let i = 0; i < count; i++) {
    at += columns.t_us[i];
    made.t[i] = at;
    made.row[i] = columns.rows[columns.connection[i]] ?? 0;
  }
  let next = 0;
  for (const [version, length] of columns.version) {
    made.version.fill(version < 0 ? -1 : versions.indexOf(columns.versions[version]), next, next + length);
    next += length;
  }
  dots[load] = made;
}

// What each worker runs from when on. Of several plugins there is no one version to colour a worker by.
const onePlugin = (gateway) => new Set(rollouts.filter((rollout) => rollout.gateway === gateway).map((rollout) => rollout.plugin)).size === 1;
const bands = {};
const workerLane = (worker, gateway) => (gateway ? `worker${worker}:${gateway}` : `worker${worker}`);
rollouts.forEach((rollout, index) => {
  if (!onePlugin(rollout.gateway)) return;
  const begins = (worker, after_ms, version) =>
    (bands[workerLane(worker, rollout.gateway)] ??= []).push({ t: RUN.applied[index] + after_ms * 1000, version });
  for (const { worker, ready_ms } of rollout.workers) if (ready_ms !== null) begins(worker, ready_ms, tagOf(rollout.to));
  const gone = rollout.replaced_by || rollout.change === "remove";
  if (gone && rollout.effective_ms !== null)
    for (const lane of lanes) if (lane.kind === "worker" && (lane.gateway ?? null) === rollout.gateway) begins(lane.number, rollout.effective_ms, null);
});
for (const list of Object.values(bands)) list.sort((a, b) => a.t - b.t);

// -- the time axis -------------------------------------------------------------------------------------------------

const axis = { breaks: [0, 1], sums: [0, 1], total: 1 };

function domainOf(scope) {
  if (scope === null) {
    const ends = Object.values(dots).map((load) => load.t[load.count - 1] ?? 0);
    return [0, Math.max(items[items.length - 1]?.t ?? 0, ...ends, 1)];
  }
  const start = RUN.applied[scope];
  const own = told.map((index) => items[index]).filter((item) => item.r?.includes(scope)).map((item) => item.t);
  const times = [rollouts[scope].effective_ms, rollouts[scope].settled_ms].filter((time) => time !== null);
  const end = Math.max(start + 1000, ...times.map((time) => start + time * 1000), ...own);
  const pad = (end - start) * 0.04;
  // What comes after the switch belongs to the picture.
  return [start - pad, end + pad * 4];
}

function layAxis() {
  const [start, end] = domainOf(state.scope);
  if (state.scale === "linear") {
    axis.breaks = [start, end];
    axis.sums = [0, 1];
  } else {
    // Each pause between two events is as wide as its logarithm, so that a debounce leaves room for what follows it.
    const inside = told.map((index) => items[index].t).filter((t) => t > start && t < end);
    axis.breaks = [...new Set([start, ...inside, end])].sort((a, b) => a - b);
    axis.sums = [0];
    for (let i = 1; i < axis.breaks.length; i++) {
      const edge = i === 1 || i === axis.breaks.length - 1;
      const wide = Math.log1p((axis.breaks[i] - axis.breaks[i - 1]) / 40);
      axis.sums.push(axis.sums[i - 1] + (edge ? Math.min(wide, i === 1 ? 2.5 : 7) : wide));
    }
  }
  axis.total = axis.sums[axis.sums.length - 1] || 1;
  for (const load of Object.values(dots)) for (let i = 0; i < load.count; i++) load.x[i] = place(load.t[i]);
}

/** Where a time is on the whole axis: 0 to 1 within it, outside for what is earlier or later. */
function place(t) {
  const { breaks, sums, total } = axis;
  const last = breaks.length - 1;
  if (t < breaks[0]) return -0.01;
  if (t > breaks[last]) return 1.01;
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (breaks[middle] <= t) low = middle; else high = middle;
  }
  const part = (t - breaks[low]) / (breaks[high] - breaks[low] || 1);
  return (sums[low] + part * (sums[high] - sums[low])) / total;
}

function timeAt(where) {
  const { breaks, sums, total } = axis;
  const sum = clamp(where, 0, 1) * total;
  let i = 1;
  while (i < sums.length - 1 && sums[i] < sum) i++;
  const part = (sum - sums[i - 1]) / (sums[i] - sums[i - 1] || 1);
  return breaks[i - 1] + part * (breaks[i] - breaks[i - 1]);
}

// -- the canvas ----------------------------------------------------------------------------------------------------

const view = { width: 0, height: 0, ratio: 1, tops: {}, heights: {}, hits: [], top: 24 };
const AXIS_PX = 24;

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(name).trim();
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
  for (const id of ["base", "overlay"]) {
    const canvas = $(id);
    canvas.width = Math.round(view.width * view.ratio);
    canvas.height = Math.round(view.height * view.ratio);
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${view.height}px`;
  }
}

function context(id) {
  const drawing = $(id).getContext("2d");
  drawing.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
  drawing.clearRect(0, 0, view.width, view.height);
  drawing.font = `${fontPx() * 0.78}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace`;
  drawing.textBaseline = "middle";
  return drawing;
}
const fontPx = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
const markY = (lane) => view.tops[lane] + view.heights[lane] * 0.66;
const labelY = (lane) => view.tops[lane] + view.heights[lane] * 0.28;

function drawBase() {
  const css = colours();
  const ctx = context("base");
  ctx.fillStyle = css("--line");
  for (const lane of lanes) ctx.fillRect(0, Math.round(view.tops[lane.id]), view.width, 1);
  drawTicks(ctx, css);
  drawBands(ctx, css);
  drawTrail(ctx, css("--trail"), Infinity);
  for (const lane of lanes) if (lane.kind === "clients" && dots[lane.load]) drawDots(ctx, css, lane);
  if (B) drawGhosts(ctx, css);
  drawMarks(ctx, css);
}

function drawTicks(ctx, css) {
  const zero = state.scope === null ? 0 : RUN.applied[state.scope];
  let edge = -Infinity;
  const tick = (t, text) => {
    const x = xOf(t);
    const width = ctx.measureText(text).width;
    if (x < 0 || x > view.width - 4 || x - 2 < edge) return;
    ctx.fillStyle = css("--grid");
    ctx.fillRect(Math.round(x), AXIS_PX - 6, 1, view.height);
    ctx.fillStyle = css("--muted");
    const at = Math.min(x + 3, view.width - width - 2);
    if (at < edge) return;
    ctx.fillText(text, at, AXIS_PX / 2 - 2);
    edge = at + width + 14;
  };
  if (state.scale === "log") {
    const wanted = state.scope === null ? told : told.filter((index) => items[index].r?.includes(state.scope));
    for (const index of wanted) tick(items[index].t, items[index].t === zero ? "0" : us(items[index].t - zero));
    return;
  }
  const from = timeAt(state.win[0]) - zero, to = timeAt(state.win[1]) - zero;
  const raw = (to - from) / Math.max(3, view.width / 120);
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= raw);
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) tick(t + zero, Math.abs(t) < step / 2 ? "0" : us(t));
}

function drawBands(ctx, css) {
  for (const [lane, list] of Object.entries(bands)) {
    if (!(lane in view.tops)) continue;
    list.forEach((band, index) => {
      const from = clamp(xOf(band.t), 0, view.width);
      const end = list[index + 1] ? xOf(list[index + 1].t) : view.width;
      const to = clamp(end < 0 ? 0 : end, 0, view.width);
      ctx.fillStyle = versionColour(band.version, css);
      ctx.globalAlpha = 0.22;
      ctx.fillRect(from, view.tops[lane] + 2, to - from, view.heights[lane] - 3);
      ctx.globalAlpha = 1;
    });
  }
}

function drawTrail(ctx, colour, until) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = until === Infinity ? 1 : 1.75;
  ctx.beginPath();
  let before = null;
  for (const index of told) {
    const item = items[index];
    if (item.t > until) break;
    if (!item.step || (state.scope !== null && !item.r?.includes(state.scope))) continue;
    const x = xOf(item.s !== undefined && item.s >= (before?.t ?? -Infinity) ? item.s : item.t), y = item.lane.startsWith("clients") ? view.tops[item.lane] + 8 : markY(item.lane);
    const joins = before !== null && before.r?.[0] === item.r?.[0];
    if (joins) ctx.lineTo(x, y); else ctx.moveTo(x, y);
    ctx.lineTo(xOf(item.t), y);
    before = item;
  }
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
  for (let i = 0; i < load.count; i++) {
    const x = load.x[i];
    if (x < from || x > to) continue;
    const column = Math.min(columns - 1, ((x - from) * scale) | 0);
    grid[load.row[i] * columns + column] = load.version[i];
  }
  const palette = new Map();
  for (let row = 0; row < load.rows; row++) {
    const y = top + row * rowHeight + (rowHeight - size) / 2;
    for (let column = 0; column < columns; column++) {
      const version = grid[row * columns + column];
      if (version === -2) continue;
      if (!palette.has(version)) palette.set(version, versionColour(versions[version], css));
      ctx.fillStyle = palette.get(version);
      ctx.fillRect(column - size / 2, y, size, size);
    }
  }
}

/** Failed requests, above everything else: none may be missed. */
function drawFailures(ctx, css, lane) {
  const load = dots[lane.load];
  const top = view.tops[lane.id] + 14, rowHeight = (view.heights[lane.id] - 18) / load.rows;
  ctx.strokeStyle = ctx.fillStyle = css("--bad");
  let column = -1;
  for (const [position] of load.failed) {
    const x = screenX(load.x[position]);
    if (x < 0 || x > view.width) continue;
    if (Math.round(x) !== column) {
      column = Math.round(x);
      ctx.globalAlpha = 0.25;
      ctx.fillRect(column - 1, view.tops[lane.id] + 1, 3, view.heights[lane.id] - 1);
      ctx.globalAlpha = 1;
    }
    cross(ctx, x, top + (load.row[position] + 0.5) * rowHeight, 5);
  }
}

function cross(ctx, x, y, r) {
  ctx.lineWidth = 2.25;
  ctx.beginPath();
  ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r);
  ctx.moveTo(x + r, y - r); ctx.lineTo(x - r, y + r);
  ctx.stroke();
}

function drawGhosts(ctx, css) {
  ctx.strokeStyle = css("--ghost");
  ctx.lineWidth = 1.5;
  B.pairs.forEach((pair, index) => {
    if (pair === null || (state.scope !== null && state.scope !== index)) return;
    for (const item of B.items) {
      if (!item.r?.includes(pair) || !(item.lane in view.tops) || item.lane.startsWith("clients")) continue;
      const x = xOf(RUN.applied[index] + item.t - B.applied[pair]);
      if (x < 0 || x > view.width) continue;
      ctx.strokeRect(x - 4, markY(item.lane) - 4, 8, 8);
    }
  });
}

function drawMarks(ctx, css) {
  view.hits = [];
  const edges = {};
  const seen = listed();
  seen.forEach((index, position) => {
    const item = items[index];
    if (!(item.lane in view.tops)) return;
    const x = xOf(item.t);
    const from = item.s === undefined ? x : xOf(item.s);
    if (x < -2 || from > view.width + 2) return;
    const client = item.lane.startsWith("clients");
    const y = client ? view.tops[item.lane] + 8 : markY(item.lane);
    const colour = item.bad ? css("--bad") : item.step ? css("--accent") : css("--muted");
    ctx.fillStyle = ctx.strokeStyle = colour;
    if (item.s !== undefined) {
      ctx.globalAlpha = 0.35;
      ctx.fillRect(from, y - 3, Math.max(1, x - from), 6);
      ctx.globalAlpha = 1;
    }
    if (item.told && !item.bad) disc(ctx, x, y, 4.5);
    else if (!item.bad) ctx.fillRect(x - 0.75, y - 5, 1.5, 10);
    view.hits.push({ x, y, position: position + 1, bad: item.bad, lane: item.lane });
    const label = shortLabel(item);
    const width = ctx.measureText(label).width;
    const at = clamp(x - 4, 2, view.width - width - 2);
    if (!client && item.told && at > (edges[item.lane] ?? -Infinity)) {
      ctx.fillStyle = item.bad ? css("--bad") : css("--soft");
      ctx.fillText(label, at, labelY(item.lane));
      edges[item.lane] = at + width + 12;
    } else if (client && item.ev === "traffic.first_response" && at > (edges[item.lane] ?? -Infinity)) {
      ctx.fillStyle = versionColour(item.data?.version, css);
      disc(ctx, x, y, 4.5);
      ctx.fillText(label, x + 9 + width > view.width ? x - 9 - width : x + 9, y);
      edges[item.lane] = x + width + 20;
    }
  });
}

function drawBad(ctx, css, { x, y, lane }) {
  ctx.fillStyle = ctx.strokeStyle = css("--bad");
  if (lane.startsWith("clients")) ctx.fillRect(Math.round(x) - 1, view.tops[lane] + 1, 2, view.heights[lane] - 1);
  cross(ctx, x, y, 5);
}

function disc(ctx, x, y, r) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, Math.PI * 2);
  ctx.fill();
}

function drawOverlay(where) {
  const css = colours();
  const ctx = context("overlay");
  const item = current();
  if (!item) return;
  const x = screenX(where ?? place(item.t));
  ctx.fillStyle = css("--veil");
  ctx.fillRect(Math.max(0, x), AXIS_PX, view.width, view.height);
  for (const lane of lanes) if (lane.kind === "clients" && dots[lane.load]) drawFailures(ctx, css, lane);
  for (const hit of view.hits) if (hit.bad) drawBad(ctx, css, hit);
  if (where === undefined) drawTrail(ctx, css("--accent"), item.t);
  ctx.fillStyle = css("--accent");
  ctx.fillRect(Math.round(x) - 0.75, AXIS_PX - 6, 1.5, view.height);
  if (where !== undefined || !(item.lane in view.tops)) return;
  const client = item.lane.startsWith("clients");
  const y = client ? view.tops[item.lane] + 8 : markY(item.lane);
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
  if (item.ev === "traffic.first_response") return;
  const label = shortLabel(item);
  ctx.font = ctx.font.replace(/^/, "600 ");
  const width = ctx.measureText(label).width;
  const at = clamp(x - 4, 4, view.width - width - 8);
  const ly = client ? y + 18 : labelY(item.lane);
  ctx.fillStyle = css("--surface");
  ctx.fillRect(at - 5, ly - 9, width + 10, 18);
  ctx.fillStyle = colour;
  ctx.fillText(label, at, ly);
}

// -- moving --------------------------------------------------------------------------------------------------------

let timer = null, frame = null;

function follow(item) {
  const inScope = state.scope === null || item.r?.includes(state.scope);
  const [start, end] = domainOf(state.scope);
  if (!inScope || item.t < start || item.t > end) {
    const elsewhere = item.r?.[0] ?? (item.t < start || item.t > end ? null : state.scope);
    if (elsewhere !== state.scope) setScope(elsewhere, false);
  }
  const where = place(item.t), wide = state.win[1] - state.win[0];
  if (where < state.win[0] + wide * 0.02 || where > state.win[1] - wide * 0.02) {
    const from = clamp(where - wide / 2, 0, 1 - wide);
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
  try {
    history.replaceState(null, "", `#e=${state.pos}${state.all ? "&all" : ""}`);
  } catch {
    location.replace(`#e=${state.pos}${state.all ? "&all" : ""}`);
  }
  showCurrent();
  if (item && item.lane in view.tops) {
    const box = $("lanes"), top = view.tops[item.lane], bottom = top + view.heights[item.lane];
    if (top < box.scrollTop + AXIS_PX) box.scrollTop = top - AXIS_PX;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
  }
  cancelAnimationFrame(frame);
  if (smooth && !reduced.matches && item && before && scope === state.scope) glide(from, place(item.t), 420 / state.speed);
  else drawOverlay();
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
  $("scope").value = scope === null ? "whole" : String(scope);
  layAxis();
  drawBase();
  if (draw) drawOverlay();
}

function zoom(factor, around) {
  const item = current();
  const centre = around ?? clamp(item ? place(item.t) : 0.5, state.win[0], state.win[1]);
  const wide = clamp((state.win[1] - state.win[0]) / factor, 0.0005, 1);
  const part = (centre - state.win[0]) / (state.win[1] - state.win[0]);
  const from = clamp(centre - part * wide, 0, 1 - wide);
  state.win = [from, from + wide];
  drawBase();
  drawOverlay();
}

function pan(by) {
  const wide = state.win[1] - state.win[0];
  const from = clamp(state.win[0] + by, 0, 1 - wide);
  state.win = [from, from + wide];
  drawBase();
  drawOverlay();
}

function chapter(number) {
  const seen = listed();
  const scope = state.scope ?? current()?.r?.[0] ?? 0;
  const of = (index) => items[index].step === number;
  const own = seen.filter((index) => of(index) && items[index].r?.includes(scope));
  const found = own.find((index) => items[index].ev !== "registry.request") ?? own[0] ?? seen.find(of);
  if (found !== undefined) go(seen.indexOf(found) + 1);
}

// -- payloads ------------------------------------------------------------------------------------------------------

function yaml(data, indent = "") {
  if (Array.isArray(data)) {
    if (!data.length) return [`${indent}[]`];
    return data.flatMap((each) => {
      const lines = yaml(each, `${indent}  `);
      return [`${indent}- ${lines[0].slice(indent.length + 2)}`, ...lines.slice(1)];
    });
  }
  if (data !== null && typeof data === "object") {
    const keys = Object.keys(data);
    if (!keys.length) return [`${indent}{}`];
    return keys.flatMap((key) => {
      const value = data[key], name = `${indent}${scalar(key)}:`;
      if (value !== null && typeof value === "object" && Object.keys(value).length)
        return [name, ...yaml(value, Array.isArray(value) ? indent : `${indent}  `)];
      if (typeof value === "string" && value.includes("\n") && !/[^\n\x20-\uffff]/.test(value) && !/^\s|\s$/.test(value))
        return [`${name} |-`, ...value.split("\n").map((line) => `${indent}  ${line}`)];
      return [`${name} ${yaml(value)[0]}`];
    });
  }
  return [`${indent}${typeof data === "string" ? scalar(data) : JSON.stringify(data)}`];
}
function scalar(text) {
  if (/[\x00-\x1f\x7f\u2028\u2029]/.test(text)) return JSON.stringify(text);
  const plain = text !== "" && !/^[\s\-?:,[\]{}#&*!|>'"%@`]|: |:$| #|\s$/.test(text)
    && !/^(true|false|null|yes|no|on|off|~|[-+.\d][\d_.eE+-]*)$/i.test(text);
  return plain ? text : `'${text.replaceAll("'", "''")}'`;
}

function written(number, item) {
  const data = docs[number];
  const envelope = {};
  if (item.nonce !== undefined) {
    if (item.v !== undefined) envelope.version_info = item.v;
    envelope.nonce = item.nonce;
  }
  if (state.format === "json") {
    const whole = Object.keys(envelope).length ? { ...envelope, resource: data } : data;
    return JSON.stringify(whole, null, 2).split("\n");
  }
  return Object.keys(envelope).length ? [...yaml(envelope), "---", ...yaml(data)] : yaml(data);
}

/** The lines of both sides as [mark, text]; the longest common subsequence within what differs. */
function difference(before, after) {
  let head = 0, tail = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  while (tail < before.length - head && tail < after.length - head
    && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const a = before.slice(head, before.length - tail), b = after.slice(head, after.length - tail);
  const middle = [];
  if (a.length * b.length > 4e6) {
    middle.push(...a.map((line) => ["-", line]), ...b.map((line) => ["+", line]));
  } else {
    const wide = b.length + 1;
    const best = new Uint16Array((a.length + 1) * wide);
    for (let i = a.length - 1; i >= 0; i--)
      for (let j = b.length - 1; j >= 0; j--)
        best[i * wide + j] = a[i] === b[j] ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { middle.push([" ", a[i]]); i++; j++; }
      else if (i < a.length && (j === b.length || best[(i + 1) * wide + j] >= best[i * wide + j + 1])) middle.push(["-", a[i++]]);
      else middle.push(["+", b[j++]]);
    }
  }
  return [...before.slice(0, head).map((line) => [" ", line]), ...middle, ...before.slice(before.length - tail).map((line) => [" ", line])];
}

function folded(lines) {
  const near = new Set();
  lines.forEach(([mark], at) => {
    if (mark !== " ") for (let i = at - 3; i <= at + 3; i++) near.add(i);
  });
  const made = [];
  let left = 0;
  lines.forEach((line, at) => {
    if (near.has(at)) {
      if (left) made.push(["…", `⋯ ${left} ${T("lines")}`]);
      left = 0;
      made.push(line);
    } else left++;
  });
  if (left) made.push(["…", `⋯ ${left} ${T("lines")}`]);
  return made;
}

const MARKS = { "+": "added", "-": "gone", "…": "fold", " ": "" };
const codeLines = (lines) => lines.map(([mark, text]) =>
  h("span", { class: `line ${MARKS[mark]}` }, mark === "…" ? "" : h("span", { class: "mark" }, mark === "-" ? "−" : mark), text, "\n"));

/** Where nothing crosses, what crossed last on the same rollout. */
function latestWithPayload(item) {
  const own = item.r?.[0];
  for (let at = items.indexOf(item); at >= 0 && own !== undefined; at--)
    if (items[at].pay && items[at].told && items[at].r?.includes(own)) return items[at];
  return null;
}

function showPayload(shown) {
  const box = $("payload"), bar = $("payload-bar");
  bar.replaceChildren();
  const item = shown.pay ? shown : latestWithPayload(shown);
  if (!item) {
    box.replaceChildren(h("p", { class: "quiet" }, T("nothing")));
    return;
  }
  if (item !== shown) bar.append(h("p", { class: "quiet last" }, `${T("nothing")} ${T("latest")} ${item.ev} ${signed(sinceApply(item))}`));
  const found = item.pay;
  const entry = found.find((each) => each.role === state.role) ?? found[found.length - 1];
  const chosen = state.view === "payload" || !entry[state.view] ? (state.view !== "payload" && entry.hop ? "hop" : "payload") : state.view;
  const choice = (pressed, text, act, disabled) =>
    h("button", { type: "button", "aria-pressed": String(pressed), disabled, onclick: act }, text);
  bar.append(h("div", { class: "choices", role: "group", "aria-label": T("payloadPane") },
    ["payload", "hop", "last"].map((name) => choice(chosen === name, T(name), () => { state.view = name; showPayload(shown); },
      name !== "payload" && !entry[name]))));
  if (found.length > 1)
    bar.append(h("div", { class: "choices", role: "group" },
      found.map((each) => choice(each === entry, each.role, () => { state.role = each.role; showPayload(shown); }))));
  bar.append(h("div", { class: "choices right", role: "group" },
    ["yaml", "json"].map((name) => choice(state.format === name, name.toUpperCase(), () => { state.format = name; showPayload(shown); }))));
  if (chosen === "payload") {
    box.replaceChildren(h("pre", { tabindex: "0", "aria-label": T("payloadPane") }, codeLines(written(entry.doc, item).map((line) => [" ", line]))));
    return;
  }
  const [position, number] = entry[chosen];
  const other = items[position];
  const since = RUN.applied[other.r?.[0]] !== undefined ? ` ${signed(sinceApply(other))}` : "";
  const label = h("p", { class: "held" }, h("span", { class: "gone" }, `− ${other.ev}${since}`), " ", h("span", { class: "added" }, `+ ${item.ev} · ${entry.role}`));
  const mine = entry.part ?? entry.doc;
  const lines = difference(written(number, other), written(mine, item));
  const same = number === mine;
  const differs = lines.some(([mark]) => mark !== " ");
  box.replaceChildren(label, same ? h("p", { class: "same" }, T("same")) : "",
    differs ? h("pre", { tabindex: "0", "aria-label": T(chosen) }, codeLines(folded(lines))) : "");
}

// -- the current event ---------------------------------------------------------------------------------------------

function factText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function showCurrent() {
  const seen = listed(), item = current();
  $("position").textContent = `${item ? state.pos : 0}/${seen.length}`;
  const scrub = $("scrub");
  scrub.max = String(Math.max(1, seen.length));
  scrub.value = String(state.pos);
  if (!item) return;
  scrub.setAttribute("aria-valuetext", `${state.pos}/${seen.length} ${item.ev}`);
  const since = sinceApply(item);
  $("clock").textContent = since === null ? us(item.t) : signed(since);
  for (let number = 1; number <= 9; number++) {
    const button = $(`chapter-${number}`);
    if (item.step === number) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
  }
  updateChapters(item);
  const step = item.step ? RUN.steps[item.step - 1] : null;
  $("note").replaceChildren(...(step ? [h("b", {}, `${item.step} `), inLang(step.text)] : [inLang(item.say)]));
  const facts = [];
  const add = (name, value) => facts.push(h("dt", {}, name), h("dd", {}, value));
  if (item.type) add("type", item.type);
  if (item.image) add("image", item.image);
  if (item.v) add("version_info", item.v);
  if (item.nonce) add("nonce", item.nonce);
  for (const [key, value] of Object.entries(item.data ?? {})) add(key, factText(value));
  const when = since === null ? us(item.t) : `${signed(since)} ${T("after")}`;
  const lasted = item.s === undefined ? "" : ` · ${T("took")} ${us(item.t - item.s)}`;
  $("event").replaceChildren(
    h("p", { class: "when" }, when, lasted),
    h("h2", { class: item.bad ? "bad" : "" }, item.ev, item.type ? h("span", { class: "type" }, ` ${item.type}`) : ""),
    h("p", { class: "say" }, inLang(item.say)),
    facts.length ? h("dl", { class: "facts" }, facts) : "");
  showPayload(item);
  $("live").textContent = `${state.pos}/${seen.length}. ${item.ev} ${item.type ?? ""}. ${inLang(item.say)} ${when}`;
}

function updateChapters(item) {
  const own = item.r?.[0] ?? state.scope;
  const rows = own === null || own === undefined ? null : RUN.stages[own]?.rows;
  RUN.steps.forEach((step, index) => {
    const button = $(`chapter-${index + 1}`);
    const row = rows?.[index];
    const total = row?.segments.reduce((sum, [, , length]) => sum + length, 0);
    const did = row && (row.segments.length || row.at !== null);
    button.querySelector(".took").textContent = !row ? "" : row.segments.length ? ms(total) : row.at !== null ? ms(row.at) : inLang(row.note).split(/[,，]/)[0] || "–";
    button.classList.toggle("bad", Boolean(row?.failed));
    button.classList.toggle("idle", Boolean(row) && !did && !row.failed);
  });
}

// -- the page ------------------------------------------------------------------------------------------------------

function build() {
  document.documentElement.lang = state.lang === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.theme = state.theme ?? (dark.matches ? "dark" : "light");
  const sections = [["player", "player"], ["times", "times"], ["verdict", "verdict"], ...(B ? [["compare", "compare"]] : []),
    ["scenario", "scenario"], ["events", "events"]];
  const title = inLang(RUN.title) || result.scenario;
  const top = h("header", { class: "top" },
    h("div", { class: "who" }, h("h1", {}, title),
      h("p", {}, [result.scenario, result.combination, result.profile, result.environment.envoy && `Envoy ${result.environment.envoy}`]
        .filter(Boolean).join(" · "))),
    h("span", { class: `badge ${result.outcome}` }, T(result.outcome)),
    B && h("p", { class: "versus" }, h("b", {}, "A"), ` ${RUN.name} `, h("b", { class: "b" }, "B"), ` ${B.name}`),
    h("nav", { "aria-label": "sections" }, sections.map(([id, word]) =>
      h("button", { type: "button", class: "link", onclick: () => jump(id) }, T(word)))),
    h("button", { type: "button", class: "plain", lang: state.lang === "zh" ? "en" : "zh-CN", onclick: () => { state.lang = state.lang === "zh" ? "en" : "zh"; rebuild(); } }, T("language")),
    h("button", { type: "button", class: "plain", "aria-label": T("theme"), title: T("theme"), onclick: switchTheme }, "◐"));
  $("app").replaceChildren(top, h("main", {}, player(), times(), verdict(), B ? compare() : "", scenarioSection(), eventsSection()),
    controls(), h("div", { id: "live", class: "hidden", role: "status", "aria-live": "polite" }));
  listen();
}

function jump(id) {
  const target = $(id);
  target.scrollIntoView({ behavior: reduced.matches ? "auto" : "smooth", block: "start" });
  target.querySelector("h2, button")?.focus({ preventScroll: true });
}

function switchTheme() {
  state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = state.theme;
  drawBase();
  drawOverlay();
}

function rebuild() {
  setPlaying(false);
  build();
  refresh();
}

function refresh() {
  layOut();
  layAxis();
  drawBase();
  showCurrent();
  drawOverlay();
}

function player() {
  const scopes = [h("option", { value: "whole" }, T("whole")), ...rollouts.map((rollout, index) =>
    h("option", { value: String(index) }, `rollouts[${index}] · ${T(rollout.change)}${rollout.gateway ? ` · ${rollout.gateway}` : ""}`))];
  const scope = h("select", { id: "scope", "aria-label": T("show"), onchange: (event) => {
    setScope(event.target.value === "whole" ? null : Number(event.target.value), false);
    const first = listed().findIndex((index) => items[index].r?.includes(state.scope));
    if (state.scope !== null && !current()?.r?.includes(state.scope) && first >= 0) go(first + 1); else drawOverlay();
  } }, scopes);
  scope.value = state.scope === null ? "whole" : String(state.scope);
  const scale = (name) => h("button", { type: "button", id: `scale-${name}`, "aria-pressed": String(state.scale === name), onclick: () => {
    state.scale = name;
    for (const each of ["log", "linear"]) $(`scale-${each}`).setAttribute("aria-pressed", String(each === name));
    setScope(state.scope);
  } }, T(name));
  const everything = h("input", { type: "checkbox", id: "all", onchange: (event) => {
    const item = current();
    state.all = event.target.checked;
    const seen = listed();
    let position = seen.findIndex((index) => items[index].t >= (item?.t ?? 0));
    const same = seen.findIndex((index) => items[index] === item);
    if (same >= 0) position = same;
    state.pos = position < 0 ? seen.length : position + 1;
    drawBase();
    go(state.pos);
  } });
  everything.checked = state.all;
  return h("section", { id: "player", "aria-label": T("player") },
    h("ol", { class: "chapters", "aria-label": T("chapters") }, RUN.steps.map((step, index) => h("li", {},
      h("button", { type: "button", id: `chapter-${index + 1}`, title: inLang(step.text), onclick: () => chapter(index + 1) },
        h("span", { class: "number" }, String(index + 1)), h("span", { class: "name" }, inLang(step.title)), h("span", { class: "took" }))))),
    h("p", { id: "note", class: "note" }),
    h("div", { class: "stage" },
      h("div", { class: "timeline" },
        h("div", { class: "bar" }, scope,
          h("div", { class: "choices", role: "group", "aria-label": T("scale") }, scale("log"), scale("linear")),
          h("div", { class: "choices", role: "group", "aria-label": "zoom" },
            h("button", { type: "button", "aria-label": T("zoomOut"), title: T("zoomOut"), onclick: () => zoom(1 / 1.6) }, "−"),
            h("button", { type: "button", "aria-label": T("zoomIn"), title: T("zoomIn"), onclick: () => zoom(1.6) }, "+"),
            h("button", { type: "button", onclick: () => zoom(1e-9) }, T("fit"))),
          h("label", { class: "check" }, everything, T("all"))),
        h("div", { id: "lanes", class: "lanes" },
          h("div", { id: "names", class: "names" }, lanes.map((lane) => h("div", { id: `lane-${lane.id}`, class: `lane ${lane.kind}` },
            laneName(lane), lane.gateway ? h("span", { class: "gateway" }, lane.gateway) : ""))),
          h("div", { id: "canvases", class: "canvases" },
            h("canvas", { id: "base", role: "img", "aria-label": T("timeline") }), h("canvas", { id: "overlay", "aria-hidden": "true" }))),
        legend()),
      h("aside", { class: "pane", "aria-label": T("payloadPane") },
        h("div", { id: "event", class: "event" }), h("div", { id: "payload-bar", class: "bar" }), h("div", { id: "payload", class: "payload" }))));
}

function laneName(lane) {
  if (lane.kind === "worker") return `${T("worker")} ${lane.number}`;
  return lane.kind === "clients" ? `${T("clients")} ${lane.load}` : T(lane.kind);
}

function legend() {
  const counts = {};
  for (const load of Object.values(result.traffic))
    for (const [version, count] of Object.entries(load.by_version)) counts[version] = (counts[version] ?? 0) + count;
  const entries = Object.entries(counts).map(([version, count]) => {
    const swatch = h("span", { class: "swatch" });
    const index = versions.indexOf(version);
    swatch.style.background = `var(${index < 0 ? "--none" : VERSION_COLOURS[index % VERSION_COLOURS.length]})`;
    return h("span", { class: "key" }, swatch, `${version === "none" ? T("none") : version} ${count}`);
  });
  const failed = Object.values(result.traffic).reduce((sum, load) => sum + load.failed, 0);
  const broken = Object.values(result.traffic).reduce((sum, load) => sum + load.connections_broken, 0);
  if (Object.keys(result.traffic).length)
    entries.push(h("span", { class: failed || broken ? "key bad" : "key" }, `✕ ${failed} ${T("failures")} · ${broken} ${T("broken")}`));
  if (B) entries.push(h("span", { class: "key" }, h("span", { class: "swatch ghost" }), T("ghost")));
  return h("div", { class: "legend" }, entries);
}

function controls() {
  const seen = listed();
  const button = (id, sign, word, act) => h("button", { type: "button", id, "aria-label": T(word), title: T(word), onclick: act }, sign);
  const speed = h("select", { id: "speed", "aria-label": T("speed"), onchange: (event) => {
    state.speed = Number(event.target.value);
    if (state.playing) setPlaying(true);
  } }, SPEEDS.map((each) => h("option", { value: String(each) }, `${each}×`)));
  speed.value = String(state.speed);
  return h("footer", { class: "controls", role: "group", "aria-label": T("controls") },
    button("previous", "◀◀", "previous", () => go(state.pos - 1)),
    button("play", state.playing ? "❚❚" : "▶", state.playing ? "pause" : "play", () => setPlaying(!state.playing)),
    button("next", "▶▶", "next", () => go(state.pos + 1)),
    h("output", { id: "position", for: "scrub" }, `${state.pos}/${seen.length}`),
    h("input", { type: "range", id: "scrub", min: "1", max: String(Math.max(1, seen.length)), value: String(state.pos), "aria-label": T("position"),
      oninput: (event) => go(Number(event.target.value)) }),
    h("output", { id: "clock" }), speed, h("span", { class: "keys" }, T("keys")));
}

// -- what was measured ---------------------------------------------------------------------------------------------

const heading = (text, level = "h2") => h(level, { tabindex: "-1" }, text);
const STAGE_COLOUR = (stage) => `stage-${stage}`;

function times() {
  const made = h("section", { id: "times", class: "part" }, heading(T("times")));
  if (!rollouts.length) made.append(h("p", { class: "quiet" }, T("noRollouts")));
  rollouts.forEach((rollout, index) => {
    const own = RUN.stages[index];
    const pair = B?.pairs[index] ?? null;
    const other = pair === null ? null : B.stages[pair];
    const span = Math.max(own.span, other?.span ?? 0) || 1;
    const change = rollout.from && rollout.to && rollout.from !== rollout.to ? `${rollout.from} → ${tagOf(rollout.to) ?? rollout.to}` : rollout.to ?? rollout.from ?? "";
    const rows = own.rows.map((row) => {
      const theirs = other?.rows[row.step - 1];
      const step = RUN.steps[row.step - 1];
      const detail = row.segments.length > 1 ? row.segments.map(([stage, , length]) => `${stage} ${ms(length)}`).join(" · ") : "";
      return h("tr", { class: row.failed ? "bad" : "" },
        h("th", { scope: "row" }, h("span", { class: "number" }, String(row.step)), inLang(step.title)),
        h("td", { class: "amount" }, total(row)),
        other ? h("td", { class: "amount b" }, total(theirs)) : null,
        h("td", { class: "track" }, bars(row, span, ""), other ? bars(theirs, span, "b") : "",
          h("span", { class: "detail" }, [inLang(row.note), detail].filter(Boolean).join(" · "))));
    });
    made.append(h("article", { class: "rollout" },
      h("h3", {}, rollout.plugin, h("span", { class: "kind" }, ` ${T(rollout.change)} · rollouts[${index}]${rollout.gateway ? ` · ${rollout.gateway}` : ""}`)),
      h("p", { class: "mono quiet" }, change),
      h("dl", { class: "figures" },
        figure(T("effective"), ms(rollout.effective_ms), other && ms(B.effective[pair])),
        figure(T("settled"), ms(rollout.settled_ms)),
        ...rollout.workers.map((each) => figure(`${T("worker")} ${each.worker}`, each.ready_ms === null ? T("never") : ms(each.ready_ms))),
        figure(T("answer"), rollout.nacked ? T("nack") : rollout.acked ? T("ack") : T("noAnswer"), null, rollout.nacked),
        rollout.listener_updates === null ? null : figure(T("listener"), String(rollout.listener_updates))),
      rollout.error ? h("p", { class: "bad" }, rollout.error) : "",
      h("table", { class: "waterfall" },
        h("caption", { class: "hidden" }, `${rollout.plugin} ${T("times")}`),
        other ? h("thead", {}, h("tr", {}, h("th", {}), h("th", { scope: "col", class: "amount" }, "A"), h("th", { scope: "col", class: "amount b" }, "B"), h("td", {}))) : "",
        h("tbody", {}, rows))));
  });
  return made;
}

function figure(name, value, other, bad) {
  return h("div", { class: bad ? "bad" : "" }, h("dt", {}, name), h("dd", {}, value, other ? h("span", { class: "b" }, ` ${other}`) : ""));
}

function total(row) {
  if (row.segments.length) return ms(row.segments.reduce((sum, [, , length]) => sum + length, 0));
  return row.at === null ? "–" : `@ ${ms(row.at)}`;
}

function bars(row, span, kind) {
  const track = h("span", { class: `bars ${kind}`, "aria-hidden": "true" });
  for (const [stage, start, length] of row.segments) {
    const bar = h("span", { class: STAGE_COLOUR(stage), title: `${stage} ${ms(length)}` });
    bar.style.left = `${(start / span) * 100}%`;
    bar.style.width = `max(2px, ${(length / span) * 100}%)`;
    track.append(bar);
  }
  if (row.at !== null) {
    const moment = h("span", { class: "moment", title: ms(row.at) });
    moment.style.left = `${(row.at / span) * 100}%`;
    track.append(moment);
  }
  return track;
}

function verdict() {
  const made = h("section", { id: "verdict", class: "part" }, heading(T("verdict")),
    h("p", { class: `outcome ${result.outcome}` }, T(result.outcome)));
  if (result.error) {
    const { message, part, where, hint, log_tail } = result.error;
    made.append(h("div", { class: "trouble" }, h("p", {}, h("b", {}, [where, part].filter(Boolean).join(" · ")), " ", message),
      hint ? h("p", {}, `${T("hint")}: ${hint}`) : "", log_tail ? h("details", {}, h("summary", {}, T("log_tail")), h("pre", {}, log_tail)) : ""));
  }
  const held = result.expectations.filter((each) => each.passed).length;
  if (result.expectations.length) {
    made.append(heading(`${T("expectations")} · ${held}/${result.expectations.length} ${T("hold")}`, "h3"),
      h("ul", { class: "checks" }, result.expectations.map((each) => h("li", { class: each.passed ? "good" : "bad" },
        sign(each.passed), h("code", {}, each.that), h("span", { class: "quiet" }, each.where),
        each.passed ? "" : h("div", { class: "seen" }, each.error ? h("p", {}, each.error) : "",
          h("dl", { class: "facts" }, Object.entries(each.actual).flatMap(([path, value]) => [h("dt", {}, path), h("dd", {}, factText(value))])),
          each.trace.length ? h("pre", {}, each.trace.map((moment) =>
            `${moment.step ? `step ${moment.step} ` : ""}${moment.after_ms >= 0 ? "+" : ""}${moment.after_ms.toFixed(1)} ms ${moment.event} ${moment.text}`).join("\n")) : "")))));
  }
  if (result.thresholds.length) {
    made.append(heading(T("thresholds"), "h3"), h("table", { class: "grid" },
      h("thead", {}, h("tr", {}, ["", "metric", "", T("actual"), T("samples"), "min", "med", "p95", "max"].map((word) => h("th", { scope: "col" }, word)))),
      h("tbody", {}, result.thresholds.map((each) => h("tr", { class: each.passed ? "" : "bad" }, h("td", {}, sign(each.passed)),
        h("td", { class: "mono" }, each.metric), h("td", { class: "mono" }, each.that),
        h("td", {}, each.error ?? String(each.actual ?? "–")), h("td", {}, `${each.count}/${each.rollouts}`),
        ["min", "med", "p95", "max"].map((name) => h("td", {}, each.distribution ? ms(each.distribution[name]) : "–")))))));
  }
  for (const [name, load] of Object.entries(result.traffic)) {
    made.append(heading(`${T("traffic")} ${name}`, "h3"), h("dl", { class: "figures" },
      figure(T("requests"), String(load.requests)), figure(T("failures"), String(load.failed), null, load.failed > 0),
      figure(T("opened"), String(load.connections_opened)), figure(T("broken"), String(load.connections_broken), null, load.connections_broken > 0),
      figure(T("drained"), String(load.connections_drained)),
      ...Object.entries(load.by_version).map(([version, count]) => figure(version === "none" ? T("none") : version, String(count))),
      figure("p50", ms(load.latency_ms.p50)), figure("p99", ms(load.latency_ms.p99)), figure("max", ms(load.latency_ms.max)), figure(T("gap"), ms(load.longest_gap_ms))));
    if (!RUN.dots[name]) made.append(h("p", { class: "quiet" }, T("noTraffic")));
  }
  const environment = result.environment;
  made.append(heading(T("environment"), "h3"), h("dl", { class: "figures" },
    ...Object.entries({ ecdsim: environment.ecdsim, Envoy: environment.envoy ?? "–", Python: environment.python, [T("workers")]: environment.workers,
      [T("seed")]: environment.seed, profile: result.profile, [T("duration")]: ms(result.duration_ms), [T("directory")]: RUN.name })
      .map(([key, value]) => figure(key, String(value)))));
  return made;
}

const sign = (passed) => h("span", { class: "sign", role: "img", "aria-label": T(passed ? "holds" : "fails") }, passed ? "✓" : "✕");

function compare() {
  const made = h("section", { id: "compare", class: "part" }, heading(T("compare")),
    h("p", {}, h("b", {}, "A "), `${RUN.name} · ${result.scenario} · ${result.profile} · ${T(result.outcome)}`, h("br", {}),
      h("b", { class: "b" }, "B "), `${B.name} · ${B.scenario} · ${B.profile} · ${T(B.outcome)}`));
  if (B.times.length) {
    made.append(h("table", { class: "grid times" },
      h("thead", {}, h("tr", {}, ["", T("stage"), "A", "B", T("ratio"), "B − A"].map((word) => h("th", { scope: "col" }, word)))),
      h("tbody", {}, B.times.map((each, index) => h("tr", { class: ["effective", "settled"].includes(each.stage) ? "sum" : "" },
        h("td", { class: "quiet" }, B.times[index - 1]?.rollout === each.rollout ? "" : each.rollout), h("th", { scope: "row" }, each.stage),
        h("td", { class: "amount" }, ms(each.a)), h("td", { class: "amount b" }, ms(each.b)),
        h("td", { class: "amount" }, each.ratio === null ? "–" : `×${each.ratio.toFixed(2)}`), h("td", { class: "amount" }, signed((each.b - each.a) * 1000)))))));
  }
  made.append(heading(T("verdicts"), "h3"));
  made.append(B.verdicts.length
    ? h("ul", { class: "checks" }, B.verdicts.map((each) => h("li", {}, h("code", {}, [each.place, each.path].filter(Boolean).join(".")),
        " ", h("span", { class: "gone" }, "before" in each ? factText(each.before) : "–"), " → ", h("span", { class: "added" }, "after" in each ? factText(each.after) : "–"))))
    : h("p", { class: "quiet" }, T("sameVerdicts")));
  made.append(heading(T("order"), "h3"));
  if (B.order === null) made.append(h("p", { class: "quiet" }, T("noOrder")));
  else if (!B.order.length) made.append(h("p", { class: "quiet" }, T("sameOrder")));
  else for (const { lane, lines } of B.order) made.append(h("h4", {}, lane), h("pre", { tabindex: "0" }, codeLines(lines)));
  return made;
}

function scenarioSection() {
  const made = h("section", { id: "scenario", class: "part" }, heading(T("scenario")));
  if (RUN.notes) made.append(h("p", { class: "prose" }, inLang(RUN.notes)));
  made.append(h("p", { class: "quiet" }, T("resolved")), h("pre", { tabindex: "0", "aria-label": T("resolved") }, RUN.scenario));
  return made;
}

function eventsSection() {
  const body = h("tbody", {});
  const list = h("details", {}, h("summary", {}, `${told.length} ${T("events")}`),
    h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["#", T("time"), T("event"), ""].map((word) => h("th", { scope: "col" }, word)))), body));
  list.addEventListener("toggle", () => {
    if (body.childElementCount || !list.open) return;
    body.append(...told.map((index, position) => {
      const item = items[index];
      const since = sinceApply(item);
      return h("tr", { class: item.bad ? "bad" : "" }, h("td", {}, h("a", { href: `#e=${position + 1}` }, String(position + 1))),
        h("td", { class: "amount" }, since === null ? us(item.t) : signed(since)), h("td", { class: "mono" }, `${item.ev} ${item.type ?? ""}`), h("td", {}, inLang(item.say)));
    }));
  });
  return h("section", { id: "events", class: "part" }, heading(T("events")), list);
}

// -- listening -----------------------------------------------------------------------------------------------------

function listen() {
  const wrap = $("canvases");
  let dragged = null;
  wrap.addEventListener("pointerdown", (event) => { dragged = { x: event.clientX, win: [...state.win], moved: false }; wrap.setPointerCapture(event.pointerId); });
  wrap.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const by = event.clientX - dragged.x;
    if (Math.abs(by) > 4) dragged.moved = true;
    if (dragged.moved && state.win[1] - state.win[0] < 1) {
      const wide = dragged.win[1] - dragged.win[0];
      const from = clamp(dragged.win[0] - (by / view.width) * wide, 0, 1 - wide);
      state.win = [from, from + wide];
      drawBase();
      drawOverlay();
    }
  });
  wrap.addEventListener("pointerup", (event) => {
    const was = dragged;
    dragged = null;
    if (!was || was.moved) return;
    const box = $("overlay").getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const found = view.hits.map((hit) => ({ ...hit, far: Math.hypot(hit.x - x, (hit.y - y) * 0.6) })).sort((a, b) => a.far - b.far)[0];
    if (found && found.far < 40) go(found.position);
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

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target;
  const typing = on.matches?.("select, textarea, input:not([type=range]):not([type=checkbox])");
  if (typing) return;
  const ranged = on.matches?.("input[type=range]"), pressed = on.matches?.("button, summary, a, input[type=checkbox]"), reading = on.matches?.("pre");
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

function fromLink() {
  const found = /(?:^#|&)e=(\d+)/.exec(location.hash);
  if (!found) return false;
  state.all = /&all\b/.test(location.hash);
  if ($("all")) $("all").checked = state.all;
  state.pos = clamp(Number(found[1]), 1, Math.max(1, listed().length));
  return true;
}

const linked = fromLink();
if (!linked) state.pos = Math.max(0, told.findIndex((index) => items[index].r)) + 1;
state.scope = current()?.r?.[0] ?? null;
build();
refresh();
go(state.pos);
document.addEventListener("keydown", onKey);
addEventListener("hashchange", () => { if (fromLink()) { drawBase(); go(state.pos); $("player").scrollIntoView(); } });
dark.addEventListener("change", () => { if (!state.theme) { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; drawBase(); drawOverlay(); } });
let resizing = null;
addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(() => { layOut(); drawBase(); drawOverlay(); }); });
})();
