//! A record for people, as `exp run` and `exp runs show` print it.

use super::record::{Record, Verdict};
use super::table::{Table, bytes, duration, figure};

impl Record {
    /// Stages, metrics with their intervals, gates and claims, each as a small table; and what it was measured on.
    pub fn summary(&self) -> String {
        let mut text = format!("{}  run {}  {}\non {}\n", self.experiment, self.run, self.status.name(), self.device);
        let mut section = |table: &Table| {
            if !table.rows.is_empty() {
                text += &format!("\n{table}");
            }
        };
        section(&self.stage_table());
        section(&self.metric_table());
        section(&self.gate_table());
        text
    }

    fn stage_table(&self) -> Table {
        let mut table = Table::new(["stage", "loss", "valid", "tokens", "with loss", "took", "tokens/s", "memory"]);
        for (name, stage) in &self.stages {
            let dash = || "-".to_owned();
            table.row([
                name.clone(),
                if stage.loss.train.is_finite() { figure(stage.loss.train) } else { dash() },
                stage.loss.valid.map_or_else(dash, figure),
                stage.tokens.to_string(),
                stage.supervised_tokens.to_string(),
                if stage.cached { "cached".to_owned() } else { duration(stage.seconds) },
                if stage.cached { dash() } else { figure(stage.tokens_per_second) },
                stage.peak_memory_bytes.map_or_else(dash, bytes),
            ]);
        }
        table
    }

    fn metric_table(&self) -> Table {
        let mut table = Table::new(["eval", "stage", "metric", "value", "95 % interval", "items"]);
        for (eval, stages) in &self.evals {
            for (stage, metrics) in stages {
                for (metric, e) in metrics {
                    let interval = match (e.low, e.high) {
                        (Some(low), Some(high)) => format!("[{}, {}]", figure(low), figure(high)),
                        _ => "-".to_owned(),
                    };
                    table.row([
                        eval.clone(),
                        stage.clone(),
                        metric.clone(),
                        figure(e.value),
                        interval,
                        e.n.to_string(),
                    ]);
                }
            }
        }
        table
    }

    fn gate_table(&self) -> Table {
        let mut table = Table::new(["gate", "outcome", "because"]);
        for expect in &self.expects {
            let outcome = match expect.met {
                Some(true) => "met",
                Some(false) => "NOT MET",
                None => "not measured",
            };
            table.row([format!("expect {}", expect.text), outcome.to_owned(), expect.detail.clone()]);
        }
        for claim in &self.claims {
            let outcome = match claim.verdict {
                Verdict::Supported => "supported",
                Verdict::Refuted => "REFUTED",
                Verdict::Undecided => "undecided",
            };
            table.row([format!("claim {}", claim.text), outcome.to_owned(), claim.detail.clone()]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use crate::store::ExpectResult;
    use crate::store::record::tests::example;

    #[test]
    fn a_record_reads_as_a_few_tables() {
        let mut record = example("20261124-081530-able-agate-acorn", 2.0);
        record.expects.push(ExpectResult {
            text: "fluency.pretrain.perplexity < 5".into(),
            met: Some(false),
            detail: "it is 7.389".into(),
        });
        let expected = "\
storyteller  run 20261124-081530-able-agate-acorn  done
on cpu

stage      loss  valid  tokens  with loss  took  tokens/s  memory
pretrain  2.500  2.000   16000      16000  8.0s      2000  -

eval     stage     metric      value  95 % interval   items
fluency  pretrain  perplexity  7.389  [6.389, 8.389]     40

gate                                    outcome  because
expect fluency.pretrain.perplexity < 5  NOT MET  it is 7.389
";
        assert_eq!(record.summary(), expected);
    }
}
