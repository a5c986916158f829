// Keeps any page up to date: when the journal grows, it fetches the page again and puts the parts marked `data-live` in place.
// No time or figure is formatted here: the server has labelled everything.
const SLOWEST_MS = 1000; // between two refreshes, however fast the site's time runs

const live = document.getElementById('live');
const draws = [];
let waiting = false, busy = false, last = 0;

export async function json(path) {
  const answer = await fetch(path, { headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// Calls `draw` at each refresh, after the new HTML is in place; the first one follows when every script of the page has run.
export function onRefresh(draw) {
  draws.push(draw);
}

function say(text, good) {
  live.textContent = text;
  live.className = `chip ${good ? 'good' : 'bad'}`;
}

async function freshPage() {
  const answer = await fetch(location.pathname + location.search, { headers: { Accept: 'text/html' } });
  if (answer.redirected) throw new Error('the session has ended, sign in again');
  if (!answer.ok) throw new Error(answer.status);
  return new DOMParser().parseFromString(await answer.text(), 'text/html');
}

// Puts the server's new HTML in place and keeps what the reader has opened or scrolled.
function replace(fresh) {
  for (const here of document.querySelectorAll('[data-live]')) {
    const there = fresh.getElementById(here.id);
    if (!there || here.isEqualNode(there)) continue; // what has the keyboard's focus keeps it
    const open = [...here.querySelectorAll('details[open]')].map((d) => d.id);
    const focused = here.contains(document.activeElement) ? document.activeElement.id : '';
    const scrolled = [...here.querySelectorAll('.scroll, .activity')].map((e) => e.scrollTop);
    open.forEach((name) => { const d = there.querySelector(`#${CSS.escape(name)}`); if (d) d.open = true; });
    here.replaceChildren(...there.childNodes);
    here.querySelectorAll('.scroll, .activity').forEach((e, k) => { e.scrollTop = scrolled[k] || 0; });
    if (focused) document.getElementById(focused)?.focus();
  }
}

export async function refresh() {
  if (busy) { waiting = true; return; }
  const left = last + SLOWEST_MS - performance.now();
  if (last && left > 0) { if (!waiting) { waiting = true; setTimeout(() => { waiting = false; refresh(); }, left); } return; }
  busy = true;
  last = performance.now();
  try {
    replace(await freshPage());
    await Promise.all(draws.map((draw) => draw()));
    say('live', true);
  } catch (error) {
    say(`no response: ${error.message}`, false);
  } finally {
    busy = false;
    if (waiting) { waiting = false; refresh(); }
  }
}

// Not before every script of the page has said what it draws.
document.addEventListener('DOMContentLoaded', () => {
  const stream = new EventSource('/api/v1/stream');
  stream.addEventListener('state', refresh);
  stream.addEventListener('error', () => say('connection lost, reconnecting', false));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', refresh);
  refresh();
});
