// The gradient of every cell state of an LSTM of one unit with f = i = o = 1 and one weight U from h into the candidate.
([given, U]) => {
  const cell = { ...Engine.prepared(given), read: { u: Float64Array.of(1) } };
  for (const { name, data } of cell.fixed) data.fill(name[0] === "W" || name === "b_g" ? 0 : 40);
  cell.fixed.find(({ name }) => name === "W_g").data[0] = U;
  const xs = Array.from({ length: 50 }, () => new Float64Array(1));
  return Array.from(Engine.backward(Engine.forward(cell, xs)).d[cell.after[1]]);
};
