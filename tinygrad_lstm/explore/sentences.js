"use strict";
// What is said above and under every picture, chosen by the numbers at hand.

const Sentences = (() => {
  const { number, percent, times, left, capital, steps, name, written } = Writing;
  const { at, norm, dot, TINY } = Engine;
  const { state, trained, keeps, brought } = Model;
  const { html, richly } = Shapes;

  /** Why `explain` may print another number for the same text. */
  const differs = (cell, role) =>
    ` The command explain draws cells of 8 units unless it is given --hidden ${cell.n}: then it prints the numbers with which this page opened, and of its “× a step” the one shown here is that of the ${cell.words[role]}.`;
  const list = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

  /** What happens in this phase of the step: values that wait for nothing further, then the gradient on its way back. */
  function inside(model) {
    const { row: { cell }, t, notation: N, T, phase } = model, { depth, nodes } = cell,
      before = cell.states.map((s) => name(cell, N, s, t - 1)), x = name(cell, N, "x", t);
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
      }.`;
    else {
      const level = 2 * depth + 2 - phase, through = list(named(level).map((k) => own(k, t)));
      const done = level > 1 ? "" : `; what comes to ${list([...before, x])} is complete`;
      says = `The gradient goes back through ${through}${done}.`;
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

  /** The headline: what one step back does to the gradient in each row, and what the first input gets of it.
   *  The numbers that matter are bold. */
  function headline(model) {
    const { rows, T, everyStep } = model, said = [changed(model)], first = `the first ${data.unit}`;
    const say = (...texts) => said.push(...texts);
    const nothing = (row) => row.sizes.slice(0, -1).every((size) => size === 0);
    const strong = (row, text) => html("b", { class: row === rows[0] ? "subject" : "beside" }, text);
    if (T === 1) return [`With one ${data.unit} there is no step back on which a gradient could change.`];
    for (const row of rows) {
      const by = Engine.factor(row.sizes), rest = row.sizes[1] / row.sizes[T], of = row.state;
      if (nothing(row)) say(`In the ${row.label} no gradient comes back from the last ${of}. `);
      else if (by === null)
        say(
          row.sizes.every(Number.isFinite)
            ? `In the ${row.label} the gradient of the ${of} is too small for float64 at every step before the last. `
            : `In the ${row.label} the gradient of the ${of} grows too large for float64. `
        );
      else if (everyStep) {
        say(`In the ${row.label} the ${of} at ${first} has `, strong(row, times(rest, 1)),
          " times the gradient it has at the last. ");
      } else {
        say(`In the ${row.label} one step back multiplies the gradient of the ${of} by `, strong(row, number(by, 3)));
        say(rest >= TINY ? `: ${left(rest)} at ${first}. ` : ", until it is too small for float64. ");
      }
    }
    if (rows.length < 2) return said;
    const [a, b] = rows.map((row) => norm(at(row.back.d[0], 1, row.cell.m))), [above, below] = rows;
    const whose = capital(first), [held, lost] = [true, false].map((there) =>
      rows.filter((_, k) => [a, b][k] >= TINY === there)
    );
    const any = lost.every(nothing) ? "any gradient" : "any gradient that float64 can hold"; // nothing: times 0, not too small
    if (held.length === 0) say(`In neither does ${first} get ${any}.`);
    else if (held.length === 1) say(`Only in the ${held[0].label} does ${first} get ${any}.`);
    else if (Math.max(a, b) / Math.min(a, b) < 1.05) say(`${whose} itself gets about as much in both.`);
    else if (a > b)
      say(`${whose} itself gets `, strong(above, `${times(a, b)} times`),
        ` as much in the ${above.label} as in the ${below.label}.`);
    else
      say(`Here the ${above.label} does worse: ${first} itself gets `, strong(below, `${times(b, a)} times`),
        ` as much in the ${below.label}.`);
    return said;
  }

  function strip(model) {
    const { rows } = model, said = [];
    for (const row of rows) {
      const sizes = Engine.norms(row.back.d[0], row.cell.m).slice(1), best = sizes.indexOf(Math.max(...sizes));
      const sum = sizes.reduce((a, b) => a + b, 0);
      if (!(sum >= TINY))
        said.push(
          `${capital(row.label)}: no input gets ${sum === 0 ? "any gradient" : "a gradient that float64 holds"}.`
        );
      else if (sizes.length > 1)
        said.push(
          `${capital(row.label)}: of what reaches the inputs, “${
            Writing.clip(Writing.shown(model.tokens[best]), 16)
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
        cell.drawn
          ? `Untrained cells (units: ${of}), their weights, words and u drawn from seed ${data.seed}: another seed gives other numbers.`
          : `Units: ${of}; words and u drawn from seed ${data.seed}.`
      }${cell.drawn ? differs(cell, model.rows[0].role) : ""}${
        model.tokens.every((word) => brought.has(word))
          ? ""
          : " Words that this page did not bring were drawn by the page itself: the command explain draws others."
      }`;
    }
    const y = Engine.outputs(read, at(run.values[cell.after[0]], run.T, cell.n)), names = data.answers.map(Writing.shown);
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
            ? `${capital(row.label)}: step ${t} has ${times(lost, 1)} times the gradient of the last.`
            : `${capital(row.label)}: ${steps(T - t)} before the end the gradient is ${
              Writing.part(lost)
            } what it is at the end.`
        );
    }
    return said.length ? said.join(" ") : `Choose an earlier step to see how much of the gradient is left there.`;
  }

  /** The gate on the direct path, how large the states become, and how much is where tanh is flat. */
  function gates(model) {
    const { row, T, notation: N } = model, { run, cell } = row, said = [], gate = keeps(cell);
    const values = (k) => run.values[k].subarray(cell.nodes[k].width);
    if (gate) {
      const v = values(Writing.nodeOf(cell, gate)), mean = v.reduce((a, b) => a + b, 0) / v.length;
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
      `${capital(row.label)}: ${
        said.join("; ")
      }. Blue is above 0, orange below; the column in numbers is step ${model.t}.`
    );
  }

  /** How much came along the direct path alone, of the gradient that is split. */
  function detours(model) {
    const { row, notation: N, split: { parts, whole, t }, z } = model, what = name(row.cell, N, row.role, t),
      size = norm(whole), straight = norm(parts[0]), cut = state.cuts.has(`${row.role} -> ${row.role}`),
      says = [`${capital(row.label)}, gradient of ${what}.`];
    if (Writing.direct(row.cell, N, row.cell.main) === null) {
      says.push("It has no direct path: every way back crosses a weight.");
      if (t < model.T) return richly(says.join(" "));
    }
    if (!(size >= TINY)) says.push(`It is 0 or too small for float64: there is nothing to split.`);
    else if (straight === 0)
      says.push(
        cut
          ? `The direct path is cut, so no path reaches ${what} without crossing a weight:`
          : "What came along the direct path is too small for float64:",
        `all of the gradient, ${number(size)}, crosses a weight.`
      );
    else {
      const cosine = dot(parts[0].map((x) => x / straight), whole.map((x) => x / size));
      const points = cosine > 0.95
        ? "nearly the same way"
        : cosine < -0.95
        ? "nearly the opposite way"
        : `at cosine ${number(cosine)} to it`;
      says.push(
        `What came along the direct path alone has ${percent(straight / size)} of the length of the whole, and points ${points}.`,
        parts.slice(1).some((part) => norm(part) > 0)
          ? "The rest crossed weights; parts may cancel, so the lengths do not add up, but the signed shares do."
          : "No path from here crosses a weight."
      );
      if (z !== 1) says.push(`The filled bars show each part k multiplied by z^k, with z = ${number(z)}.`);
    }
    return richly(says.join(" "));
  }

  return { headline, inside, changed, strip, what, decay, detours, gates };
})();
