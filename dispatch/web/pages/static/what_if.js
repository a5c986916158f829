// The what-if form: writes a scenario, posts it and shows the two plans side by side.
import { OPTIONS, chartStyle, steps } from './chart.js';

const form = document.getElementById('scenario'), text = document.getElementById('document'), answer = document.getElementById('answer');
const number = (v) => (v === '' ? null : Number(v));
const usd = (v) => `${v < 0 ? '-' : ''}$${Math.abs(v).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
const figure = (v, digits) => v.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

// The site's own clock, not this machine's.
async function scenarioOf(json) {
  const f = new FormData(form), get = (name) => f.get(name).trim(), out = {};
  const now = Date.parse((await json('/api/v1/state')).at);
  const after = (hours) => new Date(now + hours * 3600e3).toISOString().replace('.000Z', 'Z');
  if (get('price') && get('price_value')) {
    const change = { [get('price')]: get('price') === 'like' ? get('price_value') : Number(get('price_value')) };
    if (get('price_hours')) change.to = after(Number(get('price_hours')));
    out.prices = [change];
  }
  if (number(get('hash')) !== null) out.hash = { usd_per_ph_day: Number(get('hash')) };
  if (number(get('interconnect')) !== null) out.site = { interconnect_mw: Number(get('interconnect')) };
  if (number(get('available')) !== null) {
    const groups = get('group') ? [get('group')] : [...form.elements.group.options].map((o) => o.value).filter(Boolean);
    out.fleet = groups.map((group) => ({ group, available: Number(get('available')) / 100 }));
  }
  if (number(get('cap')) !== null) out.calls = [{ id: 'what-if', obligation: get('under'), kind: 'deploy', mw_cap: Number(get('cap')), end_at: after(Number(get('cap_hours')) || 2) }];
  return out;
}

function element(tag, content = '', className = '') {
  const e = document.createElement(tag);
  e.textContent = content;
  if (className) e.className = className;
  return e;
}

function table(heads, rows) {
  const t = document.createElement('table'), head = t.createTHead().insertRow(), body = t.createTBody();
  heads.forEach((h, k) => head.append(element('th', h, k ? 'n' : '')));
  rows.forEach((cells) => { const r = body.insertRow(); if (cells[0] === 'net') r.className = 'net'; cells.forEach((c, k) => r.append(element('td', c, k ? 'n' : ''))); });
  return t;
}

function sum(plan, what) {
  return plan.intervals.reduce((all, i) => all + what(i) * (Date.parse(i.end) - Date.parse(i.start)) / 3600e3, 0);
}

function money(a) {
  const lines = Object.entries(a.difference.lines).map(([name, d]) => [name.replace('/', ': ').replaceAll('_', ' '), usd(a.base.lines[name] ?? 0), usd(a.case.lines[name] ?? 0), usd(d)]);
  const net = (plan) => Object.values(plan.lines).reduce((x, y) => x + y, 0);
  return table(['', 'now', 'scenario', 'difference'], [...lines, ['net', usd(net(a.base)), usd(net(a.case)), usd(a.difference.net_usd)],
    ['energy, MWh', figure(sum(a.base, (i) => i.load_mw), 3), figure(sum(a.case, (i) => i.load_mw), 3), figure(a.difference.energy_mwh, 3)],
    ['hashing, PH/s-days', '', '', figure(a.difference.hash_ph_days, 3)]]);
}

function promises(a) {
  const kept = (p) => (!p.made ? 'does not apply' : p.kept ? 'kept' : `short by ${figure(p.shortfall_mw, 3)} MW, ${usd(p.shortfall_usd)}`);
  return a.promises.length ? table(['Promise', 'now', 'scenario'], a.promises.map((p) => [p.name, kept(p.base), kept(p.case)])) : element('p', 'No promise is affected.', 'note');
}

function limits(a) {
  const rows = a.binding.slice(0, 6).map((b) => [b.limit, usd(b.base_usd_per_mw), usd(b.case_usd_per_mw)]);
  return rows.length ? table(['Limit', 'one more MW is worth', 'in the scenario'], rows) : element('p', 'No limit is binding.', 'note');
}

async function draw(a, json) {
  const axis = (await json('/api/v1/chart')).axis, css = getComputedStyle(document.documentElement);
  const line = (plan) => steps({ x: plan.intervals.map((i) => Date.parse(i.start)), end: plan.intervals.map((i) => Date.parse(i.end)), y: plan.intervals.map((i) => i.load_mw), label: plan.intervals.map(() => '') });
  const trace = (plan, name, colour, dash) => ({ ...line(plan), text: undefined, name, mode: 'lines', line: { color: css.getPropertyValue(colour).trim(), width: 2, dash }, hovertemplate: '%{y:.3f} MW' });
  Plotly.newPlot('answer-chart', [trace(a.base, 'now', '--soft', 'dash'), trace(a.case, 'scenario', '--orange', 'solid')], {
    ...chartStyle(), margin: { l: 50, r: 10, t: 24, b: 30 },
    xaxis: { tickmode: 'array', tickvals: axis.x, ticktext: axis.text, gridcolor: css.getPropertyValue('--line').trim(), hoverformat: ' ' },
    yaxis: { title: { text: 'MW' }, rangemode: 'tozero', gridcolor: css.getPropertyValue('--line').trim() },
  }, { ...OPTIONS, displayModeBar: false });
}

async function show(a, json) {
  const [verdict, ...rest] = a.reasons, cols = element('div', '', 'cols'), left = document.createElement('div'), right = document.createElement('div'), chart = document.createElement('div'), list = document.createElement('ul');
  rest.forEach((r) => list.append(element('li', r)));
  chart.id = 'answer-chart';
  left.append(element('h3', 'Money'), money(a), element('h3', 'Promises'), promises(a), element('h3', 'Limits'), limits(a));
  right.append(element('h3', 'Load'), chart, element('h3', 'Why'), list);
  cols.append(left, right);
  answer.replaceChildren(element('p', verdict, 'verdict'), cols);
  await draw(a, json);
}

async function compare(scenario, json) {
  const buttons = document.querySelectorAll('#what-if button');
  buttons.forEach((b) => { b.disabled = true; });
  try {
    const reply = await fetch('/api/v1/what-if', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: scenario });
    const body = await reply.json();
    if (reply.ok) await show(body, json);
    else answer.replaceChildren(element('p', 'The scenario is not valid:', 'verdict'), ...(body.errors.length ? body.errors.map((e) => element('p', `${e.path || 'scenario'}: ${e.detail}`, 'fault')) : [element('p', body.detail, 'fault')]));
  } catch (error) {
    answer.replaceChildren(element('p', `No response: ${error.message}`, 'fault'));
  } finally {
    buttons.forEach((b) => { b.disabled = false; });
  }
}

export function listenToForm(json) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const scenario = await scenarioOf(json);
    text.value = JSON.stringify(scenario, null, 1);
    await compare(text.value, json);
  });
  form.addEventListener('reset', () => { text.value = '{}'; answer.replaceChildren(); });
  document.getElementById('send').addEventListener('click', () => compare(text.value, json));
}
