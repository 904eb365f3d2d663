"use strict";
// Three things to find out with the controls, each with a check of the numbers at hand.

const Challenges = (() => {
  const { number, percent, steps } = Writing;
  const { cells, trained, sequences, state, vectors, row, keeps, bias } = Model;
  const html = Shapes.html;
  const find = (id) => document.getElementById(id);

  const whole = (model) =>
    Sentences.changed(model)
      ? "Set z to 1 and open all paths first: only the whole gradient counts. "
      : state.everyStep
      ? "Let the loss be read at the end only. "
      : "";

  /** The gate that the direct path is multiplied by, as far as the cell has one: its smallest value. */
  function smallestGate({ cell, run }) {
    const gate = keeps(cell);
    if (!gate) return cell.direct[cell.main] === "1" ? 1 : null;
    const k = Writing.nodeOf(cell, gate);
    return Math.min(...run.values[k].subarray(cell.nodes[k].width));
  }
  /** How much of the main state's gradient is left before the first step. */
  const kept = ({ sizes }) => sizes[0] / sizes.at(-1);
  function openGate(model, reached, goal) {
    const f = smallestGate(model.rows[0]), left = kept(model.rows[0]), problem = whole(model);
    if (f === null) return [false, "This cell’s direct path is not multiplied by one gate: choose an LSTM."];
    const says = `Smallest forget gate ${f === 1 ? "1" : number(f, 4)}, and over ${
      steps(model.T)
    } the gradient is multiplied by ${number(left)}. `;
    if (problem) return [false, problem];
    if (f < 0.9995) return [false, `${says}Every forget gate must be at least 0.9995 first.`];
    return reached(left)
      ? [true, `${says}Done: the forget gates are open, and the gradient ${goal}.`]
      : [false, `${says}Not yet.`];
  }
  const CHALLENGES = [{ title: "Make the LSTM explode with f = 1",
    task: "Every forget gate at 1, and yet the gradient of the first cell state at least 1,000 times that of the last.",
    hint:
      "The direct path alone multiplies by 1. What comes back through h adds to it: raise the recurrent scale. The LSTM of one unit does it most cleanly.",
    check: (model) => openGate(model, (left) => left >= 1000, "has grown more than a thousandfold by its detours") }, {
    title: "Make f = 1 vanish",
    task: "Every forget gate at 1, and yet at most 1/1,000 of the last gradient reaches the first cell state.",
    hint:
      "A detour may also work against the direct path and cancel it. Take the LSTM of one unit, an open input gate, and a negative recurrent scale: at −0.5 each step leaves one half.",
    check: (model) => openGate(model, (left) => left <= 1e-3, "has vanished: its detours cancel the direct path")
  }, { title: "Find the smallest forget bias that keeps 10 % over 100 steps",
    task:
      "Choose the numbers from 1 to 100, the LSTM, and the smallest forget bias on the slider at which at least 10 % of the gradient of the last cell state reaches the first.",
    hint: "The direct path alone needs σ(b)^100 = 0.1, that is b = 3.76. With detours it may be less or more: try.",
    check: smallest }].slice(0, trained || !keeps(Object.values(cells)[0]) ? 0 : 3);

  function smallest(model) {
    const problem = whole(model), sequence = sequences[state.sequence], { T } = model;
    if (problem) return [false, problem];
    const cell = cells[state.cell], gate = keeps(cell);
    if (!gate || bias(cell, gate).shift)
      return [false, "Choose an LSTM with one forget bias for all its units."];
    if (T !== 100) return [false, `This sequence has ${steps(T)}: choose the numbers from 1 to 100.`];
    const left = kept(model.rows[0]), { value } = bias(cell, gate), xs = vectors(sequence);
    const here = `At forget bias ${number(value, 3)} ${percent(left)} is left after 100 steps. `;
    if (!(left >= 0.1)) return [false, `${here}Not enough.`];
    // Kept need not grow with the bias: every lower place of the slider is tried.
    for (let b = -40; b < Math.round(value * 10); b++) {
      if (kept(row(state.cell, xs, { biases: { [gate]: b / 10 } })) >= 0.1)
        return [false, `${here}A smaller one does it too.`];
    }
    return [true, `${here}Done: no smaller one on the slider keeps as much. The direct path alone would need 3.76.`];
  }

  function draw(model) {
    find("challenge-list").replaceChildren(...CHALLENGES.map(({ title, task, hint, check }, k) => {
      const result = html("p", { class: "result", role: "status", id: `result-${k}` }),
        button = html("button", { type: "button", id: `check-${k}`, "aria-label": `Check: ${title}` }, "Check");
      button.addEventListener("click", () => {
        const [good, says] = check(model());
        result.className = good ? "result good" : "result";
        result.textContent = (good ? "✓ " : "") + says;
      });
      return html("li", {}, html("h3", {}, title), html("p", {}, task),
        html("details", {}, html("summary", {}, "A hint"), html("p", { class: "hint" }, hint)), button, result);
    }));
    find("challenges").hidden = CHALLENGES.length === 0;
  }

  return { draw };
})();
