"use strict";
// How numbers, names and formulas are written.

const Writing = (() => {
  const RAISED = { "-": "⁻", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].map((c, k) => [String(k), c])) };
  const { TINY } = Engine;

  /** A norm as it is printed: 0.37, 8.9·10⁻³. */
  function number(x, digits = 2) {
    if (x === null || x === undefined) return "not computed";
    if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
    const rounded = Number(x.toPrecision(digits));
    if (rounded === 0 || (Math.abs(rounded) >= 0.0095 && Math.abs(rounded) < 1000))
      return String(rounded).replace("-", "−");
    const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
    return `${mantissa}·10${[...String(Number(exponent))].map((c) => RAISED[c]).join("")}`.replace("-", "−");
  }

  /** An element of a vector, with its sign. */
  function signed(x) {
    const size = Math.abs(x);
    if (x === 0) return "0";
    if (size < 0.0095 || size >= 1000) return (x < 0 ? "" : "+") + number(x, 1);
    return (x < 0 ? "−" : "+") + size.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
  }

  const percent = (share, digits = 2) => `${number(100 * share, digits)} %`;

  /** A number as a part of another that is named next: "40 % of", "1.3 times". */
  const part = (ratio) =>
    ratio >= 1.05 ? `${times(ratio, 1)} times` : `${ratio >= 1e-3 ? percent(ratio) : number(ratio)} of`;

  /** What is left of a whole. */
  const left = (ratio) => `${part(ratio)} ${ratio >= 1.05 ? "as much arrives" : "it is left"}`;

  /** A sentence's first letter. */
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  /** 1,186 (toLocaleString would first load its tables). */
  const thousands = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

  /** How many times b is in a. */
  function times(a, b) {
    const ratio = a / b;
    return ratio < 10 ? number(ratio) : ratio < 1e6 ? thousands(Number(ratio.toPrecision(3))) : number(ratio);
  }

  const steps = (count) => (count === 1 ? "1 step" : `${count} steps`);

  /** Text as it can be shown: a sign for a control character, for half a surrogate pair, and for what turns text round. */
  function shown(text) {
    return Array.from(text, (c) => {
      const code = c.codePointAt(0);
      if (code < 0x20) return String.fromCharCode(0x2400 + code);
      if (code === 0x20) return text.length === 1 ? "␣" : c;
      const hidden = (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code <= 0xdfff) || (code & 0xfffe) === 0xfffe;
      return hidden || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ? "�" : c;
    }).join("");
  }

  const clip = (text, length) =>
    Array.from(text).length <= length ? text : Array.from(text).slice(0, length - 1).join("") + "…";

  /** A text split at white space, as Python's str.split() does. */
  const split = (text) =>
    text.split(/[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/).filter(Boolean);

  /** The characters of a text: line ends are one newline, those at the end are dropped. */
  const characters = (text) => Array.from(text.replace(/\r\n?/g, "\n").replace(/\n+$/, ""));

  // ── names, in the notation chosen; _x or _{xyz} is a subscript ───────────────────────────────

  /** What a value is called at step t (a number, or "t", ...), or without an index. The package's own cells are written
   *  as the book does that was chosen, a user's as it is. */
  function name(cell, notation, role, t) {
    const base = ((cell.own && notation[role]) || role).replace(/_t$|<t>$/, "").replace("C~", "C̃").replace("c~", "c̃")
      .replace(/_(\w{2,})/, "_{$1}");
    if (t === undefined) return base;
    const index = String(t).replace("-", "−");
    return cell.own && notation.c.endsWith("<t>") ? `${base}⟨${index}⟩` : `${base}_{${index}}`;
  }

  /** How a value of step t is told from all others: by its name, or its number among the nodes. */
  const roleOf = (cell, k) => (k === 0 ? "x" : (cell.nodes[k].name ?? `#${k}`));
  const nodeOf = (cell, role) =>
    role === "x" ? 0 : role[0] === "#" ? Number(role.slice(1)) : cell.nodes.findIndex((node) => node.name === role);

  /** A value in words: cell state, forget gate, tanh(C_5). */
  const inWords = (cell, notation, role, t) =>
    cell.words[role] ?? plain(written(cell, notation, nodeOf(cell, role), t));

  /** A value of step t by its name, or (always with `out`) by what it is made of; with `bound` in brackets where it is a
   *  sum or a product. */
  function written(cell, N, k, t, { out = false, bound = false } = {}) {
    if (k < 0) {
      const text = worded(cell, N, cell.fixed[-1 - k].name);
      return bound && text.includes(" ") ? `(${text})` : text;
    }
    const node = cell.nodes[k];
    if (!node.in) return worded(cell, N, k === 0 ? "x" : `${cell.states[k - 1]}_prev`, t);
    return worded(cell, N, out ? node.text : (node.name ?? (bound ? node.bound : node.text)), t);
  }

  /** What one edge multiplies a gradient by on its way back; empty where it hands it on as it is. */
  function local(cell, N, k, slot, t) {
    const node = cell.nodes[k], out = node.name ? written(cell, N, k, t) : node.sign;
    if (node.op === "affine") return `${written(cell, N, -1 - node.parts[slot][0], t, { bound: true })}ᵀ`;
    const words = (node.words[slot] ?? node.words.at(-1)).replace(/\{(\w+)\}/g,
      (_, of) => of === "out" ? out : written(cell, N, node.in[of], t, { bound: true }));
    if (words[0] === "÷") return `1 ${words}`;
    if (words[0] !== "×") return `(${words})`;
    const by = words.slice(2);
    return by === "1" ? "" : by[0] === "−" ? `(${by})` : by;
  }

  /** A text of the library's with the names and signs of the page: f * c_prev, of step t or of any. */
  function worded(cell, N, text, t) {
    const written = text.replace(/[A-Za-z_][\w.]*/g, (word) => {
      if (word === "sigmoid") return "σ";
      if (word.endsWith("_prev")) return name(cell, N, word.slice(0, -5), t === undefined ? "t-1" : t - 1);
      return name(cell, N, word, word === "x" || cell.states.includes(word) ? t : undefined);
    });
    return written.replaceAll("[...]", "constant").replaceAll(" @ ", " ").replaceAll("*", "×").replaceAll(" / ", " ÷ ")
      .replaceAll("-", "−");
  }

  /** What one step back along the direct path of a state multiplies by, in words; null where it has none. */
  const direct = (cell, N, s) => cell.direct[s] && worded(cell, N, cell.direct[s]);

  /** A name as plain text, for screen readers. */
  const plain = (text) => text.replace(/_\{([^}]*)\}/g, " $1").replace(/_([^_\s.,;:])/g, " $1").replace(/[⟨⟩]/g, " ").trim();

  // prettier-ignore
  return { number, signed, percent, left, part, capital, times, thousands, steps, shown, clip, split, characters, name,
    roleOf, nodeOf, inWords, written, local, direct, plain };
})();
