"use strict";
// What the controls ask for, computed: the data of the page, the state of its controls, and the model that is drawn.

const data = JSON.parse(document.getElementById("data").textContent);

const Model = (() => {
  const { number, signed, name, plain, IN_WORDS } = Words;
  const { at, norm, dot, TINY, GATES } = Engine;

  // ── data ─────────────────────────────────────────────────────────────────────────────────────

  /** float64 numbers from base64. */
  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
      view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 8 }, (_, k) => view.getFloat64(8 * k, true));
  }
  const mapped = (object, f) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value)]));

  const cells = mapped(data.cells, (cell) => ({
    ...cell,
    W: mapped(cell.W, floats),
    b: mapped(cell.b, floats),
    engine: mapped(cell.engine, floats),
    read: mapped(cell.read, (value) => (typeof value === "string" && value !== cell.read.loss ? floats(value) : value)),
  }));
  const trained = data.answers !== undefined,
    first = Object.keys(cells)[0],
    m = cells[first].m;

  const known = new Map();
  /** The vector of a token: drawn for a word, one-hot for a symbol. */
  function vector(token) {
    if (!known.has(token)) {
      const k = trained ? data.symbols.indexOf(token) : -1;
      known.set(
        token,
        !trained
          ? Random.embed(token, m, BigInt(data.seed))
          : m === 1
            ? Float64Array.of(2 * k - 1)
            : Float64Array.from({ length: m }, (_, j) => (j === k ? 1 : 0)),
      );
    }
    return known.get(token);
  }
  function vectors(sequence) {
    if (!sequence.x) return sequence.tokens.map(vector);
    const x = floats(sequence.x);
    return sequence.tokens.map((_, t) => at(x, t, m));
  }

  // ── state ────────────────────────────────────────────────────────────────────────────────────

  const start = () => ({
    cell: first,
    sequence: 0,
    forget: trained ? 0 : data.forgetBias,
    input: 0,
    chrono: false,
    scale: 1,
    z: 1,
    cuts: new Set(),
    everyStep: false,
    t: Math.ceil(data.sequences[0].tokens.length / 2),
    traced: false,
    phase: 7,
    chosen: null,
    playing: null,
  });
  const settings = { notation: "gates", theme: "system" },
    sequences = [...data.sequences];
  const state = start();

  /** The paths back of a kind of cell, and what a cut removes. */
  const paths = (kind) => (kind === "rnn" ? ["h -> h"] : ["c -> c", "c -> h", ...GATES[kind].map((k) => `h -> ${k}`)]);

  /** A cell as the controls set it. */
  function set(cell, { forget = state.forget, T } = {}) {
    const biases = {},
      shifted = (k, by) => Array.from(cell.b[k], (b) => b + by);
    if (cell.kind === "rnn") return Engine.adjusted(cell, state.scale);
    if (state.chrono && cell.kind === "lstm" && cell.n === data.chrono?.length) {
      biases.f = data.chrono.map((u) => Math.log(1 + (Math.max(T, 2) - 2) * u));
      biases.i = biases.f.map((b) => -b);
    } else {
      if (cell.kind === "lstm") biases.f = trained ? shifted("f", forget) : forget;
      biases.i = trained ? shifted("i", state.input) : state.input;
    }
    return Engine.adjusted(cell, state.scale, biases);
  }

  /** A cell over vectors and back, as the controls ask. */
  function row(key, xs, how = {}) {
    // how: another forget bias, and what L asks for where another row says it
    const cell = set(cells[key], { T: xs.length, forget: how.forget }),
      run = Engine.forward(cell, xs);
    const through = {};
    for (const path of paths(cell.kind)) {
      const factor = (state.cuts.has(path) ? 0 : 1) * (path.startsWith("h ->") ? state.z : 1);
      if (factor !== 1) through[path] = factor;
    }
    const back = Engine.backward(run, { everyStep: state.everyStep, paths: through, said: how.said });
    const made = { key, cell, run, back, label: label(key), note: note(key, cell), sizes: null, said: how.said };
    made.sizes = Words.gradientOf(made);
    return made;
  }

  /** What a trained network's row answers after step t; nothing where L is u · h. */
  const answered = ({ cell, run }) =>
    cell.read.u ? undefined : (t) => Engine.outputs(cell.read, at(run.h, t, cell.n));

  const label = (key) =>
    trained
      ? `${key} ${{ rnn: "RNN", lstm: "LSTM", lstm1997: "LSTM of 1997" }[data.cells[key].kind]}`
      : { lstm: "LSTM", lstm1997: "LSTM of 1997", rnn: "RNN", unit: "LSTM of one unit" }[key];

  function note(key, cell) {
    const said = [];
    if (cell.kind === "lstm") {
      if (state.chrono && cell.n === data.chrono?.length) said.push("chrono biases");
      else if (trained)
        said.push(state.forget === 0 ? "forget bias as trained" : `forget bias shifted by ${signed(state.forget)}`);
      else said.push(`forget bias ${number(state.forget, 3)}`);
    }
    if (cell.kind === "lstm1997") said.push("no forget gate");
    if (state.scale !== 1) said.push(`recurrent weights × ${number(state.scale, 3)}`);
    return said.join(", ");
  }

  // ── the model: all that is drawn ─────────────────────────────────────────────────────────────

  function compute() {
    const sequence = sequences[state.sequence],
      xs = vectors(sequence),
      T = xs.length;
    state.t = Math.min(state.t, T);
    const rows = [row(state.cell, xs)];
    if (data.beside && data.beside !== state.cell) rows.push(row(data.beside, xs, { said: answered(rows[0]) }));
    const chosen =
      state.chosen && state.chosen.row < rows.length && state.chosen.t <= T
        ? state.chosen
        : { row: 0, role: Words.stateOf(rows[0]), t: state.t };
    if (rows[chosen.row].back[chosen.role] === undefined && chosen.role !== "W") {
      chosen.role = Words.stateOf(rows[chosen.row]);
      delete chosen.gate;
    }
    if (chosen.role === "W" && !GATES[rows[chosen.row].cell.kind].includes(chosen.gate)) {
      chosen.role = Words.stateOf(rows[chosen.row]);
      delete chosen.gate;
    }
    state.chosen = chosen;
    const t = state.t,
      shownRow = rows[chosen.row];
    const at0 = Math.min(t, chosen.t);
    const full =
      state.z === 1
        ? shownRow.back
        : Engine.backward(shownRow.run, {
            everyStep: state.everyStep,
            said: shownRow.said,
            paths: Object.fromEntries([...state.cuts].map((p) => [p, 0])),
          });
    return {
      T,
      t,
      xs,
      rows,
      chosen,
      row: shownRow,
      tokens: sequence.tokens,
      notation: data.notations[settings.notation],
      phase: state.phase,
      everyStep: state.everyStep,
      traced: state.traced,
      lines: lines(rows),
      split: { parts: Engine.split(full, at0, data.detours), z: state.z, t: at0 },
    };
  }

  /** The lines of the chart: measured, the highway alone, closed forms, and sigmoid(b) a step for a few b. */
  function lines(rows) {
    const found = [];
    rows.forEach((row, k) => {
      const lstm = row.cell.kind !== "rnn",
        kind = k === 0 ? "subject" : "beside",
        what = plain(name(data.notations[settings.notation], lstm ? "c" : "h", "t"));
      found.push({
        label: `${row.label}, gradient of ${what}`,
        short: row.label,
        sizes: row.sizes,
        kind: `line-${kind}`,
        strong: kind,
      });
      if (k === 0 && lstm) {
        const highway = Engine.backward(row.run, {
          everyStep: state.everyStep,
          said: row.said,
          paths: { ...row.back.paths, ...Object.fromEntries(GATES[row.cell.kind].map((g) => [`h -> ${g}`, 0])) },
        });
        found.push({
          label: "highway only (z = 0)",
          short: "highway only",
          sizes: Words.gradientOf({ cell: row.cell, back: highway }),
          kind: "line-highway",
        });
      }
      if (!state.everyStep && (k === 0 || !lstm)) {
        found.push({
          label: lstm
            ? row.cell.kind === "lstm"
              ? "closed form σ(b)^steps, at zero weights"
              : "closed form without a forget gate: constant"
            : "closed form U^steps, a linear RNN",
          short: lstm ? "closed form" : "linear RNN",
          sizes: Engine.closedForm(row.back),
          kind: `line-closed ${kind}`,
        });
      }
    });
    const T = rows[0].run.T;
    if (!state.everyStep && rows[0].cell.kind !== "rnn") {
      for (const b of [-2, 0, 1, 3, 5])
        found.push({
          label: `b = ${number(b)}`,
          sizes: Array.from({ length: T + 1 }, (_, t) => rows[0].sizes[T] * Engine.sigmoid(b) ** (T - t)),
          kind: "line-thin",
          thin: true,
        });
    }
    return found;
  }

  // ── why this number ──────────────────────────────────────────────────────────────────────────

  /** The terms that add up to a gradient: {title, says, formula, vector, terms: [{label, vector | norm and share, go}]}. */
  function why(model, { row: index, role, t, gate }) {
    const row = model.rows[index],
      { run, back, cell } = row,
      { n } = cell,
      { T } = run,
      { edges } = back,
      N = model.notation;
    const C = (s) => `∂L/∂${name(N, "c", s)}`,
      H = (s) => `∂L/∂${name(N, "h", s)}`,
      G = (k, s) => `∂L/∂${Words.gate(N, k)} (step ${s})`;
    const go = (to, s, g) => ({ row: index, role: to, t: s, gate: g });
    const cut = (path) =>
      back.paths[path] === 0 ? " (cut)" : back.paths[path] !== undefined ? ` (× z = ${number(back.paths[path])})` : "";
    if (role === "W") {
      const found = Engine.weightTerms(back, gate),
        W = `W_${Words.letter(N, gate)}`;
      return {
        title: `∂L/∂${W}`,
        words: `weights of the ${IN_WORDS[gate]}`,
        norm: found.norm,
        matrix: true,
        formula: `${W} is used at every step: its gradient is the sum of what the steps contribute.`,
        terms: found.terms.map((term) => ({
          label: `step ${term.t}`,
          norm: term.norm,
          share: term.share,
          go: go(cell.kind === "rnn" ? "h" : gate, term.t),
        })),
      };
    }
    const vector = role === "x" ? at(back.x, t, cell.m) : at(back[role], t, n),
      terms = [];
    const add = (label, v, to) => terms.push({ label, vector: v, go: to });
    const product = (a, b) => a.map((v, j) => v * b[j]);
    let formula = "";
    if (role === "h") {
      formula = "The hidden state is read by the loss and by the gates of the next step.";
      if (t > 0 && (t === T || back.everyStep)) add("from the loss itself", at(edges["h -> L"], t, n));
      if (t < T)
        for (const k of GATES[cell.kind])
          add(
            `by ${k === "h" ? name(N, "h", t + 1) : Words.gate(N, k)} of step ${t + 1}${cut(`h -> ${k}`)}`,
            at(edges[`h -> ${k}`], t, n),
            go(k, t + 1),
          );
      if (t === T) formula = "Nothing after the last step: only the loss reads it.";
    } else if (role === "c") {
      formula =
        t < T
          ? `${name(N, "c", t)} goes two ways: on to ${name(N, "c", t + 1)}, where it is multiplied by the forget gate, and through tanh into ${name(N, "h", t)}.`
          : `${name(N, "c", t)} is read by nothing but ${name(N, "h", t)}.`;
      if (cell.kind === "lstm1997" && t < T)
        formula = `${name(N, "c", t)} goes two ways: on to ${name(N, "c", t + 1)}, unchanged, and through tanh into ${name(N, "h", t)}.`;
      if (t === 0) formula = "The state before the first step goes one way: into the next cell state.";
      if (t < T)
        add(
          `${C(t + 1)}${run.f ? ` × ${Words.gate(N, "f")}` : ""}${cut("c -> c")}`,
          at(edges["c -> c"], t, n),
          go("c", t + 1),
        );
      if (t > 0)
        add(`${H(t)} × ${Words.gate(N, "o")} × (1 − tanh²)${cut("c -> h")}`, at(edges["c -> h"], t, n), go("h", t));
    } else if (role === "x") {
      formula = "The input is read by every gate of its step.";
      for (const k of GATES[cell.kind])
        add(
          `by ${k === "h" ? name(N, "h", t) : Words.gate(N, k)}`,
          Engine.pulled(cell, k, "x", at(back.a[k], t, n), new Float64Array(cell.m)),
          go(k, t),
        );
    } else if (role === "o") {
      formula = `${name(N, "h", t)} is the product of this gate and tanh(${name(N, "c", t)}): the other factor is the derivative.`;
      add(`${H(t)} × tanh(${name(N, "c", t)})`, product(at(back.h, t, n), at(run.shown, t, n)), go("h", t));
    } else if (role === "shown") {
      formula = `${name(N, "h", t)} is the output gate times this value.`;
      add(`${H(t)} × ${Words.gate(N, "o")}`, product(at(back.h, t, n), at(run.o, t, n)), go("h", t));
    } else {
      const factor = { f: ["c", t - 1], i: ["g", t], g: ["i", t] }[role],
        other = role === "f" ? name(N, "c", t - 1) : Words.gate(N, factor[0]);
      formula =
        role === "f"
          ? `The forget gate is multiplied with ${other}: that is its derivative.`
          : `The ${IN_WORDS[role]} is multiplied with ${other} before it is added: that is its derivative.`;
      add(`${C(t)} × ${other}`, product(at(back.c, t, n), at(run[factor[0]], factor[1], n)), go("c", t));
    }
    const size = norm(vector);
    for (const term of terms) {
      term.norm = norm(term.vector);
      term.share =
        size >= TINY
          ? dot(
              term.vector.map((v) => v / size),
              vector.map((v) => v / size),
            )
          : NaN;
    }
    const title =
      role === "c" || role === "h" || role === "x"
        ? `∂L/∂${name(N, role, t)}`
        : role === "shown"
          ? `∂L/∂tanh(${name(N, "c", t)})`
          : G(role, t);
    return {
      title,
      words: `${IN_WORDS[role]}${t === 0 ? " before the first step" : ` at step ${t}`}`,
      norm: size,
      vector,
      formula,
      terms,
    };
  }

  // ── does this page agree with the engine ─────────────────────────────────────────────────────

  /** The largest difference from what the engine measured, relative to the largest number of each array; how many numbers. */
  function check() {
    let worst = 0,
      count = 0;
    const sequence = data.sequences[0],
      xs = vectors(sequence);
    const said = answered({ cell: cells[first], run: Engine.forward(cells[first], xs) });
    for (const cell of Object.values(cells)) {
      const run = Engine.forward(cell, xs),
        back = Engine.backward(run, { said }),
        { n } = cell;
      const mine = {
        h: run.h,
        dh: back.h,
        dx: back.x.subarray(cell.m),
        split: Engine.split(back, 0, data.detours).flatMap((part) => Array.from(part)),
      };
      if (back.c) {
        mine.c = run.c;
        mine.dc = back.c;
        for (const k of GATES[cell.kind]) mine[k] = run[k].subarray(n);
      }
      for (const [key, theirs] of Object.entries(cell.engine)) {
        const largest = theirs.reduce((a, b) => Math.max(a, Math.abs(b)), 0),
          difference = mine[key].reduce((a, v, j) => Math.max(a, Math.abs(v - theirs[j])), 0);
        count += theirs.length;
        worst = Math.max(
          worst,
          mine[key].length === theirs.length ? (difference === 0 ? 0 : difference / largest) : Infinity,
        );
      }
    }
    return { worst, count };
  }

  return { cells, trained, sequences, settings, state, start, paths, vectors, row, compute, why, check };
})();
