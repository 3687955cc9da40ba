// A small script for the static scenario: sorts the table of /page by the column that is clicked.
"use strict";

for (const [column, head] of document.querySelectorAll("th").entries()) {
  head.addEventListener("click", () => {
    const body = document.querySelector("tbody");
    const rows = Array.from(body.rows);
    const text = (row) => row.cells[column].textContent;
    rows.sort((a, b) => text(a).localeCompare(text(b), undefined, { numeric: true }));
    body.append(...rows);
  });
}
