"use strict";
// The unrolled strip: one row above another, every step open where there is room, else one box a state.

const Strip = (() => {
  const { number, gate, name, shown, clip } = Words;
  const { at, norm, GATES } = Engine;
  const { svg, text, colour, inkOn, edge, modeOf, pick, said, circle, upright } = Marks;

  function strip(model, room) {
    const { T } = model,
      left = 60,
      right = 56;
    const column = Math.min(240, Math.max(room - left - right, T * 16) / T),
      open = column >= 82;
    const total = left + column * T + right,
      drawn = [];
    let y = 4;
    model.rows.forEach((row, index) => {
      const lstm = row.cell.kind !== "rnn";
      const last = index === model.rows.length - 1;
      const heights = open ? (lstm ? 216 : 136) : (lstm ? 112 : 72) + (last ? tokenRoom(model, column) : 0);
      drawn.push(
        (open ? (lstm ? openLstm : openRnn) : compact)(model, row, index, { y, left, column, end: left + column * T }),
      );
      y += heights + (index === 0 && model.rows.length > 1 ? 6 : 0);
    });
    return svg("svg", { width: total, height: y, viewBox: `0 0 ${total} ${y}`, "aria-hidden": "true" }, drawn);
  }

  /** The height that the tokens under a compact strip take. */
  function tokenRoom(model, column) {
    if (column >= 44) return 22;
    return 16 + 5.6 * Math.min(9, Math.max(...model.tokens.map((token) => Array.from(token).length)));
  }

  function rowTitle(model, row, y) {
    const by = Engine.factor(row.sizes);
    const element = svg(
      "text",
      { x: 2, y, "font-size": 13, class: "row-title" },
      svg("tspan", { class: "bold" }, Words.capital(row.label)),
      svg("tspan", { class: "t-muted", dx: 10, "font-size": 11.5 }, row.note),
    );
    if (by !== null && model.T > 1 && !model.everyStep)
      element.append(
        svg(
          "tspan",
          { class: `bold ${row === model.rows[0] ? "t-state" : "t-gradient"}`, dx: 10 },
          `× ${number(by, 3)} a step back`,
        ),
      );
    return element;
  }

  function token(model, row, index, x, y, w, t, size) {
    const label = clip(shown(model.tokens[t - 1]), Math.max(2, Math.floor((w - 8) / 7.2)));
    return pick(
      model,
      { row: index, role: "x", t },
      [x - w / 2, y - 11, w, 22],
      said("x", t, size),
      [
        svg("rect", { x: x - w / 2, y: y - 11, width: w, height: 22, rx: 7, class: "v-x" }),
        text(x, y + 4, label, { anchor: "middle", size: 11.5 }),
      ],
      false,
    );
  }

  function ends(model, row, index, end, lanes) {
    const drawn = [];
    for (const [role, y] of lanes) {
      const size = norm(at(row.back[role], 0, row.cell.n));
      drawn.push(
        pick(
          model,
          { row: index, role, t: 0 },
          [2, y - 17, 44, 34],
          said(role, 0, size),
          [
            svg("rect", { x: 2, y: y - 17, width: 44, height: 34, rx: 8, class: `v-${role}` }),
            text(24, y - 2, name(model.notation, role, 0), {
              anchor: "middle",
              size: 12,
              rich: true,
              kind: role === "c" ? "t-state bold" : "t-hidden bold",
            }),
            text(24, y + 12, number(size), { anchor: "middle", size: 9, kind: "t-gradient" }),
          ],
          false,
        ),
      );
    }
    const y = lanes[lanes.length - 1][1];
    drawn.push(
      svg("rect", { x: end + 22, y: y - 15, width: 30, height: 30, rx: 8, class: "loss" }),
      text(end + 37, y + 5, "L", { anchor: "middle", size: 14, kind: "bold" }),
    );
    return drawn;
  }

  function openLstm(model, row, index, { y, left, column: w, end }) {
    const { run, back, cell } = row,
      { n, m } = cell,
      { T } = run,
      { edges } = back,
      drawn = [rowTitle(model, row, y + 13)];
    const yC = y + 58,
      yG = y + 102,
      yH = y + 142,
      yX = y + 200;
    const size = (array, t) => norm(at(array, t, n));
    drawn.push(svg("rect", { x: left - 14, y: yC - 6, width: end - left + 14 - 0.14 * w, height: 12, class: "band" }));
    drawn.push(
      ...ends(model, row, index, end, [
        ["c", yC],
        ["h", yH],
      ]),
    );
    for (let t = 1; t <= T; t++) {
      const x = left + (t - 1) * w,
        [xz, xf, xg, xo, xe] = [0.1, 0.25, 0.48, 0.7, 0.88].map((part) => x + part * w),
        half = Math.min(15, 0.105 * w),
        r = 7;
      const before = t === 1 ? 46 : x - 0.12 * w,
        dc = size(back.c, t),
        dh = size(back.h, t),
        into = {};
      for (const k of GATES[cell.kind]) into[k] = at(edges[`h -> ${k}`], t - 1, n);
      const written = norm(into.i.map((v, j) => v + into.g[j]));
      const z = norm(at(back.h, t - 1, n).map((v, j) => v - at(edges["h -> L"], t - 1, n)[j]));
      const cutWrite = (row.back.paths["h -> i"] ?? 1) === 0 && (row.back.paths["h -> g"] ?? 1) === 0 ? "cut" : "on";
      const cutAll = GATES[cell.kind].every((k) => (row.back.paths[`h -> ${k}`] ?? 1) === 0) ? "cut" : "on";
      const step = [
        svg("rect", {
          x: x + 3,
          y: y + 22,
          width: w - 6,
          height: 152,
          rx: 9,
          class: `step-box${t === model.t ? " chosen" : ""}`,
        }),
        svg("rect", { x, y: yC - 6, width: t === T ? 0.86 * w : w, height: 12, class: "band" }),
        cell.kind === "lstm"
          ? [
              edge([before, yC, xf - r, yC], size(edges["c -> c"], t - 1), {
                state: true,
                mode: modeOf(row, "c -> c"),
              }),
              edge([xf + r, yC, xg - r, yC], dc, { state: true }),
            ]
          : edge([before, yC, xg - r, yC], size(edges["c -> c"], t - 1), {
              state: true,
              mode: modeOf(row, "c -> c"),
            }),
        edge([xg + r, yC, xe, yC, xe, yG - r], size(edges["c -> h"], t), { mode: modeOf(row, "c -> h") }),
        t < T
          ? edge([xg + r, yC, x + 0.89 * w, yC], size(edges["c -> c"], t), {
              state: true,
              arrow: false,
              mode: modeOf(row, "c -> c"),
            })
          : null,
        edge([t === 1 ? 46 : x - 0.12 * w, yH, xz - 5, yH], z, { mode: cutAll }),
        Object.entries(into)
          .map(([k, v]) => [k, k === "i" || k === "g" ? written : norm(v)])
          .filter(([k]) => k !== "g")
          .sort((a, b) => a[1] - b[1])
          .map(([k, s]) =>
            edge([xz + 5, yH, { f: xf, i: xg, o: xo }[k], yH, { f: xf, i: xg, o: xo }[k], yG + 10], s, {
              mode: k === "i" ? cutWrite : modeOf(row, `h -> ${k}`),
              base: 4,
            }),
          ),
        cell.kind === "lstm" ? edge([xf, yG - 10, xf, yC + 8], size(back.f, t), { base: 4 }) : null,
        edge([xg, yG - 10, xg, yC + 8], dc, { base: 4 }),
        edge([xo + half, yG, xe - r, yG], size(back.o, t), { base: 3 }),
        edge([xe, yG + r, xe, yH, t === T ? end + 22 : x + w, yH], dh, { arrow: t === T }),
        edge([xz, yX - 11, xz, yH + 5], norm(at(back.x, t, m)), { base: 4 }),
        svg("circle", { cx: xz, cy: yH, r: 4.5, class: "op" }),
        cell.kind === "lstm" ? circle(xf, yC, "×", r) : null,
        circle(xg, yC, "+", r),
        circle(xe, yG, "×", r),
        cell.kind === "lstm" ? gateBox(model, row, index, "f", [xf, yG, half], t, size(back.f, t)) : null,
        gateBox(
          model,
          row,
          index,
          "i",
          [xg, yG, half],
          t,
          size(back.i, t),
          `${gate(model.notation, "i")}·${gate(model.notation, "g")}`,
        ),
        gateBox(model, row, index, "o", [xo, yG, half], t, size(back.o, t)),
        token(model, row, index, x + 0.5 * w, yX, w - 10, t, norm(at(back.x, t, m))),
        text(xz + 6, yX - 15, number(norm(at(back.x, t, m))), { size: 9.5, kind: "t-input" }),
        pick(
          model,
          { row: index, role: "c", t },
          [x + w - 62, y + 27, 57, 21],
          said("c", t, dc),
          [text(x + w - 8, y + 42, number(dc), { anchor: "end", size: 10.5, kind: "t-state bold" })],
          false,
        ),
        pick(
          model,
          { row: index, role: "h", t },
          [x + w - 62, yH + 11, 57, 20],
          said("h", t, dh),
          [text(x + w - 8, yH + 25, number(dh), { anchor: "end", size: 10.5, kind: "t-gradient" })],
          false,
        ),
        model.everyStep && t < T
          ? [
              edge([x + 0.97 * w, yH, x + 0.97 * w, yH - 20], size(edges["h -> L"], t)),
              text(x + 0.97 * w, yH - 24, "L", { anchor: "middle", size: 10, kind: "bold" }),
            ]
          : null,
      ];
      drawn.push(svg("g", { class: faded(model, index, t), "data-step": t, "data-row": index }, step));
    }
    return drawn;
  }

  const faded = (model, index, t) =>
    model.traced && model.chosen.row === index && t < model.chosen.t ? "column faded" : "column";
  function gateBox(model, row, index, role, [x, y, half], t, size, label) {
    return pick(
      model,
      { row: index, role, t },
      [x - half - 1, y - 11, 2 * half + 2, 22],
      said(role, t, size),
      [
        svg("rect", { x: x - half, y: y - 10, width: 2 * half, height: 20, rx: 6, class: "nonlinear" }),
        text(x, y + 4, label ?? gate(model.notation, role), {
          anchor: "middle",
          size: label ? Math.min(10, (2.9 * half) / Words.plain(label).replace(/ /g, "").length) : 11,
          kind: "bold",
          rich: true,
        }),
      ],
      false,
    );
  }

  function openRnn(model, row, index, { y, left, column: w, end }) {
    const { run, back, cell } = row,
      { n, m } = cell,
      { T } = run,
      { edges } = back,
      yH = y + 52,
      yX = y + 120;
    const size = (array, t) => norm(at(array, t, n)),
      drawn = [rowTitle(model, row, y + 13), ...ends(model, row, index, end, [["h", yH]])];
    for (let t = 1; t <= T; t++) {
      const x = left + (t - 1) * w,
        xz = x + 0.1 * w,
        xa = x + 0.5 * w,
        dh = size(back.h, t),
        z = size(edges["h -> h"], t - 1),
        mode = modeOf(row, "h -> h");
      drawn.push(
        svg("g", { class: faded(model, index, t), "data-step": t, "data-row": index }, [
          svg("rect", {
            x: x + 3,
            y: y + 22,
            width: w - 6,
            height: 72,
            rx: 9,
            class: `step-box${t === model.t ? " chosen" : ""}`,
          }),
          edge([t === 1 ? 46 : x - 0.3 * w, yH, xz - 5, yH], z, { mode }),
          edge([xz + 5, yH, xa - 20, yH], Math.hypot(z, norm(at(back.x, t, m)))),
          edge([xa + 19, yH, t === T ? end + 22 : x + 0.7 * w, yH], t === T ? size(edges["h -> L"], T) : dh, {
            arrow: t === T,
          }),
          edge([xz, yX - 11, xz, yH + 5], norm(at(back.x, t, m)), { base: 4 }),
          svg("circle", { cx: xz, cy: yH, r: 4.5, class: "op" }),
          svg("rect", { x: xa - 19, y: yH - 11, width: 38, height: 22, rx: 7, class: "nonlinear" }),
          text(xa, yH + 4, "tanh", { anchor: "middle", size: 11 }),
          token(model, row, index, x + 0.5 * w, yX, w - 10, t, norm(at(back.x, t, m))),
          text(xz + 6, yX - 15, number(norm(at(back.x, t, m))), { size: 9.5, kind: "t-input" }),
          pick(
            model,
            { row: index, role: "h", t },
            [x + w - 66, yH + 14, 61, 21],
            said("h", t, dh),
            [text(x + w - 8, yH + 28, number(dh), { anchor: "end", size: 10.5, kind: "t-gradient bold" })],
            false,
          ),
          model.everyStep && t < T
            ? [
                edge([x + 0.97 * w, yH, x + 0.97 * w, yH - 16], size(edges["h -> L"], t)),
                text(x + 0.97 * w, yH - 19, "L", { anchor: "middle", size: 10, kind: "bold" }),
              ]
            : null,
        ]),
      );
    }
    return drawn;
  }

  /** One box a step and state, coloured by its gradient; numbers where there is room. */
  function compact(model, row, index, { y, left, column: w, end }) {
    const { run, back, cell } = row,
      { n } = cell,
      { T } = run,
      { edges } = back,
      half = Math.min(13, 0.31 * w),
      every = Math.max(1, Math.ceil(52 / w)), // steps from one number to the next
      cutAll = GATES[cell.kind].every((k) => modeOf(row, `h -> ${k}`) === "cut") ? "cut" : "on";
    // What a state's own value has, and what came back to it from the next step.
    const lanes = [{ role: "h", y: y + (back.c ? 92 : 54), sizes: Engine.norms(back.h, n), mode: cutAll }];
    lanes[0].came = Engine.norms(
      back.h.map((v, p) => v - edges["h -> L"][p]),
      n,
    );
    if (back.c) {
      const came = Engine.norms(edges["c -> c"], n);
      lanes.unshift({ role: "c", y: y + 54, sizes: Engine.norms(back.c, n), came, mode: modeOf(row, "c -> c") });
    }
    const shows = back.c && Engine.norms(edges["c -> h"], n),
      low = lanes[lanes.length - 1].y;
    const drawn = [
      rowTitle(model, row, y + 13),
      ...ends(
        model,
        row,
        index,
        end,
        lanes.map((lane) => [lane.role, lane.y]),
      ),
    ];
    for (let t = 1; t <= T; t++) {
      const x = left + (t - 0.5) * w,
        now = t === model.t,
        numbered = now || ((T - t) % every === 0 && Math.abs(t - model.t) >= every);
      const column = [
        svg("title", {}, `step ${t}: ${lanes.map((lane) => said(lane.role, t, lane.sizes[t])).join("; ")}`),
      ];
      for (const [k, { role, y, sizes, came, mode }] of lanes.entries()) {
        const state = role === "c",
          fill = colour(sizes[t], state),
          side = 2 * half;
        const chosen = model.chosen.row === index && model.chosen.role === role && model.chosen.t === t;
        column.push(
          edge([t === 1 ? 46 : x - w + half, y, x - half, y], came[t - 1], { state, base: 4, arrow: w >= 34, mode }),
          svg("rect", {
            class: `pick box${chosen ? " chosen" : now ? " now" : ""}`,
            ...{ "data-row": index, "data-role": role, "data-t": t },
            ...{ x: x - half, y: y - half, width: side, height: side, rx: half * 0.5, fill },
          }),
          half >= 8 && text(x, y + 3.5, String(t), { anchor: "middle", size: half >= 11 ? 10 : 8, fill: inkOn(fill) }),
          k === 0 &&
            numbered &&
            text(x, y - half - 6, number(sizes[t]), {
              ...{ anchor: "middle", size: 10 },
              kind: `${state ? "t-state" : "t-gradient"}${now ? " bold" : ""}`,
            }),
        );
      }
      if (shows) {
        const how = { base: 3, arrow: false, mode: modeOf(row, "c -> h") };
        column.push(edge([x, lanes[0].y + half, x, low - half], shows[t], how));
      }
      if (index === model.rows.length - 1) column.push(upright(model.tokens[t - 1], x, low + 24, w, now));
      drawn.push(svg("g", { class: faded(model, index, t), "data-step": t, "data-row": index }, column));
    }
    drawn.push(edge([left + (T - 0.5) * w + half, low, end + 22, low], norm(at(edges["h -> L"], T, n))));
    return drawn;
  }

  return { strip };
})();
