//! The way back by hand is the one of autodiff.

use super::*;
use crate::model::{InputShape, Params};
use crate::plan::spec::{Activation, Decoder, Experts, Mup, Norm, NormPlace, Position, QkNorm, ValueEmbeddings};
use crate::random::Stream;
use burn::tensor::TensorData;

fn architectures() -> Vec<Architecture> {
    let llama = Decoder {
        layers: 2,
        heads: 4,
        kv_heads: 2,
        width: 12,
        head_dim: 4,
        hidden: 20,
        context: 8,
        vocab: Some(10),
        rope_theta: 100.0,
        init_std: 0.5,
        init_scaled: false,
        ..Decoder::default()
    };
    let gpt2 = Decoder {
        kv_heads: 4,
        norm: Norm::Layer,
        position: Position::Learned,
        activation: Activation::Gelu,
        bias: true,
        qkv_bias: true,
        ..llama.clone()
    };
    let olmo = Decoder { norm_place: NormPlace::After, qk_norm: QkNorm::Width, ..llama.clone() };
    let qwen3 = Decoder { qk_norm: QkNorm::Head, ..llama.clone() };
    let experts =
        Experts { count: 5, active: 2, hidden: Some(9), renormalize: true, every: None, balance: 0.5, z_loss: None };
    let mixture = |experts| Decoder { experts: Some(experts), ..llama.clone() };
    let valued = |channels| Decoder {
        value_embeddings: Some(ValueEmbeddings { every: 2, channels }),
        qk_norm: QkNorm::Head,
        ..llama.clone()
    };
    let specs = [
        valued(5),
        Decoder { qkv_bias: true, window: Some(3), position: Position::Alibi, ..valued(12) },
        mixture(experts),
        mixture(Experts { renormalize: false, hidden: None, z_loss: Some(0.2), ..experts }),
        mixture(Experts { every: Some(2), active: 1, ..experts }),
        Decoder { dropout: 0.3, activation: Activation::Gelu, ..mixture(Experts { active: 5, ..experts }) },
        Decoder { activation: Activation::Relu, position: Position::Absent, ..gpt2.clone() },
        Decoder { qkv_bias: true, activation: Activation::Geglu, ..llama.clone() },
        Decoder { norm_place: NormPlace::Both, activation: Activation::ReluSquared, ..llama.clone() },
        Decoder { position: Position::Alibi, window: Some(3), ..llama.clone() },
        Decoder { nope_every: Some(2), window: Some(2), global_every: Some(2), ..olmo.clone() },
        Decoder { dropout: 0.3, ..llama.clone() },
        // Three times as wide as its base, with heads twice as large as there.
        Decoder { mup: Some(Mup { base_width: 4, base_head_dim: Some(2) }), ..gpt2.clone() },
        Decoder { mup: Some(Mup { base_width: 4, base_head_dim: Some(2) }), ..qwen3.clone() },
        Decoder { dropout: 0.3, ..gpt2.clone() },
        Decoder { dropout: 0.3, window: Some(3), position: Position::Alibi, ..qwen3.clone() },
        llama,
        gpt2,
        olmo,
        qwen3,
    ];
    specs.iter().map(|spec| Architecture::new(spec, None).unwrap()).collect()
}

