// Of every combination of cuts: whether words and numbers say that a path is left, to the main state and to the input.
// (In the last cell of the page, that of one unit, the weights of the input are 0.)
(every) => {
  const found = [];
  Model.state.everyStep = every;
  for (const key of Object.keys(Model.cells).slice(0, 3)) {
    const paths = Object.keys(Model.cells[key].paths);
    for (let subset = 0; subset < 2 ** paths.length; subset++) {
      Model.state.cuts = new Set(paths.filter((_, k) => (subset >> k) & 1));
      const row = Model.row(key, Page.model.xs),
        { state, input } = Engine.reached(row.back);
      const sizes = [row.sizes[1], Engine.norm(Engine.at(row.back.d[0], 1, row.cell.m))];
      found.push([[state, input], sizes.map((size) => size > 0)]);
    }
  }
  return found;
};
