//! Every kernel against the same thing written plainly in f64, over odd sizes.

use super::*;

pub(crate) fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 4.0 - 2.0
    };
    (0..len).map(|_| next()).collect()
}

fn close(ours: &[f32], exact: &[f64], what: &str) {
    assert_eq!(ours.len(), exact.len(), "{what}");
    for (i, (a, b)) in ours.iter().zip(exact).enumerate() {
        assert!((f64::from(*a) - b).abs() <= 2e-5 * (1.0 + b.abs()), "{what}[{i}]: {a} is not {b}");
    }
}

/// The gradient of `f` at `x` times `y`, by central differences.
fn gradient(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f32], y: &[f32]) -> Vec<f64> {
    let mut x: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    let step = 1e-5;
    (0..x.len())
        .map(|i| {
            let was = x[i];
            x[i] = was + step;
            let up = f(&x);
            x[i] = was - step;
            let down = f(&x);
            x[i] = was;
            up.iter().zip(&down).zip(y).map(|((u, d), y)| (u - d) / (2.0 * step) * f64::from(*y)).sum()
        })
        .collect()
}

#[test]
fn norms() {
    for (kind, rows, width, biased) in
        [(NormKind::Rms, 3, 7, false), (NormKind::Layer, 5, 17, true), (NormKind::Layer, 2, 1, false)]
    {
        let (x, gain, bias) = (numbers(rows * width, 1), numbers(width, 2), numbers(width, 3));
        let bias = biased.then_some(&bias[..]);
        let plain = |x: &[f64]| -> Vec<f64> {
            let mut out = Vec::new();
            for x in x.chunks(width) {
                let mean = if kind == NormKind::Layer { x.iter().sum::<f64>() / width as f64 } else { 0.0 };
                let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
                for (i, v) in x.iter().enumerate() {
                    let shift = bias.map_or(0.0, |b| f64::from(b[i]));
                    out.push((v - mean) / (variance + 1e-2).sqrt() * f64::from(gain[i]) + shift);
                }
            }
            out
        };
        let exact = plain(&x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let (mut y, mut normal, mut scale) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; rows]);
        norm(kind, &x, &gain, bias, 1e-2, &mut y, &mut normal, &mut scale);
        close(&y, &exact, "norm");
        let up = numbers(x.len(), 4);
        let (mut back, mut gains, mut biases) = (vec![0.0; x.len()], vec![9.0; width], vec![9.0; width]);
        norm_back(kind, &normal, &scale, &gain, &up, &mut back, &mut gains, biased.then_some(&mut biases[..]));
        close(&back, &gradient(plain, &x, &up), "norm_back");
        for i in 0..width {
            let along: f64 = (0..rows).map(|r| f64::from(up[r * width + i]) * f64::from(normal[r * width + i])).sum();
            let sum: f64 = (0..rows).map(|r| f64::from(up[r * width + i])).sum();
            close(&gains[i..=i], &[along], "gain");
            if biased {
                close(&biases[i..=i], &[sum], "bias");
            }
        }
    }
}

