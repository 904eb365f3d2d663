// A gradient and its terms.
(what) => {
  const w = Page.why(what);
  return { vector: Array.from(w.vector), norm: w.norm, terms: w.terms.map((t) => [Array.from(t.vector), t.share]) };
};
