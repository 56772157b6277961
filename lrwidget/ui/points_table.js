// The table of the points, which is built when it is unfolded.

const COLUMNS = ["rate", "loss", "trend"];

function render({ model, el }) {
  const details = document.createElement("details");
  details.className = "lrwidget-points";
  const summary = document.createElement("summary");
  const table = document.createElement("table");
  details.append(summary, table);
  el.append(details);
  const fill = () => {
    summary.textContent = model.get("title");
    table.replaceChildren();
    if (!details.open) return;
    table.createCaption().textContent = model.get("title");
    const head = table.createTHead().insertRow();
    for (const name of COLUMNS) head.append(header(name, "col"));
    const body = table.createTBody();
    for (const [rate, ...values] of model.get("points")) {
      const row = body.insertRow();
      row.append(header(rate, "row"));
      for (const value of values) row.insertCell().textContent = value;
    }
  };
  details.addEventListener("toggle", fill);
  model.on("change:points change:title", fill);
  fill();
}

function header(textContent, scope) {
  return Object.assign(document.createElement("th"), { textContent, scope });
}

export default { render };
