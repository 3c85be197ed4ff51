//! Generation and likelihoods agree with the plain forward pass.

use crate::common::{cpu, gpt2, llama, mixture, valued};
use crate::devices::software;
use burn::tensor::Device;
use emberlab::model::{
    Architecture, Decoder, Finish, GenerateOptions, Memory, ModelError, Next, read_weights, write_weights,
};
use emberlab::plan::spec;
use emberlab::random::Stream;

fn decoder(spec: &spec::Decoder) -> Decoder {
    on(spec, &cpu().device)
}

fn on(spec: &spec::Decoder, device: &Device) -> Decoder {
    let spec = spec::Decoder { init_std: 0.3, dropout: 0.0, ..spec.clone() };
    Decoder::fresh(Architecture::new(&spec, Some(24)).unwrap(), 5, device)
}

fn tokens(seed: u64, len: usize) -> Vec<u32> {
    let mut draws = Stream::new(seed, "tokens").at(0);
    (0..len).map(|_| draws.below(24) as u32).collect()
}

/// Log-probabilities of every token at every place of a sequence, by the plain forward pass.
fn all_logprobs(decoder: &Decoder, sequence: &[u32]) -> Vec<Vec<f32>> {
    let logits = decoder.logits(&[sequence.to_vec()]).unwrap().try_into_vec_as::<f32>().unwrap();
    let normal = |row: &[f32]| {
        let total = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        row.iter().map(|x| (f64::from(*x) - total) as f32).collect()
    };
    logits.chunks_exact(24).map(normal).collect()
}

#[test]
fn greedy_text_with_a_cache_is_greedy_text_without() {
    let windowed = spec::Decoder { window: Some(5), ..llama() };
    let alibi = spec::Decoder { position: spec::Position::Alibi, window: Some(6), global_every: Some(2), ..llama() };
    let absent = spec::Decoder { position: spec::Position::Absent, kv_heads: 1, ..llama() };
    let normed = spec::Decoder { qk_norm: spec::QkNorm::Head, logit_cap: Some(3.0), ..llama() };
    for spec in [llama(), gpt2(), absent, windowed, alibi, normed, mixture(), valued()] {
        let decoder = decoder(&spec);
        // Different lengths in one batch, so that padding matters.
        let prompts: Vec<Vec<u32>> = [1, 3, 7, 8].iter().map(|len| tokens(*len as u64, *len)).collect();
        let options = GenerateOptions { max_tokens: 8, ..GenerateOptions::default() };
        for (prompt, generated) in prompts.iter().zip(decoder.generate(&prompts, &options).unwrap()) {
            let mut text = prompt.clone();
            for (token, logprob) in generated.tokens.iter().zip(&generated.logprobs) {
                let last = all_logprobs(&decoder, &text).pop().unwrap();
                let best = (0..24).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
                assert_eq!(*token as usize, best);
                assert!((logprob - last[best]).abs() < 1e-4);
                text.push(*token);
            }
            assert_eq!((generated.tokens.len(), generated.finish, generated.prompt_cut), (8, Finish::Length, 0));
        }
    }
}

#[test]
fn what_is_remembered_of_a_text_is_not_read_again_and_changes_nothing() {
    let windowed = spec::Decoder { window: Some(5), ..llama() };
    let alibi = spec::Decoder { position: spec::Position::Alibi, window: Some(6), global_every: Some(2), ..llama() };
    let specs = [windowed, llama(), gpt2(), alibi, mixture(), valued()];
    let software = software();
    for (number, spec) in specs.map(|spec| spec::Decoder { context: 160, ..spec }).into_iter().enumerate() {
        // Devices differ in where they keep keys and values, not in what a network is.
        let device = software.as_ref().filter(|_| number == 0).map(|found| on(&spec, &found.device));
        for decoder in [Some(decoder(&spec)), device].into_iter().flatten() {
            let mut memory = Memory::default();
            let mut text = tokens(1, 5);
            // A longer and longer conversation, beyond the room of the first turn, then another that begins alike.
            for (turn, said) in [(0, 0), (1, 7), (2, 60), (3, 9)] {
                text.extend(tokens(10 + turn, said));
                let options = GenerateOptions { max_tokens: 9, ..GenerateOptions::default() };
                let fresh = decoder.generate(std::slice::from_ref(&text), &options).unwrap().remove(0);
                let known = memory.tokens().len();
                let kept = decoder.generate_on(&mut memory, &text, &options, &mut |_, _| Next::GoOn).unwrap();
                assert_eq!((&kept.tokens, kept.finish), (&fresh.tokens, fresh.finish));
                for (a, b) in kept.logprobs.iter().zip(&fresh.logprobs) {
                    assert!((a - b).abs() < 2e-4, "{a} {b}");
                }
                // Of what was written the last token was not read.
                assert_eq!(known, if turn == 0 { 0 } else { text.len() - said - 1 });
                text.extend(&kept.tokens);
                assert_eq!(memory.tokens(), &text[..text.len() - 1]);
            }
            let other = [&text[..20], &tokens(77, 12)].concat();
            let options = GenerateOptions { max_tokens: 4, temperature: 0.7, seed: 3, ..GenerateOptions::default() };
            let fresh = decoder.generate(std::slice::from_ref(&other), &options).unwrap().remove(0);
            let kept = decoder.generate_on(&mut memory, &other, &options, &mut |_, _| Next::GoOn).unwrap();
            assert_eq!(kept.tokens, fresh.tokens);
            // The same prompt again: its last token is read once more, since what follows is asked.
            let again = decoder.generate_on(&mut memory, &other, &options, &mut |_, _| Next::EndAll).unwrap();
            assert_eq!((&again.tokens[..], again.finish), (&fresh.tokens[..1], Finish::Interrupted));
            assert_eq!(memory.tokens(), other);
            assert!(matches!(
                decoder.generate_on(&mut memory, &[], &options, &mut |_, _| Next::GoOn),
                Err(ModelError::EmptyPrompt)
            ));
        }
    }
}

