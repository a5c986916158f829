// One cell per rig, coloured by condition. An unreachable rig is also crossed out, for readers who cannot see red.
const CELL = 11, GAP = 2;
const legend = document.getElementById('legend'), box = document.getElementById('fleet'), note = document.getElementById('rig');
const words = legend.dataset.conditions.split(',');
const awake = words.filter((w) => !['sleep', 'waking', 'unreachable', 'unknown'].includes(w));

const style = () => getComputedStyle(document.documentElement);
function colourOf(word, css) {
  const name = { sleep: 'sleep', waking: 'waking', unreachable: 'gone', unknown: 'unknown' }[word] || `mode-${1 + ((awake.length - 1 - awake.indexOf(word)) % 3)}`;
  return css.getPropertyValue(`--${name}`).trim();
}

function unpack(text) {
  return text.split(',').filter(Boolean).flatMap((part) => {
    const [first, end] = part.split('-').map(Number);
    return Array.from({ length: (end ?? first) - first + 1 }, (_, k) => first + k);
  });
}

function showLegend(css) {
  legend.replaceChildren(...words.map((word) => {
    const item = document.createElement('span'), patch = document.createElement('i');
    patch.style.background = colourOf(word, css);
    item.append(patch, word === 'unreachable' ? 'unreachable ×' : word);
    return item;
  }));
}

function figureOf(name) {
  let figure = box.querySelector(`figure[data-group="${CSS.escape(name)}"]`);
  if (!figure) {
    if (!box.firstChild) { const halls = document.createElement('div'); halls.className = 'halls'; box.append(halls); }
    figure = document.createElement('figure');
    figure.dataset.group = name;
    figure.append(document.createElement('figcaption'), document.createElement('canvas'));
    figure.lastChild.addEventListener('mousemove', (e) => point(e, figure));
    box.firstChild.append(figure);
  }
  return figure;
}

function point(event, figure) {
  const rig = Math.floor(event.offsetY / CELL) * figure.columns + Math.floor(event.offsetX / CELL);
  const word = figure.conditions[rig];
  if (word !== undefined && event.offsetX < figure.columns * CELL) note.textContent = `${figure.dataset.group}, rig ${rig}: ${word}`;
}

export function drawFleet(fleet) {
  const css = style();
  showLegend(css);
  for (const [name, group] of Object.entries(fleet.groups)) {
    const figure = figureOf(name), [caption, canvas] = figure.children;
    const said = document.createElement('span');
    said.textContent = `${group.reachable} of ${group.rigs} responding · ${group.load_mw.toFixed(3)} MW · ${group.hashrate_ph.toFixed(2)} PH/s`;
    const title = document.createElement('b');
    title.textContent = `${name}, hall ${group.hall}`;
    caption.replaceChildren(title, said);
    draw(figure, canvas, group, css);
  }
}

function draw(figure, canvas, group, css) {
  const conditions = new Array(group.rigs).fill('unknown');
  for (const [word, packed] of Object.entries(group.conditions)) for (const rig of unpack(packed)) conditions[rig] = word;
  const width = figure.clientWidth || 300, columns = Math.max(1, Math.floor(width / CELL)), rows = Math.ceil(group.rigs / columns), sharp = devicePixelRatio || 1;
  figure.columns = columns;
  figure.conditions = conditions;
  canvas.width = width * sharp;
  canvas.height = rows * CELL * sharp;
  canvas.style.height = `${rows * CELL}px`;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `${figure.dataset.group}: ${Object.entries(group.modes).map(([m, n]) => `${n} ${m}`).join(', ')}`);
  const ink = canvas.getContext('2d');
  ink.scale(sharp, sharp);
  const cell = CELL - GAP;
  for (const word of new Set(conditions)) {
    ink.fillStyle = colourOf(word, css);
    conditions.forEach((c, rig) => { if (c === word) ink.fillRect((rig % columns) * CELL, Math.floor(rig / columns) * CELL, cell, cell); });
  }
  ink.strokeStyle = css.getPropertyValue('--card').trim();
  ink.lineWidth = 1.5;
  ink.beginPath();
  conditions.forEach((c, rig) => {
    if (c !== 'unreachable') return;
    const x = (rig % columns) * CELL, y = Math.floor(rig / columns) * CELL;
    ink.moveTo(x + 1.5, y + 1.5); ink.lineTo(x + cell - 1.5, y + cell - 1.5);
    ink.moveTo(x + cell - 1.5, y + 1.5); ink.lineTo(x + 1.5, y + cell - 1.5);
  });
  ink.stroke();
}
