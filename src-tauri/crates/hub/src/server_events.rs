//! Server-sent events (the `text/event-stream` format of the HTML standard), as far as the Hub uses them.

use bytes::{Buf, BytesMut};

/// The longest event taken. A page of changes is some 100 KB.
const LONGEST_EVENT: usize = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// `message` when the server names none.
    pub name: String,
    pub data: String,
}

/// Cuts a byte stream into events. Comments (the server's pings) yield nothing.
#[derive(Default)]
pub(crate) struct EventParser {
    rest: BytesMut,
    name: String,
    data: String,
    has_data: bool,
}

/// The server sends an event without an end.
#[derive(Debug)]
pub(crate) struct TooLong;

impl EventParser {
    /// Takes more bytes; appends the events that are complete now.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<ServerEvent>) -> Result<(), TooLong> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let line = self.rest.split_to(end);
            self.rest.advance(1);
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = self.line(line.trim_end_matches('\r')) {
                events.push(event);
            }
        }
        if self.rest.len() + self.data.len() > LONGEST_EVENT { Err(TooLong) } else { Ok(()) }
    }

    fn line(&mut self, line: &str) -> Option<ServerEvent> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<ServerEvent> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(ServerEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&str]) -> Vec<(String, String)> {
        let (mut parser, mut events) = (EventParser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece.as_bytes(), &mut events).unwrap();
        }
        events.into_iter().map(|e| (e.name, e.data)).collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_come_out_however_the_bytes_come_in() {
        let text =
            "event: ready\ndata: {}\n\n: ping\n\ndata: a\r\ndata:b\r\n\r\nevent: lost\n\nevent: x\ndata\n\n";
        let want = vec![event("ready", "{}"), event("message", "a\nb"), event("x", "")];
        assert_eq!(parse(&[text]), want);
        let single: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(parse(&single.iter().map(String::as_str).collect::<Vec<_>>()), want);
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let (mut parser, mut events) = (EventParser::default(), Vec::new());
        let megabyte = vec![b'x'; 1 << 20];
        assert!((0..20).any(|_| parser.push(&megabyte, &mut events).is_err()));
    }
}
