// Stop and hold: says what a move would do, then orders it, once. Each preview has an idempotency key of its own, which its order carries
// however often it is sent; an order without an answer is remembered in this tab, so that a page that is loaded again can ask about it.
import { refresh } from './live.js';

const PREVIEW_LASTS_MS = 120e3, SENT_AGAIN_WITHIN_MS = 600e3, KEPT = 'loadstone.order';
const form = document.getElementById('hold'), place = document.getElementById('move'), card = document.getElementById('moves');
let busy = false;

function element(tag, text, className = '') {
  const e = document.createElement(tag);
  e.textContent = text;
  if (className) e.className = className;
  return e;
}

function button(text, act, className = '') {
  const b = element('button', text, className);
  b.type = 'button';
  b.addEventListener('click', act);
  return b;
}

function show(...parts) {
  place.replaceChildren(...parts);
  place.focus();
}

const clear = () => place.replaceChildren();
const list = (texts) => { const ul = document.createElement('ul'); ul.append(...texts.map((t) => element('li', t))); return ul; };
// Works on pages that are not served over TLS too, where crypto.randomUUID is missing.
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, '0')).join('');

async function ask(method, path, body, headers = {}) {
  const reply = await fetch(path, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: body && JSON.stringify(body) });
  return { status: reply.status, ok: reply.ok, body: await reply.json() };
}

function faults(reply) {
  const found = (reply.body.errors || []).map((e) => element('p', e.path ? `${e.path}: ${e.detail}` : e.detail, 'fault'));
  const parts = found.length ? found : [element('p', reply.body.detail, 'fault')];
  if (reply.status === 401) { const link = element('a', 'Sign in'); link.href = '/sign-in'; parts.push(link); }
  return parts;
}

// Shows what a move would do, with the button that orders it. A stop can be ordered though nobody can say what it does.
async function preview(move, order) {
  if (busy) return;
  busy = true;
  clear();
  try {
    const reply = await ask('POST', '/api/v1/moves/preview', move);
    if (!reply.ok && (move.stop !== 'order' || reply.status !== 503)) { show(...faults(reply)); return; }
    const known = { ...order, body: reply.body.hold && order.body ? reply.body.hold : order.body, key: newKey(), at: Date.now() };
    const said = reply.ok ? list(reply.body.sentences) : element('p', `Nobody can say what it does: ${reply.body.detail}`, 'fault');
    show(element('p', order.what, 'what'), said, button(order.act, () => send(known)), button('Cancel', clear, 'quiet'));
  } catch (error) {
    show(element('p', `No response: ${error.message}`, 'fault'));
  } finally {
    busy = false;
  }
}

async function send(order) {
  if (busy) return;
  if (Date.now() - order.at > PREVIEW_LASTS_MS && !order.sent) {
    show(element('p', 'Nothing was ordered: this preview is more than two minutes old, and the site may be another. Preview it again.', 'fault'));
    return;
  }
  if (order.sent && Date.now() - order.at > SENT_AGAIN_WITHIN_MS) { unanswered(order, 'it was sent more than ten minutes ago, and no answer came'); return; }
  busy = true;
  place.querySelectorAll('button').forEach((b) => { b.disabled = true; });
  const sent = { ...order, sent: true };
  sessionStorage.setItem(KEPT, JSON.stringify(sent));
  try {
    const reply = await ask(order.method, order.path, order.body || undefined, { 'Idempotency-Key': order.key });
    if ([429, 503].includes(reply.status)) { unanswered(sent, reply.body.detail); return; }
    sessionStorage.removeItem(KEPT);
    if (reply.ok) { form.reset(); show(...done(order, reply.body)); } else show(...faults(reply));
    refresh();
  } catch (error) {
    unanswered(sent, `no answer came (${error.message}), so that nobody knows whether it arrived`);
  } finally {
    busy = false;
  }
}

function done(order, answer) {
  const out = [];
  if (`${answer.id}`.startsWith('proposal-')) out.push(element('p', `Not done yet: another person must confirm it, signed in here with another key, within an hour.`, 'verdict'));
  else out.push(element('p', `Ordered: ${order.what}${answer.id ? ` (${answer.id})` : ''}. The control loop reads it at once.`, 'verdict'));
  if (answer.repeated) out.push(element('p', 'It had arrived before; nothing was done twice.'));
  return out;
}

// An order that may or may not have arrived.
function unanswered(order, why) {
  const forget = () => { sessionStorage.removeItem(KEPT); clear(); };
  const again = Date.now() - order.at < SENT_AGAIN_WITHIN_MS ? [button('Send it again', () => send(order))] : [];
  const hint = again.length ? 'If it arrived, sending it again does nothing twice.' : 'It is too old to be sent again: look at what is in force above.';
  show(element('p', `${order.what}: ${why}.`, 'fault'), element('p', hint), ...again, button('Forget it', forget, 'quiet'));
}

function fitForm() {
  const { group, mode, mw } = form.elements, modes = JSON.parse(group.selectedOptions[0].dataset.modes || '[]');
  for (const option of mode.options) option.disabled = option.value !== '' && !modes.includes(option.value);
  if (mode.selectedOptions[0].disabled) mode.value = '';
  mw.disabled = mode.value !== '';
  mw.required = !mw.disabled;
}

function previewHold(event) {
  event.preventDefault();
  const f = new FormData(form), group = f.get('group'), mode = f.get('mode');
  const hold = { ...(group ? { group } : {}), ...(mode ? { mode } : { mw_cap: Number(f.get('mw')) }) };
  const what = `Hold ${group || 'the whole site'} ${mode ? `in ${mode}` : `at most ${hold.mw_cap} MW`}`;
  preview({ hold, ends_in_h: Number(f.get('hours')) }, { what, act: 'Order this hold', method: 'POST', path: '/api/v1/holds', body: hold });
}

function pressed(event) {
  const given = event.target.closest('button')?.dataset || {};
  if (given.stop === 'order') preview({ stop: 'order' }, { what: 'Stop every rig', act: 'Stop every rig now', method: 'POST', path: '/api/v1/stop' });
  if (given.stop === 'end') preview({ stop: 'end' }, { what: 'End the global stop', act: 'End the stop', method: 'POST', path: '/api/v1/resume' });
  if (given.release) preview({ release: given.release }, { what: `Release ${given.release}`, act: 'Release this hold', method: 'DELETE', path: `/api/v1/holds/${encodeURIComponent(given.release)}` });
  if (given.confirm) preview({ hold: JSON.parse(given.hold) }, { what: `Confirm ${given.confirm}`, act: 'Confirm this hold', method: 'POST', path: `/api/v1/holds/${encodeURIComponent(given.confirm)}/confirm` });
}

if (form) {
  form.hidden = false;
  form.addEventListener('submit', previewHold);
  form.addEventListener('input', () => { fitForm(); if (!busy) clear(); }); // what is shown is of what was asked
  form.addEventListener('reset', () => setTimeout(fitForm));
  card.addEventListener('click', pressed);
  fitForm();
  const kept = sessionStorage.getItem(KEPT);
  if (kept) unanswered(JSON.parse(kept), 'this page was loaded again before an answer came, so that nobody knows whether it arrived');
}
