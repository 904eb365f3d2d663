"use strict";
// One step of a cell from the inside: every value and every gradient, as far as the scrubber has come.

const Cell = (() => {
  const { number, signed, name, letter, gate, shown, clip, plain, IN_WORDS } = Words;
  const { at, norm, GATES } = Engine;
  const { svg, text, heat, inkOn, edge, pick, said, circle } = Marks;

  /** Heat cells with numbers, or without where there are many. */
  function values(vector, x, y, cellWidth, { columns = 2, largest = 1, sign = true } = {}) {
    const many = vector.length > 8,
      across = many ? Math.ceil(Math.sqrt(vector.length * 2)) : Math.min(columns, vector.length);
    const w = many ? (cellWidth * columns) / across : cellWidth,
      h = many ? Math.min(16, 34 / Math.ceil(vector.length / across)) : 16;
    return Array.from(vector, (v, k) => {
      const cx = x + (k % across) * w,
        cy = y + Math.floor(k / across) * h,
        fill = heat(v, largest);
      const drawn = [svg("rect", { x: cx, y: cy, width: w, height: h, fill })];
      if (!many) {
        const label = text(cx + w / 2, cy + 11.5, sign ? signed(v) : number(v), { anchor: "middle", size: 9.5 });
        label.setAttribute("fill", inkOn(fill));
        label.setAttribute("class", "value");
        drawn.push(label);
      }
      return drawn;
    });
  }
  const rowsOf = (n) => (n > 8 ? 34 : 16 * Math.ceil(n / 2));

  function inside(model) {
    return model.row.cell.kind === "rnn" ? insideRnn(model) : insideLstm(model);
  }

  /** A value of the state or the input with its numbers and its gradient. */
  function valueBox(model, role, t, x, y, vector, size, { known = true, traced = true, label } = {}) {
    const n = vector.length,
      h = 42 + rowsOf(n),
      top = y - h / 2,
      kind = { c: "t-state", h: "t-hidden", x: "t-input" }[role];
    return pick(model, { row: model.chosen.row, role, t }, [x, top, 112, h], said(role, t, size), [
      svg("rect", { x, y: top, width: 112, height: h, rx: 10, class: `v-${role}` }),
      text(x + 56, top + 16, label, { anchor: "middle", size: 14, rich: true, kind: `bold ${kind}` }),
      known
        ? values(vector, x + 6 + (n === 1 ? 25 : 0), top + 22, 50, { largest: Math.max(1, ...vector.map(Math.abs)) })
        : text(x + 56, top + 34, "not yet", { anchor: "middle", size: 10.5, kind: "t-muted" }),
      text(x + 56, top + h - 7, traced ? `‖∇‖ ${number(size)}` : "∇ not yet", {
        anchor: "middle",
        size: 11,
        kind: traced ? "t-gradient" : "t-muted",
      }),
    ]);
  }

  function insideLstm(model) {
    const { row, t, notation, phase } = model,
      { run, back, cell } = row,
      { n, m } = cell,
      { T } = run,
      { edges } = back;
    const size = (array, s) => norm(at(array, s, n)),
      gates = GATES[cell.kind];
    const X = { f: 292, i: 438, g: 584, o: 730 },
      yC = 78,
      yM = 146,
      yN = 208,
      yB = 270,
      yW = 322,
      yH = 376,
      xe = 826,
      cat = 172;
    const at4 = phase >= 4,
      at5 = phase >= 5,
      at6 = phase >= 6,
      at7 = phase >= 7;
    const when = (reached, path) => (!reached ? "pending" : path && (row.back.paths[path] ?? 1) === 0 ? "cut" : "on");
    const label = (x, y, value, reached, how = {}) =>
      reached ? text(x, y, number(value), { size: 10, kind: "t-gradient", ...how }) : null;
    const dc = size(back.c, t),
      beyond = t < T,
      drawn = [];
    const xBox = 42 + rowsOf(m),
      bottom = 414,
      height = bottom + xBox + 6;
    drawn.push(
      svg("rect", { x: 138, y: 22, width: 726, height: 384, rx: 14, class: "step-box" }),
      svg("rect", { x: 118, y: yC - 9, width: 764, height: 18, class: "band" }),
    );
    drawn.push(
      text(152, 44, Words.capital(row.label), { size: 13, kind: "bold" }),
      text(850, 44, `step ${t} of ${T}`, { size: 11.5, anchor: "end", kind: "t-muted" }),
    );
    // the cell state
    if (cell.kind === "lstm") {
      drawn.push(
        edge([118, yC, X.f - 13, yC], size(edges["c -> c"], t - 1), { state: true, mode: when(at6, "c -> c") }),
        edge([X.f + 13, yC, X.g - 13, yC], dc, { state: true, mode: when(at6) }),
      );
      drawn.push(
        edge([X.f, yN - 15, X.f, yC + 13], size(back.f, t), { mode: when(at6) }),
        label(X.f + 8, 148, size(back.f, t), at6),
      );
    } else
      drawn.push(
        edge([118, yC, X.g - 13, yC], size(edges["c -> c"], t - 1), { state: true, mode: when(at6, "c -> c") }),
      );
    drawn.push(
      label(210, yC - 13, size(edges["c -> c"], t - 1), at6, { anchor: "middle", kind: "t-state" }),
      label((X.f + X.g) / 2, yC - 13, dc, at6, { anchor: "middle", kind: "t-state" }),
    );
    drawn.push(
      edge([X.g + 13, yC, 882, yC], beyond ? size(edges["c -> c"], t) : null, {
        state: true,
        mode: beyond ? when(at4, "c -> c") : "pending",
      }),
    );
    drawn.push(
      beyond
        ? label(704, yC - 13, size(edges["c -> c"], t), at4, { anchor: "middle", kind: "t-state" })
        : text(704, yC - 13, "read by nothing further on", { size: 10, anchor: "middle", kind: "t-muted" }),
    );
    // shown
    drawn.push(
      edge([xe - 18, yC, xe, yC, xe, yM - 14], size(edges["c -> h"], t), { mode: when(at5, "c -> h") }),
      label(xe + 8, yC + 32, size(edges["c -> h"], t), at5),
    );
    drawn.push(
      edge([xe, yM + 14, xe, yN - 13], size(back.shown, t), { mode: when(at5) }),
      label(xe + 8, yM + 32, size(back.shown, t), at5),
    );
    drawn.push(
      edge([X.o + 24, yN, xe - 13, yN], size(back.o, t), { mode: when(at5) }),
      label((X.o + xe + 8) / 2, yN - 8, size(back.o, t), at5, { anchor: "middle" }),
    );
    drawn.push(
      edge([xe, yN + 13, xe, yH, 882, yH], size(back.h, t), { mode: when(at4) }),
      label(xe + 8, 300, size(back.h, t), at4),
    );
    // the candidate, let in
    drawn.push(
      edge([X.i, yN - 15, X.i, yM, X.g - 13, yM], size(back.i, t), { mode: when(at6) }),
      label((X.i + X.g) / 2, yM - 8, size(back.i, t), at6, { anchor: "middle" }),
    );
    drawn.push(
      edge([X.g, yN - 15, X.g, yM + 13], size(back.g, t), { mode: when(at6) }),
      label(X.g + 8, yM + 34, size(back.g, t), at6),
    );
    drawn.push(edge([X.g, yM - 13, X.g, yC + 13], dc, { mode: when(at6) }), label(X.g + 8, yC + 38, dc, at6));
    // the gates read [h, x]
    const reads = gates.map((k) => {
      const x = Engine.pulled(cell, k, "x", at(back.a[k], t, n), new Float64Array(m));
      return [k, Math.hypot(size(edges[`h -> ${k}`], t - 1), norm(x))];
    });
    for (const [k, s] of [...reads].sort((a, b) => a[1] - b[1]))
      drawn.push(edge([cat + 13, yH, X[k], yH, X[k], yW + 13], s, { mode: when(at7) }));
    for (const [k, s] of reads) drawn.push(label(X[k] + 8, yW + 34, s, at7));
    for (const k of gates) {
      const cut = at7 && row.back.paths[`h -> ${k}`] === 0; // x still has its way into the gate
      if (cut) drawn.push(text(X[k] - 8, yW + 34, "✂ h", { size: 11, anchor: "end", kind: "t-muted" }));
    }
    const state = norm(at(back.h, t - 1, n).map((v, j) => v - at(edges["h -> L"], t - 1, n)[j]));
    const cutAll = gates.every((k) => (row.back.paths[`h -> ${k}`] ?? 1) === 0);
    drawn.push(
      edge([118, yH, cat - 13, yH], state, { mode: at7 && cutAll ? "cut" : when(at7) }),
      label(146, yH - 10, state, at7, { anchor: "middle" }),
    );
    drawn.push(edge([cat, bottom, cat, yH + 13], size2(back.x, t, m), { mode: when(at7) }));
    const z = norm(Float64Array.from([...at(run.h, t - 1, n), ...model.xs[t - 1]]));
    for (const k of gates) {
      const a = size(back.a[k], t),
        x = X[k],
        W = z * a;
      drawn.push(
        edge([x, yW - 13, x, yB + 13], a, { mode: when(at7) }),
        edge([x, yB - 13, x, yN + 15], a, { mode: when(at7) }),
      );
      drawn.push(
        edge([x - 30, yW, x - 13, yW], W, { mode: when(at7), base: 3 }),
        edge([x - 30, yB, x - 13, yB], a, { mode: when(at7), base: 3 }),
      );
      drawn.push(
        weight(model, k, "W", x - 106, yW, W, at7),
        weight(model, k, "b", x - 106, yB, a, at7),
        circle(x, yB, "+", 12),
        circle(x, yW, "@", 12),
      );
      drawn.push(nonlinear(model, k, x, yN, at(run[k], t, n), size(back[k], t)));
    }
    if (cell.kind === "lstm") drawn.push(circle(X.f, yC, "×", 13));
    drawn.push(circle(X.g, yC, "+", 13), circle(X.g, yM, "×", 13), circle(xe, yN, "×", 13));
    drawn.push(
      svg("circle", { cx: cat, cy: yH, r: 14, class: "op" }),
      text(cat, yH + 4, "cat", { anchor: "middle", size: 11 }),
    );
    drawn.push(
      pick(
        model,
        { row: model.chosen.row, role: "shown", t },
        [xe - 24, yM - 14, 48, 28],
        said("shown", t, size(back.shown, t)),
        [
          svg("rect", { x: xe - 24, y: yM - 14, width: 48, height: 28, rx: 9, class: "nonlinear" }),
          text(xe, yM + 4.5, "tanh", { anchor: "middle", size: 13 }),
        ],
      ),
    );
    // what enters and leaves
    const C = (s) => name(notation, "c", s),
      H = (s) => name(notation, "h", s);
    drawn.push(
      valueBox(model, "c", t - 1, 6, yC, at(run.c, t - 1, n), size(back.c, t - 1), {
        traced: at6 && (t === 1 || at7),
        label: C(t - 1),
      }),
    );
    drawn.push(
      valueBox(model, "h", t - 1, 6, yH, at(run.h, t - 1, n), size(back.h, t - 1), { traced: at7, label: H(t - 1) }),
    );
    drawn.push(
      valueBox(model, "x", t, cat - 40, bottom + xBox / 2, model.xs[t - 1], size2(back.x, t, m), {
        traced: at7,
        label: name(notation, "x", t),
      }),
    );
    drawn.push(text(cat + 82, bottom + xBox / 2 + 5, `“${clip(shown(model.tokens[t - 1]), 24)}”`, { size: 13 }));
    drawn.push(valueBox(model, "c", t, 882, yC, at(run.c, t, n), dc, { known: phase >= 2, traced: at5, label: C(t) }));
    drawn.push(
      valueBox(model, "h", t, 882, yH, at(run.h, t, n), size(back.h, t), {
        known: phase >= 3,
        traced: at4,
        label: H(t),
      }),
    );
    return svg(
      "svg",
      {
        viewBox: `0 0 1000 ${height}`,
        role: "group",
        "aria-label": `One step of the cell: step ${t}, with values and gradients`,
      },
      drawn,
    );
  }
  const size2 = (array, t, m) => norm(at(array, t, m));

  /** A parameter of gate k, with what this use of it contributes to its gradient. */
  function weight(model, k, what, x, y, size, reached) {
    const label = `${what}_${letter(model.notation, k)}`;
    const drawn = [
      svg("rect", { x, y: y - 14, width: 76, height: 28, rx: 9, class: "weight" }),
      text(x + 7, y + 4, label, { size: 12, kind: "bold", rich: true }),
      text(x + 71, y + 4, reached ? number(size) : "", { size: 8.8, anchor: "end", kind: "t-parameter" }),
    ];
    if (what === "b")
      return svg(
        "g",
        {},
        svg("title", {}, `what this step contributes to the gradient of the bias: ${number(size)}`),
        drawn,
      );
    return pick(
      model,
      { row: model.chosen.row, role: "W", gate: k, t: model.t },
      [x, y - 14, 76, 28],
      `gradient of the weights ${plain(label)}; this step contributes ${number(size)}`,
      drawn,
    );
  }

  function nonlinear(model, k, x, y, vector, size) {
    const known = model.phase >= 1,
      n = vector.length,
      top = y - 8 - rowsOf(n) / 2,
      label = gate(model.notation, k);
    return pick(
      model,
      { row: model.chosen.row, role: k, t: model.t },
      [x - 96, y - 22 - rowsOf(n) / 2, 122, 30 + rowsOf(n)],
      said(k, model.t, size),
      [
        svg("rect", { x: x - 24, y: y - 15, width: 48, height: 30, rx: 9, class: "nonlinear" }),
        text(x, y + 5, k === "g" || k === "h" ? "tanh" : "σ", { anchor: "middle", size: 13 }),
        text(x - 92, top + 1, label, { size: 12, kind: "t-nonlinear bold", rich: true }),
        text(x - 92 + 9 * plain(label).length + 3, top + 1, IN_WORDS[k].replace(" gate", ""), {
          size: 10.5,
          kind: "t-nonlinear",
        }),
        known
          ? values(vector, x - 92, top + 6, 31, { sign: k === "g" })
          : text(x - 92, top + 18, "not yet", { size: 10, kind: "t-muted" }),
      ],
    );
  }

  function insideRnn(model) {
    const { row, t, notation, phase } = model,
      { run, back, cell } = row,
      { n, m } = cell,
      { T } = run,
      { edges } = back;
    const size = (array, s) => norm(at(array, s, n)),
      at4 = phase >= 4,
      at7 = phase >= 7,
      yH = 130,
      cat = 172,
      [xw, xb, xh] = [360, 530, 716];
    const when = (reached, path) => (!reached ? "pending" : path && (row.back.paths[path] ?? 1) === 0 ? "cut" : "on");
    const label = (x, y, value, reached) =>
      reached ? text(x, y, number(value), { size: 10, kind: "t-gradient", anchor: "middle" }) : null;
    const a = size(back.a.h, t),
      W = norm(Float64Array.from([...at(run.h, t - 1, n), ...model.xs[t - 1]])) * a,
      state = size(edges["h -> h"], t - 1),
      x = size2(back.x, t, m);
    const xBox = 42 + rowsOf(m),
      bottom = 196,
      height = bottom + xBox + 6,
      C = (s) => name(notation, "h", s);
    const drawn = [
      svg("rect", { x: 138, y: 22, width: 726, height: 166, rx: 14, class: "step-box" }),
      text(152, 44, Words.capital(row.label), { size: 13, kind: "bold" }),
      text(850, 44, `step ${t} of ${T}`, { size: 11.5, anchor: "end", kind: "t-muted" }),
      edge([118, yH, cat - 13, yH], state, { mode: when(at7, "h -> h") }),
      label(146, yH - 10, state, at7),
      edge([cat, bottom, cat, yH + 13], x, { mode: when(at7) }),
      edge([cat + 13, yH, xw - 13, yH], Math.hypot(state, x), { mode: when(at7) }),
      label((cat + xw) / 2, yH - 10, Math.hypot(state, x), at7),
      edge([xw + 13, yH, xb - 13, yH], a, { mode: when(at7) }),
      label((xw + xb) / 2, yH - 10, a, at7),
      edge([xb + 13, yH, xh - 24, yH], a, { mode: when(at7) }),
      edge([xh + 24, yH, 882, yH], size(back.h, t), { mode: when(at4) }),
      label(812, yH - 10, size(back.h, t), at4),
      edge([xw, 90, xw, yH - 13], W, { mode: when(at7), base: 3 }),
      edge([xb, 90, xb, yH - 13], a, { mode: when(at7), base: 3 }),
      weight(model, "h", "W", xw - 38, 76, W, at7),
      weight(model, "h", "b", xb - 38, 76, a, at7),
      circle(xw, yH, "@", 12),
      circle(xb, yH, "+", 12),
      nonlinear(model, "h", xh, yH, at(run.h, t, n), size(back.h, t)),
      svg("circle", { cx: cat, cy: yH, r: 14, class: "op" }),
      text(cat, yH + 4, "cat", { anchor: "middle", size: 11 }),
      valueBox(model, "h", t - 1, 6, yH, at(run.h, t - 1, n), size(back.h, t - 1), { traced: at7, label: C(t - 1) }),
      valueBox(model, "x", t, cat - 40, bottom + xBox / 2, model.xs[t - 1], x, {
        traced: at7,
        label: name(notation, "x", t),
      }),
      text(cat + 82, bottom + xBox / 2 + 5, `“${clip(shown(model.tokens[t - 1]), 24)}”`, { size: 13 }),
      valueBox(model, "h", t, 882, yH, at(run.h, t, n), size(back.h, t), {
        known: phase >= 3,
        traced: at4,
        label: C(t),
      }),
    ];
    return svg(
      "svg",
      {
        viewBox: `0 0 1000 ${height}`,
        role: "group",
        "aria-label": `One step of the RNN: step ${t}, with values and gradients`,
      },
      drawn,
    );
  }

  return { inside };
})();
