"use strict";
// The gradient against the step, its split by detours, and the gates as heat maps.

const Charts = (() => {
  const { number, signed, name } = Writing;
  const { at, norm, dot, TINY } = Engine;
  const { svg, frame, html, text, heat, upright } = Shapes;

  /** The logarithm of the gradient against the step, with closed forms, and its key with the numbers at the chosen step. */
  function decay(model, room) {
    const { T, t } = model, w = Math.max(300, room), h = Math.min(360, Math.max(240, 0.5 * w)),
      [left, right, top, low] = [46, 16, 12, 34], lines = model.lines.filter((line) => line.sizes.some((s) => s > 0)),
      logs = lines.flatMap((line) => line.sizes.filter((s) => s > 0 && Number.isFinite(s)).map(Math.log10)),
      high = Math.max(1, Math.ceil(Math.max(0, ...logs))),
      floor = Math.max(high - 40, Math.min(-3, Math.floor(Math.min(0, ...logs))));
    const x = (s) => left + ((w - left - right) * s) / Math.max(T, 1),
      y = (size) => top + ((h - top - low) * (high - Math.log10(size))) / (high - floor),
      inside = (size) => size >= 10 ** floor && Number.isFinite(size); // a line ends where it leaves the chart
    const drawn = [], every = Math.max(1, Math.ceil((high - floor) / 8));
    for (let k = floor; k <= high; k++) {
      if ((k - high) % every) continue;
      drawn.push(svg("line", { x1: left, x2: w - right, y1: y(10 ** k), y2: y(10 ** k), class: "grid" }),
        text(left - 6, y(10 ** k) + 4, k === 0 ? "1" : k === 1 ? "10" : number(10 ** k, 1).replace("1·", ""),
          "end 10.5 t-muted"));
    }
    const apart = Math.max(1, Math.ceil(T / Math.max(2, Math.floor((w - left - right) / 44))));
    for (let s = 0; s <= T; s += apart) drawn.push(text(x(s), h - low + 16, String(s), "middle 10.5 t-muted"));
    drawn.push(text((left + w - right) / 2, h - 4, "step", "middle 10.5 t-muted"));
    for (const { sizes, kind, label } of lines) {
      const d = sizes.map((size, s) =>
        inside(size) ? `${inside(sizes[s - 1]) ? "L" : "M"}${x(s).toFixed(1)} ${y(size).toFixed(1)}` : ""
      );
      drawn.push(svg("path", { d: d.join(""), class: kind }, svg("title", {}, label)));
    }
    drawn.push(svg("line", { x1: x(t), x2: x(t), y1: top, y2: h - low, class: "cursor" }));
    for (const line of lines) if (inside(line.sizes[t])) drawn.push(sign(line, x(t), y(line.sizes[t])));
    const said = lines.map((line) => `${line.label}: ${number(line.sizes[t])}`);
    const picture = frame(w, h, `at step ${t}: ${said.join("; ")}`, drawn);
    Object.assign(picture.dataset, { left, right });
    const key = lines.map((line, k) =>
      html("li", {},
        frame(34, 12, null, [svg("path", { d: "M2 6h30", class: line.kind }), sign(line, 17, 6)]), said[k])
    );
    return [picture, html("ul", { class: "key" }, key)];
  }

  /** What tells the measured lines apart without their colours: a disc in the first row's, a square in the other's. */
  function sign({ strong }, x, y) {
    if (strong === "subject") return svg("circle", { cx: x, cy: y, r: 4.5, fill: "var(--state)" });
    return strong && svg("rect", { x: x - 4, y: y - 4, width: 8, height: 8, fill: "var(--gradient)" });
  }

  /** Signed shares of the gradient by number of detours; they add up to 1. Filled: times z to the power of k. */
  function detours(model, room) {
    const { split: { parts, whole }, z } = model, size = norm(whole), w = Math.max(280, room), h = 236, left = 40, top = 18, low = 34, n = parts.length;
    if (!(size >= TINY))
      return frame(w, 40, "nothing to split", text(0, 24, "nothing to split", "12 t-muted"));
    const shares = parts.map((part) => dot(part.map((v) => v / size), whole.map((v) => v / size)));
    const most = Math.max(1, ...shares), least = Math.min(-0.25, ...shares),
      y = (s) => top + ((h - top - low) * (most - s)) / (most - least), column = (w - left - 6) / n;
    const step = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e3, 1e4, 1e6].find((s) => (most - least) / s <= 7) ?? 1e8,
      drawn = [];
    for (let s = Math.ceil(least / step) * step; s <= most + 1e-9; s += step)
      drawn.push(svg("line", { x1: left, x2: w, y1: y(s), y2: y(s), class: Math.abs(s) < 1e-9 ? "axis" : "grid" }),
        text(left - 5, y(s) + 4, number(Math.abs(s) < 1e-9 ? 0 : s), "end 10 t-muted"));
    shares.forEach((share, k) => {
      const x = left + k * column + column * 0.16, wide = column * 0.68, last = k === n - 1,
        factor = last && z < 1 && z > 0 ? null : z === 1 || k === 0 ? 1 : z ** k;
      const bar = (s, kind) =>
        svg("rect", { x, width: wide, y: Math.min(y(0), y(s)), height: Math.abs(y(s) - y(0)), class: kind });
      if (factor !== 1) drawn.push(bar(share, "bar-outline"));
      if (factor !== null) drawn.push(bar(share * factor, k === 0 ? "bar" : "bar detour"));
      drawn.push(
        text(x + wide / 2, share < 0 ? y(share) + 12 : y(share) - 4, signed(share), `middle ${column < 34 ? 8 : 10}`)
      );
      drawn.push(
        text(x + wide / 2, h - low + 16, last ? `>${n - 2}` : String(k), `middle 11 ${k === 0 ? "bold t-state" : ""}`)
      );
    });
    drawn.push(
      text(left + (w - left) / 2, h - 3, "how often a path crosses a weight that a state enters", "middle 10.5 t-muted")
    );
    const said = shares.map((s, k) => `${k === n - 1 ? "more" : k}: ${signed(s)}`);
    return frame(w, h, `shares by crossings: ${said.join(", ")}`, drawn);
  }

  /** Every named value of every unit at every step; beside them the chosen step in numbers. */
  function heatMaps(model, room) {
    const { row, T, t, notation } = model, { run, cell } = row,
      named = [...cell.nodes.keys()].filter((k) => cell.nodes[k].name && !cell.after.includes(k)),
      shown = [...named, ...[...cell.after].reverse()], most = Math.max(...shown.map((k) => cell.nodes[k].width)),
      unit = most > 16 ? 3 : most > 8 ? 7 : 13, [gap, left, head] = [10, 96, 58], right = most <= 8 ? 54 : 60,
      w = Math.max(280, room), column = Math.max(1, (w - left - right) / T), total = left + column * T + right,
      tall = shown.map((k) => Math.max(unit * cell.nodes[k].width, 26) + gap),
      height = head + tall.reduce((a, b) => a + b, 0), ratio = Math.min(3, window.devicePixelRatio || 1);
    const canvas = html("canvas", { width: Math.round(column * T * ratio), height: Math.round((height - head) * ratio),
      "aria-hidden": "true" });
    canvas.style.cssText = `position:absolute;left:${left}px;top:${head}px;width:${column * T}px;height:${
      height - head
    }px`;
    const context = canvas.getContext("2d"), drawn = [], sentences = [];
    context.scale(ratio, ratio);
    let y = 0;
    shown.forEach((k, index) => {
      const values = run.values[k], { width: n, name: role } = cell.nodes[k], state = cell.after.includes(k);
      let largest = 1;
      for (const v of values) largest = Math.max(largest, Math.abs(v));
      for (let s = 1; s <= T; s++)
        for (let j = 0; j < n; j++) {
          context.fillStyle = heat(values[s * n + j], largest);
          context.fillRect((s - 1) * column, y + j * unit, column - (column > 8 ? 1 : 0), unit - (unit > 6 ? 1 : 0));
        }
      const middle = head + y + (n * unit) / 2, now = at(values, t, n), mean = now.reduce((a, b) => a + b, 0) / n;
      drawn.push(text(2, middle - 1, name(cell, notation, role, state ? "t" : undefined), "13 rich bold"),
        text(2, middle + 12, Writing.clip(cell.words[role], 15), "9.5 t-muted"));
      if (unit >= 11)
        Array.from(now).forEach((v, j) =>
          drawn.push(text(total - right + 6, head + y + j * unit + 10, signed(v), "9.5"))
        );
      else
        drawn.push(text(total - right + 6, middle, "mean", "9.5 t-muted"),
          text(total - right + 6, middle + 12, signed(mean), "9.5"));
      sentences.push(`${cell.words[role]} ${n <= 8 ? Array.from(now, signed).join(" ") : `mean ${signed(mean)}`}`);
      y += tall[index];
    });
    const every = Math.max(1, Math.ceil(13 / column));
    for (let s = 1; s <= T; s++) {
      if (s !== t && ((s - 1) % every || Math.abs(s - t) < every)) continue;
      const label = upright(model.tokens[s - 1], left + (s - 0.5) * column + (column < 44 ? 3 : 0),
        column < 44 ? head - 6 : head - 12, column, s === t);
      if (column < 44) label.setAttribute("text-anchor", "start");
      drawn.push(label);
    }
    drawn.push(
      svg("rect", { x: left + (t - 1) * column - 1, y: head - 2, width: column + 1, height: height - head - gap + 3,
        fill: "none", stroke: "var(--ink)", "stroke-width": 2 })
    );
    const overlay = frame(total, height, `values of step ${t}: ${sentences.join("; ")}`, drawn);
    overlay.classList.add("over");
    Object.assign(overlay.dataset, { left, column });
    const box = html("div", { class: "maps" }, canvas, overlay);
    box.style.cssText = `position:relative;width:${total}px;height:${height}px`;
    return box;
  }

  return { decay, detours, heatMaps };
})();
