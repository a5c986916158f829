// Draws what the page of the moment has beside its tables: chart, fleet map, what-if, and stop and hold.
import { drawChart } from './chart.js';
import { drawFleet } from './fleet.js';
import { json, onRefresh } from './live.js';
import './moves.js';
import { listenToForm } from './what_if.js';

onRefresh(async () => drawChart(await json('/api/v1/chart')));
onRefresh(async () => drawFleet(await json('/api/v1/fleet')));
listenToForm(json);
