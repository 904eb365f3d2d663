"use strict";
// The unrolled strip: one row above another, every step open where there is room, else one box a state.

const Strip = (() => {
  const { number, name, shown, clip } = Writing;
  const { at, norm } = Engine;
  const { svg, frame, text, colour, inkOn, edge, modeOf, came, isChosen, pick, upright } = Shapes;
  const LEFT = 60,
    RIGHT = 56,
    NARROW = 24, // what can be pointed at is no smaller
    TRACK = 5.5;

  /** The states of a row in the order in which they stand: those with a direct path above. */
  const lanes = (cell) => [...cell.states.keys()].sort((a, b) => (cell.direct[b] != null) - (cell.direct[a] != null));
  const lane = (cell, s) => cell.direct[s] != null;

  /** How wide a step is. */
  const columnOf = (room, T) => Math.min(240, Math.max((room - LEFT - RIGHT) / T, NARROW));

  function strip(model, room) {
    const { T } = model, column = columnOf(room, T), drawn = [],
      open = column >= Math.max(...model.rows.map(({ cell }) => 3.2 * cell.picture.width)), end = LEFT + column * T;
    let y = 4;
    model.rows.forEach((row, index) => {
      const last = index === model.rows.length - 1, place = { y, column, end };
      drawn.push((open ? opened : compact)(model, row, index, place));
      y += open
        ? 94 + TRACK * row.cell.picture.height
        : 30 + 46 * row.cell.states.length + (last ? tokenRoom(model, column) : 0);
      y += last ? 0 : 6;
    });
    return frame(end + RIGHT, y, null, drawn);
  }

  /** The height that the tokens under a compact strip take. */
  function tokenRoom(model, column) {
    if (column >= 44) return 22;
    return 16 + 5.6 * Math.min(9, Math.max(...model.tokens.map((token) => Array.from(token).length)));
  }

  /** The cell, what one step back along its main state multiplies by in words, and as it was measured. */
  function rowTitle(model, row, y) {
    const by = Engine.factor(row.sizes), { cell } = row, words = Writing.direct(cell, model.notation, cell.main),
      state = Writing.plain(name(cell, model.notation, cell.states[cell.main]));
    const element = svg("text", { x: 2, y, "font-size": 13, class: "row-title" },
      svg("tspan", { class: "bold" }, Writing.capital(row.label)),
      svg("tspan", { class: "t-muted", dx: 10, "font-size": 11.5 }, row.note));
    if (by !== null && model.T > 1 && !model.everyStep)
      element.append(
        svg("tspan", { class: `bold ${row === model.rows[0] ? "t-state" : "t-gradient"}`, dx: 10 },
          `× ${number(by, 3)} a step back`)
      );
    const why = words === null
      ? `${state}: every way back crosses a weight`
      : `along ${state} alone: × ${/ [+−] /.test(words) ? `(${Writing.plain(words)})` : Writing.plain(words)}, no weight`;
    element.append(svg("tspan", { class: "t-muted", dx: 10, "font-size": 11.5 }, why));
    return element;
  }

  function ends(model, row, index, end, places) {
    const { cell } = row, drawn = [];
    for (const [s, y] of places) {
      const role = cell.states[s], kind = lane(cell, s) ? "lane" : "other",
        size = norm(at(row.back.d[cell.after[s]], 0, cell.n));
      drawn.push(
        pick(model, { row: index, role, t: 0 }, size, [2, y - 17, 44, 34], [
          svg("rect", { x: 2, y: y - 17, width: 44, height: 34, rx: 8, class: `v-${kind}` }),
          text(24, y - 2, name(cell, model.notation, role, 0), `middle 12 rich t-${kind} bold`),
          text(24, y + 12, number(size), "middle 9 t-gradient")
        ], false)
      );
    }
    const y = places.find(([s]) => s === 0)[1];
    drawn.push(edge([[end, y], [end + 22, y]], norm(at(row.back.loss, model.T, cell.n))),
      svg("rect", { x: end + 22, y: y - 15, width: 30, height: 30, rx: 8, class: "loss" }),
      text(end + 37, y + 5, "L", "middle 14 bold"));
    return drawn;
  }

  const faded = (model, index, t) =>
    model.traced && model.chosen.row === index && t < model.chosen.t ? "column faded" : "column";

  /** Every step as its picture, small. */
  function opened(model, row, index, { y, column: w, end }) {
    const { cell, back } = row, { T } = model, layout = cell.picture, top = y + 36,
      foot = top + TRACK * (layout.height - 1) + 10;
    const gridOf = (t) => {
      const x = LEFT + (t - 1) * w, dx = w / (layout.width - 1);
      return {
        large: false, dx, dy: TRACK, radius: Math.min(7.5, 1.55 * dx), band: 6, left: t === 1 ? 46 : x, right: x + w,
        bottom: foot + 14, at: ([i, j]) => [x + i * dx, top + j * TRACK],
        tip: (shape) => shape.kind === "gate" || shape.kind === "join" || (shape.kind === "op" && shape.lane)
      };
    };
    const placeOf = (s) =>
      gridOf(1).at(layout.shapes.find((shape) => shape.kind === "state" && shape.node === 1 + s).at)[1];
    const places = lanes(cell).map((s) => [s, placeOf(s)]);
    const drawn = [rowTitle(model, row, y + 13), ends(model, row, index, end, places)];
    for (let t = 1; t <= T; t++) {
      const x = LEFT + (t - 1) * w, size = norm(at(back.d[0], t, cell.m)),
        label = clip(shown(model.tokens[t - 1]), Math.max(2, Math.floor((w - 14) / 7.2))),
        xAt = gridOf(t).at(layout.shapes.find((shape) => shape.kind === "x").at)[0];
      const step = [
        svg("rect", { x: x + 3, y: y + 20, width: w - 6, height: foot - y - 16, rx: 9,
          class: `step-box${t === model.t ? " chosen" : ""}` }),
        Picture.small(model, row, t, gridOf(t)),
        pick(model, { row: index, role: "x", t }, size, [x + 4, foot + 14, w - 8, 26], [
          svg("rect", { x: x + 5, y: foot + 15, width: w - 10, height: 24, rx: 7, class: "v-x" }),
          text(x + w / 2, foot + 31, label, "middle 11.5"),
          text(xAt + 5, foot + 11, number(size), "9.5 t-x halo")
        ], false),
        places.map(([s, yy]) => {
          const role = cell.states[s], up = lane(cell, s), here = norm(at(back.d[cell.after[s]], t, cell.n)),
            low = up ? yy - 29 : yy + 4, left = !up && xAt > x + w / 2, // on the side of x's arrow that has more room
            kind = `${left ? "" : "end "}10.5 ${up ? "t-lane" : "t-gradient"}${s === cell.main ? " bold" : ""} halo`;
          return pick(model, { row: index, role, t }, here, [left ? x + 6 : x + w - 60, low, 54, 24], [
            text(left ? x + 9 : x + w - 9, low + 17, number(here), kind)
          ], false);
        }),
        model.everyStep && t < T ? text(x + w - 4, placeOf(0) - 8, "L", "end 10 bold") : null
      ];
      drawn.push(svg("g", { class: faded(model, index, t), "data-t": t, "data-row": index }, step));
    }
    return drawn;
  }

  /** One box a step and state, coloured by its gradient; numbers where there is room. */
  function compact(model, row, index, { y, column: w, end }) {
    const { back, cell } = row, { T } = model, half = Math.min(13, 0.36 * w), every = Math.max(1, Math.ceil(52 / w)); // steps from one number to the next
    const rows = lanes(cell).map((s, k) => {
      const later = cell.reads[cell.after[s]].filter(([, , more]) => more), role = cell.states[s];
      return { s, role, y: y + 54 + 46 * k, sizes: Engine.norms(back.d[cell.after[s]], cell.n), mode: modeOf(back, later),
        came: (t) => came(row, later, t) };
    });
    // What one state of a step is made of another one of the same step, as the h of an LSTM of its c.
    const inside = rows.flatMap((from) =>
      rows.filter((to) => to !== from).map((to) => {
        const all = cell.paths[`${from.role} -> ${to.role}`] ?? [];
        return [from, to, all.filter(([k, slot]) => cell.nodes[k].in[slot] === cell.after[from.s])];
      }).filter(([, , edges]) => edges.length)
    );
    const drawn = [rowTitle(model, row, y + 13), ends(model, row, index, end, rows.map(({ s, y }) => [s, y]))];
    for (let t = 1; t <= T; t++) {
      const x = LEFT + (t - 0.5) * w, now = t === model.t,
        numbered = now || ((T - t) % every === 0 && Math.abs(t - model.t) >= every);
      const column = [
        svg("title", {}, `step ${t}: ${
          rows.map(({ role, sizes }) => `${cell.words[role]} ${number(sizes[t])}`).join("; ")
        }`)
      ];
      rows.forEach(({ s, role, y, sizes, mode, came }, k) => {
        const state = lane(cell, s), fill = colour(sizes[t], state), chosen = isChosen(model, { row: index, role, t });
        column.push(
          edge([[t === 1 ? 46 : x - w + half, y], [x - half, y]], came(t), { state, base: 4, arrow: w >= 34, mode }),
          svg("rect", { x: x - half, y: y - half, width: 2 * half, height: 2 * half, rx: half * 0.5, fill,
            class: `box${chosen ? " chosen" : now ? " now" : ""}`, "data-role": role }),
          half >= 11 && text(x, y + 3.5, String(t), "middle 10", inkOn(fill)),
          k === 0
            && numbered
            && text(x, y - half - 6, number(sizes[t]),
              `middle 10 ${state ? "t-lane" : "t-gradient"}${now ? " bold" : ""}`)
        );
      });
      for (const [from, to, edges] of inside)
        column.push(
          edge([[x, from.y + Math.sign(to.y - from.y) * half], [x, to.y - Math.sign(to.y - from.y) * half]],
            came(row, edges, t), { base: 3, arrow: false, mode: modeOf(back, edges) })
        );
      if (index === model.rows.length - 1) column.push(upright(model.tokens[t - 1], x, rows.at(-1).y + 24, w, now));
      drawn.push(svg("g", { class: faded(model, index, t), "data-t": t, "data-row": index }, column));
    }
    return drawn;
  }

  return { strip, columnOf };
})();
