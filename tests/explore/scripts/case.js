// Everything of one case: values, gradients, cuts, z, a split, the terms of weights and of every value.
(g) => {
  const floats = (o) =>
    Object.fromEntries(Object.entries(o).map(([k, v]) => [k, Array.isArray(v) ? Float64Array.from(v) : v]));
  const cell = Engine.adjusted({ ...Engine.prepared(g.cell), read: floats(g.read) }, g.scale, floats(g.biases)),
    { nodes, after, first, m, reads } = cell;
  const run = Engine.forward(
      cell,
      g.xs.map((x) => Float64Array.from(x)),
    ),
    every = { everyStep: g.every },
    back = Engine.backward(run, every),
    cut = Engine.backward(run, { ...every, factors: Engine.through(cell, g.cuts) }),
    z = Engine.backward(run, { ...every, factors: Engine.through(cell, [], g.z) }),
    weights = g.W.map((k) => Engine.weightTerms(back, k));
  const tail = (a, size) => Array.from(a.subarray(size));
  const out = {
    dx: tail(back.d[0], m),
    cut_x: tail(cut.d[0], m),
    z_x: tail(z.d[0], m),
    split: Engine.split(back, cell.main, g.t, g.limit).flatMap((part) => Array.from(part)),
    W: weights.map((w) => w.norm),
    shares: weights.map((w) => w.terms.reduce((sum, term) => sum + term.share, 0)),
  };
  for (let k = first; k < nodes.length; k++) {
    const from = after.includes(k) ? 0 : nodes[k].width;
    out[`v ${k}`] = tail(run.values[k], from);
    out[`d ${k}`] = tail(back.d[k], from);
  }
  // Of every value: its gradient without all its terms, which leaves nothing.
  out.terms = reads.flatMap((readers, k) => {
    if (k > 0 && k < first) return [];
    const left = Float64Array.from(back.d[k]),
      w = nodes[k].width;
    for (const [reader, slot, later] of readers)
      for (let t = 1; t <= run.T; t++)
        Engine.add(Engine.at(left, t - later, w), Engine.at(back.edges[reader][slot], t, w), -1);
    if (k === after[0]) Engine.add(left, back.loss, -1);
    return Array.from(left);
  });
  return out;
};