#[test]
fn activations() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let f64s = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let (hidden, rows) = (19, 3);
    let x = numbers(rows * 2 * hidden, 1);
    let plain = |x: &[f64]| -> Vec<f64> {
        x.chunks(2 * hidden)
            .flat_map(|r| (0..hidden).map(|i| r[i] * sigmoid(r[i]) * r[hidden + i]).collect::<Vec<_>>())
            .collect()
    };
    let (mut y, mut back) = (vec![0.0; rows * hidden], vec![0.0; x.len()]);
    swiglu(&x, &mut y, hidden);
    close(&y, &plain(&f64s(&x)), "swiglu");
    let up = numbers(y.len(), 2);
    swiglu_back(&x, &up, &mut back, hidden);
    close(&back, &gradient(plain, &x, &up), "swiglu_back");

    let inner = |v: f64| (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v.powi(3));
    let plain = |x: &[f64]| -> Vec<f64> {
        let gelu = |v: f64| 0.5 * v * (1.0 + inner(v).tanh());
        x.chunks(2 * hidden).flat_map(|r| (0..hidden).map(|i| gelu(r[i]) * r[hidden + i]).collect::<Vec<_>>()).collect()
    };
    geglu(&x, &mut y, hidden);
    close(&y, &plain(&f64s(&x)), "geglu");
    geglu_back(&x, &up, &mut back, hidden);
    close(&back, &gradient(plain, &x, &up), "geglu_back");

    let plain = |x: &[f64]| -> Vec<f64> { x.iter().map(|v| 0.5 * v * (1.0 + inner(*v).tanh())).collect() };
    let (mut y, mut back, up) = (vec![0.0; x.len()], vec![0.0; x.len()], numbers(x.len(), 3));
    gelu(&x, &mut y);
    close(&y, &plain(&f64s(&x)), "gelu");
    gelu_back(&x, &up, &mut back);
    close(&back, &gradient(plain, &x, &up), "gelu_back");
    relu(&x, &mut y);
    close(&y, &f64s(&x).iter().map(|v| v.max(0.0)).collect::<Vec<_>>(), "relu");
    relu_back(&x, &up, &mut back);
    let exact: Vec<f64> = x.iter().zip(&up).map(|(x, y)| if *x > 0.0 { f64::from(*y) } else { 0.0 }).collect();
    close(&back, &exact, "relu_back");
    relu_squared(&x, &mut y);
    close(&y, &f64s(&x).iter().map(|v| v.max(0.0).powi(2)).collect::<Vec<_>>(), "relu_squared");
    relu_squared_back(&x, &up, &mut back);
    close(&back, &gradient(|x| x.iter().map(|v| v.max(0.0).powi(2)).collect(), &x, &up), "relu_squared_back");
}

fn plain_attention(sizes: Heads, view: View<'_>, x: &[f64]) -> Vec<f64> {
    let Heads { batch, time, heads, kv_heads, head_dim: d } = sizes;
    let width = sizes.width();
    let mut out = vec![0.0; batch * time * heads * d];
    for b in 0..batch {
        for h in 0..heads {
            let g = h / (heads / kv_heads);
            for t in 0..time {
                let at = |row: usize, head: usize, i: usize| x[(b * time + row) * width + head * d + i];
                let slope = view.slopes.get(h).map_or(0.0, |slope| f64::from(*slope));
                let start = view.starts.get(b * time + t).map_or(0, |start| *start as usize);
                let score = |s: usize| {
                    let product = (0..d).map(|i| at(t, h, i) * at(s, heads + g, i)).sum::<f64>();
                    product * f64::from(view.scale) - slope * (t - s) as f64
                };
                let sees = |s: usize| s >= start && view.window.is_none_or(|window| t - s < window);
                let weights: Vec<f64> = (0..=t).map(|s| if sees(s) { score(s).exp() } else { 0.0 }).collect();
                let total: f64 = weights.iter().sum();
                let mut drop = vec![1.0; t + 1];
                if let Some(fill) = view.drop {
                    fill(b, h, t, 0, &mut drop);
                }
                let weights: Vec<f64> = weights.iter().zip(drop).map(|(w, drop)| w * f64::from(drop)).collect();
                for i in 0..d {
                    let y: f64 = (0..=t).map(|s| weights[s] * at(s, heads + kv_heads + g, i)).sum();
                    out[(b * time + t) * heads * d + h * d + i] = y / total;
                }
            }
        }
    }
    out
}

