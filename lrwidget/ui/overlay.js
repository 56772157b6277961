// What the page draws over the chart: the names of the zones, the loss at the start, the
// card at the handle, and the crosshair with the losses of all runs at a rate.

const NEAR = 40; // pixels between the mouse and the point that is marked, at most
const GAP = 12; // pixels between a line and the texts beside it
const MOST_ROWS = 12; // runs that the crosshair tells of
const NARROW = 560; // pixels, at which the margins of the chart shrink
const HEIGHTS = [0.04, 0.16, 0.28, 0.4, 0.52, 0.64, 0.76, 0.88, 1]; // of a card, tried
const SEGMENT = 12; // pixels of a line that count as one point of it
const STAYS = 2; // points more that a card may hide before it moves elsewhere
const MARGINS = { left: 44, top: 24, bottom: 36 };
const OFFSET = "31px"; // of the names of the axes from a narrow plot
const PARTS = ["handle", "needle", "raw", "training", "latest"];
const LISTS = ["others", "axes", "figures"];
const SVG = "http://www.w3.org/2000/svg";

// anywidget removes the listeners of the model with the view; the signal ends the rest.
function render({ model, el }) {
  const controller = new AbortController();
  const page = { model, el, signal: controller.signal };
  el.classList.add("lrwidget-overlay");
  whenAttached(page, (root) => start(page, root.querySelector(".lrwidget-chart")));
  return () => controller.abort();
}

async function start(page, chart) {
  const { model, el, signal } = page;
  const parts = {};
  const drawn = {
    zones: el.appendChild(element("div", { className: "lrwidget-zones" })),
    start: el.appendChild(element("div", { className: "lrwidget-start" })),
    card: el.appendChild(element("div", { className: "lrwidget-card" })),
  };
  for (const part of Object.values(drawn)) part.setAttribute("aria-hidden", "true");
  const above = hatch(el, chart);
  chart.tabIndex = 0;
  const crosshair = addCrosshair(page, chart, parts);
  let frame = 0;
  const draw = () => {
    frame = 0;
    if (signal.aborted || !parts.latest) return;
    const { scales, plot } = geometry(parts, chart, el);
    if (!plot.width) return;
    drawZones(drawn.zones, model.get("zones"), scales.x, plot);
    drawAbove(above, parts.raw, scales, plot);
    drawStart(drawn.start, model, parts, scales, plot);
    hideDots(chart, scales.x, parts.handle.get("x")[0], model.get("suggestion"));
    drawCard(drawn, model, parts, scales, plot);
    describe(chart, scales.x, parts.handle.get("x")[0], drawn.card);
    crosshair();
  };
  const redraw = () => {
    frame ||= requestAnimationFrame(draw);
  };
  const listen = listener(signal);
  const connect = async () => {
    for (const name of PARTS) parts[name] = await modelOf(model, model.get(name));
    for (const name of LISTS) {
      const all = model.get(name).map((part) => modelOf(model, part));
      const found = await Promise.allSettled(all); // a line may just have been closed
      parts[name] = found.flatMap(({ value }) => value ?? []);
    }
    if (signal.aborted) return;
    const lines = [parts.raw, parts.training, parts.latest, ...parts.others];
    listen([
      ...[...lines, parts.handle].map((mark) => [mark, "change:x change:y", redraw]),
      ...parts.axes.map((axis) => [axis.get("scale"), "change:min change:max", redraw]),
      [parts.latest, "change:scales change:labels", redraw],
      [parts.handle, "change:x", () => moveNeedle(parts)],
    ]);
    shrink(parts, chart);
    redraw();
  };
  model.on("change:others change:figures", connect);
  model.on("change", redraw);
  await connect();
  if (signal.aborted) return;
  const fit = () => {
    shrink(parts, chart);
    redraw();
  };
  const sizes = new ResizeObserver(fit);
  sizes.observe(chart);
  // bqplot lays out the plot a little after a change of its size.
  const layouts = new MutationObserver(redraw);
  layouts.observe(chart.querySelector(".plotarea_events"), { attributes: true });
  signal.addEventListener("abort", () => {
    for (const observer of [sizes, layouts]) observer.disconnect();
    shrink(parts, chart, false); // a narrow view that is left makes them small again
  });
}

