// The table of the runs: each row highlights its curve and opens, renames, pins, hides
// or removes its run.

const FAINT = 0.2; // share of the opacity that the other curves keep meanwhile
const BOLDER = 1.5; // pixels
const DASHES = { solid: "none", dashed: "6 4", dotted: "2 4", dash_dotted: "7 3 2 3" };
const ICONS = {
  shown: "M1 8q7-9 14 0q-7 9-14 0z M8 5.6a2.4 2.4 0 1 0 .01 0z",
  hidden: "M1 8q7-9 14 0q-7 9-14 0z M2 14L14 2",
  pinned: "M5 2h6l-1 5 2 2H4l2-2z M8 9v5",
  actions: "M3 8h.01M8 8h.01M13 8h.01",
};
const NUMBERS = [
  ["suggested", "suggested"],
  ["range", "range to try"],
  ["lowest", "lowest loss"],
  ["unstable", "unstable from"],
  ["steps", "steps"],
];

// From a line to its look without a highlight, and the look with it. All views share them.
const highlights = new Map();

function render({ model, el }) {
  const table = { model, el, editing: null, draft: "", highlighted: null };
  el.classList.add("lrwidget-runs");
  table.menu = element("div", { className: "lrwidget-row-menu", popover: "auto" });
  table.said = element("p", { className: "lrwidget-runs-said", role: "status" });
  table.body = element("table");
  el.append(table.body, table.said, table.menu);
  table.menu.addEventListener("toggle", ({ newState }) => {
    if (newState === "closed") table.opener?.setAttribute("aria-expanded", "false");
  });
  model.on("change:rows", () => draw(table));
  model.on("change:lines", () => highlight(table, table.highlighted));
  model.on("msg:custom", ({ problem }) => problem && say(table, problem));
  addEvents(table);
  draw(table);
  return () => highlight(table, null);
}

// ---- the rows

function draw(table) {
  const { model, body, el } = table;
  const focused = document.activeElement;
  const place = el.contains(focused) ? focused.dataset : {};
  const [name, part] = [place.run, place.part];
  const index = rowsOf(table).findIndex((row) => row.dataset.run === name);
  const rows = model.get("rows");
  if (!rows.some((row) => row.name === table.editing)) table.editing = null;
  if (table.menu.isConnected) table.menu.togglePopover?.(false);
  const differ = rows.some((row) => row.differs);
  body.replaceChildren(caption(), head(differ));
  body.append(element("tbody", {}, ...rows.map((row) => line(table, row, differ))));
  say(table, rows.map((row) => row.note).join(""));
  highlight(table, table.highlighted);
  if (!name) return;
  const again = rowsOf(table);
  const row = again.find((row) => row.dataset.run === name);
  const next = row ?? again[Math.min(Math.max(index, 0), again.length - 1)];
  const same = next?.querySelector(`[data-part="${part}"]:enabled`);
  (same ?? next?.querySelector("[data-part=open]"))?.focus();
}

function rowsOf({ body }) {
  return [...body.querySelectorAll("tbody tr")];
}

function caption() {
  const hint = element("span", { textContent: "point at a row to highlight its curve, click to open it" });
  return element("caption", {}, element("b", { textContent: "Runs" }), " ", hint);
}

function head(differ) {
  const row = element("tr");
  const add = (textContent, className) =>
    row.append(element("th", { textContent, className, scope: "col" }));
  row.append(element("th", { scope: "col" }, unseen("line")));
  add("Run", "lrwidget-run");
  for (const [key, title] of NUMBERS) add(title, `lrwidget-number lrwidget-${key}`);
  if (differ) add("differs in", "lrwidget-differs");
  row.append(element("th", { scope: "col" }, unseen("actions")));
  return element("thead", {}, row);
}

function unseen(textContent) {
  return element("span", { textContent, className: "lrwidget-unseen" });
}

