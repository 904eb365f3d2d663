"use strict";
// What every picture is made of: elements, text, colours, edges, and things whose gradient can be chosen.

const Shapes = (() => {
  const { number, shown, clip } = Writing;
  // Decimal logarithms: one scale of width and colour for every picture and setting, deeper for a longer sequence.
  let low = -4, high = 0;

  // ── elements ─────────────────────────────────────────────────────────────────────────────────

  function made(element, attributes, children) {
    for (const key in attributes) if (attributes[key] != null) element.setAttribute(key, attributes[key]);
    append(element, children);
    return element;
  }
  /** Children, as deep as lists of them go; null and false stand for none. */
  function append(element, children) {
    for (const child of children) {
      if (Array.isArray(child)) append(element, child);
      else if (child != null && child !== false) element.append(child);
    }
  }
  const svg = (tag, attributes = {}, ...children) =>
    made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  /** A picture of that size with what a screen reader says of it; it passes over one without. */
  const frame = (width, height, label, children) =>
    svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: label && "img", "aria-label": label,
      "aria-hidden": label ? null : "true" }, children);
  const html = (tag, attributes = {}, ...children) => made(document.createElement(tag), attributes, children);

  /** The parts of a name: [text, whether a subscript]. */
  const subscripted = (content) =>
    content.split(/_(\{[^}]*\}|[^_\s.,;:])/).map((part, k) => [part.replace(/^\{|\}$/g, ""), k % 2 === 1]).filter(([part]) =>
      part
    );

  const styles = new Map();
  /** Text in a picture. `how` holds its size, where it is anchored, "rich" if _x is a subscript, and classes, as in
   *  "middle 10.5 rich bold". */
  function text(x, y, content, how, fill = null) {
    if (!styles.has(how)) {
      const words = how.split(" "), anchor = words.find((word) => word === "middle" || word === "end");
      styles.set(how, [Number(words.find((word) => word > 0)), words.includes("rich"), { "text-anchor": anchor,
        class: how.replace(/[\d.]+|middle|end|rich/g, "").trim() || null }]);
    }
    const [size, rich, style] = styles.get(how), element = svg("text", { x, y, "font-size": size, ...style, fill });
    if (!rich || !content.includes("_")) {
      element.append(content);
      return element;
    }
    let down = false;
    for (const [part, low] of subscripted(content)) {
      const shift = (low ? 0.28 : 0) * size - (down ? 0.28 : 0) * size;
      element.append(svg("tspan", { dy: shift || null, "font-size": low ? size * 0.76 : null }, part));
      down = low;
    }
    return element;
  }

  /** A name as HTML. */
  const richly = (content) => subscripted(content).map(([part, low]) => (low ? html("sub", {}, part) : part));

  // ── colour and width ─────────────────────────────────────────────────────────────────────────

  let ramps = {};
  const rgb = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
  /** A hundred shades from each of the colours to the next. */
  function shades(...colours) {
    const given = colours.map(rgb);
    return Array.from({ length: 100 * (given.length - 1) + 1 }, (_, k) => {
      const a = given[Math.floor(k / 100)], b = given[Math.ceil(k / 100)], part = (k % 100) / 100;
      return `rgb(${a.map((v, j) => Math.round(v + (b[j] - v) * part)).join(",")})`;
    });
  }
  // Those of light are the colours of the package's pictures.
  const COLOURS = {
    light: { gradient: ["#D6D9DF", "#F6CDA4", "#E88B3E", "#C4520A", "#7A2A00"],
      state: ["#C6D6E4", "#A9CDE8", "#4C9BD0", "#0072B2", "#003F66"], above: ["#FFFFFF", "#6FAEDF"],
      below: ["#FFFFFF", "#F2A25C"] },
    dark: { gradient: ["#4B535E", "#7D4B24", "#C0601F", "#F0914A", "#FFD9B0"],
      state: ["#43586B", "#2A6A98", "#2E8FCB", "#6FBDEB", "#C4E6FB"], above: ["#1a2129", "#2E7FB8"],
      below: ["#1a2129", "#B5662A"] }
  };
  function paint(theme) {
    ramps = Object.fromEntries(Object.entries(COLOURS[theme]).map(([name, colours]) => [name, shades(...colours)]));
  }
  /** The scale for a sequence of that many steps, up to 10 to the power of `top`. */
  function scaleTo(T, top) {
    high = top;
    low = top - (T <= 16 ? 4 : T <= 60 ? 8 : 16);
  }
  const along = (ramp, part) => ramp[Math.round(part * (ramp.length - 1))];
  const place = (size) => (size > 0 ? Math.min(1, Math.max(0, (Math.log10(size) - low) / (high - low))) : 0);
  const width = (size, base = 5.2) => 0.8 + base * place(size);
  const colour = (size, state) => along(ramps[state ? "state" : "gradient"], place(size));
  /** The colour of a value: blue above 0, orange below; as strong as it is large. */
  function heat(x, largest) {
    if (!Number.isFinite(x)) return "rgb(154,165,177)";
    return along(ramps[x > 0 ? "above" : "below"], largest > 0 ? Math.min(1, Math.abs(x) / largest) : 0);
  }
  const inkOn = (fill) => {
    const [r, g, b] = fill.match(/\d+/g);
    return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#1F2933" : "#FFFFFF";
  };

  // ── edges, values and what can be chosen ─────────────────────────────────────────────────────

  /** A way through points [x, y], bent round at corners, with an arrow in the forward direction. `mode`: cut, pending, or on. */
  function edge(points, size, { state = false, mode = "on", arrow = true, base = 5.2 } = {}) {
    const w = mode === "on" ? width(size, base) : 1.4, tip = arrow ? 4.5 + 1.25 * w : 0,
      [[ax, ay], [bx, by]] = points.slice(-2), length = Math.hypot(bx - ax, by - ay) || 1, dx = (bx - ax) / length,
      dy = (by - ay) / length, way = [...points.slice(0, -1), [bx - dx * tip * 0.8, by - dy * tip * 0.8]];
    const toward = ([x, y], [u, v]) => {
      const l = Math.hypot(u - x, v - y), part = Math.min(9, l / 2) / l;
      return [x + (u - x) * part, y + (v - y) * part];
    };
    const bends = way.slice(1, -1).map((q, k) => `L${toward(q, way[k])}Q${q} ${toward(q, way[k + 2])}`),
      d = `M${way[0]}${bends.join("")}L${way.at(-1)}`;
    if (mode === "cut")
      return [svg("path", { d, class: "cut" }), text((ax + bx) / 2, (ay + by) / 2 + 4, "✂", "middle 12 t-muted")];
    if (mode === "pending") return [svg("path", { d, class: "pending" })];
    const stroke = colour(size, state), half = 2.4 + 0.78 * w,
      corner = (side) => [bx - dx * tip - side * dy * half, by - dy * tip + side * dx * half];
    return [svg("path", { d, fill: "none", stroke, "stroke-width": w.toFixed(2) }),
      arrow && svg("path", { fill: stroke, d: `M${[bx, by]}L${corner(1)}L${corner(-1)}Z` })];
  }

  const isChosen = (model, what) => ["row", "role", "t"].every((key) => model.chosen[key] === what[key]);

  /** Something whose gradient, of that size, can be chosen: its drawing under a ring, a button that shows focus and choice. */
  function pick(model, what, size, [x, y, width, height], children, focusable = true) {
    const { row, role, t } = what, chosen = isChosen(model, what),
      words = Writing.inWords(model.rows[row].cell, model.notation, role, t),
      label = `gradient of the ${words} at step ${t}: ${number(size)}`, button = focusable
        && { id: `pick-${role}-${t - model.t}`, tabindex: 0, role: "button", "aria-label": label, "aria-pressed": chosen };
    return svg("g", { class: `pick${chosen ? " chosen" : ""}`, "data-row": row, "data-role": role, "data-t": t },
      svg("title", {}, label),
      button ? svg("g", { "aria-hidden": "true" }, children) : children,
      svg("rect", { class: "ring", x, y, width, height, rx: 6, ...button }));
  }

  /** Whether all of these edges are cut, or counted as 0. */
  const modeOf = (back, edges) =>
    edges.length && edges.every(([k, slot]) => back.factors[k]?.[slot] === 0) ? "cut" : "on";

  /** The gradient that came back at step t along edges (node, slot) together, as one norm; (-1, s) is what came to state s
   *  from beyond the step. Terms of one value add up, several values stand side by side. */
  function came({ cell, back }, edges, t) {
    const sums = new Map();
    for (const [k, slot] of edges) {
      const source = k < 0 ? cell.after[slot] : cell.nodes[k].in[slot], { width } = cell.nodes[source];
      if (!sums.has(source)) sums.set(source, new Float64Array(width));
      if (k < 0) beyond(cell, back, slot, t, sums.get(source));
      else Engine.add(sums.get(source), Engine.at(back.edges[k][slot], t, width));
    }
    return Math.hypot(...[...sums.values()].map(Engine.norm));
  }

  /** What came back to state s from the next step, and from L, added to `sum`. */
  function beyond(cell, back, s, t, sum) {
    if (t < back.run.T) {
      for (const [k, slot, later] of cell.reads[cell.after[s]])
        if (later) Engine.add(sum, Engine.at(back.edges[k][slot], t + 1, cell.n));
    }
    return s === 0 ? Engine.add(sum, Engine.at(back.loss, t, cell.n)) : sum;
  }

  function upright(content, x, y, w, strong) {
    const label = clip(shown(content), w >= 44 ? Math.floor(w / 7) : 9), flat = w >= 44 || label.length === 1;
    const element = text(x, flat ? y + 4 : y, label, `${flat ? "middle" : "end"} 10.5 ${strong ? "bold" : "t-muted"}`);
    if (!flat) element.setAttribute("transform", `rotate(-60 ${x} ${y})`);
    return element;
  }

  /** What widths and colours mean. */
  function legend() {
    const drawn = [text(0, 10, "direct path", "10.5 t-muted"), text(0, 24, "any other", "10.5 t-muted")];
    for (let k = 0; k < 5; k++) {
      const size = 10 ** (low + (k * (high - low)) / 4), x = 80 + k * 74,
        label = `${["≤ ", "", "", "", "≥ "][k]}${number(size, 1).replace("1·", "")}`;
      for (const [y, state] of [[6, true], [20, false]]) {
        drawn.push(
          svg("line", { x1: x, x2: x + 28, y1: y, y2: y, stroke: colour(size, state), "stroke-width": width(size) })
        );
      }
      drawn.push(text(x + 33, 17, label, "10.5 t-muted"));
    }
    return [frame(455, 28, null, drawn),
      html("span", {},
        "Width, colour and number: norm of the gradient that came back along an edge; one scale for everything. Arrows point forward.")];
  }

  // prettier-ignore
  return { svg, frame, html, text, richly, paint, scaleTo, legend, colour, heat, inkOn, edge, modeOf, came,
    isChosen, pick, upright };
})();