// Returns a function that listens to models, and no more to those of the call before.
function listener(signal) {
  let heard = [];
  const stop = () => {
    for (const [model, events, react] of heard) model.off(events, react);
  };
  signal.addEventListener("abort", stop);
  return (wanted) => {
    stop();
    heard = wanted;
    for (const [model, events, react] of heard) model.on(events, react);
  };
}

// Returns the scales of the curves, and the place of the plot in the overlay.
function geometry(parts, chart, el) {
  const area = chart.querySelector(".plotarea_events").getBoundingClientRect();
  const outer = el.getBoundingClientRect();
  const plot = {
    left: area.left - outer.left,
    top: area.top - outer.top,
    width: area.width,
    height: area.height,
    right: area.right - outer.left,
    bottom: area.bottom - outer.top,
  };
  return { scales: parts.latest.get("scales"), plot };
}

// Returns rates, heights of the trend, and heights of the upper edge of its band, if any.
function curveOf(line) {
  const [xs, ys] = [line.get("x"), line.get("y")];
  const rows = ys.length && ys[0].length >= 0 ? ys : [ys];
  return { xs, trend: rows[1] ?? rows[0], upper: rows[2] };
}

// ---- a narrow page

// The values of figures and axes for a wide page, which all views share.
const wide = new WeakMap();

// Makes the margins small, or restores them. Only this page changes.
function shrink({ figures, axes }, chart, narrow = chart.clientWidth < NARROW) {
  // The strip has the left edge of the plot, too.
  const style = chart.closest(".lrwidget")?.style;
  if (narrow) style?.setProperty("--lrwidget-left", `${MARGINS.left}px`);
  else style?.removeProperty("--lrwidget-left");
  const fit = (part, name, small) => {
    if (narrow && !wide.has(part)) {
      wide.set(part, part.get(name));
      part.set(name, small(part.get(name)));
    } else if (!narrow && wide.has(part)) {
      part.set(name, wide.get(part));
      wide.delete(part);
    }
  };
  for (const figure of figures) fit(figure, "fig_margin", (all) => ({ ...all, ...MARGINS }));
  for (const axis of new Set([...axes, ...figures.flatMap((figure) => figure.get("axes"))])) {
    fit(axis, "label_offset", () => OFFSET);
  }
}

// ---- the zones

function hatch(el, chart) {
  const id = `lrwidget-hatch-${Math.random().toString(36).slice(2)}`;
  const [svg, pattern, back, line] = ["svg", "pattern", "rect", "path"].map((name) =>
    document.createElementNS(SVG, name),
  );
  setAttributes(svg, { width: 1, height: 1, "aria-hidden": "true", class: "lrwidget-hatch" });
  const size = { width: 9, height: 9 };
  setAttributes(pattern, { id, patternUnits: "userSpaceOnUse", ...size });
  setAttributes(back, { ...size, class: "lrwidget-hatch-back" });
  setAttributes(line, { d: "M-1 10L10 -1M-1 1L1 -1M8 10L10 8", class: "lrwidget-hatch-line" });
  pattern.append(back, line);
  svg.append(pattern);
  el.append(svg);
  chart.style.setProperty("--lrwidget-hatching", `url("#${id}")`);
  const above = document.createElementNS(SVG, "path");
  setAttributes(above, { class: "lrwidget-above" });
  svg.append(above);
  return above;
}

// Draws a triangle at the upper edge of the plot for each dot above it.
function drawAbove(path, raw, scales, plot) {
  const [xs, ys] = [raw.get("x"), raw.get("y")];
  let way = "";
  for (let i = 0; i < xs.length && raw.get("marker"); i++) {
    const share = shareOf(scales.x, xs[i]);
    if (ys[i] <= scales.y.get("max") || share < 0 || share > 1) continue;
    way += `M${(plot.left + share * plot.width).toFixed(1)} ${plot.top + 2}l-4 7h8z`;
  }
  if (path.getAttribute("d") !== way) path.setAttribute("d", way);
}

