// The least contrast of every sort of text with the paper under it.
() => {
  const light = (c) => {
    const [r, g, b] = c.match(/[\d.]+/g).map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.querySelector("section")).backgroundColor);
  const found = {};
  for (const e of document.querySelectorAll(
    "#strip-picture text, #inside-picture text:not(.value), #decay-picture text, #detours-picture text, #gates-picture text, p, td, th, h2, label",
  )) {
    const style = getComputedStyle(e),
      c = light(e instanceof SVGElement ? style.fill : style.color);
    if (e.hasAttribute("fill")) continue;
    const ratio = (Math.max(c, paper) + 0.05) / (Math.min(c, paper) + 0.05);
    const key = e.getAttribute("class") || e.tagName;
    found[key] = Math.min(found[key] ?? 99, ratio);
  }
  return found;
};
