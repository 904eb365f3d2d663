// dL/dh of a readout that is asked for another network's answer, of a cell that shows the tanh of a bias.
([W, b, h, said]) => {
  const cell = {
    ...{ n: 4, m: 1, main: 0, states: ["h"], after: [3], paths: {} },
    fixed: [{ name: "b", data: Float64Array.from(h, Math.atanh) }],
    nodes: [
      { op: "x", width: 1 },
      { op: "state", width: 4 },
      { op: "affine", in: [], parts: [], biases: [0], crosses: [], width: 4, level: 1 },
      { op: "tanh", in: [2], name: "h", width: 4, level: 1, formulas: [(y, a) => Math.tanh(a), (y) => 1 - y * y] },
    ],
    read: { W: Float64Array.from(W), b: Float64Array.from(b), loss: "classes" },
  };
  const back = Engine.backward(Engine.forward({ ...cell, first: 2 }, [new Float64Array(1)]), { said: () => said });
  return Array.from(Engine.at(back.d[3], 1, 4));
};
