// Price above, load below, on one axis of market time. Ticks and labels come from the server.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const GROUP_DASHES = ['dot', 'dash', 'dashdot', 'longdash'];

// Steps: each value holds from its start to its end; a gap breaks the line.
export function steps(s) {
  const x = [], y = [], text = [];
  s.x.forEach((start, k) => {
    if (k && s.end[k - 1] !== start) { x.push(s.end[k - 1]); y.push(null); text.push(''); }
    x.push(start, s.end[k]); y.push(s.y[k], s.y[k]); text.push(s.label[k], s.label[k]);
  });
  return { x, y, text };
}

export function chartStyle() {
  return {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { color: colour('ink'), size: 12, family: 'system-ui, sans-serif' },
    legend: { orientation: 'h', y: 1.12, x: 0 }, hovermode: 'x unified', hoverlabel: { bgcolor: colour('card'), bordercolor: colour('line') },
  };
}

export const OPTIONS = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ['lasso2d', 'select2d', 'autoScale2d'] };

// Market time, as the server has labelled it.
export function axis(c) {
  return { range: c.range, tickmode: 'array', tickvals: c.axis.x, ticktext: c.axis.text, gridcolor: colour('line'), zeroline: false, hoverformat: ' ' };
}

// The two value axes of a chart with prices above and loads below.
export function priceAboveLoad() {
  return {
    yaxis: { domain: [0.5, 1], title: { text: '$/MWh' }, gridcolor: colour('line'), zerolinecolor: colour('soft') },
    yaxis2: { domain: [0, 0.42], title: { text: 'MW' }, gridcolor: colour('line'), rangemode: 'tozero' },
  };
}

export function drawChart(c) {
  const f = c.forecast, share = f.levels.map((l) => `${Math.round(100 * l)} %`).join(' to ');
  const low = steps({ ...f, y: f.low }), high = steps({ ...f, y: f.high }), decide = steps(f);
  const published = steps(c.published), outlook = steps(c.outlook), plan = steps(c.plan);
  const hover = '%{text}: %{y:.2f} $/MWh', mw = '%{text}: %{y:.3f} MW';
  const traces = [
    { ...low, name: 'forecast', legendgroup: 'forecast', showlegend: false, line: { width: 0 }, hoverinfo: 'skip' },
    { ...high, name: `forecast, ${share}`, legendgroup: 'forecast', showlegend: f.x.length > 0, fill: 'tonexty', fillcolor: 'rgba(0,114,178,.14)', line: { width: 0 }, hoverinfo: 'skip' },
    { ...decide, name: 'forecast to decide on', legendgroup: 'forecast', showlegend: false, line: { color: colour('soft'), width: 1 }, hovertemplate: hover + '<extra>forecast</extra>' },
    { ...published, name: `published, ${c.point}`, line: { color: colour('blue'), width: 2 }, hovertemplate: hover + '<extra>published</extra>' },
    { ...outlook, name: 'expected', line: { color: colour('blue'), width: 1.5, dash: 'dot' }, hovertemplate: hover + '<extra>expected</extra>' },
    { ...plan, yaxis: 'y2', name: 'plan', line: { color: colour('orange'), width: 1.5, dash: 'dash' }, fill: 'tozeroy', fillcolor: 'rgba(230,159,0,.12)', hovertemplate: mw + '<extra>plan</extra>' },
    { x: c.load.x, y: c.load.planned, text: c.load.label, yaxis: 'y2', name: 'plan at the time', line: { color: colour('orange'), width: 1, dash: 'dash', shape: 'hv' }, hovertemplate: mw + '<extra>plan at the time</extra>', showlegend: false },
    { x: c.load.x, y: c.load.y, text: c.load.label, yaxis: 'y2', name: 'load', line: { color: colour('green'), width: 2, shape: 'hv' }, hovertemplate: mw + '<extra>load</extra>' },
  ].map((t) => ({ mode: 'lines', type: 'scatter', connectgaps: false, ...t }));
  const dark = colour('soft');
  const breakevens = Object.entries(c.breakevens).filter(([, v]) => v !== null);
  const shapes = [{ type: 'line', x0: c.now, x1: c.now, yref: 'paper', y0: 0, y1: 1, line: { color: dark, width: 1 } },
    ...breakevens.map(([, v], k) => ({ type: 'line', xref: 'paper', x0: 0, x1: 1, y0: v, y1: v, line: { color: dark, width: 1, dash: GROUP_DASHES[k % 4] } }))];
  const notes = breakevens.map(([name, v]) => ({ xref: 'paper', x: 1, xanchor: 'right', y: v, yanchor: 'bottom', showarrow: false, text: `${name} breakeven $${v.toFixed(2)}`, font: { size: 10, color: dark } }));
  if (c.synthetic) notes.push({ xref: 'paper', yref: 'paper', x: 0.5, y: 0.8, showarrow: false, text: 'SYNTHETIC', font: { size: 34, color: colour('line') } });
  Plotly.react('chart', traces, {
    ...chartStyle(), margin: { l: 60, r: 16, t: 40, b: 36 }, shapes, annotations: notes, uirevision: 'same',
    xaxis: { ...axis(c), anchor: 'y2' },
    ...priceAboveLoad(),
  }, OPTIONS);
  document.getElementById('axis-clock').textContent = `in ${c.clock}; HE14 is the hour ending at 14:00`;
}
