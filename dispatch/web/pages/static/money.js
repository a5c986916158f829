// The waterfall of a settled day, from the labelled bars that the server put into the page.
import { OPTIONS, chartStyle, colour } from './chart.js';
import { onRefresh } from './live.js';

onRefresh(() => {
  const bars = JSON.parse(document.getElementById('waterfall-figures').textContent), chart = document.getElementById('waterfall');
  chart.hidden = bars.length === 0;
  if (chart.hidden) return;
  const kind = (b) => (b.net ? colour('blue') : b.usd < 0 ? colour('orange') : colour('green'));
  Plotly.react(chart, [{
    type: 'bar', orientation: 'h', y: bars.map((b) => b.name), x: bars.map((b) => b.usd), base: bars.map((b) => b.from_usd),
    text: bars.map((b) => b.label), textposition: 'auto', cliponaxis: false, marker: { color: bars.map(kind) },
    hovertemplate: '%{y}: %{text}<extra></extra>',
  }], {
    ...chartStyle(), hovermode: 'closest', showlegend: false, height: 70 + 34 * bars.length, margin: { l: 10, r: 20, t: 10, b: 40 },
    xaxis: { title: { text: '$' }, gridcolor: colour('line'), zerolinecolor: colour('soft') },
    yaxis: { autorange: 'reversed', automargin: true },
  }, OPTIONS);
});
