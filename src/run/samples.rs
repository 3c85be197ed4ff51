//! A few texts from each finished stage, so that a person can see what it learnt.

use super::stage::WEIGHTS;
use super::{Failure, Model, Walk};
use crate::plan::PlannedStage;
use crate::plan::spec::{Dataset, Decoding};
use crate::store::Event;
use crate::tokenizer::Chat;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// File of a stage's object.
pub const SAMPLES: &str = "samples.json";
/// Texts a stage.
const COUNT: usize = 4;
/// Longest sample, in tokens.
const LONGEST: i64 = 120;

/// A generated text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub prompt: String,
    pub text: String,
    /// How it was generated.
    pub decoding: String,
}

impl Walk<'_> {
    /// Generates samples and keeps them with the stage: answers to prompts of its data, or texts from nothing.
    pub(super) fn sample(
        &mut self,
        planned: &PlannedStage,
        folder: &Path,
        data: &Dataset,
        step: u64,
    ) -> Result<(), Failure> {
        let name = planned.name.as_str();
        let Some(trained) = self.tokenizers.get(&planned.tokenizer) else { return Ok(()) };
        let failed =
            |why: String| Failure::Stage { name: name.to_owned(), why: format!("cannot write samples: {why}") };
        let mut prompts: Vec<String> = Vec::new();
        // As it is judged: with the template of the stage it comes from, where it has none of its own.
        let mut chat = None;
        if let Some(template) = self.plan.template_of(name) {
            for record in self.records(data)?.take(COUNT) {
                let record = record.map_err(|e| failed(e.to_string()))?;
                prompts.extend(record.prompt);
            }
            // A stage that learns from texts is asked nothing.
            if !prompts.is_empty() {
                chat = Some(Chat::of(template, &trained.tokenizer).map_err(|e| failed(e.to_string()))?);
            }
        }
        let answers = chat.is_some();
        let model = Model::load(&planned.model, &folder.join(WEIGHTS), &trained.tokenizer, chat, self.bench.device)
            .map_err(|why| Failure::Model { name: name.to_owned(), why })?;
        let decoding = Decoding {
            max_tokens: LONGEST.min(planned.model.context / 2).max(1),
            temperature: if answers { 0.0 } else { 0.8 },
            top_p: if answers { 1.0 } else { 0.95 },
            ..Decoding::greedy(0)
        };
        if !answers {
            prompts = vec![String::new(); COUNT];
        }
        let rendered = prompts.iter().map(|p| model.render(p)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let texts = model.continuations(&rendered, &decoding).map_err(failed)?;
        let how = if answers { "greedy".to_owned() } else { "temperature 0.8, top-p 0.95".to_owned() };
        let samples: Vec<Sample> = prompts
            .into_iter()
            .zip(texts)
            .map(|(prompt, text)| Sample { prompt, text: text.trim().to_owned(), decoding: how.clone() })
            .collect();
        for sample in &samples {
            self.tell(Event::Sample {
                stage: name.to_owned(),
                step,
                prompt: sample.prompt.clone(),
                text: sample.text.clone(),
            })?;
        }
        let json = serde_json::to_vec_pretty(&samples).map_err(|e| failed(e.to_string()))?;
        std::fs::write(folder.join(SAMPLES), json).map_err(|e| Failure::io(name, "keep its samples", &e))
    }
}
