//! The review page on a session: if the program is killed, no decision that it confirmed to the page is lost.
//!
//! `SAM_MED_KILLS` sets how often it is killed; the default is 5.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};

use crate::{desk::Desk, program};

/// Maximum number of decisions before the program is killed.
const MOST: u32 = 12;

/// The program, serving its page.
pub(crate) struct Page {
    pub(crate) child: Child,
    pub(crate) host: String,
    pub(crate) path: String,
}

impl Page {
    fn start(desk: &Desk) -> Result<Self> {
        Self::spawn(program::command(desk.words("review")).stderr(Stdio::null()))
    }

    /// Starts a command that serves a page.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut out = BufReader::new(child.stdout.take().context("its output is piped")?);
        let mut text = String::new();
        while !text.contains("http://") {
            ensure!(out.read_line(&mut text)? > 0, "the page was never served: {text}");
        }
        let address = text.split("http://").nth(1).context("an address")?.trim();
        let (host, path) = address.split_once('/').context("a host and a token")?;
        Ok(Self { child, host: host.to_owned(), path: format!("/{path}") })
    }

    /// Sends a request, and does not wait for the answer.
    fn send(&self, what: &str, sent: Option<&Value>) -> Result<TcpStream> {
        let Self { host, path, .. } = self;
        let (method, body) = sent.map_or(("GET", String::new()), |sent| ("POST", sent.to_string()));
        let mut stream = TcpStream::connect(host)?;
        write!(
            stream,
            "{method} {path}{what} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(stream)
    }

    /// Sends a request, and returns the answer's status and JSON; an error if the program has ended.
    pub(crate) fn answer(&self, what: &str, sent: Option<&Value>) -> Result<(u16, Value)> {
        let mut answer = String::new();
        self.send(what, sent)?.read_to_string(&mut answer)?;
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).context("a status")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
        Ok((status.parse()?, serde_json::from_str(body)?))
    }

    /// Sends a request, and returns the answer as JSON; an error if the program has ended or refuses the request.
    pub(crate) fn ask(&self, what: &str, sent: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.answer(what, sent)?;
        ensure!(status == 200, "{what} is answered with {status} {answer}");
        Ok(answer)
    }

    /// Decides on a slice as it stands, and returns how things stand then.
    pub(crate) fn decide(&self, slice: usize, decision: &str) -> Result<Value> {
        let version = &self.ask("overview", None)?["slices"][slice]["version"];
        self.ask("decide", Some(&json!({ "slice": slice, "decision": decision, "version": version })))
    }

    /// `undo` or `save`, after all that was decided.
    pub(crate) fn act(&self, what: &str) -> Result<Value> {
        let revision = &self.ask("overview", None)?["revision"];
        self.ask(what, Some(&json!({ "revision": revision })))
    }

    /// Ends the program with Ctrl-C, which saves.
    pub(crate) fn end(self) -> Result<()> {
        self.end_by("INT")
    }

    /// Ends the program with a signal.
    pub(crate) fn end_by(mut self, signal: &str) -> Result<()> {
        program::signal(&self.child, signal)?;
        ensure!(self.child.wait()?.code() == Some(0), "it ended with an error");
        Ok(())
    }

    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// The state of each slice.
fn states(overview: &Value) -> Result<Vec<String>> {
    let slices = overview["slices"].as_array().context("slices")?;
    slices.iter().map(|slice| Ok(slice["state"].as_str().context("a state")?.to_owned())).collect()
}

#[test]
fn no_decision_that_the_page_was_told_of_is_lost_when_the_program_is_killed() -> Result<()> {
    let kills: u64 = env::var("SAM_MED_KILLS").map_or(Ok(5), |kills| kills.parse())?;
    let desk = Desk::new();
    let shown = &desk.shown;
    let outlined = &shown[..2];
    desk.begin(outlined, "")?;
    // The outlines are left alone, because the last round needs them to learn from.
    let others: Vec<_> = (0..desk.plane.count()).filter(|slice| !outlined.contains(slice)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(kills);
    let (mut stood, mut decided) = (None::<Vec<String>>, 0_u64);
    for kill in 1..=kills {
        let page = Page::start(&desk)?;
        let mut now = states(&page.ask("overview", None)?)?;
        ensure!(
            stood.as_ref().is_none_or(|stood| *stood == now),
            "before kill {} slices stood as {stood:?}, after it as {now:?}",
            kill - 1
        );
        for _ in 0..=(rng.next_u32() % MOST) {
            let slice = others[rng.next_u32() as usize % others.len()];
            let overview = match rng.next_u32() % 4 {
                0 => page.act("undo")?["overview"].take(),
                1 => page.decide(slice, "accept")?,
                2 => page.decide(slice, "reject")?,
                _ => page.decide(slice, "empty")?,
            };
            now = states(&overview)?;
            decided += 1;
        }
        // Every second kill may happen while the mask is written; no decision depends on that file.
        let revision = &page.ask("overview", None)?["revision"];
        let _saving = (kill % 2 == 0).then(|| page.send("save", Some(&json!({ "revision": revision })))).transpose()?;
        thread::sleep(Duration::from_micros(u64::from(rng.next_u32() % 20_000)));
        page.kill()?;
        // The mask file must be complete.
        desk.mask()?;
        stood = Some(now);
    }
    let page = Page::start(&desk)?;
    ensure!(Some(states(&page.ask("overview", None)?)?) == stood, "what was decided before the last kill is lost");
    page.end()?;
    println!("killed {kills} times after {decided} decisions, none lost");
    // The next round learns from the decisions.
    desk.run("--anew")
}
