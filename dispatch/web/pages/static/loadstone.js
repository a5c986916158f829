// Keeps the page up to date. It reads the public API and draws what the server has labelled: no time is formatted here.
import { drawChart } from './chart.js';
import { drawFleet } from './fleet.js';
import { listenToForm } from './what_if.js';

const SLOWEST_MS = 1000; // between two refreshes, however fast the site's time runs

const live = document.getElementById('live');
let waiting = false, busy = false, last = 0;

async function json(path) {
  const answer = await fetch(path, { headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function say(text, good) {
  live.textContent = text;
  live.className = `chip ${good ? 'good' : 'bad'}`;
}

// Puts the server's new HTML in place and keeps what the reader has opened or scrolled.
function replace(html) {
  const fresh = new DOMParser().parseFromString(html, 'text/html');
  for (const id of ['top', 'below']) {
    const here = document.getElementById(id), there = fresh.getElementById(id);
    const open = [...here.querySelectorAll('details[open]')].map((d) => d.id);
    const scrolled = [...here.querySelectorAll('.scroll, .activity')].map((e) => e.scrollTop);
    open.forEach((name) => { const d = there.querySelector(`#${name}`); if (d) d.open = true; });
    here.replaceChildren(...there.childNodes);
    here.querySelectorAll('.scroll, .activity').forEach((e, k) => { e.scrollTop = scrolled[k] || 0; });
  }
}

async function refresh() {
  if (busy) { waiting = true; return; }
  const left = last + SLOWEST_MS - performance.now();
  if (left > 0) { if (!waiting) { waiting = true; setTimeout(() => { waiting = false; refresh(); }, left); } return; }
  busy = true;
  last = performance.now();
  try {
    const [html, chart, fleet] = await Promise.all([fetch('/now').then((a) => a.ok ? a.text() : Promise.reject(new Error(a.status))), json('/api/v1/chart'), json('/api/v1/fleet')]);
    replace(html);
    drawChart(chart);
    drawFleet(fleet);
    document.getElementById('clock').textContent = chart.clock_now;
    say('live', true);
  } catch (error) {
    say(`no response: ${error.message}`, false);
  } finally {
    busy = false;
    if (waiting) { waiting = false; refresh(); }
  }
}

const stream = new EventSource('/api/v1/stream');
stream.addEventListener('state', refresh);
stream.addEventListener('error', () => say('connection lost, reconnecting', false));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', refresh);
listenToForm(json);
refresh();