fn check_attention(sizes: Heads, view: View<'_>) {
    let Heads { batch, time, heads, .. } = sizes;
    let x = numbers(batch * time * sizes.width(), 5);
    let (mut out, mut logs) = (vec![0.0; batch * time * sizes.out_width()], vec![0.0; batch * heads * time]);
    attention(sizes, view, &x, &mut out, &mut logs);
    let exact = plain_attention(sizes, view, &x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    close(&out, &exact, &format!("attention {view:?}"));
    let up = numbers(out.len(), 6);
    let mut back = vec![7.0; x.len()];
    attention_back(sizes, view, &x, &out, &logs, &up, &mut back);
    if time <= 70 {
        let exact = gradient(|x| plain_attention(sizes, view, x), &x, &up);
        close(&back, &exact, &format!("attention_back {view:?}"));
    }
    assert!(back.iter().all(|v| *v != 7.0), "every place is written");
}

#[test]
fn attentions() {
    for (batch, time, heads, kv_heads, head_dim) in
        [(1, 1, 1, 1, 2), (2, 5, 4, 2, 3), (1, 70, 2, 1, 4), (2, 130, 1, 1, 2)]
    {
        check_attention(Heads { batch, time, heads, kv_heads, head_dim }, View::causal(head_dim));
    }
}

#[test]
fn attentions_that_do_not_see_everything() {
    let documents = |batch: usize, time: usize, cuts: &[usize]| -> Vec<u32> {
        let start = |t: usize| cuts.iter().copied().filter(|cut| *cut <= t).max().unwrap_or(0);
        (0..batch).flat_map(|_| (0..time).map(|t| start(t) as u32)).collect()
    };
    for (time, window, cuts) in [
        (5, Some(2), vec![]),
        (70, Some(1), vec![]),
        (70, Some(66), vec![]),
        (70, None, vec![3, 65]),
        (70, Some(20), vec![10, 64]),
    ] {
        let sizes = Heads { batch: 2, time, heads: 2, kv_heads: 1, head_dim: 4 };
        let starts = documents(2, time, &cuts);
        let view = View { window, starts: if cuts.is_empty() { &[] } else { &starts }, ..View::causal(4) };
        check_attention(sizes, view);
        check_attention(sizes, View { slopes: &[0.5, 0.0625], scale: 0.3, ..view });
    }
}

#[test]
fn attentions_that_drop_weights() {
    let fill = |sequence: usize, head: usize, place: usize, key: usize, to: &mut [f32]| {
        for (i, x) in to.iter_mut().enumerate() {
            *x = if (sequence + 3 * head + 5 * place + 7 * (key + i)).is_multiple_of(4) { 0.0 } else { 4.0 / 3.0 };
        }
    };
    for (time, window) in [(5, None), (70, None), (70, Some(3)), (130, Some(90))] {
        let sizes = Heads { batch: 2, time, heads: 4, kv_heads: 2, head_dim: 3 };
        let view = View { window, drop: Some(&fill), ..View::causal(3) };
        check_attention(sizes, view);
        check_attention(sizes, View { slopes: &[0.5, 0.0625, 0.1, 0.2], ..view });
    }
}

#[test]
fn norms_of_groups() {
    let (rows, width) = (5, 23);
    let (x, first, second) = (numbers(rows * width, 1), numbers(4, 2), numbers(9, 3));
    let groups = [Group { at: 0, count: 3, gain: &first }, Group { at: 13, count: 1, gain: &second }];
    let plain = |x: &[f64], gains: [&[f64]; 2]| -> Vec<f64> {
        let mut y = x.to_vec();
        for row in y.chunks_mut(width) {
            for (group, gain) in groups.iter().zip(gains) {
                for part in row[group.at..group.end()].chunks_mut(gain.len()) {
                    let scale = (part.iter().map(|v| v * v).sum::<f64>() / gain.len() as f64 + 1e-2).sqrt();
                    part.iter_mut().zip(gain).for_each(|(v, gain)| *v = *v / scale * gain);
                }
            }
        }
        y
    };
    let f64s = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    let (one, two) = (f64s(&first), f64s(&second));
    let (mut y, mut scale) = (vec![0.0; x.len()], vec![0.0; rows * 4]);
    norm_groups(&x, width, &groups, 1e-2, &mut y, &mut scale);
    close(&y, &plain(&f64s(&x), [&one, &two]), "norm_groups");
    let up = numbers(x.len(), 4);
    let mut back = up.clone();
    let gains = norm_groups_back(&x, width, &groups, &scale, &mut back);
    close(&back, &gradient(|x| plain(x, [&one, &two]), &x, &up), "norm_groups_back");
    let both: Vec<f32> = [&first[..], &second[..]].concat();
    let exact: Vec<f64> = (0..both.len())
        .map(|i| {
            let value = |step: f64| {
                let mut gains = f64s(&both);
                gains[i] += step;
                let y = plain(&f64s(&x), [&gains[..4], &gains[4..]]);
                y.iter().zip(&up).map(|(y, up)| y * f64::from(*up)).sum::<f64>()
            };
            (value(1e-5) - value(-1e-5)) / 2e-5
        })
        .collect();
    close(&gains, &exact, "gains");
}

#[test]
fn rotation_turns_and_turns_back() {
    let (time, heads, head_dim, width) = (3, 2, 4, 11);
    let angle = |t: usize, i: usize| (t as f32) * if i.is_multiple_of(2) { 1.0 } else { 0.1 };
    let table = |f: fn(f32) -> f32| -> Vec<f32> {
        (0..time).flat_map(|t| (0..head_dim).map(move |i| f(angle(t, i % (head_dim / 2))))).collect()
    };
    let (cos, sin) = (table(f32::cos), table(f32::sin));
    let x = numbers(2 * time * width, 1);
    let mut y = x.clone();
    turn(&mut y, width, heads, head_dim, time, &cos, &sin, false);
    let at = width + head_dim;
    let (a, b) = (x[at], x[at + 2]);
    assert!((y[at] - (a * 1f32.cos() - b * 1f32.sin())).abs() < 1e-6);
    assert_eq!(x[..width], y[..width], "the first position is not turned");
    assert_eq!(x[width + 8..2 * width], y[width + 8..2 * width], "what follows the heads stays");
    turn(&mut y, width, heads, head_dim, time, &cos, &sin, true);
    close(&y, &x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>(), "back");
}

#[test]
fn cross_entropies() {
    let (rows, vocab) = (4, 37);
    let x = numbers(rows * vocab, 1);
    let (targets, weights) = ([0, 36, 5, 5], [0.5, 0.25, 0.0, 1.0]);
    let normaliser = |x: &[f64]| x.iter().map(|v| v.exp()).sum::<f64>().ln();
    let plain = |x: &[f64]| -> Vec<f64> {
        let rows = x.chunks(vocab).enumerate();
        rows.map(|(r, x)| (normaliser(x) - x[targets[r] as usize]) * f64::from(weights[r])).collect()
    };
    let exact: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
    for z in [0.0, 0.1] {
        let squares = |x: &[f64]| -> Vec<f64> {
            let rows = x.chunks(vocab).zip(weights);
            rows.map(|(x, weight)| f64::from(z) * normaliser(x).powi(2) * f64::from(weight)).collect()
        };
        let mut logits = x.clone();
        let (losses, penalties) = cross_entropy(&mut logits, vocab, &targets, &weights, z);
        close(&losses, &plain(&exact), "losses");
        close(&penalties, &squares(&exact), "penalties");
        let both = |x: &[f64]| -> Vec<f64> { plain(x).iter().zip(squares(x)).map(|(a, b)| a + b).collect() };
        close(&logits, &gradient(both, &x, &[1.0; 4]), "gradient");
    }
}

#[test]
fn lion_steps() {
    let step = Lion { beta1: 0.9, beta2: 0.99, rate: 0.5, decay: 0.75 };
    let (mut weights, gradients, mut momentum) = ([1.0, 1.0, 1.0], [2.0, -2.0, 0.0], [-1.0, 0.0, 0.0]);
    lion(step, &mut weights, &gradients, &mut momentum);
    // Directions -0.7, -0.2 and none.
    assert_eq!(weights, [1.25, 1.25, 0.75]);
    close(&momentum, &[-0.97, -0.02, 0.0], "momentum");
}

#[test]
fn adamw_steps() {
    let step = Adamw { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, rate: 0.1, root: 2.0, decay: 0.5 };
    let (mut p, g, mut m, mut v) = (numbers(100, 1), numbers(100, 2), numbers(100, 3), vec![0.25; 100]);
    let (p0, m0) = (p.clone(), m.clone());
    adamw(step, &mut p, &g, &mut m, &mut v);
    for i in 0..100 {
        let (p0, g, m0) = (f64::from(p0[i]), f64::from(g[i]), f64::from(m0[i]));
        let (m1, v1) = (m0 * 0.9 + g * 0.1, 0.25 * 0.99 + g * g * 0.01);
        close(&[m[i], v[i]], &[m1, v1], "moments");
        close(&[p[i]], &[p0 * 0.5 - m1 / (v1.sqrt() * 2.0 + 1e-8) * 0.1], "weights");
    }
}

#[test]
fn large_inputs_are_cut_the_same_way_as_small_ones() {
    // Above the limit for threads, rows must be those of a run over each row alone.
    let (rows, width) = (300, 128);
    let (x, gain) = (numbers(rows * width, 1), numbers(width, 2));
    let (mut y, mut normal, mut scale) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; rows]);
    norm(NormKind::Rms, &x, &gain, None, 1e-5, &mut y, &mut normal, &mut scale);
    for row in [0, 63, 64, 299] {
        let (mut one, mut n, mut s) = (vec![0.0; width], vec![0.0; width], [0.0]);
        norm(NormKind::Rms, &x[row * width..(row + 1) * width], &gain, None, 1e-5, &mut one, &mut n, &mut s);
        assert_eq!(y[row * width..(row + 1) * width], one);
    }
    let mut all = vec![0.0; rows * width / 2];
    swiglu(&x, &mut all, width / 2);
    let mut one = vec![0.0; width / 2];
    swiglu(&x[299 * width..], &mut one, width / 2);
    assert_eq!(all[299 * width / 2..], one);
    let targets = vec![3; rows];
    let mut logits = x.clone();
    let (losses, _) = cross_entropy(&mut logits, width, &targets, &vec![1.0; rows], 0.0);
    let mut one = x[299 * width..].to_vec();
    assert_eq!(cross_entropy(&mut one, width, &[3], &[1.0], 0.0).0[0], losses[299]);
    assert_eq!(logits[299 * width..], one);
}

