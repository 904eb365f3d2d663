"use strict";
// The page: pictures and sentences put in their places, controls, keys. Nothing typed by a user becomes markup.

const Page = (() => {
  const { number, signed, percent, steps, name } = Writing;
  const { TINY } = Engine;
  const { cells, trained, sequences, settings, state, start, compute, why, check } = Model;
  const html = Shapes.html;
  const find = (id) => document.getElementById(id);
  const measured = []; // milliseconds of every repaint
  const looked = { tokens: null, t: 0 }; // what the strip was last scrolled to
  let model = null, atFirst = null; // the controls as they stood at first

  function drawWhy() {
    const { words, title, formula, vector, norm, terms, matrix, weights } = why(model, model.chosen),
      { t } = model.chosen, units = vector && vector.length <= 8 ? vector.length : 0, name = Shapes.richly(title),
      token = t > 0 && !matrix ? ` (“${Writing.clip(Writing.shown(model.tokens[t - 1]), 20)}”)` : "",
      many = matrix
        ? `the sum of what ${steps(terms.length)} contribute`
        : (["no path reaches it", "one term"][terms.length] ?? `the sum of ${terms.length} terms`);
    find("why-says").replaceChildren(`${Writing.capital(model.row.label)}: gradient of the ${words}${token}, `, ...name,
      `: norm ${number(norm, 3)}, ${many}.`);
    const button = (term) => {
      const label = Shapes.richly(term.label);
      if (!term.go) return html("span", {}, label);
      const element = html("button", { type: "button" }, label);
      element.addEventListener("click", () => {
        choose(term.go);
        find("why-table").querySelector("button")?.focus();
      });
      return element;
    };
    const line = (head, size, share, vector) =>
      html("tr", {}, head, html("td", {}, number(size, 3)), html("td", {}, share),
        units > 0 && Array.from(vector, (v) => html("td", {}, signed(v))));
    const body = terms.map((term) =>
      line(html("td", {}, button(term)), term.norm, Number.isNaN(term.share) ? "–" : percent(term.share), term.vector)
    );
    const whole = line(html("th", { scope: "row" }, Shapes.richly(title)), norm,
      terms.length && norm >= TINY ? "100 %" : "–", vector);
    const explained = [`Shares are of ${matrix ? "the sum over all steps" : "this one step’s sum"} and add up to 100 %, `,
      units > 0 && "the vectors unit by unit to the last line; ", "the norms do not add up.",
      terms.some((term) => term.share > 1.0005)
      && " A share above 100 % is partly cancelled by others: theirs are negative.",
      !matrix
      && " They are not the shares of the split by crossings, which divides the gradient by the whole paths back from the loss."];
    const meant = "the part of the whole that this term makes, in the whole's direction; shares add up to 100 %",
      heads = [["term"], ["norm"], ["share", meant], ...Array.from({ length: units }, (_, j) => [j ? j + 1 : "unit 1"])];
    find("why-table").replaceChildren(html("p", { class: "formula" }, Shapes.richly(formula)),
      html("table", {}, terms.length > 1 && html("caption", {}, explained),
        html("thead", {},
          html("tr", {}, heads.map(([head, title]) => html("th", { scope: "col", title }, head)))),
        html("tbody", {}, body, whole)),
      weights.length ? html("p", {}, "Made with ", weights.map((term) => [button(term), " "])) : "");
  }

  function repaint() {
    const begun = performance.now(), focused = document.activeElement?.id,
      padding = document.body.clientWidth <= 600 ? 20 : 28,
      room = (id) => find(id).closest("section").clientWidth - padding;
    model = compute();
    Shapes.scaleTo(model.T, trained ? 1 : 0); // L of an untrained cell starts at a norm of 1
    const contents = { // made before any is shown, so that the page is measured once
      "headline": Sentences.headline(model),
      "strip-picture": [Strip.strip(model, room("strip-picture"))],
      "legend": Shapes.legend(),
      "strip-says": [Sentences.strip(model)],
      "what-L": Shapes.richly(Sentences.what(model)),
      "inside-picture": [Picture.inside(model)],
      "inside-says": Sentences.inside(model),
      "step-shown": [`step ${model.t} of ${model.T}: ${Writing.clip(Writing.shown(model.tokens[model.t - 1]), 14)}`],
      "decay-picture": Charts.decay(model, room("decay-picture")),
      "decay-says": [Sentences.decay(model)],
      "detours-picture": [Charts.detours(model, room("detours-picture"))],
      "detours-says": Sentences.detours(model),
      "gates-picture": [Charts.heatMaps(model, room("gates-picture"))],
      "gates-says": Sentences.gates(model)
    };
    for (const [id, content] of Object.entries(contents)) find(id).replaceChildren(...content);
    drawWhy();
    drawControls();
    showStep();
    if (focused && document.activeElement?.id !== focused) find(focused)?.focus({ preventScroll: true });
    measured.push(performance.now() - begun);
  }

  // ── controls ─────────────────────────────────────────────────────────────────────────────────

  /** The sliders of the biases that the cell has: that of the gate on its direct path first. */
  function drawBiases() {
    const cell = cells[state.cell], box = find("other-biases"), keeps = Model.keeps(cell);
    if (box.dataset.cell !== state.cell) {
      box.dataset.cell = state.cell;
      for (const place of [find("main-bias"), box]) place.replaceChildren();
      for (const { gate } of cell.biases) {
        const { shift, own } = Model.bias(cell, gate), input = html("input", { type: "range", id: `bias-${gate}`,
          step: 0.1, min: shift ? -5 : Math.floor(Math.min(-4, own[0])),
          max: shift ? 5 : Math.ceil(Math.max(10, own[0])) });
        input.addEventListener("input", () => {
          state.biases[gate] = Number(input.value);
          repaint();
        });
        const shown = html("b", { class: "value-shown" });
        (gate === keeps ? find("main-bias") : box).append(
          html("label", { class: "wide" }, html("span", {}, `${Model.called(cell, gate)} `, shown), input)
        );
      }
    }
    for (const { gate } of cell.biases) {
      const { shift, value } = Model.bias(cell, gate), slider = find(`bias-${gate}`);
      slider.closest("label").querySelector("b").textContent = shift ? `shift ${signed(value)}` : number(value, 3);
      if (Number(slider.value) !== value) slider.value = value;
    }
  }

  function drawControls() {
    const cell = cells[state.cell];
    drawBiases();
    find("scale-shown").textContent = `× ${number(state.scale, 3)}`;
    find("z-shown").textContent = number(state.z, 3);
    find("phase").max = model.phases - 1;
    for (const [key, value] of Object.entries({ scale: state.scale, z: state.z, phase: model.phase }))
      if (Number(find(key).value) !== value) find(key).value = value;
    find("alone").setAttribute("aria-pressed", state.z === 0);
    find("cell").value = state.cell;
    find("sequence").value = state.sequence;
    for (const radio of document.querySelectorAll("[name=loss]"))
      radio.checked = (radio.value === "every") === state.everyStep;
    find("phase").setAttribute("aria-valuetext", find("inside-says").textContent);
    find("before").disabled = model.t <= 1;
    find("after").disabled = model.t >= model.T;
    find("row").hidden = model.rows.length < 2;
    find("row").textContent = model.rows.length < 2 ? "" : `show ${model.rows[1 - model.chosen.row].label}`;
    const strip = find("strip-picture");
    strip.setAttribute("aria-valuemax", model.T);
    strip.setAttribute("aria-valuenow", model.t);
    strip.setAttribute("aria-valuetext",
      `step ${model.t} of ${model.T}, ${Writing.shown(model.tokens[model.t - 1])}: ${
        model.rows.map((row) => `${row.label} ${number(row.sizes[model.t])}`).join(", ")
      }`);
    const now = JSON.stringify({ ...state, cuts: [...state.cuts] });
    atFirst ??= now;
    find("reset").style.visibility = now === atFirst ? "hidden" : "visible"; // its place is kept: nothing jumps
    drawCuts();
  }

  /** The step shown is brought into sight when it, or the sequence, has changed. */
  function showStep() {
    const strip = find("strip-picture"), place = (strip.scrollWidth / model.T) * (model.t - 0.5),
      anew = looked.tokens !== model.tokens;
    if (anew && strip.scrollWidth > strip.clientWidth) strip.scrollLeft = strip.scrollWidth; // to L, as far as the step is in sight
    if ((anew || looked.t !== model.t)
      && Math.abs(place - strip.scrollLeft - strip.clientWidth / 2) > strip.clientWidth / 2 - 40)
      strip.scrollLeft = place - strip.clientWidth / 2;
    Object.assign(looked, { tokens: model.tokens, t: model.t });
    if (strip.scrollLeft > 0) holdTitles();
  }

  /** The rows' titles stay in sight where the strip is scrolled. */
  function holdTitles() {
    const strip = find("strip-picture");
    for (const title of strip.querySelectorAll(".row-title")) title.setAttribute("x", strip.scrollLeft + 2);
  }

  function drawCuts() {
    const wanted = [...new Set(model.rows.flatMap(({ cell }) => Object.keys(cell.paths)))];
    const called = (path) => {
      const having = model.rows.find(({ cell }) => cell.paths[path]),
        write = (word) => word.split(", ").map((w) => name(having.cell, model.notation, w)).join(", ");
      const [from, to] = path.split(" -> "), [target, by = ""] = to.split(" by "),
        whose = having === model.rows[0] ? "" : ` (${having.label})`;
      return `${write(from)} to ${write(target)}${by && ` by ${by}`}${whose}`;
    };
    find("cuts").replaceChildren(html("legend", {}, "open paths (untick to cut the way back)"), ...wanted.map((path) => {
      const cut = state.cuts.has(path),
        input = html("input", { type: "checkbox", id: `cut-${path.replace(/\W+/g, "-")}`, checked: cut ? null : "" });
      input.addEventListener("change", () => {
        state.cuts[cut ? "delete" : "add"](path);
        repaint();
      });
      return html("label", { class: "tick" }, input, html("span", {}, Shapes.richly(called(path))));
    }));
  }

  /** Choose a gradient; the step shown goes with it. */
  function choose(what) {
    state.chosen = { row: what.row, role: what.role, t: what.t };
    state.t = Math.max(1, what.t);
    state.phase = 99; // all of it
    state.traced = true;
    repaint();
  }

  /** What of a step in the strip the pointer is on or nearest to. */
  function nearest(column, { clientX: x, clientY: y }) {
    const far = (e) => {
      const box = e.getBoundingClientRect();
      return Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
    };
    return [...column.querySelectorAll("[data-role]")].sort((a, b) => far(a) - far(b))[0].dataset;
  }

  /** Show another step, with the gradient of the state at its end chosen. */
  function go(t, row = model.chosen.row) {
    state.t = Math.max(1, Math.min(model.T, t));
    state.chosen = { row, role: model.rows[row].role, t: state.t };
    state.traced = false;
    repaint();
  }

  /** What keeps these tokens from being shown, if anything. */
  function refusal(tokens) {
    if (!tokens.length) return trained ? "Type some characters for the network to read." : "Type some words.";
    if (tokens.length > data.longest)
      return `That is ${Writing.thousands(tokens.length)} ${data.unit}s; the page shows at most ${data.longest}.`;
    const unknown = trained ? [...new Set(tokens.filter((c) => !data.symbols.includes(c)))] : [];
    if (!unknown.length) return "";
    const shown = unknown.slice(0, 10).map((c) => `“${Writing.shown(c)}”`).join(", ");
    return `The network never saw ${shown}; it knows ${Writing.shown(data.symbols.join(""))}`;
  }

  function useOwn() {
    const own = find("own"), tokens = trained ? Writing.characters(own.value) : Writing.split(own.value),
      says = refusal(tokens), problem = find("own-problem"), last = data.sequences.length;
    problem.textContent = says;
    problem.hidden = !says;
    own.setAttribute("aria-invalid", Boolean(says));
    if (says) {
      own.focus();
      return;
    }
    if (!sequences[last]) find("sequence").append(html("option", { value: last }, "typed here"));
    sequences[last] = { name: "typed here", tokens };
    open(last);
    repaint();
  }

  /** Take a sequence, and stand in it. */
  function open(k) {
    Object.assign(state, { sequence: k, t: null, chosen: null });
  }

  function drawCheck() {
    const { worst, count } = check(), good = worst <= 1e-9, most = `${number(worst)} of the largest number compared.`;
    find("check").textContent = good
      ? `Checked when this page opened: ${
        Writing.thousands(count)
      } numbers that it computed, values, gradients and splits, agree with those of tinygrad_lstm; the largest difference is ${most}`
      : `Do not trust this page: its numbers differ from those of tinygrad_lstm by up to ${most}`;
    find("check").classList.toggle("bad", !good);
  }

  // ── wiring ───────────────────────────────────────────────────────────────────────────────────

  const system = matchMedia("(prefers-color-scheme: dark)");
  const drawTheme = () => Shapes.paint(system.matches ? "dark" : "light");

  function wire() {
    for (const [key, cell] of Object.entries(data.cells))
      if (key !== "untrained")
        find("cell").append(
          html("option", { value: key }, trained ? data.name : `${key}, ${cell.n} unit${cell.n > 1 ? "s" : ""}`)
        );
    sequences.forEach((sequence, k) =>
      find("sequence").append(
        html("option", { value: k }, k === 0
          ? Writing.clip(Writing.shown(sequence.tokens.slice(0, 12).join(trained && data.symbols ? "" : " ")), 30)
          : sequence.name)
      )
    );
    find("notation").closest("label").hidden = !Object.values(cells).some((cell) => cell.own);
    find("own-unit").textContent = trained ? "characters" : "words";
    for (const id of ["own-label", "use"]) find(id).hidden = trained && !data.symbols;
    /** What a control changes; then all is drawn anew. */
    const on = (id, event, change) =>
      find(id).addEventListener(event, () => {
        change(find(id));
        repaint();
      });
    for (const key of ["scale", "z", "phase"]) on(key, "input", (e) => (state[key] = Number(e.value)));
    on("alone", "click", () => (state.z = state.z === 0 ? 1 : 0));
    on("cell", "change", (e) => Object.assign(state, { cell: e.value, chosen: null }));
    on("sequence", "change", (e) => open(Number(e.value)));
    on("notation", "change", (e) => (settings.notation = e.value));
    on("reset", "click", () => Object.assign(state, start()));
    for (const radio of document.querySelectorAll("[name=loss]"))
      on(radio.id, "change", (e) => (state.everyStep = e.value === "every"));
    system.addEventListener("change", () => {
      drawTheme();
      repaint();
    });
    find("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      useOwn();
    });
    find("before").addEventListener("click", () => go(state.t - 1));
    find("after").addEventListener("click", () => go(state.t + 1));
    find("row").addEventListener("click", () => go(state.t, 1 - model.chosen.row));

    const strip = find("strip-picture");
    strip.addEventListener("scroll", holdTitles);
    document.addEventListener("click", (event) => {
      const column = event.target.closest?.(".column"), picked = column ?? event.target.closest?.(".pick");
      if (picked) {
        const { row, t } = picked.dataset, { role } = column ? nearest(column, event) : picked.dataset;
        choose({ row: Number(row), role, t: Number(t) });
        return;
      }
      const chart = event.target.closest?.("#decay-picture svg[data-left], #gates-picture svg");
      if (!chart) return;
      const x = event.clientX - chart.getBoundingClientRect().left, left = Number(chart.dataset.left);
      if (chart.dataset.column) go(Math.floor((x - left) / Number(chart.dataset.column)) + 1);
      else
        go(
          Math.round(
            ((x - left) / (chart.getBoundingClientRect().width - left - Number(chart.dataset.right))) * model.T
          )
        );
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const element = event.target, picked = element.closest?.(".pick");
      if (picked && (event.key === "Enter" || event.key === " ")) {
        picked.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        event.preventDefault();
        return;
      }
      if (element.closest?.("input, select, textarea, summary") || (element.closest?.("button") && event.key === " "))
        return;
      if (element.closest?.(".scroll") && element.scrollWidth > element.clientWidth && event.key.startsWith("Arrow"))
        return;
      const inPicture = element.closest?.("#strip-picture, .pick"); // elsewhere these keys scroll the page
      const to =
        { ArrowLeft: state.t - 1, ArrowRight: state.t + 1, ...(inPicture && { Home: 1, End: model.T }) }[event.key];
      if (to !== undefined) go(to);
      else if (inPicture && (event.key === "ArrowUp" || event.key === "ArrowDown"))
        go(state.t, Math.min(model.rows.length - 1, event.key === "ArrowUp" ? 0 : 1));
      else return;
      event.preventDefault();
    });
    let width = document.body.clientWidth;
    new ResizeObserver(() => {
      if (document.body.clientWidth === width) return;
      width = document.body.clientWidth;
      requestAnimationFrame(repaint); // not here: a repaint changes the size that is being observed
    }).observe(document.body);
  }

  wire();
  drawTheme();
  Challenges.draw(() => model);
  drawCheck();
  repaint();
  return { measured, check, repaint, state, why: (what) => why(model, what), get model() {
    return model;
  } };
})();
