// The map: points on a canvas, moved with the mouse or the arrow keys, named when pointed at, opened when clicked.

const canvas = document.querySelector("canvas[data-map]");
const output = document.getElementById("pointed");
const form = document.getElementById("map-form");
const context = canvas.getContext("2d");
const { points, servers, clusters } = await (await fetch(canvas.dataset.map)).json();
const nearest = new Set();
let query = null;
let view = { x: 0, y: 0, zoom: 1 };
let hovered = -1;
let drawing = 0;

const colours = servers.map((_, index) => `hsl(${(index * 137.5 + 210) % 360} 62% `);

function colour(index) {
  return `${colours[index]}${dark() ? "66%" : "42%"})`;
}

function dark() {
  return matchMedia("(prefers-color-scheme: dark)").matches
    ? document.documentElement.dataset.theme !== "light"
    : document.documentElement.dataset.theme === "dark";
}

for (const dot of document.querySelectorAll("[data-server]")) {
  dot.setAttribute("fill", colour(Number(dot.dataset.server)));
}

function toCanvas(x, y) {
  const size = Math.min(canvas.clientWidth, canvas.clientHeight * 1.6);
  return [
    canvas.clientWidth / 2 + (x - view.x) * size * 0.46 * view.zoom,
    canvas.clientHeight / 2 - (y - view.y) * size * 0.29 * view.zoom,
  ];
}

function draw() {
  drawing = 0;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const style = getComputedStyle(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const radius = Math.max(2, Math.min(7, 260 / Math.sqrt(points.length + 20))) * Math.min(view.zoom, 2) ** 0.5;
  // One path a colour: thousands of single ones would make moving the map stutter.
  const palette = servers.map((_, index) => colour(index));
  const circles = new Map();
  const rings = new Path2D();
  for (const [index, point] of points.entries()) {
    const [x, y] = toCanvas(point[0], point[1]);
    if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
    const found = nearest.has(point[3]);
    const kind = point[2] * 2 + (found ? 1 : 0);
    if (!circles.has(kind)) circles.set(kind, new Path2D());
    const size = found ? radius * 1.6 : radius;
    circles.get(kind).moveTo(x + size, y);
    circles.get(kind).arc(x, y, size, 0, 7);
    if (point[5] || index === hovered) {
      rings.moveTo(x + radius + 2.5, y);
      rings.arc(x, y, radius + 2.5, 0, 7);
    }
  }
  for (const [kind, path] of [...circles].sort((one, other) => (one[0] % 2) - (other[0] % 2))) {
    context.globalAlpha = nearest.size && kind % 2 === 0 ? 0.3 : 0.85;
    context.fillStyle = palette[kind >> 1];
    context.fill(path);
  }
  context.globalAlpha = 1;
  context.lineWidth = 1.2;
  context.strokeStyle = style.color;
  context.stroke(rings);
  drawClusterNames(style);
  if (query && "x" in query) {
    const [x, y] = toCanvas(query.x, query.y);
    context.strokeStyle = style.color;
    context.lineWidth = 2;
    for (const point of points) {
      if (!nearest.has(point[3])) continue;
      const [tx, ty] = toCanvas(point[0], point[1]);
      context.globalAlpha = 0.35;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(tx, ty);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.beginPath();
    context.moveTo(x - 8, y);
    context.lineTo(x + 8, y);
    context.moveTo(x, y - 8);
    context.lineTo(x, y + 8);
    context.stroke();
  }
  canvas.dataset.drawn = String(points.length);
}

// Names that would lie over one that is drawn already, of a larger cluster, wait until the map is nearer.
function drawClusterNames(style) {
  context.font = `600 12px ${style.fontFamily}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = getComputedStyle(canvas.parentElement).backgroundColor;
  context.fillStyle = style.color;
  const drawn = [];
  for (const [cx, cy, name] of clusters) {
    const [x, y] = toCanvas(cx, cy);
    const half = context.measureText(name).width / 2 + 4;
    const box = [x - half, y - 9, x + half, y + 9];
    if (box[0] < 0 || box[1] < 0 || box[2] > canvas.clientWidth || box[3] > canvas.clientHeight) continue;
    if (drawn.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
    drawn.push(box);
    context.strokeText(name, x, y);
    context.fillText(name, x, y);
  }
  canvas.dataset.named = String(drawn.length);
}

function requestDraw() {
  drawing ||= requestAnimationFrame(draw);
}

function pointUnder(event) {
  const box = canvas.getBoundingClientRect();
  const [mx, my] = [event.clientX - box.left, event.clientY - box.top];
  let best = -1;
  let leastDistance = 14 * 14;
  for (const [index, point] of points.entries()) {
    const [x, y] = toCanvas(point[0], point[1]);
    const distance = (x - mx) ** 2 + (y - my) ** 2;
    if (distance < leastDistance) [best, leastDistance] = [index, distance];
  }
  return best;
}

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, y: event.clientY, view: { ...view }, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (drag) {
    const size = Math.min(canvas.clientWidth, canvas.clientHeight * 1.6);
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.moved ||= Math.abs(dx) + Math.abs(dy) > 4;
    if (drag.moved) {
      view.x = drag.view.x - dx / (size * 0.46 * view.zoom);
      view.y = drag.view.y + dy / (size * 0.29 * view.zoom);
      requestDraw();
    }
    return;
  }
  const index = pointUnder(event);
  if (index === hovered) return;
  hovered = index;
  const point = points[index];
  output.textContent = point ? `${point[4]} · ${servers[point[2]]}${point[5] ? " · likely duplicate" : ""}` : "";
  canvas.style.cursor = point ? "pointer" : "crosshair";
  requestDraw();
});
canvas.addEventListener("pointerup", (event) => {
  const moved = drag?.moved;
  drag = null;
  if (moved) return;
  const point = points[pointUnder(event)];
  if (point) location.href = `${canvas.dataset.tools}/${point[3]}`;
});
canvas.addEventListener("pointerleave", () => {
  hovered = -1;
  output.textContent = "";
  requestDraw();
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  view.zoom = Math.min(40, Math.max(0.8, view.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15)));
  requestDraw();
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const step = 0.15 / view.zoom;
  const moves = {
    ArrowLeft: () => { view.x -= step; }, ArrowRight: () => { view.x += step; },
    ArrowUp: () => { view.y += step; }, ArrowDown: () => { view.y -= step; },
    "+": () => { view.zoom = Math.min(40, view.zoom * 1.3); }, "-": () => { view.zoom = Math.max(0.8, view.zoom / 1.3); },
    "0": () => { view = { x: 0, y: 0, zoom: 1 }; },
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
  requestDraw();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch(`${canvas.dataset.query}?q=${encodeURIComponent(form.elements.q.value)}`);
  query = answer.ok ? await answer.json() : null;
  nearest.clear();
  if (query?.nearest) for (const id of query.nearest) nearest.add(id);
  const names = points.filter((point) => nearest.has(point[3])).map((point) => point[4]);
  output.textContent = names.length ? `${query?.found ? "Found" : "Nothing found; nearest"}: ${names.join(", ")}` : "";
  requestDraw();
});

new ResizeObserver(requestDraw).observe(canvas);
document.addEventListener("themechange", () => {
  for (const dot of document.querySelectorAll("[data-server]")) dot.setAttribute("fill", colour(Number(dot.dataset.server)));
  requestDraw();
});
requestDraw();
