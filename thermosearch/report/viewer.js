"use strict";
// Ball-and-stick view of the structures on a 2-D canvas: what is to be seen is projected, sorted
// by depth and drawn from the back (painter's algorithm). No WebGL, no network, no library.
(() => {
  const source = document.getElementById("viewer-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const byId = (name) => document.getElementById(`viewer-${name}`);
  const canvas = byId("canvas");
  const context = canvas.getContext("2d");
  const ATOM_SCALE = 0.48; // of the covalent radius
  const BOND_WIDTH = 0.3; // A
  const EYE = 5; // distance of the eye, in radii of the structure
  const PIECES = 16; // of an edge of the cell, so that atoms hide the right part of it
  const AXES = [0, 1, 2];
  const UPRIGHT = AXES.map((k) => AXES.map((j) => Number(j === k)));
  const VIEWS = { top: UPRIGHT, side: turn(UPRIGHT, 0, -Math.PI / 2), reset: turn(turn(UPRIGHT, 2, 0.4), 0, -1.2) };
  const camera = { view: VIEWS.reset, zoom: 1, shift: [0, 0] };
  const sprites = new Map();
  let scene = null; // atoms of all drawn cells, bonds between them
  let balls = []; // atoms as they were last drawn
  let picked = [];
  let queued = false;
  let travelled = 0; // by the pointers since they went down
  const pointers = new Map();

  // The turn `matrix`, then one about the screen's x (0), y (1) or z (2) axis.
  function turn(matrix, axis, angle) {
    const [c, s, i, j] = [Math.cos(angle), Math.sin(angle), (axis + 1) % 3, (axis + 2) % 3];
    const out = matrix.map((row) => [...row]);
    out[i] = AXES.map((k) => c * matrix[i][k] - s * matrix[j][k]);
    out[j] = AXES.map((k) => s * matrix[i][k] + c * matrix[j][k]);
    return out;
  }

  const plus = (a, b, factor = 1) => a.map((value, k) => value + factor * b[k]);
  const minus = (a, b) => plus(a, b, -1);
  const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);
  const norm = (a) => Math.hypot(...a);
  const between = (a, b, share) => plus(a, minus(b, a), share);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const colourOf = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();

  function build() {
    const structure = data.structures[Number(byId("structure").value)];
    const copies = Number(byId("cells").value);
    const [along, across] = [0, 1].map((k) => [...Array(structure.pbc[k] ? copies : 1).keys()]);
    const cells = along.flatMap((a) => across.map((b) => [a, b, 0]));
    const places = new Map(cells.map((cell, n) => [cell.join(), n * structure.symbols.length]));
    const atoms = cells.flatMap((cell) => structure.positions.map((position, index) => ({
      index,
      symbol: structure.symbols[index],
      at: cell.reduce((at, count, k) => plus(at, structure.cell[k], count), position),
    })));
    const link = (pairs, dimer) => cells.flatMap((cell) => pairs
      .map(([i, j, ...shift]) => [i, j, places.get(plus(cell, shift).join())])
      .filter(([, , place]) => place !== undefined)
      .map(([i, j, place]) => ({ i: places.get(cell.join()) + i, j: place + j, dimer })));
    const [low, high] = [Math.min, Math.max].map((extreme) => AXES
      .map((k) => atoms.reduce((end, { at }) => extreme(end, at[k]), atoms[0].at[k])));
    const centre = between(low, high, 0.5);
    const reach = atoms.reduce((most, { at }) => Math.max(most, norm(minus(at, centre))), 0) + 1.5;
    const bonds = [...link(structure.bonds, false), ...link(structure.dimers, true)];
    scene = { structure, atoms, bonds, centre, reach };
    picked = [];
    report();
  }

  // [x, y on the canvas, depth towards the eye, pixels per A] of a point.
  function project(point) {
    const [x, y, z] = camera.view.map((row) => dot(row, minus(point, scene.centre)));
    const near = EYE / Math.max(EYE - z / scene.reach, 0.5);
    const scale = near * camera.zoom * 0.5 * Math.min(canvas.clientWidth, canvas.clientHeight) / scene.reach;
    const [x0, y0] = plus([canvas.clientWidth / 2, canvas.clientHeight / 2], camera.shift);
    return [x0 + scale * x, y0 - scale * y, z, scale];
  }

  function draw() {
    if (!queued) requestAnimationFrame(paint);
    queued = true;
  }

  function paint() {
    queued = false;
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [canvas.clientWidth, canvas.clientHeight].map((size) => Math.round(size * ratio));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const theme = { paper: colourOf("--page"), ink: colourOf("--muted"), strong: colourOf("--series-2") };
    const shades = scene.structure.colours[byId("colour").value];
    balls = scene.atoms.map(({ at, symbol, index }, number) => {
      const [x, y, depth, scale] = project(at);
      const radius = ATOM_SCALE * data.radii[symbol] * scale;
      return { number, x, y, depth, radius, colour: data.palette[shades[index]] };
    });
    const items = balls.map((ball) => [ball.depth, () => paintBall(ball, theme)]);
    if (byId("bonds").checked) items.push(...scene.bonds.flatMap((bond) => sticks(bond, theme)));
    if (byId("cell").checked) items.push(...scene.structure.edges.flatMap((edge) => pieces(edge, theme)));
    items.sort((a, b) => a[0] - b[0]).forEach(([, paintItem]) => paintItem());
  }

  function paintBall({ number, x, y, depth, radius, colour }, { paper, strong }) {
    context.drawImage(sprite(colour), x - radius, y - radius, 2 * radius, 2 * radius);
    context.beginPath();
    context.arc(x, y, radius + 0.5, 0, 2 * Math.PI);
    context.globalAlpha = clamp(0.2 - 0.3 * depth / scene.reach, 0, 0.5); // far atoms fade
    Object.assign(context, { fillStyle: paper }).fill();
    context.globalAlpha = 1;
    if (picked.includes(number)) Object.assign(context, { lineWidth: 3, strokeStyle: strong }).stroke();
  }

  // A shaded ball, painted once for each colour.
  function sprite(colour) {
    if (!sprites.has(colour)) {
      const pen = Object.assign(document.createElement("canvas"), { width: 128, height: 128 }).getContext("2d");
      const light = pen.createRadialGradient(46, 42, 2, 58, 58, 70);
      light.addColorStop(0, "rgba(255,255,255,0.8)");
      light.addColorStop(0.4, "rgba(255,255,255,0)");
      light.addColorStop(0.41, "rgba(0,0,0,0)");
      light.addColorStop(1, "rgba(0,0,0,0.6)");
      pen.arc(64, 64, 63, 0, 2 * Math.PI);
      for (const fillStyle of [colour, light]) Object.assign(pen, { fillStyle }).fill();
      sprites.set(colour, pen.canvas);
    }
    return sprites.get(colour);
  }

  // A bond is two halves, each from the skin of its ball to the middle and in its colour.
  function sticks({ i, j, dimer }, { strong }) {
    const ends = [scene.atoms[i], scene.atoms[j]];
    const middle = between(ends[0].at, ends[1].at, 0.5);
    const far = project(middle);
    return ends.map(({ at, symbol }, k) => {
      const share = 0.85 * ATOM_SCALE * data.radii[symbol] / norm(minus(middle, at));
      const near = project(between(at, middle, Math.min(share, 1)));
      const width = (dimer ? 1.5 : 1) * BOND_WIDTH * near[3];
      const colour = dimer ? strong : balls[[i, j][k]].colour;
      return [(near[2] + far[2]) / 2, () => {
        line(near, far, colour, width);
        if (!dimer) line(near, far, "rgba(0,0,0,0.35)", width);
        if (!dimer) line(near, far, colour, 0.5 * width);
      }];
    });
  }

  function pieces([start, end], { ink }) {
    return [...Array(PIECES).keys()].map((n) => {
      const [from, to] = [n, n + 1].map((k) => project(between(start, end, k / PIECES)));
      return [(from[2] + to[2]) / 2, () => line(from, to, ink, 1.2)];
    });
  }

  function line(from, to, colour, width) {
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0], to[1]);
    Object.assign(context, { lineWidth: width, strokeStyle: colour }).stroke();
  }

  // Says what is picked (an atom, a distance or an angle) and draws it.
  function report() {
    const { structure } = scene;
    const atoms = picked.map((number) => scene.atoms[number]);
    const names = atoms.map(({ symbol, index }) => `${symbol} ${index}`).join(" – ");
    const arms = atoms.filter((_, k) => k !== 1).map(({ at }) => atoms[1] && minus(at, atoms[1].at));
    let text = `${structure.label}: ${structure.symbols.length} atoms`;
    if (atoms.length === 1) text = `${names} at (${atoms[0].at.map((value) => value.toFixed(3)).join(", ")}) Å`;
    if (atoms.length === 2) text = `${names}: ${norm(arms[0]).toFixed(3)} Å`;
    if (atoms.length === 3) {
      const cosine = clamp(dot(...arms) / (norm(arms[0]) * norm(arms[1])), -1, 1);
      text = `${names}: ${(Math.acos(cosine) * 180 / Math.PI).toFixed(1)}°`;
    }
    byId("status").textContent = text;
    draw();
  }

  function pick(x, y) {
    const [front] = balls.filter((ball) => Math.hypot(ball.x - x, ball.y - y) <= ball.radius).sort((a, b) => b.depth - a.depth);
    const afresh = picked.length === 3 || picked.includes(front?.number);
    picked = front ? [...(afresh ? [] : picked), front.number] : [];
    report();
  }

  function move(change) {
    Object.assign(camera, change);
    camera.zoom = clamp(camera.zoom, 0.3, 12);
    draw();
  }

  const rotate = (dx, dy) => move({ view: turn(turn(camera.view, 1, dx), 0, dy) });
  const zoom = (factor) => move({ zoom: camera.zoom * factor });

  // A view that fits the canvas.
  function show(name) {
    Object.assign(camera, { view: VIEWS[name], zoom: 1, shift: [0, 0] });
    const points = [...scene.atoms.map(({ at }) => at), ...scene.structure.edges.flat()].map(project);
    const zooms = [canvas.clientWidth, canvas.clientHeight]
      .map((size, k) => 0.44 * size / Math.max(...points.map((point) => Math.abs(point[k] - size / 2))));
    move({ zoom: Math.min(...zooms) });
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 0) travelled = 0;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const step = minus(now, before);
    travelled += norm(step);
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const [was, is] = [before, now].map((at) => Math.max(norm(minus(at, other)), 1));
      move({ zoom: camera.zoom * is / was, shift: plus(camera.shift, step, 0.5) });
    } else if (event.shiftKey) move({ shift: plus(camera.shift, step) });
    else rotate(step[0] * 0.01, step[1] * 0.01);
  });
  canvas.addEventListener("pointerup", (event) => {
    const box = canvas.getBoundingClientRect();
    if (travelled < 5 && pointers.size === 1) pick(event.clientX - box.left, event.clientY - box.top);
    pointers.delete(event.pointerId);
  });
  canvas.onpointercancel = (event) => pointers.delete(event.pointerId);
  // Only once the view has been clicked: a reader who scrolls past is not held up.
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)));
  }, { passive: false });
  const KEYS = {
    ArrowLeft: () => rotate(-0.1, 0), ArrowRight: () => rotate(0.1, 0),
    ArrowUp: () => rotate(0, -0.1), ArrowDown: () => rotate(0, 0.1),
    "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), 0: () => show("reset"),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.key in KEYS) event.preventDefault();
    KEYS[event.key]?.();
  });
  for (const button of document.querySelectorAll("#viewer button")) button.onclick = () => show(button.dataset.view);
  for (const name of ["structure", "cells"]) byId(name).onchange = build;
  for (const name of ["colour", "bonds", "cell"]) byId(name).onchange = draw;
  window.matchMedia("(prefers-color-scheme: dark)").onchange = draw;
  new ResizeObserver(draw).observe(canvas);
  build();
  show("reset");
  paint(); // at once: a page that is printed unseen gets no frame
})();
