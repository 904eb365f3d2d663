"use strict";
// Numbers, names and sentences: everything that is said, chosen by the numbers at hand.

const Words = (() => {
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

  const percent = (share) => `${number(100 * share)} %`;

  /** What is left of a whole: in percent, times as much, or a small part of it. */
  const left = (part) =>
    part >= 1.05
      ? `${times(part, 1)} times as much arrives`
      : part >= 1e-3
        ? `${percent(part)} of it is left`
        : `${number(part)} of it is left`;

  /** A sentence's first letter. */
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  /** How many times b is in a. */
  function times(a, b) {
    const ratio = a / b;
    return ratio < 10 ? number(ratio) : ratio < 1e6 ? Number(ratio.toPrecision(3)).toLocaleString("en") : number(ratio);
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
    Array.from(text).length <= length
      ? text
      : Array.from(text)
          .slice(0, length - 1)
          .join("") + "…";

  /** A text split at white space, as Python's str.split() does. */
  const split = (text) =>
    text.split(/[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/).filter(Boolean);

  /** The characters of a text: line ends are one newline, those at the end are dropped. */
  const characters = (text) => Array.from(text.replace(/\r\n?/g, "\n").replace(/\n+$/, ""));

  // ── names, in the notation chosen; _x or _{xyz} is a subscript ───────────────────────────────

  /** What a notation calls a value at step t (a number, or "t", "t-1", ...). */
  function name(notation, role, t) {
    const own = role === "c" ? notation.c : role === "h" ? notation.h : role === "x" ? notation.x : null;
    const index = String(t).replace("-", "−");
    const written = own ?? notation.gates[["f", "i", "g", "o"].indexOf(role)];
    const base = written
      .replace(/_t$|<t>$/, "")
      .replace("C~", "C̃")
      .replace("c~", "c̃");
    return notation.c.endsWith("<t>") ? `${base}⟨${index}⟩` : `${base}_{${index}}`;
  }

  /** The letter of a gate's weights: f, i, C, o. */
  const letter = (notation, gate) => (gate === "h" ? "h" : notation.letters[["f", "i", "g", "o"].indexOf(gate)]);

  /** What a gate is called, without an index. */
  function gate(notation, role) {
    if (role === "h") return name(notation, "h", "t");
    return notation.gates[["f", "i", "g", "o"].indexOf(role)]
      .replace(/_t$|<t>$/, "")
      .replace("C~", "C̃")
      .replace("c~", "c̃");
  }

  const IN_WORDS = {
    c: "cell state",
    h: "hidden state",
    x: "input",
    f: "forget gate",
    i: "input gate",
    g: "candidate",
    o: "output gate",
    shown: "tanh of the cell state",
    L: "loss",
  };

  /** A name as plain text, for screen readers. */
  const plain = (text) =>
    text
      .replace(/_\{([^}]*)\}/g, " $1")
      .replace(/_(.)/g, " $1")
      .replace(/[⟨⟩]/g, " ")
      .trim();

  // ── sentences ────────────────────────────────────────────────────────────────────────────────

  /** What a row's state is called. */
  const stateOf = (row) => (row.back.c ? "c" : "h");

  /** The norms of the gradient of a row's own state, step 0 to T. */
  const gradientOf = (row) => Engine.norms(row.back[stateOf(row)], row.cell.n);

  /** The headline: what one step back does to the gradient in each row, and what is left at the first step.
   *  Pieces [text, class]; those with a class are the numbers that matter. */
  function headline(rows, data) {
    const said = [],
      say = (...pieces) => said.push(...pieces.map((piece) => (Array.isArray(piece) ? piece : [piece, null])));
    const T = rows[0].sizes.length - 1,
      colour = (row) => (row === rows[0] ? "subject" : "beside"),
      first = `the first ${data.unit}`;
    if (T === 1) return [[`With one ${data.unit} there is no step back on which a gradient could change.`, null]];
    const moving = rows.filter((row) => Engine.factor(row.sizes) !== null),
      still = rows.filter((row) => Engine.factor(row.sizes) === null);
    moving.forEach((row, k) => {
      const rest = row.sizes[1] / row.sizes[T];
      say(k === 0 ? `In the ${row.label} one step back multiplies the gradient by ` : ` In the ${row.label} by `, [
        number(Engine.factor(row.sizes), 3),
        colour(row),
      ]);
      if (rest >= TINY) say(`: ${left(rest)}${k === 0 ? ` at ${first}` : ""}.`);
      else say(", until float64 has lost it.");
    });
    for (const row of still) say(` In the ${row.label} float64 holds no gradient that could be followed.`);
    if (rows.length < 2) return said;
    const [a, b] = rows.map((row) => row.sizes[1]),
      [above, below] = rows.map((row) => row.label);
    if (a >= TINY && b >= TINY) {
      if (Math.max(a, b) / Math.min(a, b) < 1.05) say(` There both have about ${number(a)}.`);
      else if (a > b)
        say(" There the ", above, " has ", [`${times(a, b)} times`, colour(rows[0])], ` the gradient of the ${below}.`);
      else
        say(
          ` Here the ${above} does worse: there the `,
          below,
          " has ",
          [`${times(b, a)} times`, colour(rows[1])],
          " its gradient.",
        );
    } else if (a >= TINY || b >= TINY) say(` There only the ${a >= TINY ? above : below} has any that float64 holds.`);
    return said;
  }

  /** Under the split: how much came straight along the cell state. */
  function straight(parts, z, what) {
    const whole = parts[0].map((_, j) => parts.reduce((sum, part) => sum + part[j], 0)),
      size = Engine.norm(whole);
    if (!(size >= TINY)) return `The gradient of ${what} is 0 or too small for float64: there is nothing to split.`;
    const length = Engine.norm(parts[0]);
    if (length === 0)
      return `No path reaches ${what} without a detour: all of the gradient, ${number(size)}, crosses from h into the gates.`;
    const cosine = Engine.dot(
      parts[0].map((x) => x / length),
      whole.map((x) => x / size),
    );
    const rest = parts.slice(1).some((part) => Engine.norm(part) > 0)
      ? "The rest came by detours; parts may cancel, so lengths do not add up, the signed shares do."
      : "There are no detours from here.";
    const marked = z === 1 ? "" : ` At z = ${number(z)} each part k is multiplied by z^k: the filled bars.`;
    return `The straight part has ${percent(length / size)} of the length of the whole, and points ${
      cosine > 0.95 ? "the same way" : cosine < -0.3 ? "against it" : `off at cosine ${number(cosine)}`
    }. ${rest}${marked}`;
  }

  return {
    number,
    signed,
    percent,
    left,
    capital,
    times,
    steps,
    shown,
    clip,
    split,
    characters,
    name,
    letter,
    gate,
    IN_WORDS,
    plain,
    stateOf,
    gradientOf,
    headline,
    straight,
  };
})();
