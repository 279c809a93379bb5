//! The file system under test: `model-fs`, which can be asked, killed and started again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::protocol::{self, Answer, Call, Numbered, Start};

/// Longer than any deadline of the file system: who does not answer by then hangs.
const HANGS: Duration = Duration::from_secs(60);

type Given = (Answer, Vec<u8>);

pub struct Process {
    child: Child,
    to: ChildStdin,
    from: Receiver<(Numbered<Answer>, Vec<u8>)>,
    next: u64,
    early: HashMap<u64, Given>,
    /// The write verifier of this life.
    pub verifier: u64,
}

impl Process {
    /// Starts it and waits until its state directory is open.
    pub fn start(program: &PathBuf, start: &Start) -> Result<Self, String> {
        let argument = serde_json::to_string(start).map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let (Some(to), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("model-fs has no pipes".into());
        };
        let (sender, from) = channel();
        std::thread::spawn(move || {
            while let Ok(answer) = protocol::receive(&mut stdout) {
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        let mut process = Process { child, to, from, next: 1, early: HashMap::new(), verifier: 0 };
        match process.wait(0)? {
            (Answer::Ready { verifier }, _) => process.verifier = verifier,
            (other, _) => return Err(format!("the state directory was not opened: {other:?}")),
        }
        Ok(process)
    }

    pub fn ask(&mut self, call: Call, payload: &[u8]) -> Result<Given, String> {
        let what = format!("{call:?}");
        let number = self.send(call, payload)?;
        self.wait(number).map_err(|error| format!("{error}, asked for {what}"))
    }

    /// Sends without waiting; the number asks for the answer.
    pub fn send(&mut self, body: Call, payload: &[u8]) -> Result<u64, String> {
        let number = self.next;
        self.next += 1;
        protocol::send(&mut self.to, &Numbered { number, body }, payload)
            .map_err(|error| format!("model-fs takes no calls: {error}"))?;
        Ok(number)
    }

    pub fn wait(&mut self, number: u64) -> Result<Given, String> {
        loop {
            if let Some(given) = self.early.remove(&number) {
                return Ok(given);
            }
            match self.from.recv_timeout(HANGS) {
                Ok((answer, payload)) => {
                    self.early.insert(answer.number, (answer.body, payload));
                }
                Err(RecvTimeoutError::Timeout) => return Err(format!("no answer within {HANGS:?}")),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("model-fs ended by itself: {:?}", self.child.wait()));
                }
            }
        }
    }

    /// Waits until so many answers have come, whichever.
    pub fn wait_for_any(&mut self, count: usize) -> Result<(), String> {
        while self.early.len() < count {
            match self.from.recv_timeout(HANGS) {
                Ok((answer, payload)) => {
                    self.early.insert(answer.number, (answer.body, payload));
                }
                Err(error) => return Err(format!("a burst was not answered: {error}")),
            }
        }
        Ok(())
    }

    /// SIGKILL. Returns the answers that were given and not yet asked for: they count as acknowledged.
    pub fn kill(mut self) -> HashMap<u64, Given> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        while let Ok((answer, payload)) = self.from.recv() {
            self.early.insert(answer.number, (answer.body, payload));
        }
        std::mem::take(&mut self.early)
    }

    /// An orderly end.
    pub fn shut_down(mut self) -> Result<(), String> {
        self.ask(Call::Shutdown, &[])?;
        self.child.wait().map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
