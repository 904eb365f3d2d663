"use strict";
// The pictures. Each function takes the model that page.js computed and returns an element; no text becomes markup.

const Views = (() => {
  const { number, signed, name, letter, gate, shown, clip, plain, IN_WORDS } = Words;
  const { at, norm } = Engine;
  const HIGH = 0; // decimal logarithms: one scale of width and colour for every picture and every setting
  let LOW = -4; // deeper for a longer sequence

  // ── elements ─────────────────────────────────────────────────────────────────────────────────

  function made(element, attributes, children) {
    for (const [key, value] of Object.entries(attributes))
      if (value !== undefined && value !== null) element.setAttribute(key, value);
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return element;
  }
  const svg = (tag, attributes = {}, ...children) =>
    made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const html = (tag, attributes = {}, ...children) => made(document.createElement(tag), attributes, children);

  /** The pieces of a name: [text, whether a subscript]. */
  const pieces = (content) =>
    content
      .split(/_(\{[^}]*\}|.)/)
      .map((part, k) => [part.replace(/^\{|\}$/g, ""), k % 2 === 1])
      .filter(([part]) => part);

  /** Text in a picture; with `rich`, _x is a subscript. */
  function text(x, y, content, { size = 11, anchor = "start", kind = "", rich = false } = {}) {
    const element = svg("text", { x, y, "font-size": size, "text-anchor": anchor, class: kind || null });
    if (!rich) {
      element.append(content);
      return element;
    }
    let down = false;
    for (const [part, low] of pieces(content)) {
      const shift = (low ? 0.28 : 0) * size - (down ? 0.28 : 0) * size;
      element.append(svg("tspan", { dy: shift || null, "font-size": low ? size * 0.76 : null }, part));
      down = low;
    }
    return element;
  }

  /** A name as HTML. */
  const richly = (content) => pieces(content).map(([part, low]) => (low ? html("sub", {}, part) : part));

  /** A name as plain text. */
  const richlyPlain = (content) =>
    pieces(content)
      .map(([part]) => part)
      .join("");

  // ── colour and width ─────────────────────────────────────────────────────────────────────────

  let dark = false,
    ramps = {};
  function paint(isDark, lightRamps) {
    dark = isDark;
    ramps = isDark
      ? {
          gradient: ["#4B535E", "#7D4B24", "#C0601F", "#F0914A", "#FFD9B0"],
          state: ["#43586B", "#2A6A98", "#2E8FCB", "#6FBDEB", "#C4E6FB"],
        }
      : lightRamps;
    mixed.clear();
  }
  /** The scale for a sequence of that many steps. */
  const scaleTo = (T) => (LOW = T <= 16 ? -4 : T <= 60 ? -8 : -16);
  const rgb = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  const mixed = new Map(); // colours are made in a hundred shades, once each
  function between(a, b, part) {
    const shade = Math.round(100 * part),
      key = a + b + shade;
    if (!mixed.has(key))
      mixed.set(
        key,
        `rgb(${rgb(a)
          .map((v, k) => Math.round(v + ((rgb(b)[k] - v) * shade) / 100))
          .join(",")})`,
      );
    return mixed.get(key);
  }
  const place = (size) => (size > 0 ? Math.min(1, Math.max(0, (Math.log10(size) - LOW) / (HIGH - LOW))) : 0);
  const width = (size, base = 5.2) => 0.8 + base * place(size);
  function colour(size, state) {
    const colours = ramps[state ? "state" : "gradient"],
      where = place(size) * (colours.length - 1),
      k = Math.min(Math.floor(where), colours.length - 2);
    return between(colours[k], colours[k + 1], where - k);
  }
  /** The colour of a value: blue above 0, orange below; as strong as it is large. */
  function heat(x, largest) {
    if (!Number.isFinite(x)) return "rgb(154,165,177)";
    const part = largest > 0 ? Math.min(1, Math.abs(x) / largest) : 0;
    return between(
      dark ? "#1a2129" : "#FFFFFF",
      x > 0 ? (dark ? "#2E7FB8" : "#6FAEDF") : dark ? "#B5662A" : "#F2A25C",
      part,
    );
  }
  const inkOn = (fill) => {
    const [r, g, b] = fill.match(/\d+/g);
    return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#1F2933" : "#FFFFFF";
  };

  // ── edges, values and what can be chosen ─────────────────────────────────────────────────────

  /** A way through points, bent round at corners, with an arrow in the forward direction. `mode`: cut, pending, or on. */
  function edge(points, size, { state = false, mode = "on", arrow = true, base = 5.2 } = {}) {
    const w = mode === "on" ? width(size, base) : 1.4,
      tip = arrow ? 4.5 + 1.25 * w : 0;
    const paths = points.map((p) => [...p]);
    const [[ax, ay], [bx, by]] = paths.slice(-2),
      length = Math.hypot(bx - ax, by - ay) || 1,
      dx = (bx - ax) / length,
      dy = (by - ay) / length;
    if (arrow) {
      paths[paths.length - 1] = [bx - dx * tip * 0.8, by - dy * tip * 0.8];
    }
    let d = `M${paths[0].join(" ")}`;
    for (let k = 1; k < paths.length - 1; k++) {
      const [p, q, r] = [paths[k - 1], paths[k], paths[k + 1]];
      const toward = (from, to) => {
        const l = Math.hypot(to[0] - from[0], to[1] - from[1]),
          s = Math.min(9, l / 2) / l;
        return [from[0] + (to[0] - from[0]) * s, from[1] + (to[1] - from[1]) * s];
      };
      d += `L${toward(q, p).join(" ")}Q${q.join(" ")} ${toward(q, r).join(" ")}`;
    }
    d += `L${paths[paths.length - 1].join(" ")}`;
    if (mode === "cut") {
      const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
      return [svg("path", { d, class: "cut" }), text(mx, my + 4, "✂", { size: 12, anchor: "middle", kind: "t-muted" })];
    }
    if (mode === "pending") return [svg("path", { d, class: "pending" })];
    const paintOf = colour(size, state),
      half = 2.4 + 0.78 * w;
    const drawn = [svg("path", { d, fill: "none", stroke: paintOf, "stroke-width": w.toFixed(2) })];
    if (arrow)
      drawn.push(
        svg("path", {
          fill: paintOf,
          d: `M${bx} ${by}L${bx - dx * tip - dy * half} ${by - dy * tip + dx * half}L${bx - dx * tip + dy * half} ${by - dy * tip - dx * half}Z`,
        }),
      );
    return drawn;
  }

  const isChosen = (model, what) => ["row", "role", "t", "gate"].every((key) => model.chosen[key] === what[key]);

  /** Something whose gradient can be chosen: its drawing under a ring that shows focus and choice. */
  function pick(model, what, [x, y, w, h], label, children, focusable = true) {
    return svg(
      "g",
      {
        class: `pick${isChosen(model, what) ? " chosen" : ""}`,
        "data-row": what.row,
        "data-role": what.role,
        "data-t": what.t,
        "data-gate": what.gate,
        id: focusable ? `pick-${what.role}-${what.gate ?? ""}${what.t - model.t}` : null,
        ...(focusable
          ? { tabindex: 0, role: "button", "aria-label": label, "aria-pressed": isChosen(model, what) }
          : {}),
      },
      svg("title", {}, label),
      children,
      svg("rect", { class: "ring", x, y, width: w, height: h, rx: 6 }),
    );
  }

  const said = (role, t, size) => `gradient of the ${IN_WORDS[role] ?? role} at step ${t}: ${number(size)}`;

  // ── the strip ────────────────────────────────────────────────────────────────────────────────

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

  function ends(model, row, index, { left, end }, lanes) {
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

  const modeOf = (model, path, size) => ((model.paths[path] ?? 1) === 0 ? "cut" : "on");

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
      ...ends(model, row, index, { left, end }, [
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
      for (const k of Engine.GATES[cell.kind]) into[k] = at(edges[`h -> ${k}`], t - 1, n);
      const written = norm(into.i.map((v, j) => v + into.g[j]));
      const z = norm(at(back.h, t - 1, n).map((v, j) => v - at(edges["h -> L"], t - 1, n)[j]));
      const cutWrite = (model.paths["h -> i"] ?? 1) === 0 && (model.paths["h -> g"] ?? 1) === 0 ? "cut" : "on";
      const cutAll = Engine.GATES[cell.kind].every((k) => (model.paths[`h -> ${k}`] ?? 1) === 0) ? "cut" : "on";
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
              edge(
                [
                  [before, yC],
                  [xf - r, yC],
                ],
                size(edges["c -> c"], t - 1),
                { state: true, mode: modeOf(model, "c -> c") },
              ),
              edge(
                [
                  [xf + r, yC],
                  [xg - r, yC],
                ],
                dc,
                { state: true },
              ),
            ]
          : edge(
              [
                [before, yC],
                [xg - r, yC],
              ],
              size(edges["c -> c"], t - 1),
              { state: true, mode: modeOf(model, "c -> c") },
            ),
        edge(
          [
            [xg + r, yC],
            [xe, yC],
            [xe, yG - r],
          ],
          size(edges["c -> h"], t),
          { mode: modeOf(model, "c -> h") },
        ),
        t < T
          ? edge(
              [
                [xg + r, yC],
                [x + 0.89 * w, yC],
              ],
              size(edges["c -> c"], t),
              { state: true, arrow: false, mode: modeOf(model, "c -> c") },
            )
          : null,
        edge(
          [
            [t === 1 ? 46 : x - 0.12 * w, yH],
            [xz - 5, yH],
          ],
          z,
          { mode: cutAll },
        ),
        Object.entries(into)
          .map(([k, v]) => [k, k === "i" || k === "g" ? written : norm(v)])
          .filter(([k]) => k !== "g")
          .sort((a, b) => a[1] - b[1])
          .map(([k, s]) =>
            edge(
              [
                [xz + 5, yH],
                [{ f: xf, i: xg, o: xo }[k], yH],
                [{ f: xf, i: xg, o: xo }[k], yG + 10],
              ],
              s,
              { mode: k === "i" ? cutWrite : modeOf(model, `h -> ${k}`), base: 4 },
            ),
          ),
        cell.kind === "lstm"
          ? edge(
              [
                [xf, yG - 10],
                [xf, yC + 8],
              ],
              size(back.f, t),
              { base: 4 },
            )
          : null,
        edge(
          [
            [xg, yG - 10],
            [xg, yC + 8],
          ],
          dc,
          { base: 4 },
        ),
        edge(
          [
            [xo + half, yG],
            [xe - r, yG],
          ],
          size(back.o, t),
          { base: 3 },
        ),
        edge(
          [
            [xe, yG + r],
            [xe, yH],
            [t === T ? end + 22 : x + w, yH],
          ],
          dh,
          { arrow: t === T },
        ),
        edge(
          [
            [xz, yX - 11],
            [xz, yH + 5],
          ],
          norm(at(back.x, t, m)),
          { base: 4 },
        ),
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
              edge(
                [
                  [x + 0.97 * w, yH],
                  [x + 0.97 * w, yH - 20],
                ],
                size(edges["h -> L"], t),
              ),
              text(x + 0.97 * w, yH - 24, "L", { anchor: "middle", size: 10, kind: "bold" }),
            ]
          : null,
      ];
      drawn.push(svg("g", { class: faded(model, index, t), "data-step": t, "data-row": index }, step.flat(3)));
    }
    return drawn;
  }

  const faded = (model, index, t) =>
    model.traced && model.chosen.row === index && t < model.chosen.t ? "column faded" : "column";
  const circle = (x, y, sign, r = 8) => [
    svg("circle", { cx: x, cy: y, r, class: "op" }),
    text(x, y + r * 0.48, sign, { anchor: "middle", size: r * 1.5 }),
  ];

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
      drawn = [rowTitle(model, row, y + 13), ...ends(model, row, index, { left, end }, [["h", yH]])];
    for (let t = 1; t <= T; t++) {
      const x = left + (t - 1) * w,
        xz = x + 0.1 * w,
        xa = x + 0.5 * w,
        dh = size(back.h, t),
        z = size(edges["h -> h"], t - 1),
        mode = modeOf(model, "h -> h");
      drawn.push(
        svg(
          "g",
          { class: faded(model, index, t), "data-step": t, "data-row": index },
          [
            svg("rect", {
              x: x + 3,
              y: y + 22,
              width: w - 6,
              height: 72,
              rx: 9,
              class: `step-box${t === model.t ? " chosen" : ""}`,
            }),
            edge(
              [
                [t === 1 ? 46 : x - 0.3 * w, yH],
                [xz - 5, yH],
              ],
              z,
              { mode },
            ),
            edge(
              [
                [xz + 5, yH],
                [xa - 20, yH],
              ],
              Math.hypot(z, norm(at(back.x, t, m))),
              { mode },
            ),
            edge(
              [
                [xa + 19, yH],
                [t === T ? end + 22 : x + 0.7 * w, yH],
              ],
              t === T ? size(edges["h -> L"], T) : dh,
              { arrow: t === T },
            ),
            edge(
              [
                [xz, yX - 11],
                [xz, yH + 5],
              ],
              norm(at(back.x, t, m)),
              { base: 4 },
            ),
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
                  edge(
                    [
                      [x + 0.97 * w, yH],
                      [x + 0.97 * w, yH - 16],
                    ],
                    size(edges["h -> L"], t),
                  ),
                  text(x + 0.97 * w, yH - 19, "L", { anchor: "middle", size: 10, kind: "bold" }),
                ]
              : null,
          ].flat(3),
        ),
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
      lstm = !!back.c;
    const lanes = lstm
        ? [
            ["c", y + 54, "c -> c"],
            ["h", y + 92, null],
          ]
        : [["h", y + 54, "h -> h"]],
      every = Math.max(1, Math.ceil(52 / w));
    const drawn = [rowTitle(model, row, y + 13), ...ends(model, row, index, { left, end }, lanes)];
    const low = lanes[lanes.length - 1][1] + 24;
    for (let t = 1; t <= T; t++) {
      const x = left + (t - 0.5) * w,
        column = [];
      for (const [role, yy, path] of lanes) {
        const size = norm(at(back[role], t, n)),
          state = role === "c";
        const sum = role === "c" ? edges["c -> c"] : null;
        const from = t === 1 ? 46 : x - w + half;
        const came = sum
          ? norm(at(sum, t - 1, n))
          : norm(at(back.h, t - 1, n).map((v, j) => v - at(edges["h -> L"], t - 1, n)[j]));
        const fill = colour(size, state),
          cutAll = path
            ? modeOf(model, path)
            : Engine.GATES[cell.kind].every((k) => (model.paths[`h -> ${k}`] ?? 1) === 0)
              ? "cut"
              : "on";
        column.push(
          edge(
            [
              [from, yy],
              [x - half, yy],
            ],
            came,
            { state, base: 4, arrow: w >= 34, mode: cutAll },
          ),
        );
        column.push(
          pick(
            model,
            { row: index, role, t },
            [x - half - 1, yy - half - 1, 2 * half + 2, 2 * half + 2],
            said(role, t, size),
            [
              svg("rect", {
                x: x - half,
                y: yy - half,
                width: 2 * half,
                height: 2 * half,
                rx: half * 0.5,
                fill,
                stroke: t === model.t ? "var(--ink)" : "none",
                "stroke-width": 2,
              }),
              half >= 8 ? text(x, yy + 3.5, String(t), { anchor: "middle", size: half >= 11 ? 10 : 8 }) : null,
            ],
            false,
          ),
        );
        if (half >= 8) column[column.length - 1].querySelector("text").setAttribute("fill", inkOn(fill));
        if ((role === "c" || !lstm) && ((T - t) % every === 0 || t === model.t)) {
          if (t === model.t || Math.abs(t - model.t) >= every)
            column.push(
              text(x, yy - half - 6, number(size), {
                anchor: "middle",
                size: 10,
                kind: `${state ? "t-state" : "t-gradient"}${t === model.t ? " bold" : ""}`,
              }),
            );
        }
      }
      if (lstm)
        column.push(
          edge(
            [
              [x, lanes[0][1] + half],
              [x, lanes[1][1] - half],
            ],
            norm(at(edges["c -> h"], t, n)),
            { base: 3, arrow: false, mode: modeOf(model, "c -> h") },
          ),
        );
      if (index === model.rows.length - 1 || model.rows.length === 1)
        column.push(upright(model.tokens[t - 1], x, low, w, t === model.t));
      drawn.push(svg("g", { class: faded(model, index, t), "data-step": t, "data-row": index }, column.flat(3)));
    }
    drawn.push(
      edge(
        [
          [left + (T - 0.5) * w + half, low - 24],
          [end + 22, low - 24],
        ],
        norm(at(edges["h -> L"], T, n)),
        {},
      ),
    );
    return drawn;
  }

  function upright(content, x, y, w, strong) {
    const label = clip(shown(content), w >= 44 ? Math.floor(w / 7) : 9);
    const element = text(x, w >= 44 ? y + 4 : y, label, {
      anchor: w >= 44 ? "middle" : "end",
      size: 10.5,
      kind: strong ? "bold" : "t-muted",
    });
    if (w < 44) element.setAttribute("transform", `rotate(-60 ${x} ${y})`);
    return element;
  }

  function legend() {
    const drawn = [
      text(0, 10, "cell state", { size: 10.5, kind: "t-muted" }),
      text(0, 24, "any other", { size: 10.5, kind: "t-muted" }),
    ];
    for (let k = 0; k < 5; k++) {
      const size = 10 ** (LOW + (k * (HIGH - LOW)) / 4),
        x = 70 + k * 74,
        label = k === 4 ? "≥ 1" : `${k ? "" : "≤ "}${number(size, 1).replace("1·", "")}`;
      for (const [y, state] of [
        [6, true],
        [20, false],
      ]) {
        drawn.push(
          svg("line", { x1: x, x2: x + 28, y1: y, y2: y, stroke: colour(size, state), "stroke-width": width(size) }),
        );
      }
      drawn.push(text(x + 33, 17, label, { size: 10.5, kind: "t-muted" }));
    }
    return [
      svg("svg", { width: 445, height: 28, viewBox: "0 0 445 28", "aria-hidden": "true" }, drawn),
      html(
        "span",
        {},
        "Width, colour and number: norm of the gradient that came back along an edge; one scale for everything. Arrows point forward.",
      ),
    ];
  }

  // ── inside one step ──────────────────────────────────────────────────────────────────────────

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
    }).flat();
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
      gates = Engine.GATES[cell.kind];
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
    const when = (reached, path) => (!reached ? "pending" : path && (model.paths[path] ?? 1) === 0 ? "cut" : "on");
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
        edge(
          [
            [118, yC],
            [X.f - 13, yC],
          ],
          size(edges["c -> c"], t - 1),
          { state: true, mode: when(at6, "c -> c") },
        ),
        edge(
          [
            [X.f + 13, yC],
            [X.g - 13, yC],
          ],
          dc,
          { state: true, mode: when(at6) },
        ),
      );
      drawn.push(
        edge(
          [
            [X.f, yN - 15],
            [X.f, yC + 13],
          ],
          size(back.f, t),
          { mode: when(at6) },
        ),
        label(X.f + 8, 148, size(back.f, t), at6),
      );
    } else
      drawn.push(
        edge(
          [
            [118, yC],
            [X.g - 13, yC],
          ],
          size(edges["c -> c"], t - 1),
          { state: true, mode: when(at6, "c -> c") },
        ),
      );
    drawn.push(
      label(210, yC - 13, size(edges["c -> c"], t - 1), at6, { anchor: "middle", kind: "t-state" }),
      label((X.f + X.g) / 2, yC - 13, dc, at6, { anchor: "middle", kind: "t-state" }),
    );
    drawn.push(
      edge(
        [
          [X.g + 13, yC],
          [882, yC],
        ],
        beyond ? size(edges["c -> c"], t) : null,
        { state: true, mode: beyond ? when(at4, "c -> c") : "pending" },
      ),
    );
    drawn.push(
      beyond
        ? label(704, yC - 13, size(edges["c -> c"], t), at4, { anchor: "middle", kind: "t-state" })
        : text(704, yC - 13, "read by nothing further on", { size: 10, anchor: "middle", kind: "t-muted" }),
    );
    // shown
    drawn.push(
      edge(
        [
          [xe - 18, yC],
          [xe, yC],
          [xe, yM - 14],
        ],
        size(edges["c -> h"], t),
        { mode: when(at5, "c -> h") },
      ),
      label(xe + 8, yC + 32, size(edges["c -> h"], t), at5),
    );
    drawn.push(
      edge(
        [
          [xe, yM + 14],
          [xe, yN - 13],
        ],
        size(back.shown, t),
        { mode: when(at5) },
      ),
      label(xe + 8, yM + 32, size(back.shown, t), at5),
    );
    drawn.push(
      edge(
        [
          [X.o + 24, yN],
          [xe - 13, yN],
        ],
        size(back.o, t),
        { mode: when(at5) },
      ),
      label((X.o + xe + 8) / 2, yN - 8, size(back.o, t), at5, { anchor: "middle" }),
    );
    drawn.push(
      edge(
        [
          [xe, yN + 13],
          [xe, yH],
          [882, yH],
        ],
        size(back.h, t),
        { mode: when(at4) },
      ),
      label(xe + 8, 300, size(back.h, t), at4),
    );
    // the candidate, let in
    drawn.push(
      edge(
        [
          [X.i, yN - 15],
          [X.i, yM],
          [X.g - 13, yM],
        ],
        size(back.i, t),
        { mode: when(at6) },
      ),
      label((X.i + X.g) / 2, yM - 8, size(back.i, t), at6, { anchor: "middle" }),
    );
    drawn.push(
      edge(
        [
          [X.g, yN - 15],
          [X.g, yM + 13],
        ],
        size(back.g, t),
        { mode: when(at6) },
      ),
      label(X.g + 8, yM + 34, size(back.g, t), at6),
    );
    drawn.push(
      edge(
        [
          [X.g, yM - 13],
          [X.g, yC + 13],
        ],
        dc,
        { mode: when(at6) },
      ),
      label(X.g + 8, yC + 38, dc, at6),
    );
    // the gates read [h, x]
    const reads = gates.map((k) => {
      const x = Engine.pulled(cell, k, "x", at(back.a[k], t, n), new Float64Array(m));
      return [k, Math.hypot(size(edges[`h -> ${k}`], t - 1), norm(x))];
    });
    for (const [k, s] of [...reads].sort((a, b) => a[1] - b[1]))
      drawn.push(
        edge(
          [
            [cat + 13, yH],
            [X[k], yH],
            [X[k], yW + 13],
          ],
          s,
          { mode: when(at7) },
        ),
      );
    for (const [k, s] of reads) drawn.push(label(X[k] + 8, yW + 34, s, at7));
    const state = norm(at(back.h, t - 1, n).map((v, j) => v - at(edges["h -> L"], t - 1, n)[j]));
    const cutAll = gates.every((k) => (model.paths[`h -> ${k}`] ?? 1) === 0);
    drawn.push(
      edge(
        [
          [118, yH],
          [cat - 13, yH],
        ],
        state,
        { mode: at7 && cutAll ? "cut" : when(at7) },
      ),
      label(146, yH - 10, state, at7, { anchor: "middle" }),
    );
    drawn.push(
      edge(
        [
          [cat, bottom],
          [cat, yH + 13],
        ],
        size2(back.x, t, m),
        { mode: when(at7) },
      ),
    );
    const z = norm(Float64Array.from([...at(run.h, t - 1, n), ...model.xs[t - 1]]));
    for (const k of gates) {
      const a = size(back.a[k], t),
        x = X[k],
        W = z * a;
      drawn.push(
        edge(
          [
            [x, yW - 13],
            [x, yB + 13],
          ],
          a,
          { mode: when(at7) },
        ),
        edge(
          [
            [x, yB - 13],
            [x, yN + 15],
          ],
          a,
          { mode: when(at7) },
        ),
      );
      drawn.push(
        edge(
          [
            [x - 30, yW],
            [x - 13, yW],
          ],
          W,
          { mode: when(at7), base: 3 },
        ),
        edge(
          [
            [x - 30, yB],
            [x - 13, yB],
          ],
          a,
          { mode: when(at7), base: 3 },
        ),
      );
      drawn.push(
        weight(model, k, "W", x - 106, yW, W, at7),
        weight(model, k, "b", x - 106, yB, a, at7),
        circle(x, yB, "+", 12),
        circle(x, yW, "@", 12),
      );
      drawn.push(nonlinear(model, k, x, yN, at(run[k], t, n), size(back[k], t), k === "o" ? at5 : at6));
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
      drawn.flat(4),
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

  function nonlinear(model, k, x, y, vector, size, traced) {
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
    const when = (reached, path) => (!reached ? "pending" : path && (model.paths[path] ?? 1) === 0 ? "cut" : "on");
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
      edge(
        [
          [118, yH],
          [cat - 13, yH],
        ],
        state,
        { mode: when(at7, "h -> h") },
      ),
      label(146, yH - 10, state, at7),
      edge(
        [
          [cat, bottom],
          [cat, yH + 13],
        ],
        x,
        { mode: when(at7) },
      ),
      edge(
        [
          [cat + 13, yH],
          [xw - 13, yH],
        ],
        Math.hypot(state, x),
        { mode: when(at7) },
      ),
      label((cat + xw) / 2, yH - 10, Math.hypot(state, x), at7),
      edge(
        [
          [xw + 13, yH],
          [xb - 13, yH],
        ],
        a,
        { mode: when(at7) },
      ),
      label((xw + xb) / 2, yH - 10, a, at7),
      edge(
        [
          [xb + 13, yH],
          [xh - 24, yH],
        ],
        a,
        { mode: when(at7) },
      ),
      edge(
        [
          [xh + 24, yH],
          [882, yH],
        ],
        size(back.h, t),
        { mode: when(at4) },
      ),
      label(812, yH - 10, size(back.h, t), at4),
      edge(
        [
          [xw, 90],
          [xw, yH - 13],
        ],
        W,
        { mode: when(at7), base: 3 },
      ),
      edge(
        [
          [xb, 90],
          [xb, yH - 13],
        ],
        a,
        { mode: when(at7), base: 3 },
      ),
      weight(model, "h", "W", xw - 38, 76, W, at7),
      weight(model, "h", "b", xb - 38, 76, a, at7),
      circle(xw, yH, "@", 12),
      circle(xb, yH, "+", 12),
      nonlinear(model, "h", xh, yH, at(run.h, t, n), size(back.h, t), at4),
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
      drawn.flat(4),
    );
  }

  // ── charts ───────────────────────────────────────────────────────────────────────────────────

  /** The logarithm of the gradient against the step, with closed forms. */
  function decay(model, room) {
    const { T } = model,
      w = Math.max(300, room),
      h = Math.min(360, Math.max(240, 0.5 * w)),
      left = 46,
      right = w < 480 ? 16 : 150,
      top = 12,
      low = 34;
    const lines = model.lines.filter((line) => line.sizes.some((s) => s > 0));
    const logs = lines
      .filter((line) => !line.thin)
      .flatMap((line) => line.sizes.filter((s) => s > 0 && Number.isFinite(s)).map(Math.log10));
    const high = Math.max(1, Math.ceil(Math.max(0, ...logs))),
      floor = Math.max(high - 40, Math.min(-3, Math.floor(Math.min(0, ...logs))));
    const x = (t) => left + ((w - left - right) * t) / Math.max(T, 1),
      y = (size) => top + ((h - top - low) * (high - Math.max(floor, Math.log10(size)))) / (high - floor);
    const drawn = [],
      every = Math.max(1, Math.ceil((high - floor) / 8));
    for (let k = floor; k <= high; k++) {
      if ((k - high) % every) continue;
      drawn.push(
        svg("line", { x1: left, x2: w - right, y1: y(10 ** k), y2: y(10 ** k), class: "grid" }),
        text(left - 6, y(10 ** k) + 4, k === 0 ? "1" : k === 1 ? "10" : number(10 ** k, 1).replace("1·", ""), {
          anchor: "end",
          size: 10.5,
          kind: "t-muted",
        }),
      );
    }
    const marks = Math.max(1, Math.ceil(T / Math.max(2, Math.floor((w - left - right) / 44))));
    for (let t = 0; t <= T; t += marks)
      drawn.push(text(x(t), h - low + 16, String(t), { anchor: "middle", size: 10.5, kind: "t-muted" }));
    drawn.push(text((left + w - right) / 2, h - 4, "step", { anchor: "middle", size: 10.5, kind: "t-muted" }));
    const taken = lines.filter((line) => !line.thin).map((line) => y(line.sizes[0]));
    for (const line of lines) {
      let d = "";
      line.sizes.forEach((s, t) => {
        if (s > 0 && Number.isFinite(s) && t >= line.from) d += `${d ? "L" : "M"}${x(t).toFixed(1)} ${y(s).toFixed(1)}`;
      });
      drawn.push(svg("path", { d, class: line.kind }, svg("title", {}, line.label)));
      if (right < 100) continue;
      const first = line.sizes.findIndex((s, t) => s > 0 && t >= line.from),
        place = line.thin ? [x(first) + 4, y(line.sizes[first])] : null;
      if (
        place &&
        place[1] < h - low - 2 &&
        place[0] < left + 10 &&
        !taken.some((other) => Math.abs(other - place[1]) < 12)
      ) {
        drawn.push(text(place[0], place[1] - 3, line.label, { size: 9, kind: "t-muted" }));
        taken.push(place[1]);
      }
    }
    const cursor = x(model.t);
    drawn.push(svg("line", { x1: cursor, x2: cursor, y1: top, y2: h - low, class: "cursor" }));
    for (const line of lines.filter((l) => l.strong)) {
      const s = line.sizes[model.t];
      if (!(s > 0)) continue;
      drawn.push(
        line.strong === "subject"
          ? svg("circle", { cx: cursor, cy: y(s), r: 5, fill: "var(--state)" })
          : svg("rect", { x: cursor - 4.5, y: y(s) - 4.5, width: 9, height: 9, fill: "var(--gradient)" }),
      );
    }
    // A key with the numbers at the chosen step: line, name, value.
    const key = lines.filter((line) => !line.thin);
    const keyed = key.map((line, k) => {
      const yy = right < 100 ? 0 : top + 8 + k * 38;
      return right < 100
        ? null
        : [
            svg("path", { d: `M${w - right + 12} ${yy}h26`, class: line.kind }),
            line.strong === "subject"
              ? svg("circle", { cx: w - right + 25, cy: yy, r: 4, fill: "var(--state)" })
              : line.strong
                ? svg("rect", { x: w - right + 21.5, y: yy - 3.5, width: 7, height: 7, fill: "var(--gradient)" })
                : null,
            text(w - right + 44, yy + 4, line.short, { size: 10.5, kind: "bold" }),
            text(w - right + 44, yy + 18, number(line.sizes[model.t]), { size: 10.5, kind: "t-muted" }),
          ];
    });
    const sentence = key.map((line) => `${line.label}: ${number(line.sizes[model.t])} at step ${model.t}`).join("; ");
    const picture = svg(
      "svg",
      { width: w, height: h, viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": sentence },
      drawn.flat(3),
      keyed.flat(3),
    );
    picture.dataset.left = left;
    picture.dataset.right = right;
    if (right >= 100) return [picture];
    return [
      picture,
      html(
        "ul",
        { class: "key" },
        key.map((line) =>
          html(
            "li",
            {},
            svg(
              "svg",
              { width: 34, height: 12, viewBox: "0 0 34 12", "aria-hidden": "true" },
              svg("path", { d: "M2 6h30", class: line.kind }),
            ),
            ` ${line.label}: ${number(line.sizes[model.t])}`,
          ),
        ),
      ),
    ];
  }

  /** Signed shares of the gradient by number of detours; they add up to 1. Filled: times z to the power of k. */
  function detours(model, room) {
    const { parts, z } = model.split,
      w = Math.max(280, room),
      h = 236,
      left = 40,
      top = 18,
      low = 34,
      n = parts.length;
    const whole = parts[0].map((_, j) => parts.reduce((sum, part) => sum + part[j], 0)),
      size = norm(whole);
    if (!(size >= Engine.TINY))
      return svg(
        "svg",
        { width: w, height: 40, role: "img", "aria-label": "nothing to split" },
        text(0, 24, "nothing to split", { kind: "t-muted", size: 12 }),
      );
    const shares = parts.map((part) =>
      Engine.dot(
        part.map((v) => v / size),
        whole.map((v) => v / size),
      ),
    );
    const most = Math.max(1, ...shares),
      least = Math.min(-0.25, ...shares),
      y = (s) => top + ((h - top - low) * (most - s)) / (most - least),
      column = (w - left - 6) / n;
    const step = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e3, 1e4, 1e6].find((s) => (most - least) / s <= 7) ?? 1e8,
      drawn = [];
    for (let s = Math.ceil(least / step) * step; s <= most + 1e-9; s += step)
      drawn.push(
        svg("line", { x1: left, x2: w, y1: y(s), y2: y(s), class: Math.abs(s) < 1e-9 ? "axis" : "grid" }),
        text(left - 5, y(s) + 4, number(Math.abs(s) < 1e-9 ? 0 : s), { anchor: "end", size: 10, kind: "t-muted" }),
      );
    shares.forEach((share, k) => {
      const x = left + k * column + column * 0.16,
        wide = column * 0.68,
        last = k === n - 1,
        factor = last && z < 1 && z > 0 ? null : z === 1 || k === 0 ? 1 : z ** k;
      const bar = (s, kind) =>
        svg("rect", { x, width: wide, y: Math.min(y(0), y(s)), height: Math.abs(y(s) - y(0)), class: kind });
      if (factor !== 1) drawn.push(bar(share, "bar-outline"));
      if (factor !== null) drawn.push(bar(share * factor, k === 0 ? "bar" : "bar detour"));
      drawn.push(
        text(x + wide / 2, share < 0 ? y(share) + 12 : y(share) - 4, signed(share), {
          anchor: "middle",
          size: column < 34 ? 8 : 10,
        }),
      );
      drawn.push(
        text(x + wide / 2, h - low + 16, last ? `>${n - 2}` : String(k), {
          anchor: "middle",
          size: 11,
          kind: k === 0 ? "bold t-state" : "",
        }),
      );
    });
    drawn.push(
      text(left + (w - left) / 2, h - 3, "detours: how often a path crosses from h into the gates", {
        anchor: "middle",
        size: 10.5,
        kind: "t-muted",
      }),
    );
    return svg(
      "svg",
      {
        width: w,
        height: h,
        viewBox: `0 0 ${w} ${h}`,
        role: "img",
        "aria-label": `shares by detours: ${shares.map((s, k) => `${k === n - 1 ? "more" : k}: ${signed(s)}`).join(", ")}`,
      },
      drawn,
    );
  }

  // ── heat maps ────────────────────────────────────────────────────────────────────────────────

  /** Gates, candidate, cell and hidden state of every unit at every step; beside them the chosen step in numbers. */
  function heatMaps(model, room) {
    const { row, T, t, notation } = model,
      { run, cell } = row,
      { n } = cell,
      roles = cell.kind === "rnn" ? ["h"] : [...Engine.GATES[cell.kind], "c", "h"];
    const unit = n > 16 ? 3 : n > 8 ? 7 : 13,
      gap = 10,
      left = 96,
      right = n <= 8 ? 54 : 60,
      head = 58,
      w = Math.max(280, room),
      column = Math.max(1, (w - left - right) / T);
    const total = left + column * T + right,
      height = head + roles.length * (n * unit + gap),
      ratio = Math.min(3, window.devicePixelRatio || 1);
    const canvas = html("canvas", {
      width: Math.round(column * T * ratio),
      height: Math.round((height - head) * ratio),
      "aria-hidden": "true",
    });
    canvas.style.cssText = `position:absolute;left:${left}px;top:${head}px;width:${column * T}px;height:${height - head}px`;
    const context = canvas.getContext("2d"),
      drawn = [];
    context.scale(ratio, ratio);
    roles.forEach((role, k) => {
      const values = run[role],
        y = k * (n * unit + gap);
      let largest = 1;
      if (role === "c") for (const v of values) largest = Math.max(largest, Math.abs(v));
      for (let s = 1; s <= T; s++) {
        for (let j = 0; j < n; j++) {
          context.fillStyle = heat(values[s * n + j], largest);
          context.fillRect((s - 1) * column, y + j * unit, column - (column > 8 ? 1 : 0), unit - (unit > 6 ? 1 : 0));
        }
      }
      const middle = head + y + (n * unit) / 2,
        now = at(values, t, n),
        mean = now.reduce((a, b) => a + b, 0) / n;
      drawn.push(
        text(
          2,
          middle - 1,
          role === "h" && cell.kind === "rnn"
            ? name(notation, "h", "t")
            : role === "c" || role === "h"
              ? name(notation, role, "t")
              : gate(notation, role),
          { size: 13, kind: "bold", rich: true },
        ),
      );
      drawn.push(text(2, middle + 12, IN_WORDS[role], { size: 9.5, kind: "t-muted" }));
      if (unit >= 11)
        Array.from(now).forEach((v, j) =>
          drawn.push(text(total - right + 6, head + y + j * unit + 10, signed(v), { size: 9.5 })),
        );
      else
        drawn.push(
          text(total - right + 6, middle, `mean`, { size: 9.5, kind: "t-muted" }),
          text(total - right + 6, middle + 12, signed(mean), { size: 9.5 }),
        );
    });
    const every = Math.max(1, Math.ceil(13 / column));
    for (let s = 1; s <= T; s++) {
      if (s !== t && ((s - 1) % every || Math.abs(s - t) < every)) continue;
      const label = upright(
        model.tokens[s - 1],
        left + (s - 0.5) * column + (column < 44 ? 3 : 0),
        column < 44 ? head - 6 : head - 12,
        column,
        s === t,
      );
      if (column < 44) label.setAttribute("text-anchor", "start");
      drawn.push(label);
    }
    drawn.push(
      svg("rect", {
        x: left + (t - 1) * column - 1,
        y: head - 2,
        width: column + 1,
        height: height - head - gap + 3,
        fill: "none",
        stroke: "var(--ink)",
        "stroke-width": 2,
      }),
    );
    const overlay = svg(
      "svg",
      {
        width: total,
        height,
        viewBox: `0 0 ${total} ${height}`,
        role: "img",
        "aria-label": `values of step ${t}: ${roles.map((role) => `${IN_WORDS[role]} ${n <= 8 ? Array.from(at(run[role], t, n), signed).join(" ") : `mean ${signed(at(run[role], t, n).reduce((a, b) => a + b, 0) / n)}`}`).join("; ")}`,
      },
      drawn,
    );
    overlay.classList.add("over");
    overlay.dataset.left = left;
    overlay.dataset.column = column;
    const box = html("div", { class: "maps" }, canvas, overlay);
    box.style.cssText = `position:relative;width:${total}px;height:${height}px`;
    return box;
  }

  return { scaleTo, svg, html, richly, richlyPlain, paint, strip, legend, inside, decay, detours, heatMaps };
})();
