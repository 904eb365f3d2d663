"use strict";
// A sentence under every picture, from the numbers at hand.

const Says = (() => {
  const { number, percent, times, steps, name } = Words;
  const { at, norm, TINY } = Engine;
  const { state, trained, paths } = Model;
  const { html, richly } = Marks;

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

  function inside(model) {
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
    return [html("b", {}, `${state.phase + 1} of 8, ${direction}: `), ...richly(text)];
  }

  /** What keeps the numbers from being the gradient, if anything. */
  function changed(model) {
    const cut = model.rows.some((row) => paths(row.cell.kind).some((path) => state.cuts.has(path)));
    const why = [state.z !== 1 ? `z = ${number(state.z)}` : "", cut ? "paths cut" : ""].filter(Boolean);
    return why.length ? `Not the whole gradient (${why.join(", ")}): ` : "";
  }

  function strip(model) {
    const { rows } = model,
      said = [];
    for (const row of rows) {
      const sizes = Engine.norms(row.back.x, row.cell.m).slice(1),
        best = sizes.indexOf(Math.max(...sizes));
      const sum = sizes.reduce((a, b) => a + b, 0);
      if (!(sum >= TINY))
        said.push(
          `${Words.capital(row.label)}: no input gets ${sum === 0 ? "any gradient" : "a gradient that float64 holds"}.`,
        );
      else if (sizes.length > 1)
        said.push(
          `${Words.capital(row.label)}: of what reaches the inputs, “${Words.clip(Words.shown(model.tokens[best]), 16)}” (step ${best + 1}) gets the most, ${percent(sizes[best] / sum)}${best ? `, the first ${data.unit} ${percent(sizes[0] / sum)}` : ""}.`,
        );
    }
    return said.join(" ");
  }

  /** What is differentiated, and of which cells. */
  function what(model) {
    const { run, cell } = model.rows[0],
      { read } = cell,
      each = model.everyStep ? ", added up over all steps" : "";
    if (!trained) {
      const of = model.rows.map((row) => `${row.label} ${row.cell.n}`).join(", ");
      const last = name(model.notation, "h", model.everyStep ? "t" : model.T);
      return `L = u · ${last} with |u| = 1, one number read from the ${model.everyStep ? "hidden state of every step and added up" : "last hidden state"}. Untrained cells (units: ${of}) with weights and words drawn from seed ${data.seed}: another seed gives other numbers.`;
    }
    const y = Engine.outputs(read, at(run.h, run.T, cell.n)),
      names = data.answers.map(Words.shown);
    if (read.loss === "squared")
      return `L is the answer of the trained network, ${number(y[0], 3)} after the last step${each}.`;
    if (read.loss === "bits") {
      const yes = names.filter((_, k) => y[k] > 0).join(", ") || "nothing";
      return `L is the log-odds of what each output of the trained network answers, after the last step: ${yes}${each}.`;
    }
    const p = Engine.softmax(y),
      k = p.indexOf(Math.max(...p)),
      sure = p[k] > 0.9999 ? "more than 99.99 %" : percent(p[k], p[k] > 0.99 ? 4 : 2);
    return `L is the log-odds of the answer ${names[k]}, to which the trained network gives ${sure} after the last step${each}.`;
  }

  function decay(model) {
    const { rows, T, t } = model,
      said = [];
    for (const row of rows) {
      const lost = row.sizes[T] >= TINY ? row.sizes[t] / row.sizes[T] : NaN;
      if (t < T && Number.isFinite(lost))
        said.push(
          state.everyStep
            ? `${Words.capital(row.label)}: step ${t} has ${times(lost, 1)} times the gradient of the last.`
            : `${Words.capital(row.label)}: ${steps(T - t)} before the end the gradient is ${Words.part(lost)} what it is at the end.`,
        );
    }
    const row = rows[0];
    if (!state.everyStep && row.cell.kind === "lstm" && T > 1 && row.sizes[1] >= TINY) {
      const closed = Engine.closedForm(row.back)[1];
      if (closed >= TINY)
        said.push(
          `The closed form σ(b)^steps, true at zero weights, gives ${compared(closed, row.sizes[1])} at the first ${data.unit}.`,
        );
    }
    return said.length ? said.join(" ") : `Choose an earlier step to see how much of the gradient is left there.`;
  }

  /** How a number stands to one that was measured. */
  function compared(a, measured) {
    if (Math.max(a, measured) / Math.min(a, measured) < 1.01) return "what was measured";
    return a < measured
      ? `${times(measured, a)} times less than was measured`
      : `${times(a, measured)} times more than was measured`;
  }

  function gates(model) {
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

  return { inside, changed, strip, what, decay, gates };
})();
