// Draws the plan: prices above, the load of each group stacked below, on the axis that the server has labelled.
import { OPTIONS, axis, chartStyle, colour, priceAboveLoad, steps } from './chart.js';
import { json, onRefresh } from './live.js';

const PATTERNS = ['', '/', '.', 'x', '\\\\', '-', '+', '|'];
const FILLS = ['blue', 'orange', 'sky', 'mode-3', 'green'];

onRefresh(async () => {
  const chart = await json('/api/v1/chart'), groups = Object.entries(chart.groups), hover = '%{text}: %{y:.3f} MW';
  const loads = groups.map(([name, g], k) => ({
    ...steps(g), yaxis: 'y2', name, stackgroup: 'load', mode: 'lines', line: { width: 1, color: colour(FILLS[k % FILLS.length]) },
    fillpattern: { shape: PATTERNS[k % PATTERNS.length] }, hovertemplate: `${hover}<extra>${name}</extra>`,
  }));
  const price = { ...steps(chart.outlook), name: `expected price, ${chart.point}`, mode: 'lines', line: { color: colour('blue'), width: 2 }, hovertemplate: '%{text}: %{y:.2f} $/MWh<extra>price</extra>' };
  Plotly.react('plan-chart', [price, ...loads], {
    ...chartStyle(), height: 420, margin: { l: 60, r: 16, t: 40, b: 36 }, uirevision: 'same',
    xaxis: { ...axis(chart), range: [chart.now, chart.range[1]], anchor: 'y2' },
    ...priceAboveLoad(),
  }, OPTIONS);
});