function drawZones(box, zones, rates, plot) {
  place(box, plot.left, plot.top);
  box.style.width = `${plot.width}px`;
  while (box.children.length < zones.length) box.append(element("span"));
  while (box.children.length > zones.length) box.lastChild.remove();
  zones.forEach(([name, low, high], i) => {
    const shareAt = (rate, missing) =>
      rate === null ? missing : Math.min(Math.max(shareOf(rates, rate), 0), 1);
    const [from, to] = [shareAt(low, 0), shareAt(high, 1)];
    const zone = box.children[i];
    if (zone.textContent !== name) {
      zone.replaceChildren(element("b", { textContent: name }));
      zone.className = name === "unstable" ? "lrwidget-unstable" : "";
    }
    zone.style.left = `${100 * from}%`;
    zone.style.width = `${100 * (to - from)}%`;
    zone.classList.toggle("lrwidget-begins", from > 0 && from < 1);
    const room = (to - from) * plot.width;
    zone.firstChild.hidden = false;
    zone.firstChild.hidden = zone.firstChild.offsetWidth + 8 > room;
  });
}

// ---- the loss at the start

function drawStart(text, model, parts, scales, plot) {
  const start = model.get("start");
  const height = model.get("logarithmic") ? Math.log10(start) : start;
  const share = start === null ? NaN : shareOf(scales.y, height);
  text.hidden = !(share > 0 && share < 1);
  if (text.hidden) return;
  text.textContent = `${model.get("loss_name")} at the start, ${shortLoss(start)}`;
  const [width, tall] = [text.offsetWidth, text.offsetHeight];
  const y = plot.bottom - share * plot.height;
  const unstable = model.get("zones").find(([name]) => name === "unstable");
  const hatched = unstable ? plot.left + shareOf(scales.x, unstable[1]) * plot.width : Infinity;
  const points = obstacles(parts, scales, plot);
  const needle = plot.left + shareOf(scales.x, parts.handle.get("x")[0]) * plot.width;
  let best = null;
  const [first, last] = [plot.left + 4, plot.right - width - 4];
  for (const left of [first, needle + GAP, last]) {
    if (!(left >= first && left <= last)) continue;
    for (const gap of [2, 10, 18]) {
      for (const top of [y + gap, y - tall - gap]) {
        if (top < plot.top || top + tall > plot.bottom) continue;
        const crossed = left < needle + 4 && left + width > needle - 4 ? 8 : 0;
        const unclear = (left + width > hatched ? 8 : 0) + crossed;
        const cost = hidden(points, { left, top }, width, tall) + unclear + gap / 6;
        if (!best || cost < best.cost) best = { cost, left, top };
      }
    }
  }
  if (best) place(text, best.left, best.top);
}

// ---- the dots of the chosen rate and of the suggestion

function hideDots(chart, rates, choice, suggestion) {
  for (const [name, rate] of Object.entries({ choice, suggestion })) {
    const share = shareOf(rates, rate);
    const seen = share >= 0 && share <= 1 ? "visible" : "hidden";
    chart.style.setProperty(`--lrwidget-${name}-seen`, seen);
  }
}

// ---- the card at the handle

function drawCard({ card, start }, model, parts, scales, plot) {
  const rate = parts.handle.get("x")[0];
  const share = rate === undefined ? NaN : shareOf(scales.x, rate);
  const words = rate === undefined ? [] : cardWords(model, parts, scales, rate);
  card.words = words.filter(Boolean).join(", ");
  card.hidden = !(share >= 0 && share <= 1);
  if (card.hidden) return;
  if (card.said !== card.words) {
    const [first, suggested, ...rest] = words;
    const title = element("div");
    title.append(element("b", { textContent: first }), element("span", { textContent: suggested }));
    card.replaceChildren(title);
    for (const line of rest) if (line) card.append(element("span", { textContent: line }));
    card.said = card.words;
  }
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  const x = plot.left + share * plot.width;
  const clamp = (left) => Math.min(Math.max(left, plot.left + 2), plot.right - width - 2);
  const room = plot.height - height - 12;
  const points = obstacles(parts, scales, plot);
  const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = start; // 0 if it is hidden
  for (let at = 0; at < offsetWidth; at += SEGMENT) {
    points.push([offsetLeft + at, offsetTop + offsetHeight / 2, 1]);
  }
  let best = null;
  for (const side of [-1, 1]) {
    const left = clamp(side < 0 ? x - GAP - width : x + GAP);
    const covers = left < x + 8 && left + width > x - 8 ? 30 : 0; // the handle's line
    for (const part of HEIGHTS) {
      const at = { left, top: plot.top + 6 + (1 - part) * room };
      const coversDot = covers && at.top + height > plot.bottom - 40 ? covers : 0;
      const stays = card.side === side && card.part === part ? STAYS : 0;
      const cost = hidden(points, at, width, height) + covers + coversDot + part - stays;
      if (!best || cost < best.cost) best = { cost, side, part, ...at };
    }
  }
  Object.assign(card, { side: best.side, part: best.part });
  place(card, best.left, best.top);
}

