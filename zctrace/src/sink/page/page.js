// The timeline, what is under a pointer, and the details of one transfer. What was recorded gets into the page only
// as text of a text node.
document.documentElement.classList.add("scripted");
const theme = document.getElementById("theme");
const themes = ["system", "light", "dark"];
theme.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || "system";
  const next = themes[(themes.indexOf(now) + 1) % themes.length];
  document.documentElement.dataset.theme = next;
  theme.setAttribute("aria-label", `Colours: ${next === "system" ? "as the system has them" : next}`);
  theme.title = next;
});

const SVG = "http://www.w3.org/2000/svg";
const svg = (name, attributes, text) => {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  return one;
};
const element = (name, attributes, ...children) => {
  const one = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  one.append(...children);
  return one;
};
// As the program writes durations, without zeros that say nothing.
const time = (ns) => {
  for (const [unit, size, from] of [["s", 1e9, 999.5e6], ["ms", 1e6, 999.5e3], ["µs", 1e3, 1e3]]) {
    if (ns >= from) {
      const n = ns / size;
      return `${Number(n >= 1000 ? n.toFixed(0) : n.toPrecision(3))} ${unit}`;
    }
  }
  return `${Math.round(ns)} ns`;
};
const step = (span, most) => {
  for (let ten = 1; ; ten *= 10) {
    for (const n of [1, 2, 5]) if (span / (ten * n) <= most) return ten * n;
  }
};
const ticks = (from, to, most) => {
  const by = step(to - from, most);
  const all = [];
  for (let at = Math.ceil(from / by) * by; at <= to; at += by) all.push(at);
  // Enough digits to tell them apart.
  const [unit, size] = by >= 1e9 ? ["s", 1e9] : by >= 1e6 ? ["ms", 1e6] : by >= 1e3 ? ["µs", 1e3] : ["ns", 1];
  return all.map((at) => [at, at === 0 ? "0" : `${Math.round(at / size)} ${unit}`]);
};