function line(table, row, differ) {
  const made = element("tr");
  made.dataset.run = row.name;
  if (row.opened) made.setAttribute("aria-current", "true");
  made.classList.toggle("lrwidget-hidden", row.hidden && !row.opened);
  made.append(element("td", { className: "lrwidget-sample" }, sample(row)));
  made.append(nameOf(table, row));
  for (const [key] of NUMBERS) {
    const className = `lrwidget-number lrwidget-${key}`;
    made.append(element("td", { textContent: row[key], className }));
  }
  if (differ) {
    const { differs } = row;
    const text = { textContent: differs, title: differs, className: "lrwidget-cut" };
    made.append(element("td", { className: "lrwidget-differs" }, element("div", text)));
  }
  const actions = element("div", {}, hideButton(table, row), menuButton(table, row));
  made.append(element("td", { className: "lrwidget-row-actions" }, actions));
  return made;
}

function sample({ colour, style, opened }) {
  const svg = svgOf("0 0 28 10", "M1 5H27");
  const width = opened ? 3 : 2;
  Object.assign(svg.firstChild.style, { stroke: colour, strokeWidth: width });
  svg.firstChild.style.strokeDasharray = DASHES[style];
  return svg;
}

function svgOf(viewBox, d) {
  const namespace = "http://www.w3.org/2000/svg";
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS(namespace, tag));
  svg.setAttribute("viewBox", viewBox);
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

function nameOf(table, row) {
  const cell = element("th", { scope: "row", className: "lrwidget-run" });
  if (table.editing === row.name) {
    cell.append(editor(table, row));
    return cell;
  }
  const title = row.opened ? row.name : `${row.name}: open`;
  const open = button(row.name, "open", { title });
  open.append(element("span", { textContent: row.name, className: "lrwidget-cut" }));
  const box = element("div", {}, open);
  for (const [key, text] of [["latest", "(latest)"], ["opened", "opened"], ["pinned", "pinned"]]) {
    // Of a single display, the latest run is the opened one unless another was chosen.
    if (!row[key] || (key === "opened" && row.latest)) continue;
    box.append(element("span", { className: "lrwidget-tag", textContent: text }));
  }
  cell.append(box);
  return cell;
}

function button(run, part, properties) {
  const made = element("button", { type: "button", ...properties });
  Object.assign(made.dataset, { run, part });
  return made;
}

function hideButton(table, row) {
  const { name, hidden, opened } = row;
  const text = opened ? `${name} is open, so it stays visible` : `Hide ${name}`;
  const made = button(name, "hide", { title: hidden && !opened ? `Show ${name}` : text });
  made.append(svgOf("0 0 16 16", ICONS[hidden && !opened ? "hidden" : "shown"]));
  made.setAttribute("aria-label", made.title);
  made.classList.add("lrwidget-icon", "lrwidget-command");
  made.disabled = opened;
  made.addEventListener("click", () => {
    table.model.send({ do: "hide", name, on: !hidden });
  });
  return made;
}

// ---- the menu of a row

function menuButton(table, row) {
  const made = button(row.name, "menu", { title: `Actions for ${row.name}` });
  made.append(svgOf("0 0 16 16", ICONS.actions));
  made.classList.add("lrwidget-icon", "lrwidget-dots");
  made.setAttribute("aria-label", made.title);
  made.setAttribute("aria-expanded", "false");
  made.addEventListener("click", () => showMenu(table, row, made));
  return made;
}

function showMenu(table, { name, latest, pinned }, opener) {
  const { menu, model } = table;
  const entry = (textContent, act, command = true) => {
    const made = element("button", { type: "button", textContent });
    made.classList.toggle("lrwidget-command", command);
    made.addEventListener("click", () => {
      menu.togglePopover(false); // which gives the focus back to the button
      act();
    });
    return made;
  };
  menu.replaceChildren(
    entry("Rename", () => edit(table, name), false),
    entry(pinned ? "Unpin" : "Pin to the top", () =>
      model.send({ do: "pin", name, on: !pinned }),
    ),
  );
  if (!latest) menu.append(entry("Remove", () => model.send({ do: "remove", name })));
  table.opener = opener;
  opener.focus();
  menu.setAttribute("role", "group");
  menu.setAttribute("aria-label", `Actions for ${name}`);
  menu.showPopover();
  opener.setAttribute("aria-expanded", "true");
  const [box, { width, height }] = [opener.getBoundingClientRect(), menu.getBoundingClientRect()];
  const below = box.bottom + height < innerHeight;
  menu.style.left = `${Math.max(box.right - width, 0)}px`;
  menu.style.top = `${below ? box.bottom : box.top - height}px`;
  menu.firstChild.focus();
}

// ---- another name