function cardWords(model, parts, scales, rate) {
  const [suggestion, zones] = [model.get("suggestion"), model.get("zones")];
  const found = lossAt(parts.latest, scales.x, rate, model.get("logarithmic"));
  const unstable = zones.find(([name]) => name === "unstable");
  return [
    shortRate(rate),
    suggestion === null ? "" : besideSuggestion(rate, suggestion),
    found ? `loss ${withMargin(found.loss, found.margin)}` : "",
    unstable ? besideUnstable(rate, unstable[1]) : "",
  ];
}

// Returns the loss of a trend at a rate, with its doubt and its height; null outside.
function lossAt(line, rates, rate, logarithmic) {
  const { xs, trend, upper } = curveOf(line);
  const count = xs.length;
  if (!count || rate < xs[0] || rate > xs[count - 1]) return null;
  let after = xs.findIndex((x) => x >= rate);
  if (after === 0) after = Math.min(1, count - 1);
  const before = Math.max(after - 1, 0);
  const [from, to] = [shareOf(rates, xs[before]), shareOf(rates, xs[after])];
  const share = to > from ? (shareOf(rates, rate) - from) / (to - from) : 0;
  const between = (ys) => ys[before] + share * (ys[after] - ys[before]);
  const lossOf = (y) => (logarithmic ? 10 ** y : y);
  const height = between(trend);
  const loss = lossOf(height);
  return { loss, height, margin: upper ? lossOf(between(upper)) - loss : 0 };
}

// Returns the places, in pixels, of all that a text should not hide, with their weights.
function obstacles(parts, scales, plot) {
  const points = [];
  const add = (line, weight) => {
    const { xs, trend } = curveOf(line);
    for (let i = 0; i < xs.length; i++) {
      const x = plot.left + shareOf(scales.x, xs[i]) * plot.width;
      const y = plot.bottom - shareOf(scales.y, trend[i]) * plot.height;
      const [fromX, fromY] = i && ![parts.raw, parts.training].includes(line) ? points.at(-1) : [x, y];
      // A long segment of a line counts in each part of it.
      const count = Math.min(Math.ceil(Math.hypot(x - fromX, y - fromY) / SEGMENT), 50) || 1;
      for (let j = 1; j <= count; j++) {
        const share = j / count;
        points.push([fromX + share * (x - fromX), fromY + share * (y - fromY), weight]);
      }
    }
  };
  add(parts.raw, 1);
  add(parts.training, 1);
  add(parts.latest, 2);
  for (const line of parts.others) add(line, 1);
  return points;
}

function hidden(points, { left, top }, width, height) {
  let sum = 0;
  for (const [x, y, weight] of points) {
    if (x > left - 4 && x < left + width + 4 && y > top - 4 && y < top + height + 4) {
      sum += weight;
    }
  }
  return sum;
}

// The line through the handle follows its dot before the kernel answers.
function moveNeedle({ handle, needle }) {
  const rate = handle.get("x")[0];
  if (rate !== undefined && needle.get("x").length === 2) {
    needle.set("x", Float64Array.of(rate, rate));
  }
}

// In decades, since screen readers do not read 1e-7 as a number.
function describe(chart, rates, rate, card) {
  const decades = (number) => Math.log10(number).toFixed(3);
  setAttributes(chart, {
    role: "slider",
    "aria-label": "Learning rate",
    "aria-valuemin": decades(rates.get("min")),
    "aria-valuemax": decades(rates.get("max")),
    "aria-valuenow": decades(rate ?? rates.get("min")),
    "aria-valuetext": card.words || "none chosen yet",
  });
}

// ---- the crosshair