const dataElement = document.getElementById("data");
const data = dataElement ? JSON.parse(dataElement.textContent) : null;
if (data) {
  const [SUBMIT, XMIT, RETURN, NOTIFY, ACK, RELEASE] = [0, 1, 2, 3, 4, 5];
  const transfers = data.transfers;
  const byId = new Map(transfers.map((t) => [t.id, t]));
  const changes = new Map(data.mutations.map((m) => [m.id, m]));
  const anchor = (id) => id.replaceAll(":", "-");
  for (const t of transfers) {
    t.from = t.at[SUBMIT];
    t.to = Math.max(t.at[RELEASE] ?? data.end, t.from);
    t.told = Math.min(Math.max(t.at[NOTIFY] ?? t.at[RETURN] ?? t.to, t.from), t.to);
    t.word = (label) => (t.words.find(([i]) => data.labels[i] === label) || [])[1];
    t.changes = t.mutations.map((id) => changes.get(id)).filter(Boolean);
  }

  // Details.
  const detail = document.getElementById("detail");
  let opener = null;
  const close = () => {
    detail.hidden = true;
    document.querySelectorAll("tr.chosen").forEach((row) => row.classList.remove("chosen"));
    if (location.hash.startsWith("#t-")) history.replaceState(null, "", location.pathname + location.search);
    if (opener) opener.focus();
  };
  const life = (t) => {
    const width = 100;
    const span = Math.max(t.to - t.from, 1);
    const x = (at) => Math.min(Math.max((at - t.from) / span, 0), 1) * width;
    const picture = svg("svg", { class: "life", role: "img", "aria-label": "Its life, to scale" });
    const bar = svg("svg", { width: "100%", height: "34", viewBox: `0 0 ${width} 34`, preserveAspectRatio: "none" });
    bar.append(svg("rect", { class: t.verdict, x: 0, y: 14, width: x(t.told), height: 6 }));
    bar.append(svg("rect", { class: t.verdict, x: x(t.told), y: 10, width: width - x(t.told), height: 14 }));
    picture.append(bar);
    const names = [["submit", SUBMIT], ["first transmit", XMIT], ["return", RETURN], ["notify", NOTIFY], ["ack", ACK], ["release", RELEASE]];
    const rows = [[], [], [], []];
    for (const [name, i] of names) {
      if (t.at[i] === null) continue;
      const at = x(t.at[i]);
      picture.append(svg("line", { class: "mark", x1: `${at}%`, x2: `${at}%`, y1: 6, y2: 28 }));
      const row = rows.findIndex((taken) => taken.every((other) => Math.abs(other - at) > 24));
      if (row < 0) continue;
      rows[row].push(at);
      picture.append(svg("text", { x: `${at}%`, y: 44 + row * 17, "text-anchor": at < 8 ? "start" : at > 92 ? "end" : "middle" }, name));
    }
    for (const m of t.changes) {
      const at = x(m.at);
      const mark = svg("svg", { x: `${at}%`, y: 17, overflow: "visible" });
      mark.append(svg("path", { class: "change", d: "M0 -6 6 0 0 6 -6 0z" }));
      mark.firstChild.append(svg("title", {}, `${m.id} ${m.says}`));
      picture.append(mark);
    }
    return picture;
  };
  const open = (t) => {
    const button = element("button", { type: "button", class: "tool close" }, "Close");
    button.addEventListener("click", close);
    const list = element("dl", {});
    for (const [i, words] of t.words) list.append(element("dt", {}, data.labels[i]), element("dd", {}, words));
    const parts = [button, element("h2", {}, `Transfer ${t.id} `, element("span", { class: `v ${t.verdict}` }, t.verdict)),
      life(t), element("code", { class: "explain" }, `${data.explain} ${t.id}`)];
    for (const name of t.rules) {
      parts.push(element("p", {}, element("b", {}, name), `: ${data.rules[name] || ""}`));
    }
    for (const name of t.reasons) {
      parts.push(element("p", {}, element("b", {}, `not certain, ${name}`), `: ${data.reasons[name] || ""}`));
    }
    for (const m of t.changes) {
      parts.push(element("p", {}, element("b", {}, `${m.id}, ${time(m.at - t.from)} after submit`), `: ${m.says}`));
    }
    parts.push(list);
    detail.replaceChildren(...parts);
    detail.hidden = false;
    detail.scrollTop = 0;
    document.querySelectorAll("tr.chosen").forEach((row) => row.classList.remove("chosen"));
    const row = document.getElementById(`t-${anchor(t.id)}`);
    if (row) row.classList.add("chosen");
    button.focus({ preventScroll: true });
  };
  const go = (t, from) => {
    opener = from;
    history.replaceState(null, "", `#t-${anchor(t.id)}`);
    open(t);
  };
  const byAnchor = new Map(transfers.map((t) => [`#t-${anchor(t.id)}`, t]));
  const follow = () => {
    const t = byAnchor.get(location.hash);
    if (t) open(t);
  };
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !detail.hidden) close();
  });
  for (const row of document.getElementById("transfers").tBodies[0].rows) {
    const cell = row.cells[0];
    const t = byId.get(cell.textContent);
    const button = element("button", { type: "button" }, cell.textContent);
    cell.replaceChildren(button);
    button.addEventListener("click", () => go(t, button));
  }

  // The timeline: windows in as few lanes as they fit into.
  const lanes = document.getElementById("lanes");
  const says = document.getElementById("lane-says");
  const inOrder = [...transfers].sort((a, b) => a.from - b.from || a.to - b.to);
  const first = inOrder.length ? inOrder[0].from : 0;
  const last = Math.max(first + 1, ...inOrder.map((t) => t.to));
  let [from, to] = [first, last];
  let chosen = -1;
  const tell = (t) => {
    const gap = t.open ? `lent for at least ${time(t.to - t.from)}` : `gap ${time(t.to - t.from)}`;
    const hit = t.changes.length ? `; changed by ${t.changes.map((m) => `${m.id} ${m.says}`).slice(0, 2).join(", ")}` : "";
    return `${t.id} ${t.verdict}, ${gap}, at ${time(t.from)}: ${t.word("interface")}, ${t.word("process")}, ` +
      `${t.word("file") || t.word("memory") || ""}, ${t.word("socket") || "in a pipe"}${hit}`;
  };
  // Windows too short to see are points in a strip of their own below, so that they do not push the others apart.
  const STRIP = 5;
  const place = (width, most) => {
    const scale = width / (to - from);
    const ends = [];
    const points = new Array(STRIP).fill(-Infinity);
    const short = [];
    const fit = (t, taken, room) => {
      const [x, end] = [(t.from - from) * scale, Math.max((t.to - from) * scale, (t.from - from) * scale + 3)];
      let lane = taken.findIndex((last) => last + 1 < x);
      if (lane < 0 && taken.length < room) lane = taken.push(0) - 1;
      // What does not fit is drawn over others rather than left out.
      if (lane < 0) lane = taken.indexOf(Math.min(...taken));
      taken[lane] = Math.max(taken[lane], end);
      [t.lane, t.x, t.width] = [lane, Math.max(x, -2), end - Math.max(x, -2)];
    };
    for (const t of inOrder) {
      t.lane = -1;
      if (t.to < from || t.from > to) continue;
      if (t.verdict === "clean" && (t.to - t.from) * scale < 4) short.push(t);
      else fit(t, ends, most);
    }
    for (const t of short) {
      fit(t, points, STRIP);
      t.lane += ends.length;
    }
    return Math.max(ends.length + (short.length ? STRIP : 0), 6);
  };
  let geometry = null;
  const draw = () => {
    const width = Math.max(lanes.clientWidth, 200);
    const count = place(width, 60);
    const thick = Math.max(5, Math.min(16, Math.floor(420 / count)));
    const height = count * thick + 26;
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    const scale = width / (to - from);
    for (const [at, name] of ticks(from, to, Math.max(3, width / 110))) {
      const x = (at - from) * scale;
      picture.append(svg("line", { class: "grid", x1: x, x2: x, y1: 0, y2: height - 22 }));
      if (x > 14 && x < width - 24) picture.append(svg("text", { x, y: height - 8, "text-anchor": "middle" }, name));
    }
    for (const m of data.mutations) {
      const x = (m.at - from) * scale;
      if (x >= 0 && x <= width) picture.append(svg("line", { class: "rule", x1: x, x2: x, y1: 0, y2: height - 22 }));
    }
    const paths = { clean: "", unknown: "", mutated: "" };
    const marks = [];
    for (const t of inOrder) {
      if (t.lane < 0) continue;
      const y = t.lane * thick + 2;
      const bar = thick - 2;
      const told = Math.min(Math.max((t.told - from) * scale - t.x, 0), t.width);
      const thin = Math.max(Math.round(bar / 3), 2);
      if (told > 1) paths[t.verdict] += `M${t.x.toFixed(1)} ${y + (bar - thin) / 2}h${told.toFixed(1)}v${thin}h${(-told).toFixed(1)}z`;
      const rest = told > 1 ? t.width - told : t.width;
      const x = told > 1 ? t.x + told : t.x;
      if (rest > 0) paths[t.verdict] += `M${x.toFixed(1)} ${y}h${rest.toFixed(1)}v${bar}h${(-rest).toFixed(1)}z`;
      for (const m of t.changes) {
        const at = (m.at - from) * scale;
        if (at >= 0 && at <= width) marks.push([at, y + bar / 2]);
      }
    }
    for (const verdict of ["clean", "unknown", "mutated"]) picture.append(svg("path", { class: verdict, d: paths[verdict] }));
    for (const [x, y] of marks) picture.append(svg("path", { class: "change", d: `M${x} ${y - 5} ${x + 5} ${y} ${x} ${y + 5} ${x - 5} ${y}z` }));
    const now = inOrder[chosen];
    if (now && now.lane >= 0) {
      picture.append(svg("rect", { class: "chosen", x: now.x - 2, y: now.lane * thick, width: now.width + 4, height: thick + 2 }));
    }
    const stretch = svg("rect", { class: "stretch", x: 0, y: 0, width: 0, height: height - 22 });
    picture.append(stretch);
    lanes.replaceChildren(picture);
    geometry = { scale, thick, width, stretch };
  };
  const look = (a, b) => {
    const least = 1000;
    let span = Math.min(Math.max(b - a, least), last - first);
    const middle = (a + b) / 2;
    from = Math.min(Math.max(middle - span / 2, first), last - span);
    to = from + span;
    draw();
  };
  const zoom = (how) => {
    const span = to - from;
    const now = inOrder[chosen];
    const middle = now && now.lane >= 0 ? Math.min(Math.max((now.from + now.to) / 2, from), to) : (from + to) / 2;
    if (how === "in") look(middle - span / 4, middle + span / 4);
    if (how === "out") look(middle - span, middle + span);
    if (how === "left") look(from - span / 3, to - span / 3);
    if (how === "right") look(from + span / 3, to + span / 3);
    if (how === "all") look(first, last);
  };
  const at = (event) => {
    const box = lanes.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const lane = Math.floor(y / geometry.thick);
    let found = null;
    for (const t of inOrder) {
      const inside = t.lane === lane && t.x - 2 <= x && x <= t.x + t.width + 2;
      const rank = { clean: 0, unknown: 1, mutated: 2 };
      if (inside && (!found || rank[t.verdict] >= rank[found.verdict])) found = t;
    }
    return { x, found };
  };
  let drag = null;
  lanes.addEventListener("pointerdown", (event) => {
    drag = at(event).x;
    lanes.setPointerCapture(event.pointerId);
  });
  lanes.addEventListener("pointermove", (event) => {
    const { x, found } = at(event);
    if (drag === null) {
      says.textContent = found ? tell(found) : "\u00a0";
    } else {
      geometry.stretch.setAttribute("x", Math.min(x, drag));
      geometry.stretch.setAttribute("width", Math.abs(x - drag));
    }
  });
  lanes.addEventListener("pointerup", (event) => {
    const { x, found } = at(event);
    const began = drag;
    drag = null;
    if (began !== null && Math.abs(x - began) > 6) {
      const [a, b] = [Math.min(x, began), Math.max(x, began)];
      look(from + a / geometry.scale, from + b / geometry.scale);
    } else if (found) {
      chosen = inOrder.indexOf(found);
      draw();
      says.textContent = tell(found);
      go(found, lanes);
    }
  });
  lanes.addEventListener("pointercancel", () => { drag = null; draw(); });
  lanes.addEventListener("dblclick", () => zoom("all"));
  lanes.addEventListener("keydown", (event) => {
    const seen = (t) => t.lane >= 0;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) {
      let next = chosen < 0 && by > 0 ? inOrder.findIndex(seen) : chosen + by;
      while (inOrder[next] && !seen(inOrder[next])) next += by;
      if (inOrder[next]) chosen = next;
      if (inOrder[chosen]) says.textContent = tell(inOrder[chosen]);
      draw();
    } else if (event.key === "Enter" && inOrder[chosen]) {
      go(inOrder[chosen], lanes);
    } else if (event.key === "+" || event.key === "=") {
      zoom("in");
    } else if (event.key === "-") {
      zoom("out");
    } else if (event.key === "Home") {
      zoom("all");
    } else {
      return;
    }
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => zoom(button.dataset.zoom));
  let drawn = 0;
  new ResizeObserver(() => {
    if (Math.abs(lanes.clientWidth - drawn) > 1) {
      drawn = lanes.clientWidth;
      draw();
    }
  }).observe(lanes);
  draw();

  // What is under a pointer in a heat map; a click looks at that time in the timeline.
  const heatSays = document.getElementById("heat-says");
  for (const figure of document.querySelectorAll("figure[data-heat]")) {
    const heat = data.heat[figure.dataset.heat];
    const map = figure.querySelector(".map");
    const under = (event) => {
      const box = map.getBoundingClientRect();
      const columns = heat.columns.length;
      const column = Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * columns), 0), columns - 1);
      const up = (box.bottom - event.clientY) / box.height * (heat.last - heat.first);
      return [column, Math.min(Math.max(heat.first + Math.floor(up), heat.first), heat.last - 1)];
    };
    map.addEventListener("pointermove", (event) => {
      const [column, row] = under(event);
      const n = (heat.columns[column].find(([r]) => r === row) || [0, 0])[1];
      const when = `${time(column * heat.width)} to ${time((column + 1) * heat.width)}`;
      const long = `${heat.floors[row]} to ${heat.floors[row + 1] || "forever"}`;
      heatSays.textContent = `${n} with ${figure.dataset.heat === "gaps" ? "a gap" : "an exposure"} of ${long}, ended at ${when}`;
    });
    map.addEventListener("pointerleave", () => { heatSays.textContent = "\u00a0"; });
    map.addEventListener("click", (event) => {
      const [column] = under(event);
      look((column - 1) * heat.width, (column + 2) * heat.width);
      lanes.scrollIntoView({ block: "center" });
    });
  }
  follow();
}
