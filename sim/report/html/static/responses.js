// The responses of each load: when, by which version, on which row. Typed arrays, so that a long run stays fluent.

class Responses {
  /** Holds the latest `keep`. What is older moves out a whole `keep` at a time, so that appending stays cheap. */
  constructor(keep) {
    this.keep = keep;
    this.t = new Float64Array(0);
    this.x = new Float32Array(0);
    this.version = new Int16Array(0);
    this.row = new Uint16Array(0);
    this.end = 0;
    this.rows = 1;
    // Where in the arrays those are that failed.
    this.failed = [];
  }

  get start() { return Math.max(0, this.end - this.keep); }
  get last() { return this.end ? this.t[this.end - 1] : null; }

  /** Append columns as the run has them; only what is later than `after`. */
  append(columns, after = -Infinity) {
    this.#makeRoom(columns.t_us.length);
    this.rows = Math.max(this.rows, columns.row_count);
    const numbers = columns.versions.map(versionNumber);
    const failed = new Set(columns.failed.map(([position]) => position));
    const before = this.end;
    let at = columns.t0, position = 0;
    for (const [version, length] of columns.version) {
      for (const until = position + length; position < until; position++) {
        at += columns.t_us[position];
        if (at <= after) continue;
        if (failed.has(position)) this.failed.push(this.end);
        this.t[this.end] = at;
        this.x[this.end] = place(at);
        this.version[this.end] = version < 0 ? -1 : numbers[version];
        this.row[this.end] = columns.rows[columns.connection[position]] ?? 0;
        this.end += 1;
      }
    }
    this.#forget();
    return this.end - before;
  }

  /** Append what another one holds that is later than `after`. */
  appendLater(other, after) {
    let from = other.start;
    while (from < other.end && other.t[from] <= after) from++;
    const count = other.end - from;
    this.#makeRoom(count);
    for (const name of ["t", "version", "row"]) this[name].set(other[name].subarray(from, other.end), this.end);
    for (const position of other.failed) if (position >= from) this.failed.push(this.end + position - from);
    this.end += count;
    this.rows = Math.max(this.rows, other.rows);
    this.#forget();
  }

  #makeRoom(count) {
    const needed = this.end + count;
    if (needed <= this.t.length) return;
    const from = this.start, held = this.end - from;
    const room = this.keep === Infinity ? held + count : Math.max(held + count, 2 * this.keep);
    for (const name of ["t", "x", "version", "row"]) {
      const old = this[name];
      const fits = room <= old.length;
      const made = fits ? old : new old.constructor(room);
      made.set(old.subarray(from, this.end));
      this[name] = made;
    }
    this.failed = this.failed.filter((position) => position >= from).map((position) => position - from);
    this.end = held;
  }

  #forget() {
    const { start } = this;
    let gone = 0;
    while (gone < this.failed.length && this.failed[gone] < start) gone++;
    if (gone) this.failed.splice(0, gone);
  }
}

let dots = {};
// A report shows all that it has; what goes on and on has an end.
const responsesKept = () => (live.on ? 20_000 : Infinity);

function takeResponses(loads) {
  const before = dots;
  dots = {};
  for (const [load, columns] of Object.entries(loads)) {
    dots[load] = new Responses(responsesKept());
    dots[load].append(columns);
  }
  // What came while this was on its way is later than what it has.
  for (const [load, held] of Object.entries(before)) {
    if (!dots[load]) dots[load] = held;
    else dots[load].appendLater(held, dots[load].last ?? -Infinity);
  }
}