#[test]
fn matmuls() {
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 65), (130, 70, 300)] {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let turn = |x: &[f32], rows: usize, columns: usize| -> Vec<f32> {
            (0..columns).flat_map(|c| (0..rows).map(move |r| x[r * columns + c])).collect()
        };
        let (at, bt) = (turn(&a, m, k), turn(&b, k, n));
        let exact: Vec<f64> = (0..m)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .map(|(i, j)| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum())
            .collect();
        let (a, at) = (Matrix::new(&a, m, k), Matrix::new(&at, k, m).transposed());
        let (b, bt) = (Matrix::new(&b, k, n), Matrix::new(&bt, n, k).transposed());
        for (left, right) in [(a, b), (a, bt), (at, b), (at, bt)] {
            let ours = matmul(left, right);
            for (x, y) in ours.iter().zip(&exact) {
                assert!((f64::from(*x) - y).abs() < 1e-3, "{m} {n} {k}: {x} is not {y}");
            }
        }
    }
}

#[test]
fn a_product_is_the_same_for_any_number_of_threads() {
    for (m, n, k) in [(1024, 384, 1152), (384, 384, 1024), (2048, 128, 352), (100, 1000, 777), (64, 4096, 128)] {
        let (a, b) = (numbers(m * k, 3), numbers(k * n, 4));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| matmul(Matrix::new(&a, m, k), Matrix::new(&b, k, n)))
        };
        let one = with(1);
        for threads in [2, 3, 4, 8] {
            assert!(one == with(threads), "{m} {n} {k} with {threads} threads");
        }
    }
}

