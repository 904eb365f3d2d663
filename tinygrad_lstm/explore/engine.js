"use strict";
// Any recurrent cell over a sequence, forward and back, in float64: the recorded step of explore/step.py, run.
//
// A cell holds `nodes`, the values of one step in order: x, the states before the step, then operations, each with its
// inputs `in` (a node, or -1 - k for number k of `fixed`, the parameters and constants), and `formulas`: of its value,
// then of its derivative by each input, which the derivative table gave. "affine" is the sum of its inputs, each times
// rows of a weight, and of biases. `after` gives the node of every state after the step; `read` how L
// is read from the first state: {u} for L = u · h, {W, b, loss} for the answer of a trained readout.
//
// Values and gradients of step t stand at [t * width, (t + 1) * width); t = 0 is the state before the first step.
// An edge is (node, slot). A gradient is the sum of the terms that came back along the edges out of a value.

const Engine = (() => {
  const TINY = 2 ** -1022; // what is smaller has lost digits

  const at = (array, t, n) => array.subarray(t * n, (t + 1) * n);
  /** sum += factor * term; one number is added everywhere, and many to one number. */
  const add = (sum, term, factor = 1) => {
    const a = sum.length === 1 ? 0 : 1, b = term.length === 1 ? 0 : 1;
    for (let j = Math.max(sum.length, term.length) - 1; j >= 0; j--) sum[a * j] += factor * term[b * j];
    return sum;
  };
  const dot = (a, b) => a.reduce((sum, x, j) => sum + x * b[j], 0);
  const sigmoid = (a) => {
    const e = Math.exp(Math.min(a, 709));
    return e / (e + 1);
  };

  // What the formulas of a step call; a comparison is 1 or 0.
  const FUNCTIONS = { ...Object.fromEntries(["abs", "exp", "log", "expm1", "log1p", "sin", "cos", "tanh"].map((f) => [f, Math[f]])),
    maximum: Math.max, minimum: Math.min, sigmoid, relu: (a) => Math.max(a, 0),
    softplus: (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))),
    clip: (x, low, high) => Math.min(Math.max(x, low), high), where: (yes, a, b) => (yes ? a : b),
    less: (a, b) => +(a < b), greater: (a, b) => +(a > b), equal: (a, b) => +(a === b), not_equal: (a, b) => +(a !== b),
    less_equal: (a, b) => +(a <= b), greater_equal: (a, b) => +(a >= b) };

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

  /** What node i holds for a reader of step t: of a state before the step, that of the step before. */
  const valueOf = ({ cell, values }, i, t) => at(values[i], i > 0 && i < cell.first ? t - 1 : t, cell.nodes[i].width);

  /** The norm of every step's vector. */
  const norms = (array, n) => Array.from({ length: array.length / n }, (_, t) => norm(at(array, t, n)));

  // ── the cell ─────────────────────────────────────────────────────────────────────────────────

  /** float64 numbers from base64. */
  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
  }

  /** A cell with what follows from its nodes: what reads each of them, and how far back in time it reads. */
  function prepared(cell) {
    const { nodes, after } = cell, first = 1 + after.length, reads = nodes.map(() => []); // of a node: [reader, slot, steps later]
    const source = (i) => (i > 0 && i < first ? after[i - 1] : i); // a state before the step is one after the last
    nodes.forEach((node, k) =>
      node.in?.forEach((i, slot) => {
        if (i >= 0) reads[source(i)].push([k, slot, i > 0 && i < first ? 1 : 0]);
      })
    );
    const fixed = cell.fixed.map((f) => ({ ...f, data: floats(f.data) }));
    const made = nodes.map((node) => (node.formulas ? { ...node, formulas: node.formulas.map((text) => Engine.formulas[text]) } : node));
    return { ...cell, nodes: made, fixed, first, reads, depth: Math.max(...nodes.map((node) => node.level)) };
  }

  /** The rows that states meet in every weight times `scale`; fixed arrays by number in place of the cell's own. */
  function adjusted(cell, scale, instead = {}) {
    const fixed = cell.fixed.map((own, k) => ({ ...own, data: instead[k] ?? own.data })), scaled = new Map(); // of a weight, the rows that are
    for (const node of cell.nodes)
      node.parts?.forEach(([weight, from, to], slot) => {
        if (scale === 1 || !node.crosses[slot]) return;
        if (!scaled.has(weight)) scaled.set(weight, new Set());
        for (let r = from; r < to; r++) scaled.get(weight).add(r);
        fixed[weight].width = node.width;
      });
    for (const [weight, rows] of scaled) {
      const w = fixed[weight];
      w.data = w.data.map((x, p) => (rows.has(Math.floor(p / w.width)) ? scale * x : x));
    }
    return { ...cell, fixed };
  }

  // ── forward ──────────────────────────────────────────────────────────────────────────────────

  /** Every value over the sequence xs (an array of vectors) from states of zeros, and every derivative of one by an input. */
  function forward(cell, xs) {
    const T = xs.length, { nodes, first, after } = cell,
      values = nodes.map((node) => node.in && new Float64Array((T + 1) * node.width)),
      slopes = nodes.map((node) =>
        node.op === "affine" ? [] : (node.in ?? []).map((i) => i >= 0 && new Float64Array((T + 1) * node.width))
      );
    values[0] = new Float64Array((T + 1) * cell.m);
    xs.forEach((x, t) => values[0].set(x, (t + 1) * cell.m));
    after.forEach((k, s) => (values[1 + s] = values[k]));
    const run = { cell, xs, T, values, slopes };
    for (let t = 1; t <= T; t++)
      for (let k = first; k < nodes.length; k++) {
        const { op, width, parts, biases } = nodes[k], y = at(values[k], t, width);
        if (op === "affine") {
          for (const b of biases) add(y, cell.fixed[b].data);
          nodes[k].in.forEach((i, slot) => {
            const [weight, from] = parts[slot], W = cell.fixed[weight].data, v = valueOf(run, i, t);
            for (let r = 0, p = from * width; r < v.length; r++, p += width)
              if (v[r] !== 0) { for (let j = 0; j < width; j++) y[j] += v[r] * W[p + j]; }
          });
          continue;
        }
        const [compute, ...derivatives] = nodes[k].formulas, inputs = nodes[k].in.map((i) =>
          i < 0 ? cell.fixed[-1 - i].data : valueOf(run, i, t)
        );
        const [a, b = a, c = a] = inputs, ja = a.length > 1 ? 1 : 0, jb = b.length > 1 ? 1 : 0,
          jc = c.length > 1 ? 1 : 0;
        for (let j = 0; j < width; j++)
          y[j] = compute(0, a[j * ja], b[j * jb], c[j * jc]);
        derivatives.forEach((derivative, slot) => {
          const slope = slopes[k][slot];
          if (slope) {
            for (let j = 0; j < width; j++) slope[t * width + j] = derivative(y[j], a[j * ja], b[j * jb], c[j * jc]);
          }
        });
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
    const top = Math.max(...y), e = Array.from(y, (v) => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
  }

  /** dL/dh. L is u · h; of a readout the output itself ("squared"), the log-odds of the most probable class
   *  ("classes"), or the sum of the log-odds of what each output answers ("bits"). The answer is that of the outputs
   *  `said`, its own unless another network is asked for the same. */
  function asked(read, h, said) {
    if (read.u) return read.u;
    const y = outputs(read, h), answer = said ?? y, best = answer.indexOf(Math.max(...answer));
    let dy = Array.from(answer, (v) => (read.loss === "bits" ? (v > 0 ? 1 : -1) : 1));
    if (read.loss === "classes") {
      const others = softmax(y.map((v, j) => (j === best ? -Infinity : v)));
      dy = others.map((p, j) => (j === best ? 1 : -p));
    }
    return Float64Array.from(h, (_, r) => dot(read.W.subarray(r * y.length, (r + 1) * y.length), dy));
  }

  // ── back ─────────────────────────────────────────────────────────────────────────────────────

  /** What every edge multiplies by beside its derivative: 0 where a path that it is on is cut, z where it crosses a weight. */
  function through(cell, cuts = [], z = 1) {
    const factors = cell.nodes.map((node) => (node.in ?? []).map((_, slot) => (node.crosses?.[slot] ? z : 1)));
    for (const path of cuts) for (const [k, slot] of cell.paths[path] ?? []) factors[k][slot] = 0;
    return factors;
  }

  /** What g, a gradient of node k at step t, sends back along one of its edges, into `out`. */
  function pulled(run, k, slot, g, t, out) {
    const node = run.cell.nodes[k], { width } = node;
    if (node.op === "affine") {
      const [weight, from, to] = node.parts[slot], W = run.cell.fixed[weight].data;
      for (let r = from; r < to; r++) {
        let sum = 0;
        for (let j = 0; j < width; j++) sum += W[r * width + j] * g[j];
        out[r - from] = sum;
      }
    } else for (let j = 0; j < width; j++) out[j] = g[j] * run.slopes[k][slot][t * width + j];
    return out;
  }

  /**
   * The gradient of L, read from the first state after step T, or with everyStep of its sum over all steps.
   *
   * `factors` are those of `through`. Result: the gradient of every node as d, what came back along every edge as
   * edges[node][slot], at the step of the node, and from L as `loss`. `said(t)` is the answer that L asks for where
   * another network gives it, see `asked`. With a `seed`, a gradient of the main state after step T, it is that which comes back.
   */
  function backward(run, { everyStep = false, factors = through(run.cell), said = () => undefined, seed = null } = {}) {
    const { cell, T } = run, { nodes, first, after, n } = cell;
    const zeros = (width) => new Float64Array((T + 1) * width), d = nodes.map((node) => zeros(node.width)),
      edges = nodes.map((node) => (node.in ?? []).map((i) => i >= 0 && zeros(nodes[i].width))), loss = zeros(n),
      shown = after[seed ? cell.main : 0];
    after.forEach((k, s) => (d[1 + s] = d[k]));
    for (let t = T; t > 0; t--) {
      if (everyStep || t === T) at(loss, t, n).set(seed ?? asked(cell.read, at(run.values[shown], t, n), said(t)));
      add(at(d[shown], t, n), at(loss, t, n));
      for (let k = nodes.length - 1; k >= first; k--) {
        const g = at(d[k], t, nodes[k].width);
        nodes[k].in.forEach((i, slot) => {
          if (i < 0) return;
          const { width } = nodes[i], term = pulled(run, k, slot, g, t, at(edges[k][slot], t, width)),
            factor = factors[k][slot];
          if (factor !== 1) { for (let j = 0; j < width; j++) term[j] *= factor; }
          add(at(d[i], i > 0 && i < first ? t - 1 : t, width), term);
        });
      }
    }
    return { run, everyStep, factors, d, edges, loss };
  }

  /** The gradient of state s after step t split by how often a path crosses a weight that a state enters: 0, 1, ...
   *  The last of limit + 2 entries holds all that crosses more than `limit` times; together they are the gradient. */
  function split(back, s, t, limit) {
    const { run, factors, loss } = back, { cell, T } = run, { nodes, first, after, n } = cell, wanted = after[s],
      term = new Float64Array(Math.max(...nodes.map((node) => node.width)));
    const none = () =>
      nodes.map((node) => ({ used: 0, of: Array.from({ length: limit + 2 }, () => new Float64Array(node.width)) }));
    let parts = none(), before = none();
    for (let step = T; step >= t; step--) {
      add(parts[after[0]].of[0], at(loss, step, n));
      parts[after[0]].used ||= 1;
      if (step === 0) break;
      for (let k = nodes.length - 1; k >= first; k--) {
        if (step === t && k === wanted) break;
        const from = parts[k];
        nodes[k].in.forEach((i, slot) => {
          const factor = factors[k][slot];
          if (i < 0 || factor === 0) return;
          const to = i > 0 && i < first ? before[after[i - 1]] : parts[i], more = nodes[k].crosses?.[slot] ? 1 : 0,
            out = term.subarray(0, nodes[i].width);
          for (let c = 0; c < from.used; c++) {
            const into = Math.min(c + more, limit + 1);
            add(to.of[into], pulled(run, k, slot, from.of[c], step, out), factor);
            to.used = Math.max(to.used, into + 1);
          }
        });
      }
      if (step === t) break;
      for (const part of parts) {
        part.used = 0;
        for (const v of part.of) v.fill(0);
      }
      [parts, before] = [before, parts];
    }
    return parts[wanted].of;
  }

  // ── readings ─────────────────────────────────────────────────────────────────────────────────

  /** What one use of a weight or bias, by an affine node at step t, contributes to its gradient: the norm. */
  function used({ run, d }, k, weight, t) {
    const { in: inside, parts, width } = run.cell.nodes[k],
      values = inside.flatMap((i, slot) => (parts[slot][0] === weight ? Array.from(valueOf(run, i, t)) : []));
    return norm(at(d[k], t, width)) * (values.length ? norm(values) : 1);
  }

  /** What each step contributes to the gradient of a weight: its norm, and its share of the whole (they add to 1). */
  function weightTerms(back, weight) {
    const { run } = back, { cell, T } = run, { nodes, first } = cell, made = [];
    let whole = null;
    for (let t = 1; t <= T; t++) {
      const term = new Float64Array(cell.fixed[weight].data.length);
      for (let k = first; k < nodes.length; k++) {
        const { width } = nodes[k], g = at(back.d[k], t, width);
        nodes[k].parts?.forEach(([w, from], slot) => {
          if (w !== weight) return;
          const i = nodes[k].in[slot], v = valueOf(run, i, t);
          for (let r = 0; r < v.length; r++)
            if (v[r] !== 0) { for (let j = 0; j < width; j++) term[(from + r) * width + j] += v[r] * g[j]; }
        });
        for (const b of nodes[k].biases ?? []) if (b === weight) add(term, g);
      }
      made.push(term);
      whole = whole ? add(whole, term) : Float64Array.from(term);
    }
    const size = norm(whole),
      terms = made.map((term, k) => ({ t: k + 1, norm: norm(term),
        share: size >= TINY ? term.reduce((sum, v, j) => sum + (v / size) * (whole[j] / size), 0) : NaN })
      );
    return { terms, norm: size };
  }

  /** What would come back of the main state's gradient at step T: along its direct path alone if every weight were 0, or,
   *  where it has none, through the weights if what bends had a slope of 1. */
  function closedForm(back, direct) {
    const { run } = back, { cell, xs, T } = run, main = cell.after[cell.main],
      weights = new Set(cell.nodes.flatMap((node) => (node.parts ?? []).map(([w]) => w)));
    const bare = (f, k) => (weights.has(k) ? { ...f, data: new Float64Array(f.data.length) } : f);
    const again = direct ? forward({ ...cell, fixed: cell.fixed.map(bare) }, xs) : { ...run, slopes: [...run.slopes] };
    if (!direct)
      cell.nodes.forEach(({ bends, width }, k) => {
        if (bends) again.slopes[k] = [new Float64Array((T + 1) * width).fill(1)];
      });
    const factors = through(cell, [], direct ? 0 : 1), seed = at(back.d[main], T, cell.n);
    return norms(backward(again, { factors, seed }).d[main], cell.n);
  }

  /** The factor of one step back, a geometric mean from step T to step `first`; null where float64 lost either end. */
  function factor(sizes, first = 1) {
    const T = sizes.length - 1;
    while (first < T && !(sizes[first] >= TINY)) first++;
    if (first >= T || !Number.isFinite(sizes[first]) || !(sizes[T] >= TINY)) return null;
    return Math.exp((Math.log(sizes[first]) - Math.log(sizes[T])) / (T - first));
  }

  // prettier-ignore
  return { TINY, FUNCTIONS, at, add, dot, norm, norms, sigmoid, floats, prepared, adjusted, forward, outputs,
    softmax, through, backward, split, weightTerms, used, closedForm, factor };
})();
