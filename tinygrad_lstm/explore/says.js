"use strict";
// A sentence under every picture, from the numbers at hand.

const Says = (() => {
  const { number, percent, times, steps, name, written } = Words;
  const { at, norm, TINY } = Engine;
  const { state, trained, keeps } = Model;
  const { html, richly } = Marks;

  /** Why `explain` may print another number for the same text. */
  const differs = (cell, role) =>
    ` The command explain draws cells of 8 units unless it is given --hidden ${cell.n}: then it prints the numbers with which this page opened, and of its “× a step” the one shown here is that of the ${cell.words[role]}.`;
  const list = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

  /** What happens in this phase of the step: values that wait for nothing further, then the gradient on its way back. */
  function inside(model) {
    const { row, t, notation: N, T, phase } = model, { cell, back } = row, { depth, nodes } = cell,
      size = (vector) => number(norm(vector)), before = cell.states.map((s) => name(cell, N, s, t - 1)),
      x = name(cell, N, "x", t);
    const named = (level) => [...nodes.keys()].filter((k) => nodes[k].name && nodes[k].level === level),
      own = (k, from) => name(cell, N, nodes[k].name, cell.after.includes(k) ? from : undefined);
    let says;
    if (phase === 0)
      says = `${list(before)} ${before.length > 1 ? "come" : "comes"} from the step before, ${x} from the sequence.`;
    else if (phase <= depth)
      says = `${named(phase).map((k) => `${own(k, t)} = ${written(cell, N, k, t, { out: true })}`).join("; ")}.`;
    else if (phase === depth + 1)
      says = `The gradient arrives from ${t < T ? `step ${t + 1}` : "the loss"}${
        t < T && model.everyStep ? " and the loss" : ""
      }: ${
        list(cell.after.map((k, s) =>
          `${size(Marks.beyond(cell, back, s, t, new Float64Array(cell.n)))} at ${own(k, t)}`
        ))
      }.`;
    else {
      const level = 2 * depth + 2 - phase, reached = new Map(); // what these values are made of, as far as it has a name
      const look = (k) =>
        nodes[k].in.forEach((i) => {
          if (i >= cell.first && !nodes[i].name) look(i);
          else if (i >= 0) reached.set(i, written(cell, N, i, t));
        });
      named(level).forEach(look);
      const now = [...reached].map(([i, text]) => {
        const k = i > 0 && i < cell.first ? cell.after[i - 1] : i, when = k === i ? t : t - 1;
        return level > 1 ? text : `${text} (${size(at(back.d[k], when, nodes[k].width))})`;
      });
      says = `Through ${list(named(level).map((k) => own(k, t)))} it reaches ${list(now)}${
        level > 1 ? "" : "; in brackets the whole gradient of each"
      }.`;
    }
    return [html("b", {}, `${phase + 1} of ${model.phases}, ${phase <= depth ? "forward" : "back"}: `),
      ...richly(says)];
  }

  /** What keeps the numbers from being the gradient, if anything. */
  function changed(model) {
    const cut = model.rows.some(({ cell }) => Object.keys(cell.paths).some((path) => state.cuts.has(path)));
    const why = [state.z !== 1 ? `z = ${number(state.z)}` : "", cut ? "paths cut" : ""].filter(Boolean);
    return why.length ? `Not the whole gradient (${why.join(", ")}): ` : "";
  }

  function strip(model) {
    const { rows } = model, said = [];
    for (const row of rows) {
      const sizes = Engine.norms(row.back.d[0], row.cell.m).slice(1), best = sizes.indexOf(Math.max(...sizes));
      const sum = sizes.reduce((a, b) => a + b, 0);
      if (!(sum >= TINY))
        said.push(
          `${Words.capital(row.label)}: no input gets ${sum === 0 ? "any gradient" : "a gradient that float64 holds"}.`
        );
      else if (sizes.length > 1)
        said.push(
          `${Words.capital(row.label)}: of what reaches the inputs, “${
            Words.clip(Words.shown(model.tokens[best]), 16)
          }” (step ${best + 1}) gets the most, ${percent(sizes[best] / sum)}${
            best ? `, the first ${data.unit} ${percent(sizes[0] / sum)}` : ""
          }.`
        );
    }
    return said.join(" ");
  }

  /** What is differentiated, and of which cells. */
  function what(model) {
    const { run, cell } = model.rows[0], { read } = cell, each = model.everyStep ? ", added up over all steps" : "";
    if (!trained) {
      const of = model.rows.map((row) => `${row.label} ${row.cell.n}`).join(", ");
      const shown = cell.states[0], last = name(cell, model.notation, shown, model.everyStep ? "t" : model.T);
      return `L = u · ${last} with |u| = 1, one number read from the ${
        model.everyStep ? `${cell.words[shown]} of every step and added up` : `last ${cell.words[shown]}`
      }. ${
        data.drawn
          ? `Untrained cells (units: ${of}), their weights, words and u drawn from seed ${data.seed}: another seed gives other numbers.`
          : `Units: ${of}; words and u drawn from seed ${data.seed}.`
      }${cell.drawn ? differs(cell, model.rows[0].role) : ""}`;
    }
    const y = Engine.outputs(read, at(run.values[cell.after[0]], run.T, cell.n)), names = data.answers.map(Words.shown);
    if (read.loss === "squared")
      return `L is the answer of the trained network, ${number(y[0], 3)} after the last step${each}.`;
    if (read.loss === "bits") {
      const yes = names.filter((_, k) => y[k] > 0).join(", ") || "nothing";
      return `L is the log-odds of what each output of the trained network answers, after the last step: ${yes}${each}.`;
    }
    const p = Engine.softmax(y), k = p.indexOf(Math.max(...p)),
      sure = p[k] > 0.9999 ? "more than 99.99 %" : percent(p[k], p[k] > 0.99 ? 4 : 2);
    return `L is the log-odds of the answer ${
      names[k]
    }, to which the trained network gives ${sure} after the last step${each}.`;
  }

  function decay(model) {
    const { rows, T, t } = model, said = [];
    for (const row of rows) {
      const lost = row.sizes[T] >= TINY ? row.sizes[t] / row.sizes[T] : NaN;
      if (t < T && Number.isFinite(lost))
        said.push(
          state.everyStep
            ? `${Words.capital(row.label)}: step ${t} has ${times(lost, 1)} times the gradient of the last.`
            : `${Words.capital(row.label)}: ${steps(T - t)} before the end the gradient is ${
              Words.part(lost)
            } what it is at the end.`
        );
    }
    const row = rows[0], words = Words.direct(row.cell, model.notation, row.cell.main);
    if (!state.everyStep && words !== null && T > 1 && row.sizes[1] >= TINY) {
      const closed = model.lines.find((line) => line.kind === "line-closed subject").sizes[1];
      if (closed >= TINY)
        said.push(
          `With every weight at 0, one step back would only multiply by ${Words.plain(words)}: that gives ${
            compared(closed, row.sizes[1])
          } at the first ${data.unit}.`
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

  /** The gate on the direct path, how large the states become, and how much is where tanh is flat. */
  function gates(model) {
    const { row, T, notation: N } = model, { run, cell } = row, said = [], gate = keeps(cell);
    const values = (k) => run.values[k].subarray(cell.nodes[k].width);
    if (gate) {
      const v = values(Words.nodeOf(cell, gate)), mean = v.reduce((a, b) => a + b, 0) / v.length;
      said.push(
        `${name(cell, N, gate)}, by which ${name(cell, N, row.role)} is multiplied, is ${
          number(mean, 3)
        } on average, from ${number(Math.min(...v))} to ${number(Math.max(...v))}`
      );
    }
    const largest = values(cell.after[cell.main]).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    said.push(`the ${row.state} reaches ${number(largest)} over ${steps(T)}`);
    const bent = [...cell.nodes.keys()].filter((k) => cell.nodes[k].op === "tanh").flatMap((k) =>
      Array.from(values(k))
    );
    if (bent.length)
      said.push(
        `${
          percent(bent.filter((v) => Math.abs(v) > 0.95).length / bent.length)
        } of what tanh gives is beyond ±0.95, where it is flat`
      );
    return richly(
      `${Words.capital(row.label)}: ${
        said.join("; ")
      }. Blue is above 0, orange below; the column in numbers is step ${model.t}.`
    );
  }

  return { inside, changed, strip, what, decay, gates };
})();
