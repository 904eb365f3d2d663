"use strict";
// What the controls ask for, computed by engine.js and drawn by views.js. Nothing typed by a user becomes markup.

const data = JSON.parse(document.getElementById("data").textContent);

const Page = (() => {
  const { number, signed, percent, times, steps, name, plain, IN_WORDS } = Words;
  const { at, norm, dot, TINY, GATES } = Engine;
  const find = (id) => document.getElementById(id);
  const html = Views.html;

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
  const measured = []; // milliseconds of every repaint
  let state = start(),
    model = null;

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
      paths: shownRow.back.paths,
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
        short: k === 0 && rows.length > 1 && row.label.length > 14 ? "upper row" : row.label,
        sizes: row.sizes,
        from: 0,
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
          from: 0,
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
          from: 0,
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
          from: 0,
          kind: "line-thin",
          thin: true,
        });
    }
    return found;
  }

  // ── why this number ──────────────────────────────────────────────────────────────────────────

  /** The terms that add up to a gradient: {title, says, formula, vector, terms: [{label, vector | norm and share, go}]}. */
  function why({ row: index, role, t, gate }) {
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

  function drawWhy() {
    const found = why(model.chosen),
      units = found.vector && found.vector.length <= 8 ? found.vector.length : 0;
    const token =
      model.chosen.t > 0 && !found.matrix
        ? ` (“${Words.clip(Words.shown(model.tokens[model.chosen.t - 1]), 20)}”)`
        : "";
    const terms = found.terms.length;
    const many = found.matrix
      ? `the sum of what ${steps(terms)} contribute`
      : terms === 0
        ? "no path reaches it"
        : terms === 1
          ? "one term"
          : `the sum of ${terms} terms`;
    find("why-says").replaceChildren(
      `${Words.capital(model.row.label)}: gradient of the ${found.words}${token}, ${Views.richlyPlain(found.title)}: norm ${number(found.norm, 3)}, ${many}.`,
    );
    const button = (term) => {
      if (!term.go) return html("span", {}, ...Views.richly(term.label));
      const element = html("button", { type: "button" }, ...Views.richly(term.label));
      element.addEventListener("click", () => {
        choose(term.go);
        find("why-table").querySelector("button")?.focus();
      });
      return element;
    };
    const share = (value) => (Number.isNaN(value) ? "–" : percent(value));
    const line = (head, size, part, vector) =>
      html(
        "tr",
        {},
        head,
        html("td", {}, number(size, 3)),
        html("td", {}, part),
        ...(units ? Array.from(vector, (v) => html("td", {}, signed(v))) : []),
      );
    const body = found.terms.map((term) =>
      line(html("td", {}, button(term)), term.norm, share(term.share), term.vector),
    );
    body.push(
      line(
        html("th", { scope: "row" }, ...Views.richly(found.title)),
        found.norm,
        found.terms.length && found.norm >= TINY ? "100 %" : "–",
        found.vector,
      ),
    );
    find("why-table").replaceChildren(
      html("p", { class: "formula" }, ...Views.richly(found.formula)),
      html(
        "table",
        {},
        html(
          "thead",
          {},
          html(
            "tr",
            {},
            html("th", { scope: "col" }, "term"),
            html("th", { scope: "col" }, "norm"),
            html(
              "th",
              {
                scope: "col",
                title: "the part of the whole that this term makes, in the whole's direction; shares add up to 100 %",
              },
              "share",
            ),
            ...Array.from({ length: units }, (_, j) => html("th", { scope: "col" }, j ? String(j + 1) : "unit 1")),
          ),
        ),
        html("tbody", {}, body),
      ),
      html(
        "p",
        { class: "hint" },
        found.terms.length > 1
          ? "Shares add up to 100 %, the vectors unit by unit to the last line; the norms do not add up."
          : "",
      ),
    );
  }

  // ── repaint ──────────────────────────────────────────────────────────────────────────────────

  const PHASES = [
    ["forward", (w) => `${w.C0} and ${w.H0} come from the step before, ${w.x} from the sequence.`],
    [
      "forward",
      (w) =>
        w.rnn
          ? `${w.H0} and ${w.x} are joined and multiplied by the weights.`
          : `Every gate reads ${w.H0} and ${w.x}: a matrix product, a bias, and σ or tanh.`,
    ],
    [
      "forward",
      (w) =>
        w.rnn
          ? "An RNN has no cell state."
          : `${w.C} = ${w.f ? `${w.f} × ` : ""}${w.C0} + ${w.i} × ${w.g}: keep some, add some.`,
    ],
    ["forward", (w) => (w.rnn ? `${w.H} is the tanh of the sum.` : `${w.H} = ${w.o} × tanh(${w.C}): show some.`)],
    ["back", (w) => `The gradient arrives: ${w.dh} at ${w.H}${w.rnn || w.last ? "" : `, ${w.dcNext} from ${w.C1}`}.`],
    [
      "back",
      (w) =>
        w.rnn
          ? `It reaches the tanh: ${w.dh}.`
          : `Through ${w.H} = ${w.o} × tanh(${w.C}) it reaches the output gate and the cell state, which now has ${w.dc} in all.`,
    ],
    [
      "back",
      (w) =>
        w.rnn
          ? "It is multiplied by 1 − tanh²."
          : `The + hands it on unchanged, each × multiplies by the other factor: ${w.dcBefore} reaches ${w.C0} along the straight line.`,
    ],
    ["back", (w) => `Through the weights the rest comes to ${w.H0}, ${w.dhBefore}, and to ${w.x}, ${w.dx}.`],
  ];

  function insideSays() {
    const { row, t, notation: N, T } = model,
      { back, cell } = row,
      { n } = cell,
      rnn = cell.kind === "rnn",
      s = (array, k) => number(norm(at(array, k, n)));
    const n_ = (role, k) => name(N, role, k),
      from = norm(at(back.h, t - 1, n).map((v, j) => v - at(back.edges["h -> L"], t - 1, n)[j]));
    const [direction, says] = PHASES[state.phase];
    const text = says({
      rnn,
      C0: n_("c", t - 1),
      H0: n_("h", t - 1),
      C: n_("c", t),
      H: n_("h", t),
      C1: n_("c", t + 1),
      x: n_("x", t),
      last: t === T,
      f: cell.kind === "lstm" ? Words.gate(N, "f") : "",
      i: Words.gate(N, "i"),
      g: Words.gate(N, "g"),
      o: Words.gate(N, "o"),
      dh: s(back.h, t),
      dc: rnn ? "" : s(back.c, t),
      dcNext: rnn ? "" : s(back.edges["c -> c"], t),
      dcBefore: rnn ? "" : s(back.edges["c -> c"], t - 1),
      dhBefore: number(from),
      dx: number(norm(at(back.x, t, cell.m))),
    });
    return [html("b", {}, `${state.phase + 1} of 8, ${direction}: `), ...Views.richly(text)];
  }

  /** What keeps the numbers from being the gradient, if anything. */
  function changed() {
    const cut = model.rows.some((row) => paths(row.cell.kind).some((path) => state.cuts.has(path)));
    const why = [state.z !== 1 ? `z = ${number(state.z)}` : "", cut ? "paths cut" : ""].filter(Boolean);
    return why.length ? `Not the whole gradient (${why.join(", ")}): ` : "";
  }

  function stripSays() {
    const { rows } = model,
      said = [];
    for (const row of rows) {
      const sizes = Engine.norms(row.back.x, row.cell.m).slice(1),
        best = sizes.indexOf(Math.max(...sizes));
      const sum = sizes.reduce((a, b) => a + b, 0);
      if (!(sum >= TINY)) said.push(`${Words.capital(row.label)}: no input gets a gradient that float64 holds.`);
      else if (sizes.length > 1)
        said.push(
          `${Words.capital(row.label)}: of what reaches the inputs, “${Words.clip(Words.shown(model.tokens[best]), 16)}” (step ${best + 1}) gets the most, ${percent(sizes[best] / sum)}, the first ${data.unit} ${percent(sizes[0] / sum)}.`,
        );
    }
    if (trained && model.rows[0].cell.read.W) said.push(answer());
    return said.join(" ");
  }

  /** What a trained network answers after the last step, by these settings. */
  function answer() {
    const { run, cell } = model.rows[0],
      y = Engine.outputs(cell.read, at(run.h, run.T, cell.n));
    const names = data.answers.map((a) => Words.shown(a));
    if (cell.read.loss === "squared") return `L is its answer, ${number(y[0], 3)}.`;
    if (cell.read.loss === "bits")
      return `L is the log-odds of its answer: ${names.filter((_, k) => y[k] > 0).join(", ") || "nothing"}.`;
    const p = Engine.softmax(y),
      k = p.indexOf(Math.max(...p));
    return `L is the log-odds of its answer ${names[k]}, to which it gives ${percent(p[k])}.`;
  }

  function decaySays() {
    const { rows, T, t } = model,
      said = [];
    for (const row of rows) {
      const lost = row.sizes[T] >= TINY ? row.sizes[t] / row.sizes[T] : NaN;
      if (t < T && Number.isFinite(lost))
        said.push(
          state.everyStep
            ? `${Words.capital(row.label)}: step ${t} has ${times(lost, 1)} times the gradient of the last.`
            : `${Words.capital(row.label)}: ${steps(T - t)} before the end ${Words.left(lost)}.`,
        );
    }
    const row = rows[0];
    if (!state.everyStep && row.cell.kind === "lstm" && T > 1 && row.sizes[1] >= TINY) {
      const closed = Engine.closedForm(row.back)[1];
      if (closed >= TINY)
        said.push(
          `The closed form σ(b)^steps, true at zero weights, gives ${closed < row.sizes[1] ? `${times(row.sizes[1], closed)} times less` : `${times(closed, row.sizes[1])} times more`} than was measured at the first ${data.unit}.`,
        );
    }
    return said.length ? said.join(" ") : `Choose an earlier step to see how much of the gradient is left there.`;
  }

  function gatesSays() {
    const { row, T } = model,
      { run, cell } = row,
      { n } = cell;
    const mean = (array) => array.subarray(n).reduce((a, b) => a + b, 0) / (T * n);
    if (cell.kind === "rnn")
      return `${Words.capital(row.label)}: hidden state of ${n} units over ${steps(T)}; ${saturated(run.h, n)} of its values are beyond ±0.95, where tanh is flat.`;
    const largest = run.c.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const f = run.f
      ? `The forget gate is ${number(mean(run.f), 3)} on average, from ${number(Math.min(...run.f.subarray(n)))} to ${number(Math.max(...run.f.subarray(n)))}; `
      : "There is no forget gate; ";
    return `${Words.capital(row.label)}: ${f}the cell state reaches ${number(largest)}, and ${saturated(run.shown, n)} of its values are where tanh is flat (beyond ±0.95). Blue is above 0, orange below; the column in numbers is step ${model.t}.`;
  }
  const saturated = (array, n) =>
    percent(array.subarray(n).filter((v) => Math.abs(v) > 0.95).length / (array.length - n));

  function repaint() {
    const begun = performance.now();
    model = compute();
    Views.scaleTo(model.T);
    const room = (id) => find(id).closest("section").clientWidth - padding,
      padding = document.body.clientWidth <= 600 ? 20 : 28,
      focused = document.activeElement?.id;
    const widths = Object.fromEntries(
      ["strip-picture", "decay-picture", "detours-picture", "gates-picture"].map((id) => [id, room(id)]),
    );
    find("headline").replaceChildren(
      ...Words.headline(model, data, changed()).map(([text, kind]) => (kind ? html("b", { class: kind }, text) : text)),
    );
    find("strip-picture").replaceChildren(Views.strip(model, widths["strip-picture"]));
    find("legend").replaceChildren(...Views.legend());
    find("strip-says").textContent = stripSays();
    find("inside-picture").replaceChildren(Views.inside(model));
    find("inside-says").replaceChildren(...insideSays());
    find("step-shown").textContent =
      `step ${model.t} of ${model.T}: ${Words.clip(Words.shown(model.tokens[model.t - 1]), 14)}`;
    find("decay-picture").replaceChildren(...Views.decay(model, widths["decay-picture"]));
    find("decay-says").textContent = decaySays();
    find("detours-picture").replaceChildren(
      ...(model.row.cell.kind === "rnn" ? [] : [Views.detours(model, widths["detours-picture"])]),
    );
    const what = name(model.notation, Words.stateOf(model.row), model.split.t);
    find("detours-says").replaceChildren(
      ...Views.richly(
        model.row.cell.kind === "rnn"
          ? `${Words.capital(model.row.label)}: there is no straight line, every path back to ${what} crosses the weights once a step, ${steps(model.T - model.split.t)} in all. Choose an LSTM’s row to see its gradient split.`
          : `${Words.capital(model.row.label)}, gradient of ${what}. ${Words.straight(model.split.parts, state.z, what)}`,
      ),
    );
    find("gates-picture").replaceChildren(Views.heatMaps(model, widths["gates-picture"]));
    find("gates-says").textContent = gatesSays();
    drawWhy();
    drawControls();
    if (focused && document.activeElement?.id !== focused) find(focused)?.focus({ preventScroll: true });
    measured.push(performance.now() - begun);
  }

  // ── controls ─────────────────────────────────────────────────────────────────────────────────

  function drawControls() {
    const kind = cells[state.cell].kind,
      unit = state.cell === "unit",
      chronoFits = cells[state.cell].n === data.chrono?.length;
    find("forget-shown").textContent = trained ? `shift ${signed(state.forget)}` : number(state.forget, 3);
    find("input-shown").textContent = trained ? `shift ${signed(state.input)}` : number(state.input, 3);
    find("scale-shown").textContent = `× ${number(state.scale, 3)}`;
    find("z-shown").textContent = number(state.z, 3);
    for (const key of ["forget", "input", "scale", "z", "phase"])
      if (Number(find(key).value) !== state[key]) find(key).value = state[key];
    find("forget").disabled = kind !== "lstm" || (state.chrono && chronoFits);
    find("input").disabled = kind === "rnn" || (state.chrono && chronoFits && kind === "lstm");
    find("chrono").checked = state.chrono;
    find("chrono").disabled = kind !== "lstm" || unit;
    find("chrono-label").hidden = trained;
    find("cell").value = state.cell;
    find("sequence").value = state.sequence;
    for (const radio of document.querySelectorAll("[name=loss]"))
      radio.checked = (radio.value === "every") === state.everyStep;
    find("phase").setAttribute("aria-valuetext", find("inside-says").textContent);
    find("play").textContent = state.playing ? "Pause" : "Play";
    find("play").setAttribute("aria-pressed", Boolean(state.playing));
    find("before").disabled = model.t <= 1;
    find("after").disabled = model.t >= model.T;
    find("row").hidden = model.rows.length < 2;
    find("row").textContent = model.rows.length < 2 ? "" : `show ${model.rows[1 - model.chosen.row].label}`;
    const strip = find("strip-picture"),
      place = (strip.scrollWidth / model.T) * (model.t - 0.5);
    if (
      strip.scrollWidth > strip.clientWidth &&
      Math.abs(place - strip.scrollLeft - strip.clientWidth / 2) > strip.clientWidth / 3
    )
      strip.scrollLeft = place - strip.clientWidth / 2;
    if (strip.scrollLeft > 0) holdTitles();
    strip.setAttribute("aria-valuemax", model.T);
    strip.setAttribute("aria-valuenow", model.t);
    strip.setAttribute(
      "aria-valuetext",
      `step ${model.t} of ${model.T}, ${Words.shown(model.tokens[model.t - 1])}: ${model.rows.map((row) => `${row.label} ${number(row.sizes[model.t])}`).join(", ")}`,
    );
    drawCuts(kind);
  }

  /** The rows' titles stay in sight where the strip is scrolled. */
  function holdTitles() {
    const strip = find("strip-picture");
    for (const title of strip.querySelectorAll(".row-title")) title.setAttribute("x", strip.scrollLeft + 2);
  }

  function drawCuts(kind) {
    const wanted = [...new Set([...paths(kind), ...(model.rows.length > 1 ? paths(model.rows[1].cell.kind) : [])])],
      box = find("cuts");
    const names = {
      "c -> c": "cell state to cell state",
      "c -> h": "cell state to hidden state",
      "h -> h": "h to h of the RNN",
    };
    if (box.dataset.paths !== wanted.join()) {
      box.dataset.paths = wanted.join();
      box.replaceChildren(
        html("legend", {}, "open paths (untick to cut the way back)"),
        ...wanted.map((path) => {
          const input = html("input", { type: "checkbox", id: `cut-${path.replace(/\W+/g, "-")}` });
          input.addEventListener("change", () => {
            if (input.checked) state.cuts.delete(path);
            else state.cuts.add(path);
            repaint();
          });
          return html("label", { class: "tick" }, input, html("span", {}, names[path] ?? ""));
        }),
      );
    }
    for (const [k, path] of wanted.entries()) {
      const label = box.querySelectorAll("label")[k];
      label.querySelector("input").checked = !state.cuts.has(path);
      if (!names[path])
        label
          .querySelector("span")
          .replaceChildren(...Views.richly(`h to ${Words.gate(model.notation, path.slice(5))}`));
    }
  }

  /** Choose a gradient; the step shown goes with it. */
  function choose(what) {
    state.chosen = { row: what.row, role: what.role, t: what.t, gate: what.gate };
    if (what.role !== "W") state.t = Math.max(1, what.t);
    state.phase = 7;
    state.traced = true;
    repaint();
  }

  /** Show another step, with the gradient of the state at its end chosen. */
  function go(t, row = model.chosen.row) {
    state.t = Math.max(1, Math.min(model.T, t));
    state.chosen = { row, role: Words.stateOf(model.rows[row]), t: state.t };
    state.traced = false;
    repaint();
  }

  function play() {
    if (state.playing) {
      clearInterval(state.playing);
      state.playing = null;
      drawControls();
      return;
    }
    if (state.phase === 7) state.phase = -1;
    const next = () => {
      state.phase += 1;
      if (state.phase >= 7) {
        clearInterval(state.playing);
        state.playing = null;
      }
      repaint();
    };
    state.playing = setInterval(next, 1100);
    next();
  }

  function useOwn() {
    const text = find("own").value,
      tokens = trained ? Words.characters(text) : Words.split(text),
      problem = find("own-problem");
    const unknown = trained ? [...new Set(tokens.filter((c) => !data.symbols.includes(c)))] : [];
    let says = "";
    if (!tokens.length) says = trained ? "Type some characters for the network to read." : "Type some words.";
    else if (tokens.length > data.longest)
      says = `That is ${tokens.length.toLocaleString("en")} ${data.unit}s; the page shows at most ${data.longest}.`;
    else if (unknown.length)
      says = `The network never saw ${unknown
        .slice(0, 10)
        .map((c) => `“${Words.shown(c)}”`)
        .join(", ")}; it knows ${Words.shown(data.symbols.join(""))}`;
    problem.textContent = says;
    problem.hidden = !says;
    if (says) {
      find("own").setAttribute("aria-invalid", "true");
      find("own").focus();
      return;
    }
    find("own").removeAttribute("aria-invalid");
    const own = sequences.findIndex((s) => s.own),
      sequence = { name: "typed here", tokens, own: true };
    if (own >= 0) sequences[own] = sequence;
    else {
      sequences.push(sequence);
      find("sequence").append(html("option", { value: sequences.length - 1 }, "typed here"));
    }
    state.sequence = sequences.findIndex((s) => s.own);
    state.t = Math.ceil(tokens.length / 2);
    state.chosen = null;
    repaint();
  }

  // ── challenges ───────────────────────────────────────────────────────────────────────────────

  const whole = () =>
    state.z !== 1 || state.cuts.size
      ? "Set z to 1 and open all paths first: only the whole gradient counts. "
      : state.everyStep
        ? "Let the loss be read at the end only. "
        : "";
  /** The smallest forget gate, and how much of the gradient of c_T is left at c_0. */
  function kept(row) {
    const { run, sizes } = row,
      n = row.cell.n;
    return {
      f: row.cell.kind === "rnn" ? null : run.f ? Math.min(...run.f.subarray(n)) : 1,
      left: sizes[0] / sizes[run.T],
      T: run.T,
    };
  }
  function openGate(reached, goal) {
    const found = kept(model.rows[0]),
      problem = whole();
    if (found.f === null) return [false, "An RNN has no forget gate: choose an LSTM."];
    const says = `Smallest forget gate ${found.f === 1 ? "1" : number(found.f, 4)}, and over ${steps(found.T)} the gradient is multiplied by ${number(found.left)}. `;
    if (problem) return [false, problem];
    if (found.f < 0.9995) return [false, `${says}Every forget gate must be at least 0.9995 first.`];
    return reached(found.left)
      ? [true, `${says}Done: the forget gates are open, and the gradient ${goal}.`]
      : [false, `${says}Not yet.`];
  }
  const CHALLENGES = [
    {
      title: "Make the LSTM explode with f = 1",
      task: "Every forget gate at 1, and yet the gradient of the first cell state at least 1,000 times that of the last.",
      hint: "The highway alone multiplies by 1. What comes back through h adds to it: raise the recurrent scale. The LSTM of one unit does it most cleanly.",
      check: () => openGate((left) => left >= 1000, "has grown more than a thousandfold by its detours"),
    },
    {
      title: "Make f = 1 vanish",
      task: "Every forget gate at 1, and yet at most 1/1,000 of the last gradient reaches the first cell state.",
      hint: "A detour may also work against the highway and cancel it. Take the LSTM of one unit, an open input gate, and a negative recurrent scale: at −0.5 each step leaves one half.",
      check: () => openGate((left) => left <= 1e-3, "has vanished: its detours cancel the highway"),
    },
    {
      title: "Find the smallest forget bias that keeps 10 % over 100 steps",
      task: "Choose the numbers from 1 to 100, the LSTM, and the smallest forget bias on the slider at which at least 10 % of the gradient of the last cell state reaches the first.",
      hint: "The highway alone needs σ(b)^100 = 0.1, that is b = 3.76. With detours it may be less or more: try.",
      check: smallest,
    },
  ].slice(0, trained ? 0 : 3);

  function smallest() {
    const problem = whole(),
      sequence = sequences[state.sequence],
      { T } = model;
    if (problem) return [false, problem];
    if (cells[state.cell].kind !== "lstm" || state.chrono)
      return [false, "Choose an LSTM with one forget bias for all its units."];
    if (T !== 100) return [false, `This sequence has ${steps(T)}: choose the numbers from 1 to 100.`];
    const left = kept(model.rows[0]).left,
      xs = vectors(sequence);
    const here = `At forget bias ${number(state.forget, 3)} ${percent(left)} is left after 100 steps. `;
    if (!(left >= 0.1)) return [false, `${here}Not enough.`];
    // Kept need not grow with the bias: every lower place of the slider is tried.
    for (let b = -40; b < Math.round(state.forget * 10); b++) {
      if (kept(row(state.cell, xs, { forget: b / 10 })).left >= 0.1)
        return [false, `${here}A smaller one does it too.`];
    }
    return [true, `${here}Done: no smaller one on the slider keeps as much. The highway alone would need 3.76.`];
  }

  function drawChallenges() {
    find("challenge-list").replaceChildren(
      ...CHALLENGES.map(({ title, task, hint, check }, k) => {
        const result = html("p", { class: "result", role: "status", id: `result-${k}` }),
          button = html("button", { type: "button", id: `check-${k}`, "aria-label": `Check: ${title}` }, "Check");
        button.addEventListener("click", () => {
          const [good, says] = check();
          result.className = good ? "result good" : "result";
          result.textContent = (good ? "✓ " : "") + says;
        });
        return html(
          "li",
          {},
          html("h3", {}, title),
          html("p", {}, task),
          html("details", {}, html("summary", {}, "A hint"), html("p", { class: "hint" }, hint)),
          button,
          result,
        );
      }),
    );
    find("challenges").hidden = CHALLENGES.length === 0;
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

  function drawCheck() {
    const { worst, count } = check(),
      good = worst <= 1e-9;
    find("check").textContent = good
      ? `Checked when this page opened: ${count.toLocaleString("en")} numbers that it computed, values, gradients and splits, agree with those of tinygrad_lstm; the largest difference is ${number(worst)} of the largest number compared.`
      : `Do not trust this page: its numbers differ from those of tinygrad_lstm by up to ${number(worst)} of the largest number compared.`;
    find("check").classList.toggle("bad", !good);
  }

  // ── wiring ───────────────────────────────────────────────────────────────────────────────────

  const system = matchMedia("(prefers-color-scheme: dark)");
  function drawTheme() {
    const dark = settings.theme === "system" ? system.matches : settings.theme === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    Views.paint(dark, data.ramps);
  }

  function wire() {
    for (const [key, cell] of Object.entries(data.cells))
      if (key !== "untrained")
        find("cell").append(
          html(
            "option",
            { value: key },
            trained ? cell.label : `${cell.label}${key === "lstm" || key === "rnn" ? `, ${cell.n} units` : ""}`,
          ),
        );
    sequences.forEach((sequence, k) =>
      find("sequence").append(
        html(
          "option",
          { value: k },
          k === 0
            ? Words.clip(Words.shown(sequence.tokens.slice(0, 12).join(trained && data.symbols ? "" : " ")), 30)
            : sequence.name,
        ),
      ),
    );
    const books = { gates: "f, i, C̃, o · h", gamma: "Γ_f, Γ_u · a⟨t⟩", separate: "f, i, g, o · s" };
    for (const key of Object.keys(data.notations))
      find("notation").append(html("option", { value: key }, books[key] ?? key));
    find("own-unit").textContent = trained ? "characters" : "words";
    for (const id of ["own-label", "use"]) find(id).hidden = trained && !data.symbols;
    {
      const low = Math.floor(Math.min(-4, data.forgetBias)),
        high = Math.ceil(Math.max(10, data.forgetBias));
      if (!trained) {
        find("forget").min = low;
        find("forget").max = high;
      }
    }
    if (trained) {
      for (const id of ["forget", "input"]) {
        find(id).min = -5;
        find(id).max = 5;
      }
    }

    for (const key of ["forget", "input", "scale", "z"])
      find(key).addEventListener("input", () => {
        state[key] = Number(find(key).value);
        repaint();
      });
    find("phase").addEventListener("input", () => {
      state.phase = Number(find("phase").value);
      repaint();
    });
    find("cell").addEventListener("change", () => {
      state.cell = find("cell").value;
      state.chosen = null;
      repaint();
    });
    find("sequence").addEventListener("change", () => {
      state.sequence = Number(find("sequence").value);
      state.t = Math.ceil(sequences[state.sequence].tokens.length / 2);
      state.chosen = null;
      repaint();
    });
    find("chrono").addEventListener("change", () => {
      state.chrono = find("chrono").checked;
      repaint();
    });
    for (const radio of document.querySelectorAll("[name=loss]"))
      radio.addEventListener("change", () => {
        state.everyStep = radio.value === "every";
        repaint();
      });
    find("notation").addEventListener("change", () => {
      settings.notation = find("notation").value;
      repaint();
    });
    find("theme").addEventListener("change", () => {
      settings.theme = find("theme").value;
      drawTheme();
      repaint();
    });
    system.addEventListener("change", () => {
      drawTheme();
      repaint();
    });
    find("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      useOwn();
    });
    find("reset").addEventListener("click", () => {
      if (state.playing) clearInterval(state.playing);
      state = start();
      repaint();
    });
    find("before").addEventListener("click", () => go(state.t - 1));
    find("after").addEventListener("click", () => go(state.t + 1));
    find("row").addEventListener("click", () => go(state.t, 1 - model.chosen.row));
    find("play").addEventListener("click", play);

    const strip = find("strip-picture");
    strip.addEventListener("scroll", holdTitles);
    for (const [key, value] of Object.entries({
      tabindex: 0,
      role: "slider",
      "aria-label": "step",
      "aria-valuemin": 1,
    }))
      strip.setAttribute(key, value);
    document.addEventListener("click", (event) => {
      const picked = event.target.closest?.(".pick");
      if (picked) {
        const { row, role, t, gate } = picked.dataset;
        choose({ row: Number(row), role, t: Number(t), gate });
        return;
      }
      const column = event.target.closest?.(".column");
      if (column) {
        go(Number(column.dataset.step), Number(column.dataset.row));
        return;
      }
      const chart = event.target.closest?.("#decay-picture svg[data-left], #gates-picture svg");
      if (!chart) return;
      const x = event.clientX - chart.getBoundingClientRect().left,
        left = Number(chart.dataset.left);
      if (chart.dataset.column) go(Math.floor((x - left) / Number(chart.dataset.column)) + 1);
      else
        go(
          Math.round(
            ((x - left) / (chart.getBoundingClientRect().width - left - Number(chart.dataset.right))) * model.T,
          ),
        );
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const element = event.target,
        picked = element.closest?.(".pick");
      if (picked && (event.key === "Enter" || event.key === " ")) {
        picked.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        event.preventDefault();
        return;
      }
      if (element.closest?.("input, select, textarea, summary") || (element.closest?.("button") && event.key === " "))
        return;
      if (element.closest?.(".scroll") && element.scrollWidth > element.clientWidth && event.key.startsWith("Arrow"))
        return;
      const to = { ArrowLeft: state.t - 1, ArrowRight: state.t + 1, Home: 1, End: model.T }[event.key];
      if (to !== undefined) go(to);
      else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && model.rows.length > 1)
        go(state.t, event.key === "ArrowUp" ? 0 : 1);
      else if (event.key === " ") play();
      else return;
      event.preventDefault();
    });
    let width = 0;
    new ResizeObserver(() => {
      if (document.body.clientWidth !== width) {
        width = document.body.clientWidth;
        repaint();
      }
    }).observe(document.body);
  }

  wire();
  drawTheme();
  drawChallenges();
  drawCheck();
  repaint();
  return {
    measured,
    check,
    repaint,
    why: (what) => why(what),
    get model() {
      return model;
    },
    get state() {
      return state;
    },
  };
})();
