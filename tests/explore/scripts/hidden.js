// The numbers along wires of the large picture that a gate, a sign or a value covers in part.
() => {
  const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const picture = document.querySelector("#inside-picture"),
    boxes = [...picture.querySelectorAll(".pick > rect, .pick > circle")].map((e) => e.getBoundingClientRect());
  return [...picture.querySelectorAll("text.halo")].filter((e) => !e.closest(".pick"))
    .filter((e) => boxes.some((box) => overlap(e.getBoundingClientRect(), box))).map((e) => e.textContent);
}