#[test]
fn the_way_back_is_the_one_of_autodiff() {
    let device = crate::device::choose(Some("cpu")).unwrap().device;
    for architecture in architectures() {
        let layout = Layout::new(&architecture);
        let plain = Params::fresh(&layout, 1, &device).leaves(&layout);
        let draw = |purpose: &str| {
            let mut draws = Stream::new(1, purpose).at(0);
            let numbers: Vec<f32> = (0..16 * 12).map(|_| draws.normal() as f32).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, [16, 12]), &device)
        };
        let (x, seed) = (draw("input"), draw("seed"));
        let input = InputShape::new(&architecture, 8, &device).input(&[0; 16], &device);
        let dropout = || Dropout::new(architecture.dropout, 1, 0, 0..2);

        let drop = dropout();
        let pass = Pass {
            architecture: &architecture,
            layout: &layout,
            leaves: &plain,
            dropout: drop.as_ref(),
            adapter: None,
            recompute: false,
            probe: None,
            format: None,
            // The second row has two sequences, and padding.
            account: Some(Account { sequences: &[0..8, 8..10, 10..13], total: 20 }),
        };
        let mut tape = Tape::default();
        let by_hand = pass.blocks(x.clone(), &input, None, Some(&mut tape));
        let held = tape.balance.as_ref().map(|balance| balance.loss.clone());
        assert_eq!(held.is_some(), architecture.experts.is_some());
        let (x_by_hand, leaves_by_hand) = pass.back(seed.clone(), &input, tape);

        // Computing blocks again changes no bit.
        let drop = dropout();
        let again = Pass { dropout: drop.as_ref(), recompute: true, ..pass };
        let mut tape = Tape::default();
        again.blocks(x.clone(), &input, None, Some(&mut tape));
        let (x_again, leaves_again) = again.back(seed.clone(), &input, tape);
        assert_eq!(x_again.to_data(), x_by_hand.to_data());
        for (a, b) in leaves_again.into_iter().zip(&leaves_by_hand) {
            assert_eq!(a.map(|a| a.to_data()), b.as_ref().map(Tensor::to_data));
        }

        let leaves: Vec<Tensor<2>> = plain.iter().map(|leaf| leaf.clone().autodiff().require_grad()).collect();
        let drop = dropout();
        let pass = Pass { leaves: &leaves, dropout: drop.as_ref(), ..pass };
        let x = x.autodiff().require_grad();
        let mut tape = Tape::default();
        let hidden = pass.blocks(x.clone(), &input, None, Some(&mut tape));
        let close = |a: Tensor<2>, b: Tensor<2>, what: &str| {
            assert!(a.all_close(b, Some(1e-4), Some(1e-4)), "{what} of {architecture:?}");
        };
        let mut loss = (hidden.clone() * seed).sum();
        if let Some((balance, held)) = tape.balance.zip(held) {
            close(held, balance.loss.clone().inner(), "balance");
            loss = loss + balance.loss.sum();
        }
        let grads = loss.backward();
        close(by_hand, hidden.inner(), "hidden");
        close(x_by_hand, x.grad(&grads).unwrap(), "input");
        for (id, (leaf, by_hand)) in leaves.iter().zip(leaves_by_hand).enumerate() {
            match (leaf.grad(&grads), by_hand) {
                (Some(a), Some(b)) => close(a, b, &format!("leaf {id}")),
                (a, b) => assert!(a.is_none() && b.is_none(), "leaf {id} of {architecture:?}"),
            }
        }
    }
}