/// A turn that fails leaves nothing behind that the next would take for what it is not.
/// A batch reads fewer columns at once than one text alone, and the texts are the same.
fn read_in_pieces(spec: &spec::Decoder, device: &Device, prompts: &[Vec<u32>]) {
    let decoder = on(&spec::Decoder { context: 256, ..spec.clone() }, device);
    let options = |batch| GenerateOptions { max_tokens: 3, batch, ..GenerateOptions::default() };
    let together = decoder.generate(prompts, &options(prompts.len())).unwrap();
    let apart = decoder.generate(prompts, &options(1)).unwrap();
    for (together, apart) in together.iter().zip(&apart) {
        assert_eq!(together.tokens, apart.tokens);
        for (a, b) in together.logprobs.iter().zip(&apart.logprobs) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
    }
}

#[test]
fn long_prompts_are_read_in_pieces() {
    let windowed = spec::Decoder { window: Some(70), ..llama() };
    let alibi = spec::Decoder { position: spec::Position::Alibi, window: Some(40), global_every: Some(2), ..llama() };
    // 32 texts read 64 columns at once; some are shorter than that, and begin with padding alone.
    let prompts: Vec<Vec<u32>> = (0..32).map(|i| tokens(i, 10 + 4 * i as usize)).collect();
    for spec in [llama(), gpt2(), windowed.clone(), alibi] {
        read_in_pieces(&spec, &cpu().device, &prompts);
    }
    if let Some(device) = software() {
        read_in_pieces(&windowed, &device.device, &prompts);
    }
}

