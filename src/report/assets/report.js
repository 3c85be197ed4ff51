"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 56, RIGHT = 14, TOP = 12, BOTTOM = 34;

  const element = (parent, name, attributes, text) => {
    const made = document.createElementNS(NS, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  const number = (x) => {
    if (x === null || !isFinite(x)) return "–";
    if (x === 0) return "0";
    const size = Math.floor(Math.log10(Math.abs(x)));
    if (size < -4 || size >= 7) return x.toExponential(2).replace(".00e", "e").replace("e+", "e");
    const text = x.toFixed(Math.min(12, Math.max(0, 3 - size)));
    const short = text.includes(".") ? text.replace(/\.?0+$/, "") : text.replace(/\B(?=(\d{3})+$)/g, size >= 4 ? "\u202f" : "");
    return short.replace("-", "−");
  };

  const amount = (x) => {
    if (Math.abs(x) < 1e4) return number(x);
    for (const [limit, unit] of [[1e9, " B"], [1e6, " M"], [1e3, " k"]]) {
      if (Math.abs(x) >= limit) return (x / limit).toFixed(1) + unit;
    }
    return number(x);
  };

  const even = (low, high, count) => {
    const raw = (high - low) / count;
    if (!(raw > 0) || !isFinite(raw)) return [low];
    const power = 10 ** Math.floor(Math.log10(raw));
    const off = (step) => Math.abs((high - low) / step - count);
    const step = [1, 2, 5, 10].map((m) => m * power).reduce((a, b) => (off(b) < off(a) ? b : a));
    const ticks = [];
    for (let i = Math.ceil(low / step); i <= Math.floor(high / step) && ticks.length < 50; i++) ticks.push(i * step);
    return ticks;
  };

  const logarithmic = (low, high, count) => {
    const decades = Math.log10(high / low);
    const steps = decades > count ? [1] : decades > 1.5 ? [1, 3] : decades > 0.7 ? [1, 2, 5] : null;
    if (!steps) return even(low, high, count);
    const every = Math.max(1, Math.ceil(decades / count));
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += every) {
      for (const s of steps) {
        const tick = s * 10 ** e;
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    }
    return ticks;
  };

  /* The index of the point of a sorted list that is nearest to x. */
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
  };

  const chart = (figure) => {
    const id = figure.dataset.chart;
    const series = JSON.parse(figure.querySelector(`script[data-for="${CSS.escape(id)}"]`).textContent);
    const svg = figure.querySelector("svg.plot");
    const readout = figure.querySelector(".readout");
    const small = figure.classList.contains("small");
    const height = small ? 190 : 270;
    const steps = series.flatMap((s) => s.x);
    const whole = [Math.min(...series.map((s) => s.x[0] ?? Infinity)), Math.max(...series.map((s) => s.x[s.x.length - 1] ?? -Infinity))];
    if (!(whole[0] < whole[1])) { whole[0] -= 1; whole[1] += 1; }
    const positive = series.every((s) => s.y.every((y) => y === null || y > 0));
    const state = { from: whole[0], to: whole[1], log: false, logSteps: false };
    let width = 0, x, y, back;

    const scale = (low, high, from, to, log) => {
      const a = log ? Math.log(low) : low, b = log ? Math.log(high) : high;
      const to_page = (v) => from + (((log ? Math.log(v) : v) - a) / (b - a)) * (to - from);
      const to_value = (p) => { const v = a + ((p - from) / (to - from)) * (b - a); return log ? Math.exp(v) : v; };
      return [to_page, to_value];
    };

    const draw = () => {
      width = Math.max(260, Math.round(svg.parentElement.clientWidth));
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.textContent = "";
      let low = Infinity, high = -Infinity;
      for (const s of series) s.x.forEach((at, i) => {
        if (at >= state.from && at <= state.to && s.y[i] !== null) { low = Math.min(low, s.y[i]); high = Math.max(high, s.y[i]); }
      });
      if (!(low <= high)) { low = 0; high = 1; }
      const log = state.log && low > 0;
      let [a, b] = log ? [Math.log(low), Math.log(high)] : [low, high];
      const room = b > a ? (b - a) * 0.05 : Math.max(Math.abs(a) * 0.1, log ? 0.5 : 1e-9);
      [a, b] = [a - room, b + room];
      const [bottom, top] = log ? [Math.exp(a), Math.exp(b)] : [a, b];
      const floor = height - BOTTOM;
      // Step 0 has no logarithm: the scale begins at the first step after it.
      const first = state.logSteps && state.from <= 0 ? Math.min(...steps.filter((s) => s > 0)) : state.from;
      [x, back] = scale(first, state.to, LEFT, width - RIGHT, state.logSteps);
      [y] = scale(bottom, top, floor, TOP, log);
      for (const tick of (log ? logarithmic : even)(bottom, top, small ? 3 : 5)) {
        element(svg, "line", { class: "grid", x1: LEFT, y1: y(tick), x2: width - RIGHT, y2: y(tick) });
        element(svg, "text", { class: "tick end", x: LEFT - 8, y: y(tick) + 4 }, number(tick));
      }
      element(svg, "line", { class: "axis", x1: LEFT, y1: floor, x2: width - RIGHT, y2: floor });
      const many = Math.max(2, Math.min(8, Math.floor(width / 90)));
      for (const tick of (state.logSteps ? logarithmic : even)(first, state.to, many)) {
        element(svg, "line", { class: "axis", x1: x(tick), y1: floor, x2: x(tick), y2: floor + 4 });
        element(svg, "text", { class: "tick middle", x: x(tick), y: floor + 18 }, amount(tick));
      }
      if (!small) element(svg, "text", { class: "tick end faint", x: width - RIGHT, y: floor + 31 }, "step");
      series.forEach((s, k) => {
        let path = "", down = false;
        s.x.forEach((at, i) => {
          // One point beyond each edge is kept, so that the line reaches it.
          const near = (s.x[i + 1] ?? at) >= first && (s.x[i - 1] ?? at) <= state.to && (!state.logSteps || at > 0);
          if (s.y[i] === null || !near || (log && s.y[i] <= 0)) { down = false; return; }
          path += `${down ? "L" : "M"}${x(at).toFixed(1)} ${y(s.y[i]).toFixed(1)}`;
          down = true;
        });
        element(clipped(), "path", { class: `line s${k % 8}`, d: path });
        const seen = s.x.filter((at) => at >= first && at <= state.to).length;
        if (s.marked && seen <= width / 12) s.x.forEach((at, i) => {
          if (at >= first && at <= state.to && s.y[i] !== null)
            element(svg, "circle", { class: `dot s${k % 8}`, cx: x(at), cy: y(s.y[i]), r: 2.6 });
        });
      });
    };

    const clipped = () => {
      let group = svg.querySelector("g[data-lines]");
      if (!group) {
        const clip = element(element(svg, "defs", {}), "clipPath", { id: `clip-${id}` });
        element(clip, "rect", { x: LEFT, y: 0, width: width - LEFT - RIGHT, height: height - BOTTOM + 1 });
        group = element(svg, "g", { "data-lines": "", "clip-path": `url(#clip-${id})` });
      }
      return group;
    };

    const position = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.min(width - RIGHT, Math.max(LEFT, ((event.clientX - box.left) / box.width) * width));
    };

    const clear = () => {
      readout.style.display = "none";
      svg.querySelectorAll("[data-hover]").forEach((e) => e.remove());
    };

    const hover = (event) => {
      clear();
      const at = back(position(event));
      let step = null, best = Infinity;
      for (const s of series) {
        if (!s.x.length) continue;
        const found = s.x[nearest(s.x, at)];
        if (Math.abs(found - at) < best) { best = Math.abs(found - at); step = found; }
      }
      if (step === null || step < state.from || step > state.to) return;
      element(svg, "line", { class: "hair", "data-hover": "", x1: x(step), x2: x(step), y1: TOP, y2: height - BOTTOM });
      readout.textContent = "";
      const head = document.createElement("b");
      head.textContent = `step ${number(step)}`;
      readout.append(head);
      series.forEach((s, k) => {
        const i = nearest(s.x, step);
        const value = s.y[i];
        if (value === undefined) return;
        const row = document.createElement("div");
        const key = document.createElement("span");
        key.className = `key s${k % 8}`;
        key.textContent = series.length > 1 ? s.name : "";
        const text = document.createElement("b");
        text.textContent = value === null ? "not finite" : number(value);
        row.append(key, text);
        if (s.x[i] !== step) row.append(` at ${number(s.x[i])}`);
        readout.append(row);
        if (value !== null && s.x[i] >= state.from && s.x[i] <= state.to)
          element(svg, "circle", { class: `dot s${k % 8}`, "data-hover": "", cx: x(s.x[i]), cy: y(value), r: 4 });
      });
      readout.style.display = "block";
      const share = svg.getBoundingClientRect().width / width;
      const left = x(step) * share + 12;
      const over = left + readout.offsetWidth > figure.clientWidth;
      readout.style.left = `${Math.max(0, over ? left - readout.offsetWidth - 24 : left)}px`;
      readout.style.top = `${svg.offsetTop + 16 || figure.querySelector(".chart-head").offsetHeight + 16}px`;
    };

    let start = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") return;
      start = position(event);
      // A pointer may be gone by now; dragging then ends at the edge of the chart.
      try { svg.setPointerCapture(event.pointerId); } catch { /* dragging still works inside the chart */ }
    });
    svg.addEventListener("pointermove", (event) => {
      hover(event);
      if (start === null) return;
      const now = position(event);
      element(svg, "rect", { class: "brush", "data-hover": "", x: Math.min(start, now), width: Math.abs(now - start), y: TOP, height: height - BOTTOM - TOP });
    });
    svg.addEventListener("pointerup", (event) => {
      if (start !== null) {
        const ends = [back(start), back(position(event))].sort((a, b) => a - b);
        if (Math.abs(position(event) - start) > 8) { [state.from, state.to] = ends; reset.hidden = false; draw(); }
        start = null;
      }
    });
    svg.addEventListener("pointercancel", () => { start = null; });
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("dblclick", () => reset.click());

    const controls = figure.querySelector(".controls");
    const button = (text, title, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.title = title;
      made.addEventListener("click", () => { act(made); clear(); draw(); });
      controls.append(made);
      return made;
    };
    const toggle = (name) => (made) => {
      state[name] = !state[name];
      made.setAttribute("aria-pressed", state[name]);
    };
    const reset = button("whole range", "Undo the zoom", () => { [state.from, state.to] = whole; reset.hidden = true; });
    reset.hidden = true;
    if (positive) button("log", "Logarithmic values", toggle("log")).setAttribute("aria-pressed", "false");
    if (!small && whole[1] > 10 * Math.max(1, whole[0])) {
      button("log steps", "Logarithmic steps", toggle("logSteps")).setAttribute("aria-pressed", "false");
    }
    controls.hidden = false;
    let last = 0;
    new ResizeObserver(() => {
      const now = svg.parentElement.clientWidth;
      if (now && now !== last) { last = now; draw(); }
    }).observe(svg.parentElement);
    draw();
  };

  document.querySelectorAll("figure[data-chart]").forEach((figure) => {
    // The drawing in the file stays if anything about its data is not as expected.
    try { chart(figure); figure.dataset.live = "yes"; } catch (error) { figure.dataset.live = "no"; console.error(error); }
  });

  /* A point of a sweep lights up wherever it is drawn. */
  const points = document.querySelectorAll("[data-point]");
  points.forEach((one) => {
    const light = (on) => {
      points.forEach((other) => { if (other.dataset.point === one.dataset.point) other.classList.toggle("lit", on); });
      document.querySelectorAll("svg.parallel").forEach((svg) => svg.classList.toggle("dimmed", on));
    };
    one.addEventListener("pointerenter", () => light(true));
    one.addEventListener("pointerleave", () => light(false));
  });

  document.documentElement.dataset.scripts = "ran";
})();
