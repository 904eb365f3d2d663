"use strict";
// One cell over a sequence, forward and back, in float64: the equations of nn/cells.py under the same names.
//
// A cell is {kind, n, m, W, b, read}: n hidden units, m inputs, W[k] of shape (n + m, n) by rows (those of h first),
// b[k] (n), and how L is read from h: {u} for L = u · h, {W, b, loss} for the answer of a trained readout.
// Values and gradients of step t stand at [t * n, (t + 1) * n); t = 0 is the state before the first step.
// A gradient is the sum of the terms in `edges`, one for each way back: edges["h -> f"] at t is what comes back to h_t
// from the forget gate of step t + 1.

const Engine = (() => {
  const GATES = { rnn: ["h"], lstm: ["f", "i", "g", "o"], lstm1997: ["i", "g", "o"] };
  const TINY = 2 ** -1022; // what is smaller has lost digits

  const at = (array, t, n) => array.subarray(t * n, (t + 1) * n);
  const add = (sum, term, factor = 1) => {
    for (let j = 0; j < sum.length; j++) sum[j] += factor * term[j];
  };
  const dot = (a, b) => a.reduce((sum, x, j) => sum + x * b[j], 0);
  const sigmoid = (a) => {
    const e = Math.exp(Math.min(a, 709));
    return e / (e + 1);
  };

  /** The Euclidean norm, of numbers so small or large that their squares are not numbers too. */
  function norm(v) {
    let largest = 0;
    for (let j = 0; j < v.length; j++) {
      const size = Math.abs(v[j]);
      if (!(size <= largest)) largest = size;
    }
    if (largest === 0 || !Number.isFinite(largest)) return largest;
    let sum = 0;
    for (let j = 0; j < v.length; j++) sum += (v[j] / largest) ** 2;
    return largest * Math.sqrt(sum);
  }

  /** The norm of every step's vector. */
  const norms = (array, n) => Array.from({ length: array.length / n }, (_, t) => norm(at(array, t, n)));

  // ── the cell as the controls set it ──────────────────────────────────────────────────────────

  /** The rows of h in every W times `scale`; biases set by gate: b = {f: number or one for each unit}. */
  function adjusted(cell, scale, b = {}) {
    const W = {},
      biases = {};
    for (const k of GATES[cell.kind]) {
      W[k] = scale === 1 ? cell.W[k] : cell.W[k].map((w, r) => (r < cell.n * cell.n ? scale * w : w));
      biases[k] = b[k] === undefined ? cell.b[k] : Float64Array.from({ length: cell.n }, (_, j) => b[k][j] ?? b[k]);
    }
    return { ...cell, W, b: biases };
  }

  // ── forward ──────────────────────────────────────────────────────────────────────────────────

  /** What enters the nonlinearity of gate k: [h, x] @ W + b. */
  function affine(cell, k, h, x) {
    const { n, W, b } = cell,
      a = Float64Array.from(b[k]);
    for (let r = 0; r < n; r++) for (let j = 0; j < n; j++) a[j] += h[r] * W[k][r * n + j];
    for (let r = 0; r < x.length; r++) {
      if (x[r] !== 0) for (let j = 0; j < n; j++) a[j] += x[r] * W[k][(n + r) * n + j];
    }
    return a;
  }

  /** Every value of the sequence xs (an array of vectors) from a state of zeros: f, i, g, o, c, shown = tanh c, h. */
  function forward(cell, xs) {
    const { kind, n } = cell,
      T = xs.length,
      run = { cell, xs, T };
    const names = kind === "rnn" ? ["h"] : [...GATES[kind], "c", "shown", "h"];
    for (const name of names) run[name] = new Float64Array((T + 1) * n);
    for (let t = 1; t <= T; t++) {
      const h = at(run.h, t - 1, n);
      for (const k of GATES[kind]) {
        const a = affine(cell, k, h, xs[t - 1]),
          tanh = k === "g" || k === "h";
        for (let j = 0; j < n; j++) run[k][t * n + j] = tanh ? Math.tanh(a[j]) : sigmoid(a[j]);
      }
      if (kind === "rnn") continue;
      for (let j = 0, p = t * n; j < n; j++, p++) {
        run.c[p] = (run.f ? run.f[p] : 1) * run.c[p - n] + run.i[p] * run.g[p];
        run.shown[p] = Math.tanh(run.c[p]);
        run.h[p] = run.o[p] * run.shown[p];
      }
    }
    return run;
  }

  // ── the number that is differentiated ────────────────────────────────────────────────────────

  /** A readout's outputs y = h @ W + b, as many as b is long. */
  function outputs(read, h) {
    const y = Float64Array.from(read.b);
    h.forEach((x, r) => {
      for (let j = 0; j < y.length; j++) y[j] += x * read.W[r * y.length + j];
    });
    return y;
  }

  function softmax(y) {
    const top = Math.max(...y),
      e = Array.from(y, (v) => Math.exp(v - top)),
      sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
  }

  /** dL/dh. L is u · h; of a readout the output itself ("squared"), the log-odds of the most probable class
   *  ("classes"), or the sum of the log-odds of what each output answers ("bits"). The answer is that of the outputs
   *  `said`, its own unless another network is asked for the same. */
  function asked(read, h, said) {
    if (read.u) return read.u;
    const y = outputs(read, h),
      answer = said ?? y,
      best = answer.indexOf(Math.max(...answer));
    let dy = Array.from(answer, (v) => (read.loss === "bits" ? (v > 0 ? 1 : -1) : 1));
    if (read.loss === "classes") {
      const others = softmax(y.map((v, j) => (j === best ? -Infinity : v)));
      dy = others.map((p, j) => (j === best ? 1 : -p));
    }
    return Float64Array.from(h, (_, r) => dot(read.W.subarray(r * y.length, (r + 1) * y.length), dy));
  }

  // ── back ─────────────────────────────────────────────────────────────────────────────────────

  /** The slope of gate k's nonlinearity at step t, by its output. */
  const slope = (k, y) => (k === "g" || k === "h" ? 1 - y * y : y - y * y);

  /** U v with U the rows of h in W (part "h"), or of x: what a gradient of the sum a sends back to h or x. */
  function pulled(cell, k, part, v, out) {
    const { n, m, W } = cell,
      first = part === "h" ? 0 : n,
      rows = part === "h" ? n : m;
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += W[k][(first + r) * n + j] * v[j];
      out[r] = sum;
    }
    return out;
  }

  /**
   * The gradient of L, read from h_T, or with everyStep of its sum over all steps.
   *
   * `paths` multiplies what flows back along an edge: {"h -> f": 0} cuts the way from h into the forget gate, z at all
   * "h -> ..." is the gradient marked with z. Result: gradients of h, c, f, i, g, o, shown; of the sums that enter the
   * gates as a.f, ...; of the inputs as x (m numbers a step); and the terms as edges. `said(t)` is the answer that L asks
   * for where another network gives it, see `asked`.
   */
  function backward(run, { everyStep = false, paths = {}, said = () => undefined } = {}) {
    const { cell, T } = run,
      { kind, n, m } = cell,
      lstm = kind !== "rnn",
      gates = GATES[kind];
    const zeros = () => new Float64Array((T + 1) * n);
    const back = { run, everyStep, paths, h: zeros(), x: new Float64Array((T + 1) * m), a: {}, edges: {} };
    const through = (name) => paths[name] ?? 1;
    for (const k of gates) {
      back.a[k] = zeros();
      if (lstm) back[k] = zeros();
    }
    if (lstm) {
      back.c = zeros();
      back.shown = zeros();
    }
    for (const k of gates) back.edges[`h -> ${k}`] = zeros();
    back.edges["h -> L"] = zeros();
    if (lstm) {
      back.edges["c -> c"] = zeros();
      back.edges["c -> h"] = zeros();
    }
    const { edges } = back,
      entering = new Float64Array(m);

    for (let t = T; t >= 0; t--) {
      const dh = at(back.h, t, n);
      if (t > 0 && (everyStep || t === T)) at(edges["h -> L"], t, n).set(asked(cell.read, at(run.h, t, n), said(t)));
      for (const k of gates) add(dh, at(edges[`h -> ${k}`], t, n));
      add(dh, at(edges["h -> L"], t, n));
      if (lstm) {
        for (let j = 0, p = t * n; j < n; j++, p++) {
          if (t > 0) {
            back.o[p] = back.h[p] * run.shown[p];
            back.shown[p] = back.h[p] * run.o[p];
            edges["c -> h"][p] = through("c -> h") * back.shown[p] * (1 - run.shown[p] ** 2);
          }
          back.c[p] = edges["c -> h"][p] + edges["c -> c"][p];
          if (t === 0) continue;
          if (run.f) back.f[p] = back.c[p] * run.c[p - n];
          back.i[p] = back.c[p] * run.g[p];
          back.g[p] = back.c[p] * run.i[p];
          edges["c -> c"][p - n] = through("c -> c") * back.c[p] * (run.f ? run.f[p] : 1);
        }
      }
      if (t === 0) break;
      for (const k of gates) {
        const a = at(back.a[k], t, n),
          from = lstm ? back[k] : back.h;
        for (let j = 0, p = t * n; j < n; j++, p++) a[j] = from[p] * slope(k, run[k][p]);
        const into = pulled(cell, k, "h", a, at(edges[`h -> ${k}`], t - 1, n)),
          factor = through(`h -> ${k}`);
        if (factor !== 1) for (let j = 0; j < n; j++) into[j] *= factor;
        add(at(back.x, t, m), pulled(cell, k, "x", a, entering));
      }
    }
    return back;
  }

  /** The gradient of c_t (of h_t in an RNN) split by how often a path crosses from h into the gates: 0, 1, ...
   *  The last of limit + 2 entries holds all that crosses more than `limit` times; together they are the gradient. */
  function split(back, t, limit) {
    const { run, paths, edges } = back,
      { cell, T } = run,
      { kind, n } = cell,
      gates = GATES[kind];
    const parts = () => Array.from({ length: limit + 2 }, () => new Float64Array(n));
    const through = (name) => paths[name] ?? 1;
    let c = parts(),
      h = parts();
    const into = new Float64Array(n),
      a = new Float64Array(n);
    for (let s = T; s >= t; s--) {
      const p = s * n,
        used = Math.min(T - s, limit + 1); // no path crosses more often than it has steps
      add(h[0], at(edges["h -> L"], s, n));
      for (let k = 0; k <= used && kind !== "rnn" && s > 0; k++) {
        for (let j = 0; j < n; j++) c[k][j] += through("c -> h") * h[k][j] * run.o[p + j] * (1 - run.shown[p + j] ** 2);
      }
      if (s === t) break;
      const nextC = parts(),
        nextH = parts();
      for (const gate of gates) {
        const from = gate === "o" || kind === "rnn" ? h : c; // what the gate's value is multiplied with, if not 1
        const other = { o: run.shown, f: run.c, i: run.g, g: run.i }[gate],
          shift = gate === "f" ? p - n : p;
        for (let k = 0; k <= used; k++) {
          for (let j = 0; j < n; j++)
            a[j] = from[k][j] * (other ? other[shift + j] : 1) * slope(gate, run[gate][p + j]);
          add(nextH[Math.min(k + 1, limit + 1)], pulled(cell, gate, "h", a, into), through(`h -> ${gate}`));
        }
      }
      for (let k = 0; k <= used && kind !== "rnn"; k++) {
        for (let j = 0; j < n; j++) nextC[k][j] = through("c -> c") * c[k][j] * (run.f ? run.f[p + j] : 1);
      }
      c = nextC;
      h = nextH;
    }
    return kind === "rnn" ? h : c;
  }

  // ── readings ─────────────────────────────────────────────────────────────────────────────────

  /** What each step contributes to dL/dW_k: the norm of [h, x] times da, and its share of the whole (they add to 1). */
  function weightTerms(back, k) {
    const { run } = back,
      { cell, xs, T } = run,
      { n, m } = cell,
      whole = new Float64Array((n + m) * n);
    const z = (t) => Float64Array.from([...at(run.h, t - 1, n), ...xs[t - 1]]);
    for (let t = 1; t <= T; t++) {
      const a = at(back.a[k], t, n);
      z(t).forEach((x, r) => {
        if (x !== 0) for (let j = 0; j < n; j++) whole[r * n + j] += x * a[j];
      });
    }
    const size = norm(whole);
    const terms = [];
    for (let t = 1; t <= T; t++) {
      const a = at(back.a[k], t, n),
        both = z(t);
      let along = 0;
      both.forEach((x, r) => {
        if (x !== 0) along += (x * dot(a, whole.subarray(r * n, (r + 1) * n))) / size;
      });
      terms.push({ t, norm: norm(both) * norm(a), share: size >= TINY ? along / size : NaN });
    }
    return { terms, norm: size };
  }

  /** The closed form at every step t: of an LSTM's dL/dc_T by sigmoid(b_f) a step, of a linear RNN's dL/dh_T by U. */
  function closedForm(back) {
    const { run } = back,
      { cell, T } = run,
      { kind, n } = cell,
      found = new Array(T + 1);
    let g = Float64Array.from(at(kind === "rnn" ? back.h : back.c, T, n));
    for (let t = T; t >= 0; t--) {
      found[t] = norm(g);
      g =
        kind === "rnn"
          ? pulled(cell, "h", "h", g, new Float64Array(n))
          : g.map((x, j) => x * (cell.b.f ? sigmoid(cell.b.f[j]) : 1));
    }
    return found;
  }

  /** The factor of one step back, a geometric mean from step T to step `first`; null where float64 lost either end. */
  function factor(sizes, first = 1) {
    const T = sizes.length - 1;
    while (first < T && !(sizes[first] >= TINY)) first++;
    if (first >= T || !Number.isFinite(sizes[first]) || !(sizes[T] >= TINY)) return null;
    return Math.exp((Math.log(sizes[first]) - Math.log(sizes[T])) / (T - first));
  }

  return {
    GATES,
    TINY,
    at,
    dot,
    norm,
    norms,
    sigmoid,
    slope,
    adjusted,
    forward,
    outputs,
    softmax,
    backward,
    split,
    pulled,
    weightTerms,
    closedForm,
    factor,
  };
})();
