(every) => {
  const found = [];
  Model.state.everyStep = every;
  for (const key of ["lstm", "lstm1997", "rnn"]) {
    const paths = Model.paths(Model.cells[key].kind);
    for (let subset = 0; subset < 2 ** paths.length; subset++) {
      Model.state.cuts = new Set(paths.filter((_, k) => (subset >> k) & 1));
      const row = Model.row(key, Page.model.xs),
        { state, input } = Words.reached(row, Page.model.T, every);
      const sizes = [row.sizes[1], Engine.norm(Engine.at(row.back.x, 1, row.cell.m))];
      found.push([
        [state, input],
        sizes.map((size) => size > 0),
      ]);
    }
  }
  return found;
}
