// Draws each [data-chart] from its own table, so that chart and table cannot differ.
(() => {
  "use strict";
  const HEIGHT = 220;

  const read = (figure) => {
    const columns = [[], [], []];
    for (const row of figure.querySelectorAll("tbody tr")) {
      const at = Date.parse(row.querySelector("time").dateTime) / 1000;
      const cells = [...row.querySelectorAll("td.es-number")].map((cell) => cell.textContent.trim());
      columns[0].push(at);
      columns[1].push(cells.length && cells[0] !== "" ? Number(cells[0]) : null);
      columns[2].push(cells.length ? Number(cells[1]) : null);
    }
    return columns;
  };

  // A point without a neighbour has no line and would be invisible, so it is drawn as a dot.
  const isolated = (plot, series) => plot.data[series].flatMap(
    (each, at, all) => (each !== null && all[at - 1] == null && all[at + 1] == null ? [at] : []),
  );

  const options = (figure, width) => {
    const style = getComputedStyle(figure);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--body-quiet-color"), grid: { stroke: colour("--hairline-color"), width: 1 }, ticks: { show: false } };
    const fromZero = (_, __, max) => [0, Math.max(1, (max || 0) * 1.1)];
    return {
      width,
      height: HEIGHT,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "UTC"),
      cursor: { drag: { x: false, y: false } },
      scales: { rate: { range: fromZero }, lag: { range: fromZero } },
      axes: [
        { ...axis, values: (_, splits) => splits.map((at) => new Date(at * 1e3).toISOString().slice(11, 16)) },
        { ...axis, scale: "rate", size: 56, values: (_, splits) => splits.map((each) => `${each}/s`) },
        { ...axis, scale: "lag", side: 1, size: 56, grid: { show: false }, values: (_, splits) => splits.map((each) => `${each} s`) },
      ],
      series: [
        { label: "UTC", value: (_, at) => (at === null ? "–" : new Date(at * 1e3).toISOString().slice(11, 16)) },
        { label: "Messages a second", scale: "rate", stroke: colour("--es-rate"), width: 2, points: { show: true, size: 6, filter: isolated } },
        { label: "Seconds behind", scale: "lag", stroke: colour("--es-lag"), width: 2, dash: [6, 4], points: { show: true, size: 6, filter: isolated } },
      ],
    };
  };

  const draw = (figure) => {
    figure.querySelector(".es-plot")?.remove();
    const plot = document.createElement("div");
    plot.className = "es-plot";
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${figure.querySelector("h2").textContent}: ${figure.querySelector(".es-help").textContent}`);
    figure.querySelector("figcaption").after(plot);
    new uPlot(options(figure, figure.clientWidth), read(figure), plot);
  };

  const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
  let resized;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(drawAll, 100); });
  document.addEventListener("es-refreshed", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  drawAll();
})();