#[test]
fn few_windows_of_a_long_context_go_at_once() {
    let decoder = decoder(&spec::Decoder { context: 1_024, layers: 1, ..llama() });
    let sequences: Vec<Vec<u32>> = (0..20).map(|i| tokens(i, 1_024 - 3 * i as usize)).collect();
    let together = decoder.logprobs(&sequences, 32, None).unwrap();
    for (sequence, together) in sequences.iter().zip(&together) {
        let alone = decoder.logprobs(std::slice::from_ref(sequence), 1, None).unwrap().remove(0);
        assert_eq!((alone.len(), together.len()), (sequence.len() - 1, sequence.len() - 1));
        assert!(alone.iter().zip(together).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn a_text_goes_on_after_a_failure_as_if_it_had_not_happened() {
    let spec = spec::Decoder { init_std: 0.3, context: 64, ..llama() };
    let architecture = Architecture::new(&spec, Some(24)).unwrap();
    let whole = Decoder::fresh(architecture.clone(), 5, &cpu().device);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    whole.save(&path).unwrap();
    // The embedding of the last token is no number, so that it alone cannot be read.
    let mut weights = read_weights(&path).unwrap();
    let table = weights.iter_mut().find(|weight| weight.name == "model.embed_tokens.weight").unwrap();
    let width = table.shape[1];
    table.numbers.to_mut()[23 * width..].fill(f32::NAN);
    write_weights(&weights, &path).unwrap();
    let decoder = Decoder::load(architecture, &path, &cpu().device).unwrap();
    let options = GenerateOptions { max_tokens: 6, vocab: Some(23), ..GenerateOptions::default() };
    let mut memory = Memory::default();
    let mut go_on = |text: &[u32]| decoder.generate_on(&mut memory, text, &options, &mut |_, _| Next::GoOn);
    let first = go_on(&[1, 2, 3, 4]).unwrap();
    assert!(matches!(go_on(&[1, 2, 3, 23, 5]), Err(ModelError::NotANumber)));
    let second = go_on(&[1, 2, 3, 5, 6]).unwrap();
    let fresh = decoder.generate(&[vec![1, 2, 3, 4], vec![1, 2, 3, 5, 6]], &options).unwrap();
    assert_eq!([first.tokens, second.tokens], [&fresh[0], &fresh[1]].map(|text| text.tokens.clone()));
    assert!(matches!(decoder.logprobs(&[vec![1, 23, 2]], 1, None), Err(ModelError::NotANumber)));
}

#[test]
fn what_a_prompt_gives_depends_on_its_place_and_seed_only() {
    let decoder = decoder(&llama());
    let prompts: Vec<Vec<u32>> = (0..5).map(|i| tokens(i, 2 + i as usize)).collect();
    let options = |batch, seed| GenerateOptions {
        max_tokens: 6,
        temperature: 1.0,
        top_k: Some(12),
        top_p: Some(0.95),
        seed,
        batch,
        ..GenerateOptions::default()
    };
    let together = decoder.generate(&prompts, &options(5, 1)).unwrap();
    let apart = decoder.generate(&prompts, &options(2, 1)).unwrap();
    assert_eq!(
        together.iter().map(|g| &g.tokens).collect::<Vec<_>>(),
        apart.iter().map(|g| &g.tokens).collect::<Vec<_>>()
    );
    assert_ne!(together, decoder.generate(&prompts, &options(5, 2)).unwrap());
}

#[test]
fn text_ends_at_a_stop_token_or_a_full_context_and_long_prompts_are_cut() {
    let decoder = decoder(&llama());
    let free = decoder.generate(&[tokens(1, 4)], &GenerateOptions::default()).unwrap();
    // The context holds 16 tokens: half of it may be prompt, and 12 are left after this one.
    assert_eq!((free[0].tokens.len(), free[0].finish), (12, Finish::Context));
    let stop = vec![free[0].tokens[3]];
    let first = free[0].tokens.iter().position(|token| *token == stop[0]).unwrap();
    let stopped = decoder.generate(&[tokens(1, 4)], &GenerateOptions { stop, ..GenerateOptions::default() }).unwrap();
    assert_eq!((stopped[0].tokens.as_slice(), stopped[0].finish), (&free[0].tokens[..first], Finish::Stop));
    let long =
        decoder.generate(&[tokens(1, 40)], &GenerateOptions { max_tokens: 4, ..GenerateOptions::default() }).unwrap();
    assert_eq!((long[0].prompt_cut, long[0].tokens.len()), (28, 4));
    assert!(matches!(decoder.generate(&[vec![]], &GenerateOptions::default()), Err(ModelError::EmptyPrompt)));
    assert!(matches!(
        decoder.generate(&[vec![1, 24]], &GenerateOptions::default()),
        Err(ModelError::Token { token: 24, position: 1, vocab: 24 })
    ));
}

#[test]
fn rows_without_a_token_are_never_taken() {
    let decoder = decoder(&llama());
    for temperature in [0.0, 2.0] {
        let options = GenerateOptions { max_tokens: 12, temperature, vocab: Some(5), ..GenerateOptions::default() };
        let texts = decoder.generate(&[tokens(1, 4), tokens(2, 3)], &options).unwrap();
        assert!(texts.iter().all(|text| text.tokens.iter().all(|token| *token < 5)), "{texts:?}");
    }
}

#[test]
fn a_rolling_text_goes_on_from_half_the_context_and_repeats_no_draw() {
    let decoder = decoder(&llama());
    let options =
        |temperature, max_tokens| GenerateOptions { max_tokens, temperature, roll: true, ..GenerateOptions::default() };
    for temperature in [0.0, 1.0] {
        let long = decoder.generate(&[tokens(1, 4)], &options(temperature, 40)).unwrap().remove(0);
        // The context of 16 is full after 12 tokens, and then after every 8.
        assert_eq!((long.tokens.len(), long.finish, long.rolls, long.prompt_cut), (40, Finish::Length, 4, 0));
        let short = decoder.generate(&[tokens(1, 4)], &options(temperature, 12)).unwrap().remove(0);
        assert_eq!((&long.tokens[..12], short.rolls), (&short.tokens[..], 0));
    }
    // Greedy, each part is what its last 8 tokens alone would give.
    let long = decoder.generate(&[tokens(1, 4)], &options(0.0, 20)).unwrap().remove(0);
    let part = decoder.generate(&[long.tokens[4..12].to_vec()], &options(0.0, 8)).unwrap().remove(0);
    assert_eq!(long.tokens[12..], part.tokens);
    // A prompt of any length that fits is whole.
    let full = decoder.generate(&[tokens(1, 15)], &options(0.0, 40)).unwrap().remove(0);
    assert_eq!((full.prompt_cut, full.tokens.len()), (0, 40));
    let over = decoder.generate(&[tokens(1, 40)], &options(0.0, 4)).unwrap().remove(0);
    assert_eq!((over.prompt_cut, over.tokens.len()), (25, 4));
}

#[test]
fn a_wish_to_end_everything_is_heard_while_a_text_rolls() {
    let decoder = decoder(&llama());
    let options = GenerateOptions { max_tokens: 60, roll: true, batch: 1, ..GenerateOptions::default() };
    let mut told = [0usize; 2];
    let texts = decoder.generate_with(&[tokens(1, 4), tokens(2, 3)], &options, &mut |text, _| {
        told[text] += 1;
        // The context is 16 tokens, so by then the first text has rolled.
        if told[text] == 30 { Next::EndAll } else { Next::GoOn }
    });
    let texts = texts.unwrap();
    let interrupted = texts.iter().filter(|text| text.finish == Finish::Interrupted).count();
    assert_eq!((interrupted, told.iter().sum::<usize>()), (2, 30), "{told:?}");
    assert!(texts.iter().any(|text| text.rolls > 0));
}

#[test]
fn likelihoods_are_those_of_the_forward_pass_and_roll_over_long_sequences() {
    for spec in [llama(), gpt2()] {
        let decoder = decoder(&spec);
        let sequences: Vec<Vec<u32>> = [2, 17, 5, 1, 40, 0].iter().map(|len| tokens(*len as u64, *len)).collect();
        let scored = decoder.logprobs(&sequences, 3, None).unwrap();
        assert_eq!(scored.iter().map(Vec::len).collect::<Vec<_>>(), [1, 16, 4, 0, 39, 0]);
        for (sequence, scored) in sequences.iter().zip(&scored).filter(|(s, _)| s.len() > 1) {
            // Windows of 16 inputs start at 0, 16 and, moved back, at 23.
            for (target, logprob) in scored.iter().enumerate() {
                let start = if target < 16 {
                    0
                } else if target < 32 {
                    16
                } else {
                    23
                };
                let row = &all_logprobs(&decoder, &sequence[start..=target])[target - start];
                assert!((row[sequence[target + 1] as usize] - logprob).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn a_listener_hears_every_token_at_once_and_ends_a_text_or_all() {
    let decoder = decoder(&llama());
    let prompts: Vec<Vec<u32>> = (0..3).map(|i| tokens(i, 2 + i as usize)).collect();
    let options = GenerateOptions { max_tokens: 8, batch: 2, ..GenerateOptions::default() };
    let free = decoder.generate(&prompts, &options).unwrap();
    let mut heard = vec![Vec::new(); 3];
    let mut listener = |text: usize, token: u32| {
        heard[text].push(token);
        if text == 1 && heard[text].len() == 3 { Next::End } else { Next::GoOn }
    };
    let ended = decoder.generate_with(&prompts, &options, &mut listener).unwrap();
    assert_eq!(ended.iter().map(|text| text.tokens.clone()).collect::<Vec<_>>(), heard);
    assert_eq!((ended[1].tokens.as_slice(), ended[1].finish), (&free[1].tokens[..3], Finish::Stop));
    assert_eq!((&ended[0], &ended[2]), (&free[0], &free[2]));
    let mut count = 0;
    let mut listener = |_, _| {
        count += 1;
        if count == 5 { Next::EndAll } else { Next::GoOn }
    };
    let interrupted = decoder.generate_with(&prompts, &options, &mut listener).unwrap();
    assert!(interrupted.iter().all(|text| text.finish == Finish::Interrupted), "{interrupted:?}");
    assert_eq!(interrupted.iter().map(|text| text.tokens.len()).sum::<usize>(), 5);
}

#[test]
fn a_penalty_counts_the_prompt_and_all_of_a_rolling_text() {
    let decoder = decoder(&llama());
    let options = GenerateOptions { max_tokens: 20, roll: true, repetition_penalty: 1e6, ..GenerateOptions::default() };
    let prompt = tokens(1, 4);
    let text = decoder.generate(std::slice::from_ref(&prompt), &options).unwrap().remove(0);
    assert!(text.rolls > 0, "{text:?}");
    // Seen tokens have logits of nearly 0 or far below; of 24 tokens none comes twice while one unseen is above that.
    let mut seen = prompt;
    let first: Vec<u32> = text
        .tokens
        .iter()
        .copied()
        .take_while(|token| {
            let new = !seen.contains(token);
            seen.push(*token);
            new
        })
        .collect();
    assert!(first.len() >= 4, "{text:?}");
    let free =
        decoder.generate(&[tokens(1, 4)], &GenerateOptions { repetition_penalty: 1.0, ..options }).unwrap().remove(0);
    assert_ne!(free.tokens, text.tokens);
}
