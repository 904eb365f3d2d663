"use strict";
// One step of any cell, drawn where its data says: large with every value and gradient, small as a part of the strip.

const Picture = (() => {
  const { number, signed, name, written, roleOf, shown, clip, plain } = Writing;
  const { at, norm } = Engine;
  const { svg, text, heat, inkOn, edge, modeOf, came, isChosen, pick } = Shapes;

  // ── phases: forward by the order in which values wait for each other, then back the other way ──

  const back = (cell, level) => 2 * cell.depth + 2 - level; // when a gradient passes back through values of a level
  /** When what came back along an edge is there. */
  const comes = (cell, [k]) => (k < 0 ? cell.depth + 1 : back(cell, cell.nodes[k].level));
  /** When the gradient of a value of the step is complete. */
  const complete = (cell, k) =>
    Math.max(cell.depth + 1,
      ...cell.reads[k].map(([reader, , later]) => (later ? 0 : back(cell, cell.nodes[reader].level))));

  // ── places ───────────────────────────────────────────────────────────────────────────────────

  const signOf = (shape) => shape.sign.replace(/(\d\.\d{3})\d+/, "$1");

  /** How far a shape reaches from its middle. */
  function reach(shape, grid) {
    if (shape.kind === "gate")
      return [Math.min((grid.large ? 1.65 : 1.45) * grid.dx, 56),
        grid.large ? shape.half[1] * grid.dy + 2 : 2 * grid.dy - 2];
    if (shape.kind === "join" && !shape.sign) return [grid.radius / 2, grid.radius / 2];
    const wide = signOf(shape).length > 1 ? signOf(shape).length * grid.radius * 0.36 + 3 : 0;
    return [Math.max(grid.radius, grid.large ? wide : 0), grid.radius];
  }

  /** Where a wire begins inside a shape, or ends at its edge. */
  function end(shape, [px, py], grid, tip) {
    const [x, y] = grid.at(shape.at);
    if (shape.kind === "state") return [grid.left, py];
    if (shape.kind === "out") return [grid.right, py];
    if (shape.kind === "x") return [px, grid.bottom];
    const [w, h] = reach(shape, grid);
    if (Math.abs(py - y) > Math.abs(px - x) || Math.abs(px - x) < w) return [px, tip ? y + (py > y ? h : -h) : y];
    return [tip ? x + (px > x ? w : -w) : x, py];
  }

  function route(wire, shapes, grid, seen = false) { // from inside the shape where it begins, or from its edge
    const points = wire.path.map(grid.at), from = shapes[wire.from], to = shapes[wire.to];
    if (!points.length) points.push(grid.at(to.at)); // one that found no way goes straight
    if (from) points.unshift(end(from, points[0], grid, seen));
    if (to) points.push(end(to, points.at(-1), grid, true));
    const apart = ([x, y], k) => k === 0 || Math.hypot(x - points[k - 1][0], y - points[k - 1][1]) > 0.5;
    return points.filter(apart);
  }

  const covers = (grid, [x, y, level]) => (shape) => { // whether it lies where a number would
    const [cx, cy] = grid.at(shape.at), [w, h] = reach(shape, grid), left = level ? x - 24 : x + 8;
    return Math.abs(y - (level ? 10 : 0) - cy) < h + 8 && left < cx + w + 2 && left + 48 > cx - w - 2;
  };

  /** The lanes, then the wires, the strongest uppermost; with the numbers of those that are long enough. */
  function ways(model, row, t, layout, grid, phase) {
    const { cell } = row, drawn = layout.lanes.map((lane) => {
      const { at: place } = layout.shapes.find((shape) => shape.kind === "state" && shape.lane === lane);
      const [, y] = grid.at(place);
      return svg("rect", { x: grid.left, y: y - grid.band, width: grid.right - grid.left, height: 2 * grid.band,
        class: "band" });
    });
    const wires = layout.wires.map((wire) => {
      const there = wire.edges.filter((e) => comes(cell, e) <= phase);
      return { wire, there, size: there.length ? came(row, there, t) : null };
    });
    for (const { wire, there, size } of wires.sort((a, b) => a.size - b.size)) {
      const points = route(wire, layout.shapes, grid),
        last = t === row.run.T && wire.edges.every(([k, s]) => k < 0 && s !== 0), // nothing reads it further on
        mode = !there.length || last ? "pending" : modeOf(row.back, there);
      if (points.length < 2) continue; // it ends where it begins
      drawn.push(
        edge(points, size, { state: wire.lane, mode,
          arrow: wire.to !== null && (grid.large || grid.tip(layout.shapes[wire.to])), base: grid.large ? 5.2 : 4 })
      );
      if (!grid.large || !there.length || last) continue;
      const seen = route(wire, layout.shapes, grid, true);
      let [best, most] = [null, 0];
      seen.slice(1).forEach(([x, y], k) => {
        const [a, b] = seen[k], length = Math.abs(x - a) + Math.abs(y - b);
        const place = [(x + a) / 2, (y + b) / 2, Math.abs(x - a) > Math.abs(y - b)];
        if (length > most + 6 && !layout.shapes.some(covers(grid, place))) [best, most] = [place, length];
      });
      if (most < 42) continue;
      const [x, y, level] = best, shift = wire.lane && level ? 14 : 6;
      drawn.push(
        text(level ? x : x + 8, level ? y - shift : y + 4, number(size),
          `${level ? "middle" : "start"} 10 ${wire.lane ? "t-state" : "t-gradient"} halo`)
      );
    }
    return drawn;
  }

  // ── one step, large ──────────────────────────────────────────────────────────────────────────

  const compact = (v) =>
    v.toFixed(Math.abs(v) < 0.995 ? 2 : Math.abs(v) < 9.95 ? 1 : 0).replace("0.", ".").replace("-", "−");

  /** Heat cells with numbers, four beside each other, or without where there are many. */
  function values(vector, x, y, wide, height = 15) {
    const many = vector.length > 8, across = many ? vector.length : Math.min(4, vector.length), w = wide / across,
      largest = Math.max(1, ...vector.map(Math.abs));
    return Array.from(vector, (v, k) => {
      const cx = x + (k % across) * w, cy = y + Math.floor(k / across) * height, fill = heat(v, largest),
        cell = svg("rect", { x: cx, y: cy, width: w, height, fill });
      if (many) return cell;
      return [cell, text(cx + w / 2, cy + height - 4, compact(v), "middle 9.2 value", inkOn(fill))];
    });
  }
  const rowsOf = (n) => (n > 8 ? 15 : 15 * Math.ceil(n / 4));

  /** A value of the state or the input with its numbers and its gradient. */
  function valueBox(model, role, t, x, y, vector, size, { known = true, traced = true, kind }) {
    const n = vector.length, h = 42 + rowsOf(n), top = y - h / 2, wide = n < 4 ? 30 * n : 106;
    return pick(model, { row: model.chosen.row, role, t }, size, [x, top, 112, h], [
      svg("rect", { x, y: top, width: 112, height: h, rx: 10, class: `v-${kind}` }),
      text(x + 56, top + 16, name(model.row.cell, model.notation, role, t), `middle 14 rich bold t-${kind}`),
      known
        ? values(vector, x + 56 - wide / 2, top + 22, wide)
        : text(x + 56, top + 34, "not yet", "middle 10.5 t-muted"),
      text(x + 56, top + h - 6, traced ? `‖∇‖ ${number(size)}` : "∇ not yet",
        `middle 11 ${traced ? "t-gradient" : "t-muted"}`)
    ]);
  }

  /** A formula that fits: without spaces, without indices, then cut. About 0.58 of its size is a character wide. */
  function fitted(content, room, size) {
    const most = Math.floor(room / (0.58 * size)), tight = content.replaceAll(" ", "\u2009"),
      fits = [content, tight, tight.replace(/_\{\d+\}/g, "")].find((text) => plain(text).length <= most * 1.1);
    return fits ?? clip(tight.replace(/_\{\d+\}/g, ""), most).replace(/_…$/, "…");
  }

  function gate(model, shape, grid, [x, y]) {
    const { row, t, notation: N, phase } = model, { cell, run } = row, k = shape.node, node = cell.nodes[k],
      [w, h] = reach(shape, grid), left = x - w + 5, room = 2 * w - 10, site = node.op === "affine" ? k : node.in[0],
      gradient = norm(at(row.back.d[k], t, node.width)), there = phase >= complete(cell, k);
    let line = y - h + 15;
    const drawn = [svg("rect", { x: x - w, y: y - h, width: 2 * w, height: 2 * h, rx: 9, class: "nonlinear" }),
      node.name && text(left, line, name(cell, N, node.name), "12 rich t-nonlinear bold"),
      text(left + (node.name ? 9 * plain(name(cell, N, node.name)).length + 5 : 0), line, shape.sign || "sum", "11"),
      there && text(x + w - 5, line, `∇${number(gradient)}`, "end 9.5 t-gradient"),
      text(left, line += 15, fitted(written(cell, N, site, t, { out: true }), room, 9.2), "9.2 rich")];
    line += 6;
    for (const [weight, user] of shape.weights) {
      const there = cell.nodes[user].op === "affine" && phase >= back(cell, cell.nodes[user].level);
      drawn.push(svg("rect", { x: left, y: line, width: room, height: 14, rx: 5, class: "weight" }),
        text(left + 4, line + 10.5, fitted(written(cell, N, -1 - weight, t), room - 40, 9.5), "9.5 rich bold"),
        there
          && text(left + room - 4, line + 10.5, number(Engine.used(row.back, user, weight, t)), "end 9.2 t-parameter"));
      line += 16;
    }
    const numbers = at(run.values[k], t, node.width);
    drawn.push(
      phase >= node.level
        ? values(numbers, left, y + h - 5 - rowsOf(node.width), room)
        : text(left, y + h - 9, "not yet", "10 t-muted")
    );
    const role = roleOf(cell, k), box = [x - w, y - h, 2 * w, 2 * h];
    if (cell.after.includes(k)) return drawn; // its gradient is that of the state beside the step
    return pick(model, { row: model.chosen.row, role, t }, gradient, box, drawn);
  }

  function operation(model, row, shape, grid, t) {
    const [x, y] = grid.at(shape.at), [w, h] = reach(shape, grid), k = shape.node,
      bends = k != null && row.cell.nodes[k].bends,
      long = shape.kind === "join" && !grid.large ? "" : signOf(shape),
      sign = grid.large ? long : bends ? long[0] : (long.match(/[×+−÷^]/)?.[0] ?? long[0] ?? "");
    const plainly = k == null || row.cell.after.includes(k), kind = bends ? "nonlinear" : "op", drawn = [
      svg("rect", { x: x - w, y: y - h, width: 2 * w, height: 2 * h, rx: bends ? 6 : h,
        ...(grid.large || plainly ? { class: kind } : asked(model, row, k, t, kind)) }),
      text(x, y + (sign.length > 1 || bends ? 3.5 : h * 0.46), sign,
        `middle ${bends && !grid.large ? 9.5 : sign.length > 1 ? h * 0.88 : h * 1.5}`)
    ];
    if (!grid.large || plainly) return drawn;
    const role = roleOf(row.cell, k), size = norm(at(row.back.d[k], t, row.cell.nodes[k].width));
    return pick(model, { row: model.chosen.row, role, t }, size, [x - w - 3, y - h - 3, 2 * w + 6, 2 * h + 6], drawn);
  }

  function inside(model) {
    const { row, t, notation: N, phase } = model, { cell, run, back: d } = row, layout = cell.picture,
      dx = Math.min(52, 716 / (layout.width - 1)), wide = dx * (layout.width - 1), left = 500 - wide / 2, dy = 13,
      top = 44 + 16 * layout.lanes.length;
    const grid = { large: true, dx, dy, radius: 12, band: 9, left: left - 14, right: left + wide + 14,
      at: ([i, j]) => [left + i * dx, top + j * dy], bottom: top + (layout.height - 1) * dy };
    const box = 42 + rowsOf(cell.m), height = grid.bottom + box + 4, final = model.phases - 1;
    const drawn = [
      svg("rect", { x: left - 4, y: 4, width: wide + 8, height: grid.bottom - 16, rx: 14, class: "step-box" }),
      text(left + 10, 24, Writing.capital(row.label), "13 bold"),
      text(left + wide - 8, 24, `step ${t} of ${run.T}`, "end 11.5 t-muted"),
      layout.lanes.map((lane, k) =>
        text(left + 10, 42 + 16 * k,
          `one step back along ${name(cell, N, lane)} multiplies by ${
            Writing.direct(cell, N, cell.states.indexOf(lane))
          }: it meets no weight`, "10.5 rich t-state")
      ),
      !layout.lanes.length && text(left + 110, 24,
        `every way back from ${name(cell, N, cell.states[0])} crosses a weight`, "10.5 rich t-gradient"),
      ways(model, row, t, layout, grid, phase)
    ];
    const seen = new Set();
    for (const shape of layout.shapes) {
      const place = grid.at(shape.at);
      if (shape.kind === "gate") drawn.push(gate(model, shape, grid, place));
      else if (shape.kind === "op" || shape.kind === "join") drawn.push(operation(model, row, shape, grid, t));
      else if (shape.kind === "x")
        drawn.push(
          valueBox(model, "x", t, place[0] - 56, grid.bottom + box / 2, model.xs[t - 1], norm(at(d.d[0], t, cell.m)),
            { kind: "x", traced: phase >= final }),
          text(place[0] + 64, grid.bottom + box / 2 + 5, `“${clip(shown(model.tokens[t - 1]), 24)}”`, "13")
        );
      else {
        const after = shape.kind === "out", s = after ? cell.after.indexOf(shape.node) : shape.node - 1,
          k = cell.after[s], when = after ? t : t - 1;
        drawn.push(
          valueBox(model, cell.states[s], when, after ? grid.right : grid.left - 112, place[1],
            at(run.values[k], when, cell.n), norm(at(d.d[k], when, cell.n)), {
            known: !after || phase >= cell.nodes[k].level, kind: shape.lane ? "lane" : "other",
            traced: phase >= (after ? complete(cell, k) : final) })
        );
      }
    }
    const picture = svg("svg", { viewBox: `14 0 972 ${height}`, role: "group",
      "aria-label": `One step of the cell: step ${t}, with values and gradients` }, drawn);
    for (const element of picture.querySelectorAll("[id]")) // two may stand for one value
      if (seen.size === seen.add(element.id).size) element.removeAttribute("id");
    return picture;
  }

  /** What makes a small shape one that a click can choose. */
  function asked(model, row, k, t, kind) {
    const role = roleOf(row.cell, k), chosen = isChosen(model, { row: model.rows.indexOf(row), role, t });
    return { class: chosen ? `${kind} chosen` : kind, "data-role": role };
  }

  /** One step as a part of the strip. */
  function small(model, row, t, grid) {
    const layout = row.cell.picture;
    return [ways(model, row, t, layout, grid, Infinity), layout.shapes.map((shape) => {
      const [x, y] = grid.at(shape.at);
      if (shape.kind === "op" || shape.kind === "join") return operation(model, row, shape, grid, t);
      if (shape.kind !== "gate") return null;
      const [w, h] = reach(shape, grid), node = row.cell.nodes[shape.node],
        label = node.name ? name(row.cell, model.notation, node.name) : shape.sign || "@",
        size = Math.min(10.5, (3.2 * w) / plain(label).replace(/ /g, "").length);
      return [svg("rect", { x: x - w, y: y - h, width: 2 * w, height: 2 * h, rx: 4,
        ...asked(model, row, shape.node, t, "nonlinear") }),
        size >= 6 && text(x, y + 3.5, label, `middle ${size} rich bold`)];
    })];
  }

  return { inside, small };
})();
