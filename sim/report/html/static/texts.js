// A payload as lines of YAML or JSON, and what differs between two.

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

// The player comes back to the same payloads again and again.
const yamlLines = new WeakMap();
function yamlOf(data) {
  if (data === null || typeof data !== "object") return yaml(data);
  if (!yamlLines.has(data)) yamlLines.set(data, yaml(data));
  return yamlLines.get(data);
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
  return Object.keys(envelope).length ? [...yaml(envelope), "---", ...yamlOf(data)] : yamlOf(data);
}

/** The lines of both sides as [mark, text]; the longest common subsequence within what differs. */
function difference(before, after) {
  let head = 0, tail = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  while (tail < before.length - head && tail < after.length - head
    && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const a = before.slice(head, before.length - tail), b = after.slice(head, after.length - tail);
  const middle = a.length * b.length > 4e6
    ? [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])]
    : aligned(a, b);
  return [...before.slice(0, head).map((line) => [" ", line]), ...middle, ...before.slice(before.length - tail).map((line) => [" ", line])];
}

function aligned(a, b) {
  const numbers = new Map();
  const number = (line) => numbers.get(line) ?? (numbers.set(line, numbers.size), numbers.size - 1);
  const left = Uint32Array.from(a, number), right = Uint32Array.from(b, number);
  const wide = b.length + 1;
  const best = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i * wide + j] = left[i] === right[j] ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
  const made = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && left[i] === right[j]) { made.push([" ", a[i]]); i++; j++; }
    else if (i < a.length && (j === b.length || best[(i + 1) * wide + j] >= best[i * wide + j + 1])) made.push(["-", a[i++]]);
    else made.push(["+", b[j++]]);
  }
  return made;
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


const LINES_A_FRAME = 400;
/** Put lines into `pre`; of very many the rest follows frame by frame, unless something else is shown by then. */
function fill(pre, lines) {
  pre.append(...codeLines(lines.slice(0, LINES_A_FRAME)));
  const rest = lines.slice(LINES_A_FRAME);
  if (rest.length) requestAnimationFrame(() => { if (pre.isConnected) fill(pre, rest); });
  return pre;
}
