// What can be pointed at and is smaller than 24 pixels.
() =>
  Array.from(document.querySelectorAll("button, input, select, summary, [role=button], [role=slider], .pick"))
    .filter((e) => e.checkVisibility())
    .map((e) => [e.id || e.tagName, (e.querySelector(".ring") ?? e).getBoundingClientRect()])
    .filter(([, box]) => box.width < 23.99 || box.height < 23.99)
    .map(([id, { width, height }]) => `${id}: ${width.toFixed(1)} x ${height.toFixed(1)}`);