/// As [`the_way_back_is_the_one_of_autodiff`], with products of 16 bits. burn's autodiff rounds gradients where it goes back
/// through a rounding; only the softmax sums in another order.
#[test]
fn the_way_back_is_the_one_of_autodiff_in_16_bits() {
    use crate::plan::spec::{Lora, LoraTarget};
    let device = crate::device::choose(Some("cpu")).unwrap().device;
    let on = vec![LoraTarget::Query, LoraTarget::Value, LoraTarget::Up, LoraTarget::Down];
    for (format, within) in [(Format::F16, 4e-3), (Format::Bf16, 4e-2)] {
        let cases = architectures().into_iter().flat_map(|a| [(a.clone(), None), (a, Some(on.clone()))]);
        let dense = |a: &Architecture| a.experts.is_none();
        for (architecture, on) in cases.filter(|(a, on)| dense(a) && (on.is_none() || a.dropout == 0.0)) {
            let layout = Layout::new(&architecture);
            let mut host = Params::fresh(&layout, 1, &device).leaves(&layout);
            let adapter = on.map(|on| {
                let spec = Lora { rank: 3, alpha: 6.0, on, rank_stabilized: false, magnitude: false };
                Adapter::new(&spec, &architecture, &layout)
            });
            if let Some(adapter) = &adapter {
                let mut fresh = Params::fresh_host(&adapter.layout, 2);
                fresh.iter_mut().flatten().enumerate().for_each(|(i, x)| *x += 0.3 * (i as f32 * 0.7).sin());
                host.extend(Params::from_host(fresh, &device).leaves(&adapter.layout));
            }
            let draw = |purpose: &str| {
                let mut draws = Stream::new(1, purpose).at(0);
                let numbers: Vec<f32> = (0..16 * 12).map(|_| draws.normal() as f32).collect();
                Tensor::<2>::from_data(TensorData::new(numbers, [16, 12]), &device)
            };
            let (x, seed) = (draw("input"), draw("seed"));
            let input = InputShape::new(&architecture, 8, &device).input(&[0; 16], &device);
            let drop = Dropout::new(architecture.dropout, 1, 0, 0..2);
            let pass = Pass {
                architecture: &architecture,
                layout: &layout,
                leaves: &host,
                dropout: drop.as_ref(),
                adapter: adapter.as_ref(),
                recompute: false,
                probe: None,
                format: Some(format),
                account: None,
            };
            let mut tape = Tape::default();
            let by_hand = pass.blocks(x.clone(), &input, None, Some(&mut tape));
            let (x_by_hand, leaves_by_hand) = pass.back(seed.clone(), &input, tape);
            let exact = Pass { format: None, adapter: None, ..pass }.blocks(x.clone(), &input, None, None);
            if adapter.is_none() && drop.is_none() {
                assert!(distance(&by_hand, &exact) > within / 1e3, "products are rounded");
            }

            let leaves: Vec<Tensor<2>> = host.iter().map(|leaf| leaf.clone().autodiff().require_grad()).collect();
            let drop = Dropout::new(architecture.dropout, 1, 0, 0..2);
            let pass = Pass { leaves: &leaves, dropout: drop.as_ref(), ..pass };
            let x = x.autodiff().require_grad();
            let hidden = pass.blocks(x.clone(), &input, None, None);
            let grads = (hidden.clone() * seed).sum().backward();
            let close = |a: Tensor<2>, b: Tensor<2>, what: &str| {
                let apart = distance(&a, &b);
                assert!(apart < within, "{what}: {apart:.1e} for {format:?} of {architecture:?}");
            };
            close(by_hand, hidden.inner(), "hidden");
            close(x_by_hand, x.grad(&grads).unwrap(), "input");
            for (id, (leaf, by_hand)) in leaves.iter().zip(leaves_by_hand).enumerate() {
                // A shift of all keys changes no softmax: the gradient of their bias is rounding alone.
                let biased = layout.roles.blocks.iter().any(|block| block.qkv.bias == Some(id));
                let Some(by_hand) = by_hand.filter(|_| !biased) else { continue };
                close(by_hand, leaf.grad(&grads).unwrap(), &format!("leaf {id}"));
            }
        }
    }
}

/// The norm of a difference over that of what it is from.
fn distance(a: &Tensor<2>, b: &Tensor<2>) -> f64 {
    let norm = |x: Tensor<2>| x.to_data().iter::<f64>().map(|x| x * x).sum::<f64>().sqrt();
    norm(a.clone() - b.clone()) / norm(b.clone()).max(1e-9)
}

