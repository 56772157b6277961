// The table of the points, which is built when it is unfolded.

function render({ model, el }) {
  const summary = element("summary");
  const table = element("table");
  const box = element("div", { tabIndex: 0, role: "region" }, table); // since it scrolls
  const details = element("details", { className: "lrwidget-points" }, summary, box);
  el.append(details);
  const fill = () => {
    summary.textContent = model.get("title");
    box.setAttribute("aria-label", model.get("title"));
    table.replaceChildren();
    if (!details.open) return;
    table.createCaption().textContent = model.get("title");
    const head = table.createTHead().insertRow();
    for (const name of model.get("columns")) head.append(element("th", { textContent: name, scope: "col" }));
    const body = table.createTBody();
    for (const [rate, ...values] of model.get("points")) {
      const row = body.insertRow();
      row.append(element("th", { textContent: rate, scope: "row" }));
      for (const value of values) row.insertCell().textContent = value;
    }
  };
  details.addEventListener("toggle", fill);
  model.on("change:points change:title", fill);
  fill();
}

export default { render };
