"use strict";
// What the controls ask for, computed: the data of the page, the state of its controls, and the model that is drawn.

const data = JSON.parse(document.getElementById("data").textContent);

const Model = (() => {
  const { number, signed, name, written, roleOf, nodeOf, plain } = Writing;
  const { at, norm, dot, floats, TINY } = Engine;

  // ── data ─────────────────────────────────────────────────────────────────────────────────────

  const mapped = (object, f) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value, key)]));

  const cells = mapped(data.cells,
    (cell) => ({ ...Engine.prepared(cell), engine: mapped(cell.engine, floats),
      read: mapped(cell.read, (value, key) => (key === "loss" ? value : floats(value))) }));
  const trained = data.answers !== undefined, first = Object.keys(cells)[0], { m } = cells[first];

  const brought = new Map(Object.entries(data.vectors ?? {}).map(([word, text]) => [word, floats(text)]));
  /** The vector of a token: of a word that the page brought or one drawn here, of a symbol one-hot. */
  function vector(token) {
    if (!trained) return brought.get(token) ?? drawn(token);
    const k = data.symbols.indexOf(token);
    return m === 1 ? Float64Array.of(2 * k - 1) : Float64Array.from({ length: m }, (_, j) => (j === k ? 1 : 0));
  }
  /** Standard normal numbers that depend on the spelling and the seed alone: by Box and Muller, from xorshift32. */
  function drawn(word) {
    let bits = 0x811c9dc5; // FNV-1a of what the numbers depend on
    for (const character of `${data.seed} ${word}`) bits = Math.imul(bits ^ character.codePointAt(0), 0x01000193);
    const uniform = () => {
      for (const turn of [13, -17, 5]) bits ^= turn > 0 ? bits << turn : bits >>> -turn;
      return ((bits >>> 0) + 0.5) / 2 ** 32;
    };
    uniform(); // alike words start alike
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    return Float64Array.from({ length: m }, normal);
  }
  function vectors(sequence) {
    if (!sequence.x) return sequence.tokens.map(vector);
    const x = floats(sequence.x);
    return sequence.tokens.map((_, t) => at(x, t, m));
  }

  // ── state ────────────────────────────────────────────────────────────────────────────────────

  /** The step that is shown first: in the middle, or where the strip is longer than the page in sight beside its end. */
  function opening(T) {
    const seen = (document.body.clientWidth - 190) / Strip.columnOf(0, T);
    return Math.max(Math.ceil(T / 2), T - Math.floor(seen / 2));
  }

  const start = () => ({
    cell: first,
    sequence: 0,
    biases: {}, // of gates, as they were set; else the cell's own
    scale: 1,
    z: 1,
    cuts: new Set(),
    everyStep: false,
    t: null,
    traced: false,
    phase: 99,
    chosen: null
  });
  const settings = { notation: "gates" }, sequences = [...data.sequences];
  const state = start();

  /** A bias that a slider moves: its value, or of one whose units differ how far it is shifted. */
  function bias(cell, gate) {
    const found = cell.biases.find((b) => b.gate === gate);
    if (!found) return null;
    const own = cell.fixed[found.fixed].data, shift = trained || own.some((b) => b !== own[0]);
    return { ...found, own, shift, value: state.biases[gate] ?? (shift ? 0 : own[0]) };
  }
  const keeps = (cell) => cell.biases.find((b) => b.keeps)?.gate;

  /** A cell as the controls set it; `instead` holds other biases, by gate. */
  function set(cell, instead = {}) {
    const arrays = {};
    for (const { gate } of cell.biases) {
      const { fixed, own, shift, value } = bias(cell, gate), to = instead[gate] ?? value;
      arrays[fixed] = own.map((b) => (shift ? b + to : to));
    }
    return Engine.adjusted(cell, state.scale, arrays);
  }

  /** The norms of the gradient of a row's main state, step 0 to T. */
  const sizesOf = ({ cell, back }) => Engine.norms(back.d[cell.after[cell.main]], cell.n);

  /** A cell over vectors and back, as the controls ask; `how`: other biases, and what L asks for where another row says it. */
  function row(key, xs, how = {}) {
    const cell = set(cells[key], how.biases), run = Engine.forward(cell, xs),
      factors = Engine.through(cell, state.cuts, state.z),
      back = Engine.backward(run, { everyStep: state.everyStep, factors, said: how.said }),
      role = cell.states[cell.main];
    const made = { key, cell, run, back, label: cell.label, note: note(cell), role, state: cell.words[role],
      said: how.said };
    return { ...made, sizes: sizesOf(made) };
  }

  /** What a trained network's row answers after step t; nothing where L is u · h. */
  const answered = ({ cell, run }) =>
    cell.read.u ? undefined : (t) => Engine.outputs(cell.read, at(run.values[cell.after[0]], t, cell.n));

  /** What a slider is called: forget bias, or bias of u. */
  const called = (cell, gate) =>
    cell.own ? cell.words[gate].replace("gate", "bias") : `bias of ${plain(name(cell, {}, gate))}`;

  function note(cell) {
    const said = [], gate = keeps(cell);
    if (gate) {
      const { shift, value } = bias(cell, gate);
      if (!shift) said.push(`${called(cell, gate)} ${number(value, 3)}`);
      else
        said.push(
          value
            ? `${called(cell, gate)} shifted by ${signed(value)}`
            : `${called(cell, gate)} ${trained ? "as trained" : "its own"}`
        );
    }
    if (state.scale !== 1) said.push(`recurrent weights × ${number(state.scale, 3)}`);
    return said.join(", ");
  }

  // ── the model: all that is drawn ─────────────────────────────────────────────────────────────

  function compute() {
    const sequence = sequences[state.sequence], xs = vectors(sequence), T = xs.length;
    state.t ??= opening(T);
    const rows = [row(state.cell, xs)];
    if (data.beside && data.beside !== state.cell) rows.push(row(data.beside, xs, { said: answered(rows[0]) }));
    const had = state.chosen ?? { row: 0 }, shownRow = rows[had.row] ?? rows[0], { cell } = shownRow;
    const known = (role) =>
      role?.[0] === "@" ? cell.fixed.some((f) => `@${f.name}` === role) : cell.nodes[nodeOf(cell, role ?? "#")];
    const chosen = rows[had.row] && had.t <= T && known(had.role)
      ? had
      : { row: rows.indexOf(shownRow), role: shownRow.role, t: state.t };
    state.chosen = chosen;
    const last = 2 * cell.depth + 1;
    const full = state.z === 1
      ? shownRow.back
      : Engine.backward(shownRow.run, { everyStep: state.everyStep, said: shownRow.said,
        factors: Engine.through(cell, state.cuts) });
    const from = Math.min(state.t, chosen.t), parts = Engine.split(full, cell.main, from, data.detours);
    return {
      T, xs, rows, chosen, t: state.t, row: shownRow, tokens: sequence.tokens, phase: Math.min(state.phase, last),
      phases: last + 1, notation: data.notations[settings.notation], everyStep: state.everyStep, traced: state.traced,
      lines: lines(rows),
      split: { parts, whole: parts.reduce((sum, part) => Engine.add(sum, part), new Float64Array(cell.n)), t: from },
      z: state.z
    };
  }

  /** The lines of the chart: measured, the direct path alone, and closed forms. */
  function lines(rows) {
    const found = [], N = data.notations[settings.notation];
    rows.forEach((row, k) => {
      const { cell, run, back, label, said } = row, kind = k === 0 ? "subject" : "beside",
        words = Writing.direct(cell, N, cell.main), what = plain(name(cell, N, row.role, "t"));
      found.push({ label: `${label}, gradient of ${what}`, sizes: row.sizes, kind: `line-${kind}`, strong: kind });
      if (k === 0 && words !== null) {
        const factors = Engine.through(cell, state.cuts, 0),
          alone = Engine.backward(run, { everyStep: state.everyStep, said, factors });
        found.push({ label: "direct path alone (z = 0)", sizes: sizesOf({ cell, back: alone }), kind: "line-highway" });
      }
      if (!state.everyStep && (k === 0 || words === null)) {
        const how = words === null ? "without squashing" : `with every weight at 0, × (${plain(words)}) a step`;
        found.push({ label: `${label} ${how}`, sizes: Engine.closedForm(back, words !== null),
          kind: `line-closed ${kind}` });
      }
    });
    return found;
  }

  // ── why this number ──────────────────────────────────────────────────────────────────────────

  /** The terms that add up to a gradient: {title, says, formula, vector, terms: [{label, vector | norm and share, go}]}. */
  function why(model, { row: index, role, t }) {
    const row = model.rows[index], { run, back, cell } = row, { T } = run, N = model.notation;
    const go = (to, s) => ({ row: index, role: to, t: s });
    const d = (k, s) => `∂L/∂${written(cell, N, k, s, { bound: true })}`;
    if (role[0] === "@") {
      const weight = cell.fixed.findIndex((f) => `@${f.name}` === role), found = Engine.weightTerms(back, weight),
        W = name(cell, N, cell.fixed[weight].name);
      return { title: `∂L/∂${W}`, words: `parameter ${plain(W)}`, norm: found.norm, matrix: true, weights: [],
        formula: `${W} is used at every step: its gradient is the sum of what the steps contribute.`,
        terms: found.terms.map((term) => ({ label: `step ${term.t}`, norm: term.norm, share: term.share,
          go: go(row.role, term.t) })
        ) };
    }
    const k = nodeOf(cell, role), { width } = cell.nodes[k], vector = at(back.d[k], t, width), terms = [];
    for (const [reader, slot, later] of cell.reads[k]) {
      const s = t + later;
      if (s > T || s === 0) continue;
      const by = back.factors[reader][slot], cut = by === 0 ? " (cut)" : by === 1 ? "" : ` (× z = ${number(by)})`,
        words = [Writing.local(cell, N, reader, slot, s)];
      let to = reader; // on to the first value with a name, as long as there is one way
      while (!cell.nodes[to].name && cell.reads[to].length === 1) {
        const [[next, into]] = cell.reads[to];
        words.unshift(Writing.local(cell, N, next, into, s));
        to = next;
      }
      terms.push({
        label: `${[d(to, s), ...words.filter(Boolean)].join(" × ")}${cut}${
          cell.after.includes(to) ? "" : ` (step ${s})`
        }`,
        vector: at(back.edges[reader][slot], s, width),
        go: go(roleOf(cell, to), s)
      });
    }
    if (k === cell.after[0] && t > 0 && (t === T || back.everyStep))
      terms.unshift({ label: "from the loss itself", vector: at(back.loss, t, width) });
    const size = norm(vector);
    for (const term of terms) {
      term.norm = norm(term.vector);
      term.share = size >= TINY ? dot(term.vector.map((v) => v / size), vector.map((v) => v / size)) : NaN;
    }
    const node = cell.nodes[k], uses = terms.length === 1 ? "in one place" : `in ${terms.length} places`,
      made = node.in && t > 0 && node.op !== "copy"
        ? `${d(k, t).slice(4)} = ${written(cell, N, k, t, { out: true })}. `
        : "",
      site = node.op === "affine"
        ? node
        : cell.nodes[node.in?.find((i) => cell.nodes[i]?.op === "affine" && cell.reads[i].length === 1)];
    const weights = cell.fixed.flatMap((f, w) => {
      const used = site?.biases.includes(w) || site?.parts.some(([p]) => p === w);
      return f.whole && used ? [{ label: name(cell, N, f.name), go: go(`@${f.name}`, t) }] : [];
    });
    return { title: d(k, t), norm: size, vector, terms, weights,
      words: `${Writing.inWords(cell, N, role, t)}${t === 0 ? " before the first step" : ` at step ${t}`}`,
      formula: made
        + (terms.length
          ? `It is read ${uses}: its gradient is what comes back from there.`
          : "Nothing reads it on a way to the loss.") };
  }

  // ── does this page agree with the engine ─────────────────────────────────────────────────────

  /** The largest difference from what the engine measured, relative to the largest number of each array; how many numbers. */
  function check() {
    let worst = 0, count = 0;
    const xs = vectors(data.sequences[0]),
      said = answered({ cell: cells[first], run: Engine.forward(cells[first], xs) });
    for (const cell of Object.values(cells)) {
      const run = Engine.forward(cell, xs), back = Engine.backward(run, { said });
      for (const [key, theirs] of Object.entries(cell.engine)) {
        const [what, role] = key.split(" "), k = nodeOf(cell, role ?? "x"), states = cell.states.includes(role);
        const mine = what === "split"
          ? Engine.split(back, cell.main, 0, data.detours).flatMap((part) => Array.from(part))
          : (what === "v" ? run.values : back.d)[k].subarray(states ? 0 : cell.nodes[k].width);
        const largest = theirs.reduce((a, b) => Math.max(a, Math.abs(b)), 0), difference = theirs.reduce((a, v, j) =>
          Math.max(a, Math.abs(v - mine[j])), 0);
        count += theirs.length;
        worst = Math.max(worst,
          theirs.length > mine.length || Number.isNaN(difference) ? Infinity : difference && difference / largest);
      }
    }
    return { worst, count };
  }

  // prettier-ignore
  return { cells, trained, sequences, settings, state, start, brought, vectors, row, bias, keeps, called, compute, why,
    check };
})();
