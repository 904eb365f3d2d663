// The gradient of every cell state of one unit with f = i = o = 1 and one weight U from h into the candidate.
(U) => {
  const zeros = () => new Float64Array(2),
    forty = () => Float64Array.of(40);
  const cell = {
    kind: "lstm",
    n: 1,
    m: 1,
    W: { f: zeros(), i: zeros(), g: Float64Array.of(U, 0), o: zeros() },
    b: { f: forty(), i: forty(), g: Float64Array.of(0), o: forty() },
    read: { u: Float64Array.of(1) },
  };
  return Array.from(
    Engine.backward(
      Engine.forward(
        cell,
        Array.from({ length: 50 }, () => new Float64Array(1)),
      ),
    ).c,
  );
};
