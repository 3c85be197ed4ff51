//! Stages of the kind `pretrained`: a published network becomes an object of the store, once.

use super::stage::{StageFacts, WEIGHTS};
use super::{Failure, Walk};
use crate::model::{self, Shards};
use crate::plan::PlannedStage;
use crate::plan::hugging::{self, Folder};
use crate::plan::spec::Stage;
use crate::source::disk::DiskWorld;
use crate::store::{Draft, Event, Object};
use std::time::Instant;

impl Walk<'_> {
    /// Writes the weights of a published network down under our names.
    pub(super) fn import(&mut self, planned: &PlannedStage, hash: &str, draft: Draft) -> Result<Object, Failure> {
        let started = Instant::now();
        let name = planned.name.as_str();
        let failed = |why: String| Failure::Stage { name: name.to_owned(), why };
        let unread = |why| Failure::Model { name: name.to_owned(), why };
        let folder = self.folder(planned)?;
        let parameters = planned.estimate.parameters.value().copied().unwrap_or(0);
        self.tell(Event::StageStarted {
            stage: name.to_owned(),
            hash: hash.to_owned(),
            parameters,
            steps: None,
            tokens: None,
            resumed_from: None,
        })?;
        let shards = Shards::open(&folder, self.bench.base).map_err(unread)?;
        for (path, digest) in shards.digests() {
            self.stopped()?;
            if !planned.inputs.iter().any(|input| input.digest == digest) {
                let place = path.display();
                return Err(failed(format!("`{place}` has changed since the plan was made; run the command again")));
            }
        }
        let imported = model::import(&folder, &shards, &draft.files().join(WEIGHTS)).map_err(unread)?;
        let mut warnings = Vec::new();
        if let Some(text) = imported.not_finite.told() {
            let text = format!("`{name}`: {text}");
            self.tell(Event::warning(text.clone()))?;
            warnings.push(text);
        }
        let facts = StageFacts {
            parameters: imported.parameters,
            steps: 0,
            tokens: 0,
            supervised_tokens: 0,
            train_loss: f64::NAN,
            valid_loss: None,
            seconds: started.elapsed().as_secs_f64(),
            tokens_per_second: 0.0,
            peak_memory_bytes: super::memory::peak(),
            weights_hash: imported.weights_hash,
            data_order: String::new(),
            flops_per_token: 0.0,
            hardware_flops_per_token: None,
            device: super::device_of(self.bench.device).to_string(),
            positions: None,
            shape: None,
            start: None,
            precision: None,
            scaling: None,
            experts: None,
            warnings,
        };
        let facts = serde_json::to_value(&facts).map_err(|e| failed(format!("cannot note what was read: {e}")))?;
        Ok(draft.finish(facts)?)
    }

    /// The folder as it is now, which must be what was planned.
    fn folder(&self, planned: &PlannedStage) -> Result<Folder, Failure> {
        let failed = |why: String| Failure::Stage { name: planned.name.clone(), why };
        let Stage::Pretrained(pretrained) = &planned.spec else {
            return Err(failed("it is no published network".to_owned()));
        };
        let world = DiskWorld::new(self.bench.base);
        let folder = hugging::read(&world, &pretrained.folder).map_err(|fault| failed(fault.to_string()))?;
        if folder.decoder != planned.model {
            return Err(failed(format!(
                "`{}` has changed since the plan was made; run the command again",
                pretrained.folder
            )));
        }
        Ok(folder)
    }
}
