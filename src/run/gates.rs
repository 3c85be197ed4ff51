//! Gates and claims, decided on what was measured.

use super::{Failure, Walk};
use crate::evaluate::{self, ClaimResult, ExpectResult};
use crate::store::{self, Estimate, Event, GateKind};
use serde::{Deserialize, Serialize};

/// File of a run's folder with every verdict in full.
pub const VERDICTS: &str = "verdicts.json";

/// Every verdict of a run, with what it rests on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Verdicts {
    pub expects: Vec<ExpectResult>,
    pub claims: Vec<ClaimResult>,
}

impl Walk<'_> {
    pub(super) fn gates(&mut self) -> Result<(), Failure> {
        let plan = self.plan;
        for expect in &plan.expects {
            let result = evaluate::expect(expect, &self.measured);
            let detail = result.diagram();
            self.tell(Event::Gate {
                kind: GateKind::Expect,
                text: result.text.clone(),
                met: result.met,
                detail: detail.clone(),
            })?;
            self.record.expects.push(store::ExpectResult { text: result.text.clone(), met: result.met, detail });
            self.verdicts.expects.push(result);
        }
        for claim in &plan.claims {
            let result = evaluate::claim(claim, std::slice::from_ref(&self.measured), plan.seed(0));
            let met = match result.verdict {
                evaluate::Verdict::Supported => Some(true),
                evaluate::Verdict::Refuted => Some(false),
                evaluate::Verdict::Undecided => None,
            };
            let detail = result.summary();
            self.tell(Event::Gate {
                kind: GateKind::Claim,
                text: format!("{}: {}", result.name, result.text),
                met,
                detail: detail.clone(),
            })?;
            let difference = result.comparisons.first().and_then(|c| {
                Some(Estimate { value: c.difference?, low: c.low, high: c.high, n: c.items.unwrap_or(0) })
            });
            self.record.claims.push(store::ClaimResult {
                name: result.name.clone(),
                text: result.text.clone(),
                confidence: result.confidence,
                verdict: match result.verdict {
                    evaluate::Verdict::Supported => store::Verdict::Supported,
                    evaluate::Verdict::Refuted => store::Verdict::Refuted,
                    evaluate::Verdict::Undecided => store::Verdict::Undecided,
                },
                difference,
                detail,
            });
            self.verdicts.claims.push(result);
        }
        let json = serde_json::to_vec_pretty(&self.verdicts)
            .map_err(|e| Failure::Unplanned { name: VERDICTS.to_owned(), why: e.to_string() })?;
        Ok(self.run.write_file(VERDICTS, &json)?)
    }
}