#[test]
fn adapters_go_back_as_autodiff_does_and_merge_into_the_same_network() {
    use crate::plan::spec::{Lora, LoraTarget};
    let device = crate::device::choose(Some("cpu")).unwrap().device;
    let all = [
        LoraTarget::Query,
        LoraTarget::Key,
        LoraTarget::Value,
        LoraTarget::Output,
        LoraTarget::Gate,
        LoraTarget::Up,
        LoraTarget::Down,
    ];
    let some = [LoraTarget::Query, LoraTarget::Value, LoraTarget::Up];
    for architecture in architectures().into_iter().filter(|a| a.dropout == 0.0) {
        for (magnitude, on) in [(false, &all[..]), (false, &some), (true, &all), (true, &some)] {
            let layout = Layout::new(&architecture);
            let spec = Lora { rank: 3, alpha: 6.0, on: on.to_vec(), rank_stabilized: magnitude, magnitude };
            let adapter = Adapter::new(&spec, &architecture, &layout);
            let network = Params::fresh(&layout, 1, &device).leaves(&layout);
            let mut host = Params::fresh_host(&adapter.layout, 2);
            // What starts as zeros would hide mistakes.
            host.iter_mut().flatten().enumerate().for_each(|(i, x)| *x += 0.3 * (i as f32 * 0.7).sin());
            let trained = Params::from_host(host, &device).leaves(&adapter.layout);
            let leaves: Vec<Tensor<2>> = network.iter().chain(&trained).cloned().collect();
            let draw = |purpose: &str| {
                let mut draws = Stream::new(1, purpose).at(0);
                let numbers: Vec<f32> = (0..16 * 12).map(|_| draws.normal() as f32).collect();
                Tensor::<2>::from_data(TensorData::new(numbers, [16, 12]), &device)
            };
            let (x, seed) = (draw("input"), draw("seed"));
            let input = InputShape::new(&architecture, 8, &device).input(&[0; 16], &device);
            let pass = Pass {
                architecture: &architecture,
                layout: &layout,
                leaves: &leaves,
                dropout: None,
                adapter: Some(&adapter),
                recompute: false,
                probe: None,
                format: None,
                account: None,
            };
            let mut tape = Tape::default();
            let by_hand = pass.blocks(x.clone(), &input, None, Some(&mut tape));
            let (x_by_hand, leaves_by_hand) = pass.back(seed.clone(), &input, tape);
            let close = |a: Tensor<2>, b: Tensor<2>, what: &str| {
                let most = |x: Tensor<2>| f64::from(x.abs().max().try_into_vec_as::<f32>().unwrap()[0]);
                let (apart, largest) = (most(a.clone() - b.clone()), most(b.clone()));
                // Where large numbers cancel out, rounding is relative to those, and other processors sum in another order.
                let fits = a.all_close(b, Some(1e-4), Some((1e-4 * largest).max(1e-4)));
                assert!(fits, "{what} of {spec:?} on {architecture:?}, by {apart} of {largest}");
            };

            let merged = adapter.merged(&leaves);
            let pass = Pass { leaves: &merged, adapter: None, ..pass };
            close(by_hand.clone(), pass.blocks(x.clone(), &input, None, None), "merged");

            let leaves: Vec<Tensor<2>> = leaves.iter().map(|leaf| leaf.clone().autodiff().require_grad()).collect();
            let pass = Pass { leaves: &leaves, adapter: Some(&adapter), ..pass };
            let x = x.autodiff().require_grad();
            let hidden = pass.blocks(x.clone(), &input, None, None);
            let grads = (hidden.clone() * seed).sum().backward();
            close(by_hand, hidden.inner(), "hidden");
            close(x_by_hand, x.grad(&grads).unwrap(), "input");
            for (id, by_hand) in leaves_by_hand.into_iter().enumerate().skip(network.len()) {
                close(leaves[id].grad(&grads).unwrap(), by_hand.unwrap(), &format!("leaf {id}"));
            }
        }
    }
}

#[test]
fn documents_in_one_row_are_as_if_each_were_alone() {
    let device = crate::device::choose(Some("cpu")).unwrap().device;
    for architecture in architectures().into_iter().filter(|a| a.dropout == 0.0) {
        let layout = Layout::new(&architecture);
        let leaves = Params::fresh(&layout, 1, &device).leaves(&layout);
        let (ids, lens) = ([3, 1, 4, 1, 5, 9, 2, 6], [3, 1, 4]);
        let starts: Vec<u32> = [0, 0, 0, 3, 4, 4, 4, 4].to_vec();
        let width = architecture.width;
        let run = |leaves: &[Tensor<2>], input: &Input| {
            let base = Pass {
                architecture: &architecture,
                layout: &layout,
                leaves,
                dropout: None,
                adapter: None,
                recompute: false,
                probe: None,
                format: None,
                account: None,
            };
            base.blocks(base.embed(input), input, None, None)
        };
        let shape = InputShape::new(&architecture, 8, &device);
        let packed = shape.documents(&architecture, &ids, starts.clone(), &device);
        let together = run(&leaves, &packed);
        // By burn's operations, as a GPU would.
        let traced: Vec<Tensor<2>> = leaves.iter().map(|leaf| leaf.clone().autodiff().require_grad()).collect();
        let composed = run(&traced, &packed).inner();
        assert!(composed.all_close(together.clone(), Some(1e-4), Some(1e-4)), "{architecture:?}");
        let mut at = 0;
        for len in lens {
            let input = InputShape::new(&architecture, len, &device).input(&ids[at..at + len], &device);
            let (alone, part) = (run(&leaves, &input), together.clone().narrow(0, at, len));
            assert_eq!(alone.dims(), [len, width]);
            assert!(alone.all_close(part, Some(1e-4), Some(1e-4)), "{len} tokens of {architecture:?}");
            at += len;
        }
    }
}
