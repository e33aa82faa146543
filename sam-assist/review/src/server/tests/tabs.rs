//! Two tabs on one desk.

use serde_json::{Value, json};

use super::{Result, Running};
use crate::Decision;

/// A tab, which decides on what it has shown.
struct Tab<'a> {
    server: &'a Running,
    overview: Value,
    /// The version of the labels of slice 0 that it shows.
    shown: u64,
}

impl<'a> Tab<'a> {
    fn open(server: &'a Running) -> Result<Self> {
        let overview = serde_json::from_slice(&server.ask("GET", "overview", "", "")?.2)?;
        let mut tab = Self { server, overview, shown: 0 };
        tab.look()?;
        Ok(tab)
    }

    fn look(&mut self) -> Result<()> {
        let head = self.server.ask("GET", "labels/0", "", "")?.1;
        let version = head.lines().find_map(|line| line.strip_prefix("labels-version: ")).ok_or("a version")?;
        self.shown = version.parse()?;
        Ok(())
    }

    /// Sends a request; the status, and how things stand now.
    fn post(&mut self, path: &str, body: Value) -> Result<u16> {
        let (status, answer) = self.server.post(path, &body.to_string())?;
        let overview = if path == "decide" && status == 200 { &answer } else { &answer["overview"] };
        if status == 409 {
            assert!(answer["error"].as_str().is_some_and(|error| error.contains("another tab")), "{answer}");
        }
        assert!(overview["slices"].is_array(), "{answer}");
        self.overview = overview.clone();
        Ok(status)
    }

    fn decide(&mut self, decision: &str) -> Result<u16> {
        self.post("decide", json!({ "slice": 0, "decision": decision, "version": self.shown }))
    }
}

#[test]
fn a_tab_decides_only_on_what_it_has_shown() -> Result<()> {
    let server = Running::start()?;
    let [mut one, mut other] = [Tab::open(&server)?, Tab::open(&server)?];
    assert_eq!(one.decide("reject")?, 200);
    for decision in ["accept", "reject", "empty", "keep"] {
        assert_eq!(other.decide(decision)?, 409, "{decision}");
    }
    assert_eq!(server.desk.lock().expect("no panic").decided, [(0, Decision::Reject)]);
    // The refusal has brought the new state, but the labels were not looked at yet.
    assert_eq!(other.overview["slices"][0]["version"], 1);
    assert_eq!(other.decide("accept")?, 409);
    other.look()?;
    assert_eq!(other.decide("accept")?, 200);

    // An undo or a save of a tab that has not seen the last decision.
    for path in ["undo", "save"] {
        let mut stale = Tab { server: &server, overview: Value::Null, shown: 0 };
        assert_eq!(stale.post(path, json!({ "revision": 1 }))?, 409, "{path}");
    }
    assert_eq!(server.desk.lock().expect("no panic").decided.len(), 2);
    // What was undone is not what it was before.
    assert_eq!(other.post("undo", json!({ "revision": 2 }))?, 200);
    assert_eq!(other.decide("accept")?, 409);
    Ok(())
}