#[test]
fn products_of_few_rows() {
    for (rows, inner, columns) in
        [(1, 1, 1), (1, 37, 70), (2, 16, 9), (3, 100, 33), (4, 512, 300), (1, 0, 4), (15, 40, 21), (16, 64, 130)]
    {
        let (x, w) = (numbers(rows * inner, 1), numbers(columns * inner, 2));
        let exact: Vec<f64> = (0..rows * columns)
            .map(|i| {
                let (row, column) = (i / columns, i % columns);
                (0..inner).map(|k| f64::from(x[row * inner + k]) * f64::from(w[column * inner + k])).sum()
            })
            .collect();
        let what = format!("{rows} × {inner} × {columns}");
        close(&decode::few_rows(&x, &w, inner, rows, columns), &exact, &what);
        close(&matmul(Matrix::new(&x, rows, inner), Matrix::new(&w, columns, inner).transposed()), &exact, &what);
    }
}

#[test]
fn attention_over_a_cache() {
    for (batch, time, heads, kv_heads, head_dim, used) in
        [(1, 1, 1, 1, 1, 0), (2, 1, 4, 2, 8, 5), (3, 3, 2, 1, 5, 0), (2, 1, 6, 6, 64, 40)]
    {
        let capacity = used + time + 3;
        let sizes = Heads { batch, time, heads, kv_heads, head_dim };
        let query = numbers(batch * heads * time * head_dim, 1);
        let (keys, values) =
            (numbers(batch * kv_heads * capacity * head_dim, 2), numbers(batch * kv_heads * capacity * head_dim, 3));
        let window = (used > 4).then_some(4);
        let slopes: Vec<f32> = if heads > 2 { (0..heads).map(|h| 0.1 * h as f32).collect() } else { Vec::new() };
        let first: Vec<usize> = (0..batch).map(|b| b * 2).collect();
        let ours = attend(
            sizes,
            CacheShape { capacity, used, first: &first, window, slopes: &slopes, scale: View::causal(head_dim).scale },
            &query,
            &keys,
            &values,
        );
        let mut exact = Vec::new();
        for b in 0..batch {
            for h in 0..heads {
                let from = (b * kv_heads + h / (heads / kv_heads)) * capacity;
                for t in 0..time {
                    let q = &query[((b * heads + h) * time + t) * head_dim..][..head_dim];
                    let begin = first[b].min(used + t).max((used + t + 1).saturating_sub(window.unwrap_or(usize::MAX)));
                    let seen: Vec<usize> = (begin..=used + t).map(|c| (from + c) * head_dim).collect();
                    let score = |at: &usize| {
                        let dot: f64 = (0..head_dim).map(|i| f64::from(q[i]) * f64::from(keys[at + i])).sum();
                        let gain = slopes.get(h).map_or(0.0, |slope| f64::from(*slope)) * (at / head_dim) as f64;
                        (dot / (head_dim as f64).sqrt() + gain).exp()
                    };
                    let total: f64 = seen.iter().map(score).sum();
                    for i in 0..head_dim {
                        exact.push(seen.iter().map(|at| score(at) / total * f64::from(values[at + i])).sum());
                    }
                }
            }
        }
        close(&ours, &exact, &format!("{sizes:?}"));
    }
}

#[test]
fn the_logarithm_of_a_sum() {
    for len in [1, 5, 16, 1000] {
        let x = numbers(len, 4);
        let exact = x.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        close(&[log_total(&x)], &[exact], "log_total");
    }
}

#[test]
fn squares_add_up_and_numbers_scale() {
    for len in [0, 1, 17, 40_000] {
        let mut x = numbers(len, 7);
        let exact: f64 = x.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        assert!((sum_of_squares(&x) - exact).abs() <= 1e-6 * exact, "{len}");
        let halves: Vec<f32> = x.iter().map(|v| v * 0.5).collect();
        scale(&mut x, 0.5);
        assert_eq!(x, halves);
    }
}
