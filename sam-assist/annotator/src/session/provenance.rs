//! Provenance of a mask, as JSON for its record and as a DICOM text.

use serde_json::{Value, json};

use super::{Origin, Session};

impl Session {
    /// Provenance of the current mask, for its record: the scan, the model, the person's slices, and the SHA-256 of everything used.
    pub fn provenance(&self) -> Value {
        let state = self.state();
        let round = state.round.as_ref().map(|round| {
            json!({
                "number": round.number, "seed": round.seed, "backend": round.backend, "warm_start": round.warm_start,
                "cards": round.cards, "mask": round.mask, "ranking": round.ranking, "config": round.config,
            })
        });
        json!({
            "header": self.header(),
            "events": self.entries().len(),
            "log_sha256": self.log.last(),
            "log_first_sha256": self.log.first(),
            "drawn": state.slices_of(Origin::Drawn),
            "accepted": state.slices_of(Origin::Accepted),
            "rejected": state.rejected,
            "labels": state.slices,
            "structures": self.structures(),
            "round": round,
        })
    }

    /// Provenance of the mask in at most 64 characters, for a text attribute of DICOM.
    pub fn describe(&self) -> String {
        let state = self.state();
        let [drawn, accepted] = [Origin::Drawn, Origin::Accepted].map(|origin| state.slices_of(origin).len());
        let round = state.round.as_ref().map_or(0, |round| round.number);
        let log: String = self.log.last().to_string().chars().take(12).collect();
        format!("Session {log}, round {round}: {drawn} drawn, {accepted} accepted")
    }
}
