// What can be reached or stands for a picture and has no name.
() =>
  Array.from(document.querySelectorAll("button, input, select, [role=button], [role=slider], [role=img], [role=group]"))
    .filter(
      (e) =>
        !(
          e.getAttribute("aria-label") ||
          e.textContent.trim() ||
          e.labels?.[0]?.textContent.trim() ||
          e.closest("[hidden]")
        ),
    )
    .map((e) => e.outerHTML.slice(0, 80));