function edit(table, name) {
  table.editing = table.draft = name;
  draw(table);
  const input = table.body.querySelector("input");
  input?.focus();
  input?.select();
}

function editor(table, { name }) {
  const input = element("input", { type: "text", value: table.draft });
  Object.assign(input.dataset, { run: name, part: "name" });
  input.setAttribute("aria-label", `New name of ${name}`);
  input.addEventListener("input", () => (table.draft = input.value));
  const end = (save) => {
    if (table.editing !== name) return;
    const text = input.value.trim();
    const taken = table.model.get("rows").some((row) => row.name === text);
    if (save && text && text !== name) {
      if (taken) return say(table, `Another run is named ${text}.`);
      table.model.send({ do: "rename", name, new: text });
    }
    table.editing = null;
    draw(table);
    const rows = rowsOf(table);
    rows.find((row) => row.dataset.run === name)?.querySelector("[data-part=open]")?.focus();
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") end(true);
    else if (event.key === "Escape") end(false);
  });
  input.addEventListener("blur", () => {
    // A redrawn table takes the field away and puts it back.
    if (input.isConnected) end(false);
  });
  return input;
}

function say({ said }, text) {
  if (said.textContent !== text) said.textContent = text;
}

// ---- events of the mouse and the keyboard

function addEvents(table) {
  const { body, model } = table;
  const runAt = ({ target }) => target.closest("tbody tr")?.dataset.run ?? null;
  body.addEventListener("click", (event) => {
    const name = runAt(event);
    const onPart = event.target.closest("input, button:not([data-part=open])");
    // The end of a selection in the table is no click.
    const selects = event.detail > 0 && !getSelection().isCollapsed && hasSelection(body);
    if (name === null || onPart || selects) return;
    if (!model.get("rows").find((row) => row.name === name)?.opened) {
      model.send({ do: "open", name });
    }
  });
  body.addEventListener("dblclick", (event) => {
    if (!event.target.closest("[data-part=open]")) return;
    getSelection().removeAllRanges();
    edit(table, runAt(event));
  });
  body.addEventListener("keydown", (event) => {
    const name = runAt(event);
    if (event.key !== "F2" || name === null) return;
    event.preventDefault();
    edit(table, name);
  });
  body.addEventListener("pointerover", (event) => highlight(table, runAt(event)));
  body.addEventListener("pointerleave", () => highlight(table, null));
  body.addEventListener("focusin", (event) => highlight(table, runAt(event)));
  body.addEventListener("focusout", () => highlight(table, null));
}

function hasSelection(body) {
  return body.contains(getSelection().anchorNode);
}

// Changes the look of lines in this page alone: nothing is saved to the kernel.
async function highlight(table, name) {
  const { model } = table;
  table.highlighted = name;
  const rows = model.get("rows");
  const others = new Set(rows.filter((row) => !row.opened).map((row) => row.name));
  const row = rows.find((row) => row.name === name);
  const models = model.get("lines").map((mark) => modelOf(model, mark));
  const found = await Promise.allSettled(models); // a line may just have been closed
  const lines = found.flatMap(({ value }) => value ?? []);
  if (table.highlighted !== name) return;
  for (const line of [...highlights.keys()]) restore(line);
  // A run that is not drawn has nothing to highlight.
  if (!row || (row.hidden && !row.opened)) return;
  for (const line of lines) {
    const [label] = line.get("labels");
    const width = line.get("stroke_width");
    const faint = (values) => values.map((value) => value * FAINT);
    if (row.opened ? !others.has(label) : label === name) {
      // not the raw losses
      if (width > 1) change(line, { stroke_width: width + BOLDER });
    } else {
      const opacities = line.get("opacities");
      change(line, {
        opacities: faint(opacities.length ? opacities : [1]),
        fill_opacities: faint(line.get("fill_opacities")),
      });
    }
  }
}

function change(line, look) {
  const before = Object.keys(look).map((name) => [name, line.get(name)]);
  highlights.set(line, { before: Object.fromEntries(before), look });
  line.set(look);
}

// Takes a highlight away, except from what the kernel has changed since.
function restore(line) {
  const { before, look } = highlights.get(line) ?? {};
  highlights.delete(line);
  for (const name in look) if (line.get(name) === look[name]) line.set(name, before[name]);
}

export default { render };