// Returns a function that draws the crosshair anew where the mouse is.
function addCrosshair({ model, el, signal }, chart, parts) {
  const line = element("div", { className: "lrwidget-crosshair", hidden: true });
  const spot = element("div", { className: "lrwidget-spot", hidden: true });
  const tip = element("div", { className: "lrwidget-tip", hidden: true });
  el.append(line, spot, tip);
  let event = null;
  const hide = () => {
    event = null;
    line.hidden = spot.hidden = tip.hidden = true;
  };
  const show = () => {
    if (!event || !parts.latest) return;
    const { scales, plot } = geometry(parts, chart, el);
    const outer = el.getBoundingClientRect();
    const mouse = { x: event.clientX - outer.left, y: event.clientY - outer.top };
    const across = (mouse.x - plot.left) / plot.width;
    const inside = across >= 0 && across <= 1 && mouse.y >= plot.top && mouse.y <= plot.bottom;
    if (event.buttons || !inside) return hide();
    const rate = valueAt(scales.x, across);
    const logarithmic = model.get("logarithmic");
    const heightOf = (y) => plot.bottom - shareOf(scales.y, y) * plot.height;
    const rows = [];
    for (const run of [parts.latest, ...parts.others]) {
      const found = lossAt(run, scales.x, rate, logarithmic);
      if (found) rows.push({ run, ...found, away: Math.abs(heightOf(found.height) - mouse.y) });
    }
    if (!rows.length) return hide();
    const near = nearest([parts.raw, parts.training, parts.latest, ...parts.others], scales, plot, mouse);
    const shown = [...rows].sort((a, b) => a.away - b.away).slice(0, MOST_ROWS);
    const head = element("b", { textContent: `at ${shortRate(rate)}` });
    tip.replaceChildren(head);
    for (const row of rows.filter((row) => shown.includes(row))) {
      tip.append(rowOf(row.run, withMargin(row.loss, row.margin), row.run === near?.line));
    }
    if (near && [parts.raw, parts.training].includes(near.line)) {
      const loss = logarithmic ? 10 ** near.height : near.height;
      tip.append(rowOf(near.line, shortLoss(loss), true));
    }
    const left = rows.length - shown.length;
    if (left) {
      const more = `and ${left} more ${left === 1 ? "run" : "runs"}`;
      tip.append(element("span", { textContent: more }));
    }
    line.hidden = tip.hidden = false;
    spot.hidden = !near;
    if (near) place(spot, near.x, near.y);
    place(line, mouse.x, plot.top);
    line.style.height = `${plot.height}px`;
    const right = across > 0.5;
    const start = right ? mouse.x - GAP - tip.offsetWidth : mouse.x + GAP;
    const above = mouse.y - GAP - tip.offsetHeight;
    place(tip, Math.max(start, 0), above < 0 ? mouse.y + GAP : above);
  };
  const move = (moved) => {
    event = moved;
    show();
  };
  chart.addEventListener("pointermove", move, { signal });
  chart.addEventListener("pointerleave", hide, { signal });
  chart.addEventListener("pointerdown", hide, { signal });
  return show;
}

function rowOf(line, loss, marked) {
  const row = element("div", { className: marked ? "lrwidget-marked" : "" });
  const key = element("i");
  const [colour] = line.get("colors");
  const style = { dashed: "dashed", dotted: "dotted", dash_dotted: "double" };
  key.style.borderTop = `3px ${style[line.get("line_style")] ?? "solid"} ${colour}`;
  const [name] = line.get("labels");
  row.append(key, element("span", { textContent: name }), element("span", { textContent: loss }));
  return row;
}

function nearest(lines, scales, plot, mouse) {
  let best = null;
  let least = NEAR;
  for (const line of lines) {
    const { xs, trend } = curveOf(line);
    for (let i = 0; i < xs.length; i++) {
      const x = plot.left + shareOf(scales.x, xs[i]) * plot.width;
      const y = plot.bottom - shareOf(scales.y, trend[i]) * plot.height;
      if (y < plot.top || y > plot.bottom) continue;
      const distance = Math.hypot(x - mouse.x, y - mouse.y);
      if (distance < least) {
        least = distance;
        best = { line, height: trend[i], x, y };
      }
    }
  }
  return best;
}

export default { render };
