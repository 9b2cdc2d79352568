// Tables: a click on a title sorts; an input with data-filter names the table it filters, and one with data-more shows the
// rest of it.
const value = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.by === undefined ? cell.textContent : Number(cell.dataset.by);
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const filter = document.querySelector(`input[data-filter="${table.id}"]`);
  const count = document.querySelector(`[data-count="${table.id}"]`);
  const more = document.querySelector(`button[data-more="${table.id}"]`);
  const all = body.rows.length;
  let most = more ? Number(more.dataset.rows) : Infinity;
  const show = () => {
    const words = filter ? filter.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
    let found = 0;
    for (const row of body.rows) {
      const fits = !words.length ||
        (([text]) => words.every((word) => text.includes(word)))([[...row.cells].map((c) => c.textContent).join(" ").toLowerCase()]);
      found += fits ? 1 : 0;
      row.hidden = !fits || found > most;
    }
    if (count) count.textContent = words.length ? `${found} of ${all}` : `${all}`;
    if (more) {
      more.hidden = found <= most;
      more.textContent = `Show all ${found}`;
    }
  };
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    // Numbers are looked at for the largest, names from the first.
    const before = head.getAttribute("aria-sort");
    const first = head.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    const keyed = [...body.rows].map((row) => [value(row, column), row]);
    keyed.sort(([x], [y]) =>
      sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y))));
    body.append(...keyed.map(([, row]) => row));
    show();
  }));
  if (filter) filter.addEventListener("input", show);
  if (more) more.addEventListener("click", () => { most = Infinity; show(); });
  show();
}
