// Everything of one case: values, gradients, cuts, z, a split, the terms of weights and of h.
(g) => {
  const floats = (o) =>
    Object.fromEntries(Object.entries(o).map(([k, v]) => [k, Array.isArray(v) ? Float64Array.from(v) : v]));
  const cell = Engine.adjusted(
    { kind: g.kind, n: g.n, m: g.m, W: floats(g.W), b: floats(g.b), read: floats(g.read) },
    g.scale,
    g.biases,
  );
  const run = Engine.forward(
      cell,
      g.xs.map((x) => Float64Array.from(x)),
    ),
    every = { everyStep: g.every };
  const back = Engine.backward(run, every);
  const cut = Engine.backward(run, { ...every, paths: Object.fromEntries(g.cuts.map((name) => [name, 0])) });
  const z = Engine.backward(run, { ...every, paths: Object.fromEntries(g.gates.map((k) => [`h -> ${k}`, g.z])) });
  const rnn = g.kind === "rnn",
    tail = (a, size) => Array.from(a.subarray(size));
  const out = {
    h: Array.from(run.h),
    dh: Array.from(back.h),
    dx: tail(back.x, g.m),
    cut_h: Array.from(cut.h),
    cut_x: tail(cut.x, g.m),
    z: Array.from(rnn ? z.h : z.c),
    split: Engine.split(back, g.t, g.limit).flatMap((part) => Array.from(part)),
    W: g.gates.map((k) => Engine.weightTerms(back, k).norm),
    W_terms: g.gates.flatMap((k) => Engine.weightTerms(back, k).terms.map((term) => term.norm)),
    shares: g.gates.map((k) => Engine.weightTerms(back, k).terms.reduce((sum, term) => sum + term.share, 0)),
  };
  if (!rnn) {
    Object.assign(out, {
      c: Array.from(run.c),
      dc: Array.from(back.c),
      cut_c: Array.from(cut.c),
      dshown: tail(back.shown, g.n),
      "c -> h": tail(back.edges["c -> h"], g.n),
    });
    for (const k of g.gates)
      Object.assign(out, { [k]: tail(run[k], g.n), [`d${k}`]: tail(back[k], g.n), [`da_${k}`]: tail(back.a[k], g.n) });
  }
  out.terms = Array.from({ length: g.xs.length + 1 }, (_, t) => {
    const sum = new Float64Array(g.n);
    for (const name of [...g.gates.map((k) => `h -> ${k}`), "h -> L"])
      Engine.at(back.edges[name], t, g.n).forEach((v, j) => {
        sum[j] += v;
      });
    return Array.from(sum);
  }).flat();
  return out;
};
